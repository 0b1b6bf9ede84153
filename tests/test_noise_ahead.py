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
        return torch.tensor([draws.first, draws.count, draws.round])


def test_what_random_zero_order_and_path_search_ask_next_is_made_ahead() -> None:
    make = Maker()
    ahead = NoiseAhead(make)
    single = [Draws(k, 1, 0, "noise") for k in range(4)]
    rounds = [Draws(0, 3, r, "neighbour") for r in range(4)]
    for draws in (*single, *rounds):
        assert ahead(draws).tolist() == [draws.first, draws.count, draws.round]
    assert [make.makers[draws] for draws in single] == ["asked", "ahead", "ahead", "ahead"]
    assert [make.makers[draws] for draws in rounds] == ["asked", "ahead", "ahead", "ahead"]


def test_one_draw_is_held_at_most_however_wrong_the_guesses() -> None:
    make = Maker(0.01)
    ahead = NoiseAhead(make)
    for k in (7, 3, 9, 1):
        assert ahead(Draws(k, 1, 0, "noise")).tolist() == [k, 1, 0]
    assert ahead.coming is not None
    ahead.coming.join()
    assert make.most == 1 and len(make.makers) == 8


def test_an_error_of_the_thread_is_raised_where_its_draw_is_asked_for_and_nowhere_else() -> None:
    def make(draws: Draws) -> Tensor:
        if draws.first == 1:
            raise MemoryError("no room")
        return torch.zeros(1)

    ahead = NoiseAhead(make)
    ahead(NOISE)
    with pytest.raises(MemoryError, match="no room"):
        ahead(NOISE.next)
    ahead(NOISE)
    assert ahead(Draws(5, 1, 0, "noise")).tolist() == [0]  # the guess that failed was not asked for


def test_a_forked_process_makes_its_own() -> None:
    ahead = NoiseAhead(Maker(0.2))
    ahead(NOISE)
    child = os.fork()
    if not child:
        os._exit(0 if ahead(NOISE.next).tolist() == [1, 1, 0] else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert ahead(NOISE.next).tolist() == [1, 1, 0]


def test_a_process_ends_with_a_draw_under_way() -> None:
    code = (
        "import time, torch\nfrom noise_search.core.noise_ahead import Draws, NoiseAhead\n"
        "def make(draws):\n    time.sleep(0.2 * draws.first)\n    return torch.zeros(1)\n"
        "NoiseAhead(make)(Draws(0, 1, 0, 'noise'))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def asked(problem: Problem) -> list[Tensor]:
    """As searches ask: candidates with a readout between them, then rounds, then one of a pivot."""
    index = torch.tensor([2, 0, 1, 2], device=problem.device)
    chain = [problem.noise(0), problem.noise(1), problem.noise(index), problem.noise(2)]
    rounds = [problem.noises(3, round, "neighbour") for round in range(3)]
    return [*chain, *rounds, problem.noise(0, 2, "pivot"), torch.stack([problem.noise(k, 1) for k in range(2)], 1)]


def test_a_problem_on_a_device_draws_ahead_what_it_draws_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    here = make_setup(ids=[3, 1, 4, 5]).problem
    expected = asked(here)
    assert not isinstance(here.draws, NoiseAhead) and torch.equal(here.noises(2, 1), expected[-1])
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
        assert all(map(on_device, found)) and threads.count("noise ahead") >= 5
        assert all(torch.equal(one.cpu(), other) for one, other in zip(found, expected, strict=True))
