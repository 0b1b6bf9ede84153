"""Kill workers and spoil their files: the table must be that of one undisturbed worker, to the bit.

    python scripts/chaos.py [images=2000] [workers=4] [kills=20] [seed=0]      (about 5 minutes on two cores)

Each worker of a run on the exact toy is killed (SIGKILL) at random moments and started again: some before their first
unit, some after it. At each kill finished files get flipped bits or are cut, so that there is always work to do. Prints
what was done, then `identical`, or exits with 1.
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from noise_search.storage.curve_csv import numbers

ROOT = Path(__file__).parents[1]
OPTIONS = (
    "experiment=toy",
    "budget.points=[1,4,16]",
    "logger=none",
    "draw_figures=false",
    "batch_size=64",
    "compile=false",
)


def start(folder: Path, images: int, rank: int, world: int) -> subprocess.Popen:
    """One worker of a run; what it says goes to a file of its own."""
    options = (*OPTIONS, f"images={images}", f"rank={rank}", f"world={world}", f"hydra.run.dir={folder}")
    with (folder.parent / f"{folder.name}-{rank}.log").open("a") as out:
        return subprocess.Popen([sys.executable, str(ROOT / "run.py"), *options], stdout=out, stderr=out)


def spoil(folder: Path, dice: random.Random) -> int:
    """Flip a bit of a fifth of the finished files, or cut them; returns how many. The run is not complete then."""
    files = sorted((folder / "units").glob("*.parquet"))
    chosen = dice.sample(files, -(-len(files) // 5))
    for path in chosen:
        try:
            content = bytearray(path.read_bytes())
        except FileNotFoundError:  # a worker has just set it aside
            continue
        if not content:  # nothing is left to spoil
            continue
        if dice.random() < 0.5:
            content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
        else:
            del content[dice.randrange(len(content)) :]
        path.write_bytes(content)
    if chosen:
        (folder / "run.json").unlink(missing_ok=True)
    return len(chosen)


def torment(folder: Path, images: int, workers: int, kills: int, life: float, dice: random.Random) -> int:
    """Run the workers to the end, each killed `kills` times on the way, after `life` seconds on average; returns how
    many files were spoilt."""
    running = [start(folder, images, rank, workers) for rank in range(workers)]
    left, spoilt = [kills] * workers, 0
    while any(left):
        time.sleep(dice.uniform(0, 2 * life / workers))
        rank = dice.choice([rank for rank in range(workers) if left[rank]])
        running[rank].kill()
        running[rank].wait()
        left[rank] -= 1
        spoilt += spoil(folder, dice)
        running[rank] = start(folder, images, rank, workers)
    left_alone(running, folder)
    spoilt += spoil(folder, dice)  # and once more when it is complete
    left_alone([start(folder, images, 0, workers)], folder)
    return spoilt


def left_alone(workers: list[subprocess.Popen], folder: Path) -> None:
    """Wait for workers that nobody kills: they must not fail."""
    for rank, worker in enumerate(workers):
        if worker.wait():
            said = (folder.parent / f"{folder.name}-{rank}.log").read_text()
            raise SystemExit(f"worker {rank}, left alone, failed:\n{said[-3000:]}")


def main(arguments: list[str]) -> None:
    options = {"images": 2000, "workers": 4, "kills": 20, "seed": 0}
    for argument in arguments:
        name, _, value = argument.partition("=")
        if name not in options or not value.isdigit():
            raise SystemExit(f"{argument}: options are {', '.join(options)}, whole numbers")
        options[name] = int(value)
    images, workers, kills = options["images"], options["workers"], options["kills"]
    with tempfile.TemporaryDirectory() as scratch:
        quiet, disturbed = Path(scratch) / "quiet", Path(scratch) / "disturbed"
        started, alone = time.monotonic(), start(quiet, images, 0, 1)
        while alone.poll() is None and not list(quiet.glob("units/*.parquet")):
            time.sleep(0.1)
        first = time.monotonic() - started  # seconds to a unit, for one worker
        if alone.wait():
            raise SystemExit(f"the undisturbed run failed: {(Path(scratch) / 'quiet-0.log').read_text()}")
        life = 1.5 * first * max(1, workers / (os.cpu_count() or 1))
        spoilt = torment(disturbed, images, workers, kills, life, random.Random(options["seed"]))
        aside = len(list((disturbed / "units").glob("*.damaged")))
        print(f"{images} images, {workers} workers, {kills * workers} kills, {spoilt} files spoilt, {aside} found so")
        if not aside:
            raise SystemExit("no worker ever met a spoilt file: nothing is proven")
        one, other = (numbers(run / "curve.csv") for run in (quiet, disturbed))
        different = [(a, b) for a, b in zip(one, other, strict=True) if a != b]
        if different:
            raise SystemExit(f"{len(different)} of {len(one)} rows differ, such as {different[0]}")
        print(f"identical: {len(one)} rows of curve.csv")


if __name__ == "__main__":
    main(sys.argv[1:])
