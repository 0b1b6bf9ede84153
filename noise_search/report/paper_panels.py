"""What the figures of the paper are made of: kinds of panels, and how the paper names what they show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

FID, IS = "frechet_distance", "inception_score"
WORDS = {FID: "FID", IS: "IS", "precision": "precision", "recall": "recall"}
LETTERS = {"cfg_scale": "CFG", "search_nfe": "NFE", "similarity": "similarity", "backward_nfe": "backward"}
NAMES = {  # of choices, as the paper writes them
    "none": "no search, more steps",
    "first_order": "first order",
    "zo": "ZO-2",
    "zo_4": "ZO-4",
    "zo_8": "ZO-8",
    "paths_1": "Paths-1",
    "paths": "Paths-2",
    "paths_4": "Paths-4",
    "sit_xl_2": "SiT-XL/2",
    "sit_l_2": "SiT-L/2",
    "sit_b_2": "SiT-B/2",
    "dino": "DINO",
    "clip": "CLIP",
    "flux_dev": "FLUX.1-dev",
    "pixart_sigma": "PixArt-Sigma",
    "sdxl": "SDXL",
    "sdxl_dpo": "SDXL-DPO",
    "aesthetic": "Aesthetic",
    "clipscore": "CLIPScore",
    "imagereward": "ImageReward",
    "ensemble_text": "ensemble",
    "ensemble_pickscore": "ensemble",
}
TWIN_WORDS = {  # of the paper's panels -> what they are in panels of other models
    "FID": "FD",
    "DINO": "classifier",
    "CLIP": "classifier_b",
    "CLIPScore": "clip",
    "Aesthetic": "aesthetic",
    "FLUX.1-dev": "drawn scenes",
}
METRICS = {  # of runs of prompts -> what it is in the paper, or plays the role of on drawn scenes
    **{f"score_final/{name}": name for name in ("aesthetic", "clipscore", "imagereward", "pickscore")},
    "clip": "clipscore",
    "demands_met": "imagereward",
    "satisfied": "benchmark",
}


@dataclass(frozen=True)
class Panel:
    """One metric against the cost. varies: what tells its curves apart, a group or a setting; where: the choices that
    belong here, by group, in the paper's names (`published.TWINS` has the embedded ones). cfg_scale,
    search_nfe: the paper's."""

    title: str
    metric: str
    varies: str
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cfg_scale: float = 1.0
    search_nfe: float = 50.0

    @property
    def usual(self) -> dict[str, float]:
        """The paper's settings, of those that other figures vary."""
        return {"similarity": 0.95, "backward_nfe": 14.0, "search_nfe": self.search_nfe, "cfg_scale": self.cfg_scale}

    @property
    def letter(self) -> str:
        """What stands before a curve's value."""
        return LETTERS[self.varies]


@dataclass(frozen=True)
class Scatter:
    """Scores of two verifiers, x and y, of the same candidates. r: as published, over about 1,000 samples."""

    title: str
    x: str
    y: str
    r: float


@dataclass(frozen=True)
class Gains:
    """Several metrics (name -> what it is called) of one search against the cost, as gains over one image."""

    title: str
    metrics: Mapping[str, str]
    where: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Bars:
    """Numbers at the end of searches: groups of metrics (name -> what it is called), a bar for each choice of the group
    `varies`; gains: over no search, in %."""

    title: str
    groups: Mapping[str, str]
    varies: str
    where: Mapping[str, tuple[str, ...]]
    gains: bool = True
    unit: str = "gain over one image, %"


@dataclass(frozen=True)
class PaperFigure:
    """panels: in the paper's order. axis: what the x of its curves is. table: are its published numbers a table's?"""

    title: str
    panels: tuple[Panel | Scatter | Gains | Bars, ...]
    axis: str = "nfe_paper"
    table: str = ""
