"""Measure what docs/benchmarks.md shows.   python -m scripts.bench [--only NAME,NAME] [--device cpu|cuda]

About 35 minutes on two CPU cores; run nothing else on the machine meanwhile. Each benchmark's figures are written as
soon as they are there, and those of others stay: what was interrupted goes on with --only.
"""

import argparse
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import torch

from scripts.bench.catalogue import BENCHMARKS, chosen
from scripts.bench.page import command, entry, read, write
from scripts.bench.timing import Options, device_key, hardware

DOCS = Path(__file__).parents[2] / "docs"


def run(name: str, options: Options, folder: Path) -> None:
    """Measure one benchmark, and write its figures."""
    started, one = time.monotonic(), BENCHMARKS[name]
    torch.compiler.reset()
    found = one.measure(options)
    assert set(found) == set(one.figures)
    record = read(folder / "benchmarks.json")
    told = command(name, options.device, options.repeat, options.small), hardware(options.device)
    for figure, measured in found.items():
        record[figure][device_key(options.device)] = made = entry(measured, *told)
        print(f"{figure}: {made['value']} [{made['low']}, {made['high']}]  {made['note']}", flush=True)
    write(record, folder)
    print(f"  {name} took {time.monotonic() - started:.0f} s", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 1 if a benchmark failed; the others are measured all the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="NAME,NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--repeat", type=int, default=5, help="runs that count")
    parser.add_argument("--small", action="store_true", help="show that everything works; measures nothing")
    parser.add_argument("--page", action="store_true", help="write the page again, and stop")
    parser.add_argument("--into", type=Path, default=DOCS, metavar="FOLDER")
    given = parser.parse_args(arguments)
    if given.page:
        write(read(given.into / "benchmarks.json"), given.into)
        return 0
    if given.small and given.into.resolve() == DOCS:
        parser.error("--small measures nothing: give --into another folder")
    if given.repeat < 1:
        parser.error(f"--repeat {given.repeat}: at least 1")
    try:
        names = chosen(given.only)
    except ValueError as error:
        parser.error(str(error))
    if given.device == "cuda":
        torch.set_float32_matmul_precision("high")  # TF32, as the published samplers do
    options, failed = Options(given.device, given.repeat, given.small), []
    for name in names:
        try:
            run(name, options, given.into)
        except Exception:  # the others are worth having
            traceback.print_exc()
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
