"""python run.py model=sit_cifar10 verifier=classifier algorithm=random budget=demo images=256

Composes the Hydra groups into a run: plan, search, evaluate, report. `python run.py --help` lists the groups.
"""

import sys

import hydra
from omegaconf import DictConfig, OmegaConf

from noise_search.cli.errors import one_line_errors, run_cleanly
from noise_search.run.multirun import Sweep
from noise_search.run.settings import result_hash, sweep_name

OmegaConf.register_new_resolver("result_hash", result_hash, use_cache=False, replace=True)


@hydra.main(version_base="1.3", config_path="configs", config_name="config")
def main(cfg: DictConfig) -> None:
    from noise_search.run.execute import run_experiment

    with one_line_errors():
        run_experiment(cfg)


def program() -> None:
    main()
    Sweep.refuse_incomplete()


if __name__ == "__main__":
    sweep_name(sys.argv[1:])
    sys.exit(run_cleanly(program))
