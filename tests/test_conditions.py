"""Conditions of any kind: classes and texts go the same way, and a data set is known by its content."""

import dataclasses
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from noise_search.core.dataset import Dataset
from noise_search.core.denoiser import Condition, Prediction
from noise_search.core.guidance import Guidance
from noise_search.core.problem import open_problem
from noise_search.core.verifier import Candidates, Verifier
from noise_search.models.toy import Toy
from noise_search.verifiers.brightness import Brightness
from tests.test_configs import described

WORDS = {"none of them": 10, "a wave": 3, "another wave": 7}


def reading_toy() -> tuple[object, list[int]]:
    """The toy, told its class in words: as a large one-hot tensor and a bias, so that it is no class label any more."""
    model, made = Toy(name="toy").load(), []

    def encode(texts: Sequence[str]) -> Condition:
        made.append(len(texts))
        hot = torch.eye(11)[[WORDS[text] for text in texts]]
        return hot, torch.zeros(len(texts), 5)

    def network(x: Tensor, t: Tensor, hot: Tensor, nothing: Tensor) -> Prediction:
        assert len(x) == len(hot) == len(nothing)
        return model.network(x, t, hot.argmax(1))

    reading = dataclasses.replace(model, classes=None, encode=encode, null_text="none of them", network=network)
    return reading, made


@pytest.mark.parametrize("scale", [1.0, 2.5])
def test_words_and_numbers_give_the_same_image(scale: float) -> None:
    (reading, made), texts = reading_toy(), ["a wave", "another wave", "a wave"]
    problems = [
        open_problem(
            model, Brightness(), torch.tensor(index), search_nfe=4, guidance=Guidance(scale), batch_size=4, texts=texts
        )
        for model, index in ((Toy(name="toy").load(), [3, 7, 3]), (reading, [0, 1, 0]))
    ]
    numbers, words = (problem.evaluate(problem.noises(5)) for problem in problems)
    assert torch.equal(numbers, words)
    network, guided = problems[1].meters.network, int(scale != 1)
    assert [len(rows) for rows in network.condition] == [3 + guided] * 2  # one row an image, whatever the candidates
    assert network.rows.count.tolist() == [5 * 4 * (1 + guided)] * 3
    assert made == [3, 1][: 1 + guided]  # each text is encoded once


@pytest.mark.parametrize("scale", [1.0, 3.5])
def test_distilled_guidance_is_an_input_and_costs_one_row(scale: float) -> None:
    """The network is told the scale, whatever it is; nothing is mixed and no null condition is asked for."""
    plain, told = Toy(name="toy").load(), []

    def network(x: Tensor, t: Tensor, label: Tensor, guidance: Tensor) -> Prediction:
        told.append(guidance)
        return plain.network(x, t, label)

    distilled = dataclasses.replace(plain, network=network, distilled=True)
    index, guidance = torch.tensor([3, 7]), Guidance(scale)
    problem = open_problem(distilled, Brightness(), index, search_nfe=4, guidance=guidance, batch_size=4)
    scores = problem.evaluate(problem.noises(3))
    assert torch.equal(scores, open_problem(plain, Brightness(), index, search_nfe=4).evaluate(problem.noises(3)))
    assert torch.cat(told).unique().tolist() == [scale] and all(len(rows) <= 4 for rows in told)
    assert problem.meters.network.rows.count.tolist() == problem.meters.evaluations.count.tolist() == [3 * 4] * 2


def test_plan_and_title_say_which_guidance_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {}
    for scale in (1, 2.5):
        for distilled in (False, True):
            monkeypatch.setattr(Toy, "distilled", distilled)
            run = described("experiment=toy", f"cfg_scale={scale}")
            texts[scale, distilled] = str(run.guidance)
            assert str(run.guidance) in run.text and run.title.endswith(f", {run.guidance.name}")
            assert run.plan.each == run.guidance.rows == 1 + (scale != 1 and not distilled)
    assert texts == {
        (1, False): "no guidance (1 row an evaluation)",
        (1, True): "distilled guidance 1 (an input of the network, 1 row an evaluation)",
        (2.5, False): "classifier-free guidance 2.5 (2 rows an evaluation)",
        (2.5, True): "distilled guidance 2.5 (an input of the network, 1 row an evaluation)",
    }
    for wrong in ("guidance.channels=3", "guidance.interval=[0.1,0.9]"):
        with pytest.raises(ValueError, match=r"where the network is told the scale \(distilled guidance\)"):
            described("experiment=toy", wrong)


def test_a_verifier_is_given_each_rows_own_text() -> None:
    class Reader(Verifier):
        name, weights, reads = "reader", {}, ("texts",)

        def score(self, candidates: Candidates) -> Tensor:
            assert len(candidates.texts) == len(candidates.images)
            return torch.tensor([float(len(text)) for text in candidates.texts])[:, None]

    texts = ["a", "bb", "ccc"]
    problem = open_problem(
        Toy(name="toy").load(), Reader(), torch.tensor([0, 1, 2]), search_nfe=2, batch_size=2, texts=texts
    )
    assert problem.evaluate(problem.noises(2))[..., 0].tolist() == [[1, 1], [2, 2], [3, 3]]


def test_a_model_reads_classes_or_texts_not_both() -> None:
    for wrong in ({"classes": None}, {"encode": lambda texts: (torch.zeros(len(texts)),)}):
        with pytest.raises(ValueError, match="give `classes` or `encode`"):
            dataclasses.replace(Toy(name="toy").load(), **wrong)


def test_an_edited_list_is_another_data_set() -> None:
    prompts = Dataset("prompts", ("a fox", "a ship"))
    assert prompts.classes is None and prompts.index([0, 1, 2]).tolist() == [0, 1, 0]
    others = (("a fox", "a boat"), ("a ship", "a fox"), ("a foxa ship",), ("a fox", "a ship", ""))
    assert len({prompts.digest, *(Dataset("prompts", texts).digest for texts in others)}) == 5
