"""What must be measured in a process of its own.   python -m scripts.bench.child finish|work|peak ...

finish RUN DEVICE            everything after the last image of a run whose units are all there; says when it begins
work DEVICE RANK WORLD ...   make the units of every folder named on standard input; says `ready`, then `done` each time
peak DEVICE N IMAGES         a search of n = N for so many images; says the peak of memory in bytes
"""

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from noise_search import search
from noise_search.run.assemble import assemble
from noise_search.run.description import describe
from noise_search.run.progress import Work
from noise_search.run.reopen import saved
from noise_search.run.search_units import make_units
from scripts.bench.timing import Options, open_run


def finish_run(run: str, device: str) -> None:
    from noise_search.run.finish import finish

    folder = Path(run)
    config, choices = saved(folder)
    parts = assemble(describe(config | {"device": device}, choices, made=True))
    print(time.time(), flush=True)
    finish(parts, folder, parts.run.logger, Work())


def work(device: str, rank: str, world: str, *overrides: str) -> None:
    parts = open_run(Options(device), f"rank={rank}", f"world={world}", *overrides)
    print("ready", flush=True)
    for line in sys.stdin:
        folder = Path(line.strip())
        folder.mkdir(parents=True, exist_ok=True)
        make_units(parts, folder)
        print("done", flush=True)


def peak(device: str, n: str, images: str) -> None:
    conditions = [i % 10 for i in range(int(images))]
    found = search(
        "sit_cifar10",
        conditions,
        "classifier",
        n=int(n),
        search_nfe=1,
        final_nfe=2,
        device=device,
        batch_size=len(conditions),  # one candidate fills a batch as many do
        progress=False,
    )
    assert len(found.images) == len(conditions)
    if device == "cuda":
        print(torch.cuda.max_memory_allocated())
        return
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None  # ru_maxrss would begin at what the parent had
    print(1024 * int(found.group(1)))


if __name__ == "__main__":
    commands: dict[str, Callable[..., None]] = {"finish": finish_run, "work": work, "peak": peak}
    commands[sys.argv[1]](*sys.argv[2:])
