"""The command: `noise-search`, `python run.py` and `python -m noise_search` are this one program.

noise-search [overrides]                           a run: plan, search, evaluate, report; --help lists the groups
noise-search status RUN                            images done, rate, time left; exit code 1 if incomplete
noise-search verify RUN [images=8]                 checksums and counts; makes some images again
noise-search report RUN... [into=FOLDER] [axis=seconds]  curve and report from the units; of several runs: combined
noise-search compare RUN... into=FOLDER            tables at equal NFE, seconds and GFLOPs; paired differences; gallery
noise-search view FOLDER                           a page over all finished runs under a folder, for any web host
noise-search figures RUN... [figure=6,17] into=FOLDER [axis=gflops] [as=svg]  the paper's figures, over its points
noise-search export RUN as=npz|png|scores|pairs|bank|t2i_compbench [points=1,4] [into=PATH]  images, or candidates
noise-search import RUN as=t2i_compbench [from=FOLDER]  what those scorers said: means by category
noise-search log RUN [project=...] [group=...]     sends a finished run to wandb
noise-search select RUN verifier=NAME [points=1,4] [into=FOLDER]  reads a random search under another verifier
noise-search submit RUN [into=leaderboard.jsonl] [images=8]  rows for the leaderboard, once images were made again
noise-search calibrate [overrides] [candidates=16] [drafts='steps; early'] into=FOLDER  drafts against the full model
noise-search doctor                                libraries, plug-ins, weights, references and data that are here
noise-search prefetch [overrides]                  fetches all that a configuration needs
"""

import os
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from noise_search.cli.one_line import run_cleanly, told_errors
from noise_search.configuration.compose import own_hydra, read, result_hash
from noise_search.configuration.multirun import Sweep, sweep_name
from noise_search.configuration.search_path import register_plugins
from noise_search.errors import Refused
from noise_search.run.plugins import config_folder

LINES = {line.split()[1]: line for line in (__doc__ or "").splitlines()[3:] if line.strip()}
USAGE = {name: line.split("  ")[0] for name, line in LINES.items()}
OPTIONS = {  # command -> the fewest and most runs that it takes, and its options
    "status": (1, 1, set()),
    "verify": (1, 1, {"images"}),
    "report": (1, 1000, {"into", "axis"}),
    "compare": (2, 1000, {"into"}),
    "view": (1, 1, set()),
    "figures": (0, 1000, {"figure", "into", "axis", "as"}),
    "export": (1, 1, {"as", "points", "into", "verifier", "pairs", "against", "margin", "seed"}),
    "import": (1, 1, {"as", "from"}),
    "log": (1, 1, {"project", "group"}),
    "submit": (1, 1, {"into", "images"}),
    "select": (1, 1, {"verifier", "points", "into"}),
    "doctor": (0, 0, set()),
}


@hydra.main(version_base="1.3", config_path=str(config_folder()), config_name="config")
def job(cfg: DictConfig) -> None:
    """One run, or one job of a multirun."""
    from noise_search.run.execute import removed_if_refused, run_job

    ours = HydraConfig.get()
    folder, sweep = Path(ours.runtime.output_dir), None
    if ours.mode == RunMode.MULTIRUN and not cfg.plan_only:
        sweep = Path(ours.sweep.dir) / sweep_name()
    with told_errors(), removed_if_refused(folder):
        run_job(*read(cfg, ours.runtime.choices), folder, sweep)


def run() -> int:
    sweep_name(sys.argv[1:])
    job()
    Sweep.refuse_incomplete()
    return 0


def command() -> int:
    """What is done beside making a run."""
    name, arguments = sys.argv[1], sys.argv[2:]
    if name not in USAGE:
        raise Refused(f"{name}: the commands are {', '.join(USAGE)}; noise-search help")
    with own_hydra():
        if name == "prefetch":
            from noise_search.cli import commands

            return commands.prefetch(arguments)
        if name == "calibrate":
            from noise_search.cli.calibrate import command as calibrate

            return calibrate(arguments)
        runs = [Path(word) for word in arguments if "=" not in word]
        options = dict(word.split("=", 1) for word in arguments if "=" in word)
        fewest, most, known = OPTIONS[name]
        numbers = [options.get("images", "8"), *(options["points"].split(",") if "points" in options else [])]
        if not fewest <= len(runs) <= most or set(options) - known or not all(map(str.isdigit, numbers)):
            raise Refused(f"usage: {USAGE[name]}")
        images, *points = map(int, numbers)
        into = Path(options["into"]) if "into" in options else None
        if name in LOOKS:
            return looked(name, runs, options, into, points)
        return done(name, runs, options, into, points, images)


LOOKS = ("status", "view", "export", "import", "log")


def looked(name: str, runs: list[Path], options: dict[str, str], into: Path | None, points: list[int]) -> int:
    """A command that needs no torch."""
    from noise_search.cli import look

    if name == "status":
        return look.status(runs[0])
    if name == "view":
        return look.view(runs[0])
    if name == "export":
        own = {key: value for key, value in options.items() if key not in ("as", "into", "points")}
        return look.export(runs[0], options.get("as", "npz"), into, points, own)
    if name == "import":
        return look.import_answers(runs[0], options.get("as", ""), options.get("from"))
    return look.log_run(runs[0], **options)


def done(
    name: str, runs: list[Path], options: dict[str, str], into: Path | None, points: list[int], images: int
) -> int:
    from noise_search.cli import commands
    from noise_search.cli.doctor import doctor
    from noise_search.cli.figures import figures

    if name == "verify":
        return commands.verify(runs[0], images)
    if name == "report":
        return commands.report(runs, into, options.get("axis"))
    if name == "compare":
        return commands.compare_runs(runs, into)
    if name == "figures":
        named = options["figure"].split(",") if "figure" in options else []
        return figures(runs, named, into, options.get("axis"), options.get("as"))
    if name == "doctor":
        return doctor()
    if name == "submit":
        from noise_search.cli.submit import submit

        return submit(runs[0], into or Path("leaderboard.jsonl"), images)
    if "verifier" not in options:
        raise Refused(f"usage: {USAGE[name]}")
    return commands.select(runs[0], options["verifier"], into, points)


def program() -> int:
    OmegaConf.register_new_resolver("result_hash", result_hash, use_cache=False, replace=True)
    register_plugins()
    if "--help" in sys.argv and sys.argv[1] in LINES:
        print(LINES[sys.argv[1]])
        return 0
    if "--help" in sys.argv:
        from noise_search.cli import help

        with own_hydra():
            print(help.text([word for word in sys.argv[1:] if not word.startswith("-")]))
        return 0
    if len(sys.argv) > 1 and "=" not in sys.argv[1] and not sys.argv[1].startswith(("-", "~", "+")):
        return command()
    return run()


def main() -> int:
    """The exit code. Without arguments only `python run.py` makes a run: elsewhere a word too few starts nothing."""
    if sys.argv[1:] in (["help"], ["-h"]) or (len(sys.argv) == 1 and os.path.basename(sys.argv[0]) != "run.py"):
        print(__doc__)
        return 0
    return run_cleanly(program)
