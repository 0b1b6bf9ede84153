"""Moving on when good enough: nothing is spent afterwards, and the ledger knows bounds."""

import json
from pathlib import Path

import pytest
import torch

from noise_search import search as front
from noise_search.algorithms.random import Random
from noise_search.algorithms.threshold import Threshold
from noise_search.core.algorithm import keeps
from noise_search.core.driver import search
from noise_search.errors import Refused
from tests.conftest import KINDS, make_setup
from tests.test_run import call, curve


def test_an_image_stops_at_its_first_candidate_that_is_enough_and_pays_for_no_more() -> None:
    setup, algorithm = make_setup(images=60), Threshold(enough=0.1)
    *_, bank = search(make_setup(images=60).problem, Random(), 8)
    good = bank.scores[..., 0] >= 0.1
    first = good.int().argmax(1).where(good.any(1), 7)
    *_, state = search(setup.problem, algorithm, 8)
    assert setup.guided.evaluations.count.tolist() == (4 * (1 + first)).tolist()
    assert setup.problem.scored.count.tolist() == (1 + first).tolist()
    assert int(setup.guided.evaluations.count.sum()) == setup.spy.rows < 60 * 32
    found = algorithm.result(setup.problem, state, 8)
    assert torch.equal(found.candidate[good.any(1)], first[good.any(1)])
    hard = ~good.any(1)
    assert hard.any() and torch.equal(found.candidate[hard], bank.scores[hard, :, 0].argmax(1))


def test_an_ensemble_is_refused() -> None:
    with pytest.raises(Refused, match="ranks candidates against each other"):
        Threshold().refuse(KINDS["ensemble"]())


def test_bounds_hold_for_those_alone_that_have_them() -> None:
    assert keeps(Threshold(), torch.tensor([3, 4]), 4) and not keeps(Threshold(), torch.tensor([3, 5]), 4)
    assert keeps(Random(), torch.tensor([4, 4]), 4) and not keeps(Random(), torch.tensor([3, 4]), 4)


def test_a_run_is_billed_at_what_it_spent_and_stands_at_what_it_was_allowed(tmp_path: Path) -> None:
    options = (
        "experiment=toy",
        "draw_figures=false",
        "images=20",
        "logger=none",
        "algorithm=threshold",
        "budget.nfe=[20,100]",
    )
    call(tmp_path, *options, "algorithm.enough=-1000")
    (folder,) = (tmp_path / "outputs").iterdir()
    spent = json.loads((folder / "run.json").read_text())["spent"]
    assert spent["nfe_search"] == 20 * 10 and spent["nfe"] == spent["nfe_search"] + spent["nfe_final"]  # one each
    assert {row["nfe"] for row in curve(folder)} == {"20", "100"}


def test_the_front_door_gives_it_out() -> None:
    found = front("toy", ["wave 0", "wave 1"], lambda images, texts: images.mean((1, 2, 3)), n=5, algorithm="threshold")
    assert found.bill["scored"] == 2 * 6  # nothing was enough
