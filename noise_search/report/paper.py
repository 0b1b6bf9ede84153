"""The paper's figures that this project can run: their panels, which runs belong to each, how curves are told apart."""

from noise_search.report.paper_panels import FID, IS, NAMES, WORDS, Bars, Gains, Panel, PaperFigure, Scatter

SAMPLES = tuple(map(str, range(17, 24)))  # grids: the same condition and seed at growing budgets


def only(**groups: str) -> dict[str, tuple[str, ...]]:
    """only(algorithm="zo none") -> {"algorithm": ("zo", "none")}."""
    return {group: tuple(names.split()) for group, names in groups.items()}


TEXTS = {"aesthetic": "Aesthetic", "clipscore": "CLIPScore", "imagereward": "ImageReward"}
TEXTS |= {"grader": "grader", "benchmark": "satisfied"}
CATEGORIES = ("color", "shape", "texture", "spatial", "numeracy", "complex")
ONE_OF_THREE = "none aesthetic clipscore imagereward ensemble_text"
ZO, PATHS = only(algorithm="zo zo_4 zo_8", verifier="dino"), only(algorithm="paths_1 paths paths_4", verifier="dino")


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
