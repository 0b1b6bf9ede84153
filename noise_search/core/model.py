"""What a model brings to a run, whatever stands behind it: first its settings, which a plan is made from, then the
network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from noise_search.core.checks import finite, require, require_one_of, whole
from noise_search.core.grid import SOLVERS
from noise_search.core.schedule import UNIFORM, Schedule
from noise_search.core.source import Source
from noise_search.errors import Refused

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from noise_search.core.denoiser import Condition, Network
    from noise_search.core.interpolant import Interpolant


def dit_block(width: int, tokens: int) -> int:
    """Multiply-adds of a row in a block of DiT: attention, a perceptron of four times the width, six modulations."""
    return 12 * tokens * width**2 + 2 * tokens**2 * width + 6 * width**2


@dataclass(frozen=True)
class Model:
    """A network in the project's frame, with the interpolant it was trained on and its decoder.

    shape: latent shape (C, H, W). decoder: latents [N, ...] -> images [N, 3, H, W]. batch_size: rows at which the
    device is at its best; None: to be measured. classes: number of class labels that the network was trained on; the
    label `classes` means "no class"; None: it reads texts. class_set: whose classes they are (`Dataset.class_set`);
    None: unsaid. encode: B texts -> their condition, one row a text; the null condition is that of `null_text`.
    reconstruct: images -> images through the autoencoder, None where there is none. weights: file name -> sha256.
    solver, schedule: see `ModelSettings`. distilled: the scale of guidance is the last tensor that the network is
    called with, [N]. encode_null: the null condition, [1, ...], of a model for which it is no text's; None:
    that of `null_text`. device: where the network takes its inputs; None: where its parameters are. steps, guidance:
    evaluations and scale of guidance of its usual sampling, which `api.search` takes where none are given.
    multiply_adds, reusable: see `ModelSettings`. reusing: `networks.block_cache.Reuse` -> the network that leaves out
    blocks by it.
    """

    name: str
    network: Network
    interpolant: Interpolant
    shape: tuple[int, ...]
    classes: int | None
    decoder: Callable[[Tensor], Tensor]
    batch_size: int | None
    encode: Callable[[Sequence[str]], Condition] | None = None
    null_text: str = ""
    reconstruct: Callable[[Tensor], Tensor] | None = None
    weights: dict[str, str] = field(default_factory=dict)
    solver: str = "heun"
    schedule: Schedule = UNIFORM
    distilled: bool = False
    class_set: str | None = None
    encode_null: Callable[[], Condition] | None = None
    device: str | None = None
    steps: int | None = None
    guidance: float | None = None
    multiply_adds: int | None = None
    reusable: int | None = None
    reusing: Callable[[Any], Network] | None = None

    def __post_init__(self) -> None:
        if (self.classes is None) == (self.encode is None):
            raise Refused(f"model {self.name}: give `classes` or `encode`, one of the two")

    def condition(self, index: Tensor, texts: Sequence[str]) -> Condition:
        """index int64 [B], texts of the same B images -> tensors [B, ...]; made for a unit of images at a time."""
        return (index,) if self.encode is None else self.encode(texts)

    def null(self, device: torch.device) -> Condition:
        """The condition that asks for nothing: tensors [1, ...]."""
        import torch

        if self.encode_null is not None:
            return self.encode_null()
        if self.encode is not None:
            return self.encode([self.null_text])
        assert self.classes is not None
        return (torch.tensor([self.classes], device=device),)


@dataclass(frozen=True, kw_only=True)
class ModelSettings(ABC):
    """What is known of a model before anything is loaded. A subclass adds its own settings, `classes`, `shape`, `load`.

    solver: "heun" (2 evaluations a step) or "euler". schedule: where the network is evaluated. multiply_adds: of one
    network row; None: not known, then a run tells no gflops. rows_per_second: network rows, for the plan's estimate of
    time where none was measured on this machine; None: not known. distilled: see `Guidance`. class_set: `Model`.
    sources: where its files come from. weight_bytes: of all that `load` puts onto the device; None: not known. notes:
    lines of its own in a plan. reusable: multiply-adds of a row in all blocks of its transformer but the first, which
    drafts can leave out (`Model.reusing`); None: not known.
    """

    name: str
    solver: str = "heun"
    schedule: Schedule = UNIFORM
    multiply_adds: int | None = None
    rows_per_second: float | None = None

    distilled: ClassVar[bool] = False
    class_set: ClassVar[str | None] = None
    sources: ClassVar[Sequence[Source]] = ()
    weight_bytes: ClassVar[int | None] = None
    notes: ClassVar[Sequence[str]] = ()
    reusable: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        require_one_of("solver", self.solver, SOLVERS)
        require("schedule", self.schedule, isinstance(self.schedule, Schedule), "a time schedule (core/schedule.py)")
        count, rate = self.multiply_adds, self.rows_per_second
        require("multiply_adds", count, count is None or (whole(count) and count >= 1), "at least 1, or null")
        require("rows_per_second", rate, rate is None or (finite(rate) and rate > 0), "a number above 0, or null")

    @property
    @abstractmethod
    def classes(self) -> int | None:
        """How many classes the model knows; None: it reads texts."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Of a latent: (C, H, W)."""

    @abstractmethod
    def load(self, device: str) -> Model:
        """The model, its weights on `device`; by `self.model(...)`: what these settings say must hold of it."""

    def model(
        self,
        network: Network,
        interpolant: Interpolant,
        decoder: Callable[[Tensor], Tensor],
        batch_size: int | None,
        weights: dict[str, str] | None = None,
        encode: Callable[[Sequence[str]], Condition] | None = None,
        null_text: str = "",
        reconstruct: Callable[[Tensor], Tensor] | None = None,
        reusing: Callable[[Any], Network] | None = None,
    ) -> Model:
        """A `Model` of these settings, with what was loaded."""
        return Model(
            name=self.name,
            network=network,
            interpolant=interpolant,
            shape=self.shape,
            classes=self.classes,
            decoder=decoder,
            batch_size=batch_size,
            encode=encode,
            null_text=null_text,
            reconstruct=reconstruct,
            weights=weights or {},
            solver=self.solver,
            schedule=self.schedule,
            distilled=self.distilled,
            class_set=self.class_set,
            multiply_adds=self.multiply_adds,
            reusable=self.reusable,
            reusing=reusing,
        )


Described = Model | ModelSettings  # what drafts are asked about; of a loaded model that has no settings, itself
SAID = ("name", "shape", "classes", "class_set", "solver", "schedule", "distilled")  # by the settings, of the model


def load_model(settings: ModelSettings, device: str) -> Model:
    """settings.load(device). The plan was made from the settings: a model that is another than they say is a bug."""
    model = settings.load(device)
    for name in SAID:
        said, found = getattr(settings, name), getattr(model, name, "nothing")
        if said != found:
            raise TypeError(f"model {settings.name}: loaded with {name}={found}, its settings say {said}")
    return model
