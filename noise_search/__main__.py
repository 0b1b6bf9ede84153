"""What is done beside making a run.

python -m noise_search status RUN                        images done, rate, time left; exit code 1 if incomplete
python -m noise_search verify RUN [images=8]             checksums and counts; makes some images again
python -m noise_search report RUN... [into=FOLDER]       curve and report from the units; of several runs: combined
python -m noise_search export RUN as=npz|png              images of every budget: ADM's arr_0, or folders of files
python -m noise_search log RUN [project=...] [group=...] sends a finished run to wandb
python -m noise_search select RUN verifier=NAME [points=1,4] [into=FOLDER]  reads a random search under another verifier
python -m noise_search doctor                            libraries, weights, references and data that are here
python -m noise_search prefetch [overrides of run.py]    fetches all that a configuration needs
"""

import sys
from pathlib import Path

from hydra import initialize_config_dir
from omegaconf import OmegaConf

from noise_search.cli.errors import run_cleanly
from noise_search.run.settings import result_hash

CONFIGS = Path(__file__).parents[1] / "configs"
USAGE = {line.split()[3]: line.split("  ")[0] for line in (__doc__ or "").splitlines() if line.startswith("python")}
OPTIONS = {  # command -> the fewest and most runs that it takes, and its options
    "status": (1, 1, set()),
    "verify": (1, 1, {"images"}),
    "report": (1, 1000, {"into"}),
    "export": (1, 1, {"as"}),
    "log": (1, 1, {"project", "group"}),
    "select": (1, 1, {"verifier", "points", "into"}),
    "doctor": (0, 0, set()),
}


def main() -> int:
    from noise_search.cli import commands
    from noise_search.run.reselect import select

    command, arguments = (sys.argv[1] if len(sys.argv) > 1 else "help"), sys.argv[2:]
    if command in ("help", "-h", "--help"):
        print(__doc__)
        return 0
    if command not in USAGE:
        raise ValueError(f"{command}: the commands are {', '.join(USAGE)}; python -m noise_search help")
    OmegaConf.register_new_resolver("result_hash", result_hash, use_cache=False, replace=True)
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        if command == "prefetch":
            return commands.prefetch(arguments)
        runs = [Path(word) for word in arguments if "=" not in word]
        options = dict(word.split("=", 1) for word in arguments if "=" in word)
        fewest, most, known = OPTIONS[command]
        number = options.get("images", "8")
        if not fewest <= len(runs) <= most or set(options) - known or not number.isdigit():
            raise ValueError(f"usage: {USAGE[command]}")
        into = Path(options["into"]) if "into" in options else None
        if command == "status":
            return commands.status(runs[0])
        if command == "verify":
            return commands.verify(runs[0], int(number))
        if command == "report":
            return commands.report(runs, into)
        if command == "export":
            return commands.export(runs[0], options.get("as", "npz"))
        if command == "log":
            return commands.log_run(runs[0], **options)
        if command == "doctor":
            return commands.doctor()
        points = options["points"].split(",") if "points" in options else []
        if "verifier" not in options or not all(map(str.isdigit, points)):
            raise ValueError(f"usage: {USAGE[command]}")
        print(select(runs[0], options["verifier"], into, [int(point) for point in points] or None))
        return 0


if __name__ == "__main__":
    sys.exit(run_cleanly(main))
