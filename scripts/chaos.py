"""Kill workers and spoil their files: the table must be that of one undisturbed worker, to the bit.

    python scripts/chaos.py [images=2000] [workers=4] [kills=20] [seed=0]      (about 5 minutes on two cores)

Each worker of a run on the exact toy is killed (SIGKILL) at random moments and started again; meanwhile finished files
get flipped bits or are cut. Prints what was done, then `identical`, or exits with 1.
"""

import csv
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
OPTIONS = ("experiment=toy", "budget.points=[1,4,16]", "logger=none", "axis=nfe")


def start(folder: Path, images: int, rank: int, world: int) -> subprocess.Popen:
    """One worker of a run; what it says goes to a file of its own."""
    options = (*OPTIONS, f"images={images}", f"rank={rank}", f"world={world}", f"hydra.run.dir={folder}")
    with (folder.parent / f"{folder.name}-{rank}.log").open("a") as out:
        return subprocess.Popen([sys.executable, str(ROOT / "run.py"), *options], stdout=out, stderr=out)


def spoil(folder: Path, dice: random.Random) -> bool:
    """Flip a bit of one finished file, or cut it; False if there is none, or if the run is complete."""
    files = sorted((folder / "units").glob("*.parquet"))
    if not files or (folder / "run.json").exists():
        return False
    path = dice.choice(files)
    content = bytearray(path.read_bytes())
    if dice.random() < 0.5:
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    else:
        del content[dice.randrange(len(content)) :]
    path.write_bytes(content)
    return True


def torment(folder: Path, images: int, workers: int, kills: int, dice: random.Random) -> int:
    """Run the workers to the end, each killed `kills` times on the way; returns how many files were spoilt."""
    running = [start(folder, images, rank, workers) for rank in range(workers)]
    left, spoilt = [kills] * workers, 0
    while any(left):
        time.sleep(dice.uniform(0, 8 / workers))
        rank = dice.choice([rank for rank in range(workers) if left[rank]])
        running[rank].kill()
        running[rank].wait()
        left[rank] -= 1
        spoilt += spoil(folder, dice)
        running[rank] = start(folder, images, rank, workers)
    for rank, process in enumerate(running):
        if process.wait():
            said = (folder.parent / f"{folder.name}-{rank}.log").read_text()
            raise SystemExit(f"worker {rank}, left alone, failed:\n{said[-3000:]}")
    return spoilt


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "curve.csv").open() as file:
        return list(csv.DictReader(file))


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
        if start(quiet, images, 0, 1).wait():
            raise SystemExit(f"the undisturbed run failed: {(Path(scratch) / 'quiet-0.log').read_text()}")
        spoilt = torment(disturbed, images, workers, kills, random.Random(options["seed"]))
        aside = len(list((disturbed / "units").glob("*.damaged")))
        print(f"{images} images, {workers} workers, {kills * workers} kills, {spoilt} files spoilt, {aside} found so")
        one, other = table(quiet), table(disturbed)
        different = [(a, b) for a, b in zip(one, other, strict=True) if a != b]
        if different:
            raise SystemExit(f"{len(different)} of {len(one)} rows differ, such as {different[0]}")
        print(f"identical: {len(one)} rows of curve.csv")


if __name__ == "__main__":
    main(sys.argv[1:])
