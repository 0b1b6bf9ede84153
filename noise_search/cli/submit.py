"""`noise-search submit RUN`: a run's rows for the leaderboard, after some of its images were made again."""

from pathlib import Path

from noise_search.cli.commands import verify
from noise_search.configuration.compose import composed
from noise_search.errors import Refused
from noise_search.measures.board import added, read_rows, write_rows
from noise_search.run.submit import rows_of


def submit(run: Path, into: Path, images: int) -> int:
    """Add the rows of a finished run to the file `into`, unless a file of it is damaged, an image comes out other than
    it was stored, or the file has them already. images: how many are made again, at least one."""
    if images < 1:
        raise Refused(f"images={images}: at least one is made again")
    rows = rows_of(run, composed)
    both = added(read_rows(into), rows, into)
    if verify(run, images):
        raise Refused(f"{run}: not submitted, for what was found above")
    write_rows(into, both)
    print(f"{into}: {len(rows)} rows added")
    return 0
