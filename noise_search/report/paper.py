"""The paper's figures that this project can run: their panels, which runs belong to each, how curves are told apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

FID, IS = "frechet_distance", "inception_score"
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
SAMPLES = tuple(map(str, range(17, 24)))  # grids: the same condition and seed at growing budgets


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


def only(**groups: str) -> dict[str, tuple[str, ...]]:
    """only(algorithm="zo none") -> {"algorithm": ("zo", "none")}."""
    return {group: tuple(names.split()) for group, names in groups.items()}


TEXTS = {"aesthetic": "Aesthetic", "clipscore": "CLIPScore", "imagereward": "ImageReward"}
TEXTS |= {"grader": "grader", "benchmark": "satisfied"}
CATEGORIES = ("color", "shape", "texture", "spatial", "numeracy", "complex")
ONE_OF_THREE = "none aesthetic clipscore imagereward ensemble_text"
ZO, PATHS = only(algorithm="zo zo_4 zo_8", verifier="dino"), only(algorithm="paths_1 paths paths_4", verifier="dino")
WORDS = {FID: "FID", IS: "IS", "precision": "precision", "recall": "recall"}


def several(metrics: tuple[str, ...], title: str, varies: str, where: dict[str, tuple[str, ...]]) -> tuple[Panel, ...]:
    """One panel a metric of the same runs."""
    return tuple(Panel(f"{WORDS[metric]}, {title}", metric, varies, where) for metric in metrics)


FIGURES = {
    "1": PaperFigure(
        "search against more denoising steps",
        (
            *several((FID, IS), "ZO-2, DINO", "algorithm", only(algorithm="zo none", verifier="dino")),
            Panel("CLIPScore", "clipscore", "verifier", only(algorithm="random", verifier="clipscore"), 3.5, 30),
            Panel("Aesthetic", "aesthetic", "verifier", only(algorithm="random", verifier="ensemble_text"), 3.5, 30),
        ),
    ),
    "3": PaperFigure(
        "oracle verifiers, random search",
        (
            Panel("FID, oracle FID", FID, "cfg_scale", only(verifier="oracle_fid", algorithm="random")),
            Panel("IS, oracle IS", IS, "cfg_scale", only(verifier="oracle_is", algorithm="random")),
        ),
    ),
    "4": PaperFigure(
        "supervised verifiers, random search",
        (
            Panel("IS, CLIP", IS, "cfg_scale", only(verifier="clip", algorithm="random")),
            Panel("IS, DINO", IS, "cfg_scale", only(verifier="dino", algorithm="random")),
        ),
    ),
    "5": PaperFigure(
        "self-supervised verifiers, random search",
        (
            Scatter("CLIP", "clip_ssl", "clip", 0.3204),
            Scatter("DINO", "dino_ssl", "dino", 0.7415),
            Panel("IS, CLIP similarity", IS, "cfg_scale", only(verifier="clip_ssl", algorithm="random")),
            Panel("IS, DINO similarity", IS, "cfg_scale", only(verifier="dino_ssl", algorithm="random")),
        ),
    ),
    "6": PaperFigure(
        "zero-order search and search over paths, DINO",
        (
            *several((FID, IS), "zero-order", "algorithm", ZO),
            *several((FID, IS), "paths", "algorithm", PATHS),
        ),
    ),
    "10": PaperFigure(
        "evaluations of a search pass, random search, DINO",
        (Panel("IS, DINO", IS, "search_nfe", only(algorithm="random", verifier="dino"), cfg_scale=1.5),),
    ),
    "11": PaperFigure(
        "sizes of the model",
        (
            Panel("FID, ZO-2, DINO", FID, "model", only(algorithm="zo", verifier="dino")),
            Panel("IS, random, DINO", IS, "model", only(algorithm="random", verifier="dino"), cfg_scale=1.5),
        ),
        axis="gflops",
    ),
    "12": PaperFigure(
        "similarity of neighbours, and evaluations of a backward pass",
        (
            *several((FID, IS), "ZO-2, similarity", "similarity", only(algorithm="zo", verifier="dino")),
            *several((FID, IS), "Paths-2, backward NFE", "backward_nfe", only(algorithm="paths", verifier="dino")),
        ),
    ),
    "13": PaperFigure(
        "mode collapse, random search",
        several((FID, "precision", "recall"), "random", "verifier", only(algorithm="random", verifier="dino clip")),
    ),
    "14": PaperFigure(
        "first-order search, DINO",
        several((FID, IS), "first order", "algorithm", only(algorithm="first_order", verifier="dino")),
    ),
    "8": PaperFigure(
        "what a search under one verifier does to the others",
        (Bars("random search", TEXTS, "verifier", only(algorithm="random", verifier=ONE_OF_THREE)),),
        table="2",
    ),
    "9": PaperFigure(
        "the ensemble against NFE",
        (Gains("random search, ensemble", TEXTS, only(algorithm="random", verifier="ensemble_text")),),
    ),
    "table1": PaperFigure(
        "six categories of captions, random search",
        (
            Bars(
                "benchmark's score",
                {f"benchmark, {name}": name for name in CATEGORIES},
                "verifier",
                only(algorithm="random", verifier=ONE_OF_THREE),
                gains=False,
                unit="score, 0 to 1",
            ),
        ),
        table="1",
    ),
    "table2": PaperFigure(
        "algorithms and verifiers",
        tuple(
            Bars(NAMES.get(name, name), TEXTS, "verifier", only(algorithm=name, verifier=ONE_OF_THREE))
            for name in ("random", "zo", "paths")
        ),
        table="2",
    ),
    "table3": PaperFigure(
        "search on top of preference training, SDXL-DPO",
        (
            Bars(
                "random search",
                {"aesthetic": "Aesthetic", "clipscore": "CLIPScore", "pickscore": "PickScore"},
                "verifier",
                only(model="sdxl_dpo", algorithm="random", verifier="none ensemble_pickscore"),
            ),
        ),
        table="3",
    ),
    "table4": PaperFigure(
        "two models of prompts, random search",
        tuple(
            Bars(NAMES[name], TEXTS, "verifier", only(model=name, algorithm="random", verifier=ONE_OF_THREE))
            for name in ("flux_dev", "pixart_sigma")
        ),
        table="2",
    ),
}
