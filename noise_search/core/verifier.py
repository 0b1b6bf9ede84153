"""What a verifier is: candidates in, scores out. Higher is better, always."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from noise_search.core.dataset import Dataset
from noise_search.core.source import Source
from noise_search.errors import Refused

if TYPE_CHECKING:
    from torch import Tensor


class Candidates(NamedTuple):
    """images: [B, K, 3, H, W] in [-1, 1]; condition: int64 [B], its number in the data set (the class, where it has
    classes); texts: the same in words, B of them.

    views: [B, K, L, 3, H, W], the clean predictions of each candidate at the verifier's L `needs`; None: it has none.
    """

    images: Tensor
    condition: Tensor
    views: Tensor | None = None
    texts: Sequence[str] = ()


class Surroundings(NamedTuple):
    """What a verifier is loaded into. judge: a `measures.judge.Judge`, given where the verifier's `needs_judge`."""

    device: str = "cpu"
    dataset: Dataset | None = None
    judge: Any = None

    def the_dataset(self, verifier: str) -> Dataset:
        if self.dataset is None:
            raise Refused(f"verifier {verifier}: give dataset=..., whose classes it scores")
        return self.dataset


class Verifier:
    """Ordinary verifiers implement `score`, and `load` where they have networks; ensembles and populations, several
    numbers a candidate, the rest as well. A plan is made from the attributes before anything is loaded.

    name: as in tables; weights: file name -> sha256 of all it was loaded from; both may be set by `load`. needs: noise
    levels t whose clean predictions it compares with; members: metric suffixes of its scores' columns; differentiable:
    may `score` be differentiated in its images? reads: what of the condition it looks at, of "classes" and "texts".
    class_set: whose classes it knows (`Dataset.class_set`); None: any. needs_judge: does it look through the judge?
    climbs_apart: is what a gradient climbs (`climb`) another number than what chooses (`combine`)?
    sources, weight_bytes: as of `ModelSettings`.
    """

    name: str = ""
    weights: Mapping[str, str] = MappingProxyType({})
    needs: tuple[float, ...] = ()
    members: tuple[str, ...] = ("",)
    differentiable: bool = False
    reads: tuple[str, ...] = ()
    class_set: str | None = None
    needs_judge: bool = False
    climbs_apart: bool = False
    sources: Sequence[Source] = ()
    weight_bytes: int | None = None

    def load(self, into: Surroundings) -> Self:
        """Load the networks onto into.device, and return this verifier."""
        return self

    def told(self) -> tuple[str, ...]:
        """Lines for the log, once the images of a run are made: how it went."""
        return ()

    @property
    def networks(self) -> tuple[str, ...]:
        """The name that stands beside the numbers of each column."""
        return (self.name,) * len(self.members)

    @property
    def columns(self) -> int:
        """V, of `scores`: as many as members, more where a budget has columns of its own."""
        return len(self.members)

    def score(self, candidates: Candidates) -> Tensor:
        """[B, K], float32."""
        raise NotImplementedError

    def scores(self, candidates: Candidates) -> Tensor:
        """[B, K, V]: one column a member."""
        return self.score(candidates)[..., None]

    def combine(self, scores: Tensor, point: int) -> Tensor:
        """scores [B, K, V] of a set of candidates that is compared -> [B, K]; point: of the budget it is for."""
        return scores[..., 0]

    def climb(self, scores: Tensor) -> Tensor:
        """scores [B, K, V] -> [B, K], what a search with gradients differentiates."""
        return self.combine(scores, 0)

    @property
    def ranks_alone(self) -> bool:
        """Does a candidate's place depend on its own score alone, not on who else is compared?"""
        return type(self).combine is Verifier.combine

    def shown(self, scores: Tensor) -> Tensor:
        """scores [..., V] -> the columns that a result reports, one a member."""
        return scores


def load_verifier(verifier: Verifier, into: Surroundings) -> Verifier:
    """verifier.load(into); one that forgets to return itself is a bug."""
    loaded = verifier.load(into)
    if loaded is not verifier:
        raise TypeError(f"verifier {verifier.name}: load must return the verifier itself, not {loaded!r}")
    return loaded


def require_contract(verifier: Verifier) -> None:
    """What a plan reads must be of the kinds that `Verifier` says."""
    for name, allowed in (("needs", None), ("members", None), ("reads", {"classes", "texts"})):
        value = getattr(verifier, name)
        if not isinstance(value, tuple) or (allowed is not None and set(value) - allowed):
            raise TypeError(f"verifier {verifier.name}: {name}={value!r}: a tuple{f' of {allowed}' if allowed else ''}")


class Several(Verifier):
    """Verifiers side by side: what they are and need together. parts: name -> verifier."""

    parts: dict[str, Verifier]

    def __init__(self, parts: dict[str, Verifier]) -> None:
        self.parts = parts
        self.reads = tuple(dict.fromkeys(word for part in parts.values() for word in part.reads))
        self.needs = tuple(level for part in parts.values() for level in part.needs)
        self.needs_judge = any(part.needs_judge for part in parts.values())

    def load(self, into: Surroundings) -> Self:
        loaded = [load_verifier(part, into) for part in self.parts.values()]
        self.weights = {file: digest for part in loaded for file, digest in part.weights.items()}
        return self

    def told(self) -> tuple[str, ...]:
        return tuple(line for part in self.parts.values() for line in part.told())

    @property
    def networks(self) -> tuple[str, ...]:
        return tuple(name for part in self.parts.values() for name in part.networks)

    def each(self, candidates: Candidates) -> Iterator[tuple[Verifier, Candidates]]:
        """Every part with the candidates as it wants them: with its own of the views, which lie one after another."""
        return each(self.parts.values(), candidates)


def each(verifiers: Iterable[Verifier], candidates: Candidates) -> Iterator[tuple[Verifier, Candidates]]:
    at = 0
    for verifier in verifiers:
        end = at + len(verifier.needs)
        views = candidates.views[:, :, at:end] if candidates.views is not None else None
        yield verifier, candidates._replace(views=views)
        at = end
