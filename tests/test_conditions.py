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
