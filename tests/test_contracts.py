"""What parts promise each other: the mistakes that an author of one can make are found, and named, before a search."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from noise_search.core.model import Model, ModelSettings, load_model
from noise_search.core.observed import Observed
from noise_search.core.population import Population
from noise_search.core.schedule import Shifted
from noise_search.core.verifier import Candidates, Surroundings, Verifier, load_verifier, require_contract
from noise_search.measures.judge import JudgeSettings
from noise_search.models.toy import Toy
from noise_search.run.assemble import assemble
from noise_search.run.description import describe
from noise_search.verifiers.brightness import Brightness
from tests.test_configs import configuration, described


class Plain(Verifier):
    def score(self, candidates: Candidates) -> Tensor:
        return candidates.images.flatten(2).mean(2)


@pytest.mark.parametrize(
    "wrong", [{"solver": "euler"}, {"schedule": Shifted(3.0)}, {"classes": 9}, {"distilled": True}]
)
def test_a_model_is_the_one_that_its_settings_describe(wrong: dict[str, Any]) -> None:
    """A plan is made from the settings: what `load` forgets would change the numbers and not their label."""

    class Forgetful(Toy):
        def load(self, device: str = "cpu") -> Model:
            return dataclasses.replace(super().load(device), **wrong)

    assert load_model(Toy(name="toy", solver="euler"), "cpu").solver == "euler"
    (name,) = wrong
    with pytest.raises(TypeError, match=rf"model toy: loaded with {name}="):
        load_model(Forgetful(name="toy"), "cpu")


@pytest.mark.parametrize("base", [ModelSettings, JudgeSettings, Population])
def test_what_a_part_must_have_is_asked_when_it_is_made(base: type) -> None:
    kind = type("Incomplete", (base,), {})
    with pytest.raises(TypeError, match="abstract"):
        kind(name="x") if base is ModelSettings else kind()


def test_a_verifier_without_weights_has_none() -> None:
    assert dict(load_verifier(Plain(), Surroundings()).weights) == {}
    assert dict(load_verifier(Observed(Plain(), {"other": Plain()}), Surroundings()).weights) == {}


def test_a_load_that_returns_nothing_is_named() -> None:
    class Silent(Plain):
        name = "silent"

        def load(self, into: Surroundings) -> Any:
            return None

    with pytest.raises(TypeError, match="verifier silent: load must return the verifier itself, not None"):
        load_verifier(Silent(), Surroundings())


@pytest.mark.parametrize("wrong", [{"needs": 0.4}, {"reads": "texts"}, {"reads": ("text",)}, {"members": [""]}])
def test_what_a_plan_reads_of_a_verifier_is_of_its_kind(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(TypeError, match=rf"verifier odd: {name}="):
        require_contract(type("Odd", (Plain,), {"name": "odd", **wrong})())


SHAPES: dict[str, Callable[[Tensor], Tensor]] = {
    "a number": lambda scores: scores.mean(),
    "one an image": lambda scores: scores[:, 0],
    "transposed": lambda scores: scores.T,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_wrong_shape_is_found_before_the_search_and_named(monkeypatch: pytest.MonkeyPatch, shape: str) -> None:
    monkeypatch.setattr(Brightness, "score", lambda self, c: SHAPES[shape](c.images.flatten(2).mean(2)))
    with pytest.raises((TypeError, IndexError)) as caught:
        assemble(described("experiment=toy", "verifier=brightness", "images=4", "logger=none"))
    assert "verifier brightness" in str(caught.value) or "verifier brightness" in caught.value.__notes__[0]


def test_a_bug_in_a_verifier_is_no_misfit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Brightness, "score", lambda self, candidates: torch.zeros(3) @ torch.zeros(4))
    with pytest.raises(RuntimeError, match="inconsistent tensor size") as caught:
        assemble(described("experiment=toy", "verifier=brightness", "images=4", "logger=none"))
    assert caught.value.__notes__ == ["verifier brightness, trying two blank images of toy, 3x8x8"]


def test_every_column_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number is told with its network: a verifier that forgets its name has that of its choice."""
    monkeypatch.setattr(Brightness, "__init__", lambda self: None)
    run = describe(*configuration("experiment=toy", "observers=[brightness]", "logger=none"))
    assert run.verifier.networks == ("likelihood", "brightness")
