"""Published text-to-image pipelines, from their folders in diffusers' layout (`noise-search prefetch model=NAME`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from noise_search.core.checks import finite, require, require_one_of, whole
from noise_search.core.model import Model, ModelSettings
from noise_search.core.schedule import Schedule, Shifted, shifted_by_size
from noise_search.core.source import Hub, Source
from noise_search.errors import MissingFile
from noise_search.models.diffusers.folder import lacking
from noise_search.storage.atomic import sha256

GUIDANCES = ("distilled", "classifier-free")
PRECISIONS = {"float32": 4, "bfloat16": 2, "float16": 2}  # bytes of a number
STAND_INS = ("DDIMScheduler", "EulerDiscreteScheduler", "FlowMatchEulerDiscreteScheduler")
OFFLOADS = ("none", "encoders", "model", "sequential")
BY_SIZE = "by_size"


@dataclass(frozen=True, kw_only=True)
class Pretrained(ModelSettings):
    """repo: of the hub; folder: where its files are; pattern: regular expression of those that are needed.

    channels, scale: latents of `channels` x height / scale x width / scale; patch: latents on a side of a token.
    guidance: "distilled" (the network is told the scale) or "classifier-free". shift: of the times, a number or
    "by_size", where no `schedule` is given; last: see `Shifted`. stand_in: the scheduler whose steps are taken in place
    of the pipeline's own, where that is a multistep one; None: its own. parameters: of all networks together.
    precision: their weights', and what they compute in. offload: "none"; "encoders", which are on the device only while
    they encode; "model" or "sequential", diffusers' own, which want accelerate. decode_rows, negative_prompt: as of
    `from_diffusers`. reusable: as multiply_adds, at 1024 x 1024.
    """

    schedule: Schedule | None = None  # type: ignore[assignment]
    repo: str
    folder: str
    pattern: str
    channels: int
    scale: int
    patch: int
    height: int
    width: int
    guidance: str
    shift: float | str = 1.0
    last: float | None = None
    stand_in: str | None = None
    parameters: int
    reusable: int | None = None  # type: ignore[misc]
    precision: str = "bfloat16"
    offload: str = "none"
    decode_rows: int | None = None
    negative_prompt: str | None = None

    def __post_init__(self) -> None:
        for name in ("channels", "scale", "patch", "parameters"):
            value = getattr(self, name)
            require(name, value, whole(value) and value >= 1, "a whole number, at least 1")
        multiple = self.scale * self.patch
        for name in ("height", "width"):
            value = getattr(self, name)
            good = whole(value) and value > 0 and value % multiple == 0
            require(name, value, good, f"a multiple of {multiple} pixels")
        require_one_of("guidance", self.guidance, GUIDANCES)
        if self.stand_in is not None:
            require_one_of("stand_in", self.stand_in, STAND_INS)
        require_one_of("precision", self.precision, tuple(PRECISIONS))
        require_one_of("offload", self.offload, OFFLOADS)
        good = self.shift == BY_SIZE or (finite(self.shift) and self.shift > 0)
        require("shift", self.shift, good, f"a number above 0, or {BY_SIZE}")
        for name in ("decode_rows", "reusable"):
            value = getattr(self, name)
            require(name, value, value is None or (whole(value) and value >= 1), "at least 1, or null")
        told = "null where guidance is distilled"
        require("negative_prompt", self.negative_prompt, self.negative_prompt is None or not self.distilled, told)
        if self.schedule is None:
            object.__setattr__(self, "schedule", self.own_schedule())
        super().__post_init__()

    def own_schedule(self) -> Schedule:
        """What the pipeline's scheduler makes at this size."""
        if self.shift == BY_SIZE:
            return shifted_by_size(self.height * self.width // (self.scale * self.patch) ** 2)
        return Shifted(float(self.shift), self.last)

    @property
    def classes(self) -> None:
        return None

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.channels, self.height // self.scale, self.width // self.scale)

    @property
    def distilled(self) -> bool:  # type: ignore[override]
        return self.guidance == "distilled"

    @property
    def weight_bytes(self) -> int:  # type: ignore[override]
        return self.parameters * PRECISIONS[self.precision]

    @property
    def notes(self) -> Sequence[str]:  # type: ignore[override]
        own = "in place of the pipeline's own scheduler, whose steps remember others"
        return () if self.stand_in is None else (f"steps of {self.stand_in} {own}",)

    @property
    def sources(self) -> Sequence[Source]:  # type: ignore[override]
        return (Hub(self.repo, self.pattern, f"{self.folder}/"),)

    def lacks(self) -> str | None:
        """What of the files is missing, in words."""
        missing = lacking(Path(self.folder))
        return missing and f"model.folder={self.folder}: {missing}"

    def files(self) -> list[tuple[str, Path]]:
        """All files of weights, by the names that their checksums are kept under."""
        folder = Path(self.folder)
        found = sorted(path for path in folder.rglob("*.safetensors") if ".hub" not in path.parts)
        return [(f"{folder.name}/{path.relative_to(folder).as_posix()}", path) for path in found]

    def replaced(self, **how: Any) -> dict[str, Any]:
        """Name of a part -> what takes the place of the folder's own. how: it is loaded."""
        return {}

    def load(self, device: str = "cpu") -> Model:
        if lacks := self.lacks():
            raise MissingFile(
                f"{lacks}; `noise-search prefetch model={self.name}` fetches it;"
                f" if {self.repo} is gated, accept its licence on its page first, then `hf auth login`"
            )
        from noise_search.models.diffusers.loading import loaded, refuse_another
        from noise_search.models.diffusers.wrap import from_diffusers

        pipe = loaded(self, device)
        model = from_diffusers(
            pipe,
            negative_prompt=self.negative_prompt,
            height=self.height,
            width=self.width,
            decode_rows=self.decode_rows,
            offload_encoders=self.offload == "encoders",
        )
        refuse_another(self, pipe, model)
        weights = {name: sha256(path) for name, path in self.files()}
        assert self.schedule is not None
        return replace(model, name=self.name, solver=self.solver, schedule=self.schedule, weights=weights)
