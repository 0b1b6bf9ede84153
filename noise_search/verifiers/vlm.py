"""A grader: a vision-language model that is asked how good an image is for its text (the paper, section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from noise_search.core.checks import require, require_one_of, whole
from noise_search.core.verifier import Candidates, Surroundings, Verifier
from noise_search.storage.cache_folder import digest
from noise_search.verifiers.vlm_ask import Asker, shown, side_by_side
from noise_search.verifiers.vlm_model import VisionLanguageModel
from noise_search.verifiers.vlm_pairs import keep, kept, meetings
from noise_search.verifiers.vlm_questions import MARKS, QUESTIONS

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(eq=False)
class Grader(Verifier):
    """ask: "rubric", a mark from 0 to 10 in five aspects and as a whole, of which `mark` is the score; "yes", the
    logarithm of the probability that it says the image shows its text, -inf to 0; or "pairwise", the share of its
    meetings that an image wins, 0 to 1: known only among those compared, so that no score of an image is reported.

    Cost: one question an image; pairwise, among K, K (K - 1) questions or K times `opponents` (even; null: all meet).
    Every answer is kept by content, so the same question is never asked twice. An answer that cannot be read is counted
    and asked for again, `retries` times; then the run ends in one line, and the unit of images is not written.
    """

    model: VisionLanguageModel
    ask: str = "rubric"
    mark: str = "overall"
    opponents: int | None = None
    retries: int = 2

    reads = ("texts",)

    def __post_init__(self) -> None:
        require("model", self.model, isinstance(self.model, VisionLanguageModel), "vlm_local.Local or vlm_endpoint's")
        require_one_of("ask", self.ask, tuple(QUESTIONS))
        require_one_of("mark", self.mark, MARKS)
        require("retries", self.retries, whole(self.retries) and self.retries >= 0, "a whole number, at least 0")
        many = self.opponents is None or (whole(self.opponents) and self.opponents >= 2 and self.opponents % 2 == 0)
        require("opponents", self.opponents, many, "an even number, at least 2, or null for all")
        shown = f"{self.ask}, {self.mark}" if self.ask == "rubric" else self.ask
        self.name = f"grader {self.model.name} ({shown})"
        self.members = () if self.ask == "pairwise" else ("",)
        self.sources, self.weight_bytes = self.model.sources, self.model.weight_bytes

    def load(self, into: Surroundings) -> Grader:
        self.model.load(into.device)
        self.asker = Asker(self.model, self.ask, self.retries, self.name)
        self.weights = {**self.model.weights, "question": digest(QUESTIONS[self.ask])}
        return self

    @property
    def columns(self) -> int:
        return 2 if self.ask == "pairwise" else 1

    @property
    def ranks_alone(self) -> bool:
        return self.ask != "pairwise"

    def score(self, candidates: Candidates) -> Tensor:
        import torch

        b, k = candidates.images.shape[:2]
        calls = [partial(self.asker, *one) for one in shown(candidates)]
        column = "yes" if self.ask == "yes" else self.mark
        values = [found[column] for found in side_by_side(calls, self.model.at_once)]
        return torch.tensor(values, dtype=torch.float32).view(b, k).to(candidates.images.device)

    def scores(self, candidates: Candidates) -> Tensor:
        """[B, K, 1]; pairwise [B, K, 2]: the numbers that a candidate is kept by until it is compared."""
        import torch

        if self.ask != "pairwise":
            return self.score(candidates)[..., None]
        b, k = candidates.images.shape[:2]
        numbers = torch.tensor([keep(one) for one in shown(candidates)], dtype=torch.float32)
        return numbers.view(b, k, 2).to(candidates.images.device)

    def combine(self, scores: Tensor, point: int) -> Tensor:
        """Pairwise: scores [B, K, 2] -> the share of its meetings that each wins [B, K]; NaN: it was never scored."""
        import torch

        if self.ask != "pairwise":
            return scores[..., 0]
        games, calls = [], []
        for b, numbers in enumerate(scores.tolist()):
            candidates = [kept(pair) for pair in numbers]
            for i, j in meetings(len(candidates), self.opponents):
                first, second = candidates[i], candidates[j]
                if first is not None and second is not None:
                    games.append((b, i, j))
                    calls.append(partial(self.asker, first.text, first.image, second.image))
        won, met = torch.zeros(2, *scores.shape[:2])
        for (b, i, j), found in zip(games, side_by_side(calls, self.model.at_once), strict=True):
            won[b, i if found["better"] == 1 else j] += 1
            met[b, [i, j]] += 1
        return (won / met.clamp(min=1)).to(scores.device).masked_fill(scores.isnan().any(2), torch.nan)

    def shown(self, scores: Tensor) -> Tensor:
        return scores[..., : len(self.members)]
