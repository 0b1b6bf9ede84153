"""Workers: any number of processes that add to one folder. They share nothing else, and do not wait for each other."""

import os
from dataclasses import dataclass

from noise_search.errors import Refused

NAMES = (("RANK", "WORLD_SIZE", "LOCAL_RANK"), ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"))  # torchrun, SLURM


@dataclass(frozen=True)
class Worker:
    """Number `rank` of `world`, from 0; local: its number on this machine, which says which GPU it takes."""

    rank: int = 0
    world: int = 1
    local: int = 0


def this_worker(rank: int | None, world: int | None) -> Worker:
    """As configured, else what torchrun or SLURM says in the environment, else the only one."""
    if rank is not None and world is not None:
        return Worker(rank, world, rank)
    for names in NAMES:
        if names[0] in os.environ and names[1] in os.environ:
            said = {name: os.environ[name] for name in names if name in os.environ}
            if not all(map(str.isdigit, said.values())) or not int(said[names[0]]) < int(said[names[1]]):
                raise Refused(f"{said}: a worker's number, from 0, and how many there are")
            rank, world = int(said[names[0]]), int(said[names[1]])
            return Worker(rank, world, int(said.get(names[2], rank)))
    return Worker()
