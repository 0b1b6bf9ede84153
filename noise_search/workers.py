"""Workers: any number of processes that add to one folder. They share nothing else, and do not wait for each other."""

import os
from dataclasses import dataclass

NAMES = (("RANK", "WORLD_SIZE", "LOCAL_RANK"), ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"))  # torchrun, SLURM


@dataclass(frozen=True)
class Worker:
    """Number `rank` of `world`, from 0; local: its number on this machine, which is also the number of its GPU."""

    rank: int = 0
    world: int = 1
    local: int = 0


def this_worker(rank: int | None, world: int | None) -> Worker:
    """As configured, else what torchrun or SLURM says in the environment, else the only one."""
    if rank is not None and world is not None:
        return Worker(rank, world)
    for names in NAMES:
        if all(name in os.environ for name in names):
            return Worker(*(int(os.environ[name]) for name in names))
    return Worker()
