"""A worker that is killed loses little: what it found of the images that it was at is saved, and gone on from."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from noise_search.core.denoiser import MeteredNetwork
from noise_search.run import checkpoint
from noise_search.run.assemble import assemble
from noise_search.run.description import describe
from noise_search.run.execute import make_missing_images
from noise_search.run.parts import Parts
from noise_search.storage.units import read_units
from tests.test_configs import configuration

TOY = (
    "experiment=toy",
    "draw_figures=false",
    "logger=none",
    "images=70",
    "batch_size=16",
    "budget.search_nfe=4",
    "budget.final_nfe=6",
)
RUNS = {
    "random": ("budget.points=[1,2,5]",),
    "observed": ("budget.points=[1,2,5]", "observers=[brightness]"),
    "zo": ("algorithm=zo", "algorithm.on_stall=redraw", "budget.points=[0,1,3]"),
    "paths": ("algorithm=paths", "budget.points=[0,1,2]"),
    "none": ("algorithm=none", "budget.points=[0,10]"),
    "oracle_fid": ("verifier=oracle_fid", "budget.points=[1,2,5]"),
}


CLOCK = ["seconds_search", "seconds_final", "spent_seconds"]  # what no run repeats


class Killed(BaseException):
    """As SIGKILL: nobody tidies up after it."""


@contextmanager
def killed_after(rows: float) -> Iterator[list[int]]:
    """Network rows, of all that are made meanwhile."""
    made, conditioned = [0], MeteredNetwork.conditioned

    def counted(self: MeteredNetwork, *columns: Any) -> Any:
        if made[0] + len(columns[0]) > rows:
            raise Killed
        made[0] += len(columns[0])
        return conditioned(self, *columns)

    with mock.patch.object(MeteredNetwork, "conditioned", counted):
        yield made


def parts_of(name: str) -> Parts:
    return assemble(describe(*configuration(*TOY, *RUNS[name])))


@pytest.mark.parametrize("name", RUNS)
def test_a_killed_worker_is_gone_on_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    with killed_after(float("inf")) as whole:
        make_missing_images(parts_of(name), tmp_path / "whole")
    total, lives = 0, 0
    while lives < 40:
        lives += 1
        with killed_after(0.3 * whole[0]) as made:
            try:
                make_missing_images(parts_of(name), tmp_path / "killed")
                break
            except Killed:
                pass
            finally:
                total += made[0]
    assert 3 < lives < 20, lives  # it was killed, and came to its end
    found, expected = (read_units(tmp_path / kind).drop_columns(CLOCK) for kind in ("killed", "whole"))
    assert [*map(str, found.to_pylist())] == [*map(str, expected.to_pylist())]
    assert total < 1.5 * whole[0]  # rounds that were cut off are made twice, no others
    assert not list((tmp_path / "killed/checkpoints").iterdir())


def test_a_checkpoint_that_is_not_of_this_run_or_damaged_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    make_missing_images(parts_of("random"), tmp_path / "whole")
    expected = read_units(tmp_path / "whole").drop_columns(CLOCK)
    for name in ("flipped", "foreign"):
        with killed_after(1000), pytest.raises(Killed):
            make_missing_images(parts_of("random"), tmp_path / name)
        (path,) = (tmp_path / name / "checkpoints").iterdir()
        if name == "flipped":
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            path.write_bytes(content)
        parts = parts_of("random")
        if name == "foreign":
            object.__setattr__(parts, "made_with", {**parts.made_with, "settings": "another"})
        make_missing_images(parts, tmp_path / name)
        assert read_units(tmp_path / name).drop_columns(CLOCK).equals(expected)
        assert path.with_suffix(".damaged").is_file() == (name == "flipped")
