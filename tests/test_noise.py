"""Noise is a pure function of its address."""

import hashlib

import numpy as np
import pytest
import torch

from noise_search.core.noise import TAGS, normal, tag_number, uniform
from tests.conftest import make_setup

DIGEST = "60e5da70ede9f63d21f1a09c3024061662ef74614bf6fc04e2ad5e9f454e033d"


def test_committed_digest() -> None:
    """Fails where a NumPy version draws other numbers from the same counter: results would not be comparable."""
    noise = normal(7, [0, 1, 123_456], [0, 3, 9], (4, 8, 8), round=2)
    assert hashlib.sha256(noise.numpy().tobytes()).hexdigest() == DIGEST


def test_bit_equal_whatever_the_batch() -> None:
    whole = normal(0, list(range(10)), [5] * 10, (3, 4))
    for i in range(10):
        assert torch.equal(whole[i], normal(0, [i], [5], (3, 4))[0])


@pytest.mark.parametrize("change", ["seed", "image", "candidate", "round", "tag"])
def test_every_part_of_the_address_matters(change: str) -> None:
    base = {"seed": 1, "image": 2, "candidate": 3, "round": 4, "tag": 0}

    def draw(address: dict[str, int]) -> np.ndarray:
        out = normal(
            address["seed"],
            [address["image"]],
            [address["candidate"]],
            (20_000,),
            address["round"],
            list(TAGS)[address["tag"]],
        )
        return out[0].numpy()

    first, second = draw(base), draw(base | {change: base[change] + 1})
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / 20_000**0.5
    assert not np.intersect1d(first, second).size > 100  # no shifted copy of the same stream


def test_standard_normal() -> None:
    x = normal(3, list(range(200)), [0] * 200, (1000,)).double()
    assert abs(float(x.mean())) < 4 / 200_000**0.5
    assert abs(float(x.var()) - 1) < 4 * (2 / 200_000) ** 0.5
    assert abs(float((x**4).mean()) - 3) < 0.1


def test_a_problem_draws_by_image_id_not_by_position() -> None:
    a, b = make_setup(ids=[0, 1, 2, 3]), make_setup(ids=[3, 1])
    assert torch.equal(a.problem.noise(5)[[3, 1]], b.problem.noise(5))


def test_other_packages_name_their_own_purposes() -> None:
    """No number to be agreed on, no stream shared with another purpose; a misspelt purpose is refused."""
    tags = [*TAGS, "mine:jump", "mine:resample", "yours:jump"]
    draws = torch.stack([normal(0, [1], [2], (1000,), 3, tag)[0] for tag in tags])
    assert (torch.corrcoef(draws) - torch.eye(len(tags))).abs().max() < 0.15
    assert len({tag_number(tag) for tag in tags}) == len(tags) and tag_number("mine:jump") == tag_number("mine:jump")
    with pytest.raises(ValueError, match="'renoize': one of noise, neighbour"):
        normal(0, [0], [0], (1,), tag="renoize")


def test_uniform_numbers_are_a_function_of_their_address() -> None:
    draws = uniform(0, range(2000), 4, 1, "uniform")
    assert draws.shape == (2000, 4) and draws.min() >= 0 and draws.max() < 1
    assert abs(float(draws.mean()) - 0.5) < 5 / (12 * draws.numel()) ** 0.5
    assert torch.equal(uniform(0, [7], 4, 1, "uniform")[0], draws[7])
    assert not torch.equal(uniform(0, [7], 4, 2, "uniform")[0], draws[7])
