"""python -m noise_search select RUN verifier=NAME [into=FOLDER]: read a random search under another verifier."""

import sys
from pathlib import Path

from hydra import initialize_config_dir
from omegaconf import OmegaConf

from noise_search.cli import run_cleanly
from noise_search.settings import result_hash

CONFIGS = Path(__file__).parents[1] / "configs"


def main() -> None:
    from noise_search.reread import select

    words, options = sys.argv[1:3], dict(argument.partition("=")[::2] for argument in sys.argv[3:])
    if len(words) != 2 or words[0] != "select" or not {"verifier"} <= set(options) <= {"verifier", "into"}:
        raise ValueError("usage: python -m noise_search select RUN verifier=NAME [into=FOLDER]")
    OmegaConf.register_new_resolver("result_hash", result_hash, use_cache=False, replace=True)
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        into = Path(options["into"]) if "into" in options else None
        folder = select(Path(words[1]), options["verifier"], into)
    print(folder)


if __name__ == "__main__":
    sys.exit(run_cleanly(main))
