"""python -m noise_search select RUN verifier=NAME: read a finished random search again under another verifier."""

import sys
from pathlib import Path

from hydra import initialize_config_dir
from omegaconf import OmegaConf

from noise_search.cli import run_cleanly
from noise_search.settings import result_hash

CONFIGS = Path(__file__).parents[1] / "configs"


def main() -> None:
    from noise_search.reread import select

    arguments = sys.argv[1:]
    if len(arguments) != 3 or arguments[0] != "select" or not arguments[2].startswith("verifier="):
        raise ValueError("usage: python -m noise_search select RUN verifier=NAME")
    OmegaConf.register_new_resolver("result_hash", result_hash, use_cache=False, replace=True)
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        folder = select(Path(arguments[1]), arguments[2].removeprefix("verifier="))
    print(folder)


if __name__ == "__main__":
    sys.exit(run_cleanly(main))
