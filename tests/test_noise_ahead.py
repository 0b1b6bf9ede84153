"""Noise drawn ahead is the noise, to the bit, and leaves nothing behind."""

import os
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from noise_search.core.noise import normal
from noise_search.core.noise_ahead import Draws, NoiseAhead
from noise_search.core.problem import Problem
from tests.conftest import make_setup
from tests.simulated_device import on_device, simulated_device

NOISE = Draws(0, 1, 0, "noise")


class Maker:
    """A draw that tells its address. makers: who made each; most: how many were made at once."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds, self.makers, self.running, self.most = seconds, dict[Draws, str](), 0, 0

    def __call__(self, draws: Draws) -> Tensor:
        self.running += 1
        self.most = max(self.most, self.running)
        time.sleep(self.seconds)
        self.makers[draws] = "ahead" if threading.current_thread() is not threading.main_thread() else "asked"
        self.running -= 1
        return torch.arange(draws.first, draws.first + draws.count)[None] + 100 * draws.round


def told(draws: Draws) -> list[list[int]]:
    """What a Maker gives."""
    return [[k + 100 * draws.round for k in range(draws.first, draws.first + draws.count)]]


ASKED = {  # what is asked for in order, at most 4 at a time -> how much of it is made ahead
    "one by one": ([NOISE, Draws(1, 1, 0, "noise")], 1),
    "a sweep": (
        [Draws(0, 1, 0, "noise"), Draws(1, 1, 0, "noise"), Draws(2, 2, 0, "noise"), Draws(4, 4, 0, "noise")],
        3,
    ),
    "batches": ([Draws(k, 4, 0, "noise") for k in (0, 4, 8, 12)], 3),
    "a short end": ([Draws(0, 4, 0, "noise"), Draws(4, 3, 0, "noise")], 1),
    "rounds": ([Draws(0, 3, r, "neighbour") for r in range(4)], 3),
    "rounds after a pivot": ([NOISE, *(Draws(0, 9, r, "renoise") for r in range(3))], 2),
    "other candidates": ([Draws(k, 1, 0, "noise") for k in (7, 3, 9, 1)], 0),
}


@pytest.mark.parametrize("name", ASKED)
def test_what_searches_ask_next_is_made_ahead_one_draw_at_a_time(name: str) -> None:
    asked, ahead = ASKED[name]
    make = Maker(0.001)
    draw = NoiseAhead(make, 4)
    for draws in asked:
        assert draw(draws).tolist() == told(draws)
    assert draw.coming is not None
    draw.coming.join()
    makers = list(make.makers.values())
    assert makers.count("asked") == len(asked) - ahead
    assert make.most == 1 and makers.count("ahead") == len(asked)  # the last was not asked for: one draw too many


def test_an_error_of_the_thread_is_raised_where_its_draw_is_asked_for_and_nowhere_else() -> None:
    def make(draws: Draws) -> Tensor:
        if draws.first == 1:
            raise MemoryError("no room")
        return torch.zeros(1, 1)

    draw = NoiseAhead(make, 1)
    draw(NOISE)
    with pytest.raises(MemoryError, match="no room"):
        draw(Draws(1, 1, 0, "noise"))
    draw(NOISE)
    assert draw(Draws(5, 1, 0, "noise")).tolist() == [[0]]  # the guess that failed was not asked for


def test_a_forked_process_makes_its_own() -> None:
    draw, second = NoiseAhead(Maker(0.2), 1), Draws(1, 1, 0, "noise")
    draw(NOISE)
    child = os.fork()
    if not child:
        os._exit(0 if draw(second).tolist() == [[1]] else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert draw(second).tolist() == [[1]]


def test_a_process_ends_with_a_draw_under_way() -> None:
    code = (
        "import time, torch\nfrom noise_search.core.noise_ahead import Draws, NoiseAhead\n"
        "def make(draws):\n    time.sleep(0.2 * draws.first)\n    return torch.zeros(1, 1)\n"
        "NoiseAhead(make, 1)(Draws(0, 1, 0, 'noise'))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def asked(problem: Problem) -> list[Tensor]:
    """As searches ask: candidates with a readout between them, then rounds, then one of a pivot."""
    index = torch.tensor([2, 0, 1, 2], device=problem.device)
    chain = [problem.noise(0), problem.noise(1), problem.noise(index), problem.noise(2)]
    rounds = [problem.noises(3, round, "neighbour") for round in range(3)]
    return [*chain, *rounds, problem.noise(0, 2, "pivot"), problem.noises(2, 1)]


def test_a_problem_on_a_device_draws_ahead_what_it_draws_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    here = make_setup(ids=[3, 1, 4, 5]).problem
    expected = asked(here)
    assert not isinstance(here.draws, NoiseAhead) and torch.equal(
        torch.stack([here.noise(k, 1) for k in range(2)], 1), expected[-1]
    )
    threads = list[str]()
    monkeypatch.setattr(
        "noise_search.core.noise_ahead.normal",
        lambda *address: (threads.append(threading.current_thread().name), normal(*address))[1],
    )
    with simulated_device() as seen:
        there = replace(make_setup(ids=[3, 1, 4, 5]).problem, index=torch.zeros(4, dtype=torch.int64, device="cuda"))
        seen.syncs.clear()
        found = asked(there)
        assert isinstance(there.draws, NoiseAhead) and seen.syncs == ["tolist"]  # a readout's numbers
        assert there.draws.coming is not None
        there.draws.coming.join()
        assert all(map(on_device, found)) and threads.count("noise ahead") == 7
        assert all(torch.equal(one.cpu(), other) for one, other in zip(found, expected, strict=True))
