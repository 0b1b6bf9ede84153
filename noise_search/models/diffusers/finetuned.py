"""A published pipeline with another network in it, which somebody trained further."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noise_search.core.checks import require_one_of
from noise_search.core.source import Hub, Source
from noise_search.models.diffusers.folder import lacking, lacking_part
from noise_search.models.diffusers.pretrained import Pretrained

PARTS = {"unet": "UNet2DConditionModel"}  # of a pipeline -> its class in diffusers


@dataclass(frozen=True, kw_only=True)
class Finetuned(Pretrained):
    """part: of the pipeline, that is replaced. network_repo: of the hub, which has a folder of that name;
    network_folder: where that is; network_pattern: as `pattern`."""

    part: str
    network_repo: str
    network_folder: str
    network_pattern: str

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_of("part", self.part, tuple(PARTS))

    @property
    def sources(self) -> Sequence[Source]:  # type: ignore[override]
        return (*super().sources, Hub(self.network_repo, self.network_pattern, f"{self.network_folder}/"))

    def lacks(self) -> str | None:
        if missing := lacking(Path(self.folder), without=self.part):
            return f"model.folder={self.folder}: {missing}"
        missing = lacking_part(Path(self.network_folder) / self.part)
        return missing and f"model.network_folder={self.network_folder}: {missing}"

    def files(self) -> list[tuple[str, Path]]:
        own, network = Path(self.folder) / self.part, Path(self.network_folder)
        found = sorted((network / self.part).glob("*.safetensors"))
        kept = [(name, path) for name, path in super().files() if path.parent != own]
        return [*kept, *((f"{network.name}/{self.part}/{path.name}", path) for path in found)]

    def replaced(self, **how: Any) -> dict[str, Any]:
        import diffusers

        network = getattr(diffusers, PARTS[self.part])
        return {self.part: network.from_pretrained(self.network_folder, subfolder=self.part, **how)}
