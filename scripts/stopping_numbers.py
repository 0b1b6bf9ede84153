"""KID and IS of sets of images from what is kept of them: sums of KID's kernel over pairs of ten groups of images, and
the probabilities of the judge's probe. With them every number of docs/results/stopping is made without a network."""

from pathlib import Path

import numpy as np

from noise_search.core.images import images_to_tensor
from noise_search.core.verifier import Candidates, Surroundings
from noise_search.datasets.cifar10 import shipped_images
from noise_search.measures.judge import Judge
from noise_search.measures.pairs import Between, Within, between, within
from noise_search.measures.scores import GROUPS, half_width, inception_score, kernel_distance_of
from noise_search.metrics.lite2 import reference_features
from noise_search.verifiers.classifier import Classifier

Kept = dict[str, np.ndarray]
Found = tuple[float, np.ndarray]  # a number, and float64 [10]: without each group


def logits_of(size: int) -> np.ndarray:
    """float32 [1000], the logits of their own class that Lite `size` gives the photographs that are in no reference."""
    import torch

    images, labels = shipped_images("heads")
    verifier = Classifier(size, 96, "logit", "float32").load(Surroundings())
    x, y = images_to_tensor(images)[:, None], torch.from_numpy(labels)
    with torch.no_grad():
        cut = zip(x.split(100), y.split(100), strict=True)
        return np.concatenate([verifier.score(Candidates(*part)).numpy()[:, 0] for part in cut])


def points_of(folder: Path) -> list[str]:
    lines = (folder / "plan.csv").read_text().splitlines()
    return [line.split(",")[1] for line in lines[1:]]


def real_of(judge: Judge) -> Within:
    """The photographs that KID is to."""
    return within(reference_features(judge.features, judge.identity, "cpu"))


def sums_of(key: str, features: np.ndarray, real: Within) -> Kept:
    """key/own and key/cross: kernel sums of features [N, D] among themselves and with `real`."""
    x = within(features, groups=GROUPS, origin=real.origin)
    return {f"{key}/own": x.sums, f"{key}/cross": between(x, real).sums}


def distance(kept: Kept, key: str) -> Found:
    """KID of the set whose sums are kept under `key`."""
    n, m = (int(count) for count in kept["images"])
    none, side = np.empty((0, 0)), 1
    x = Within(np.empty((n, 0)), none, none, none, kept[f"{key}/own"], none, side)
    y = Within(np.empty((m, 0)), none, none, none, kept["real"], none, side)
    kid = kernel_distance_of(x, y, Between(kept[f"{key}/cross"], none, none))
    return kid.value, kid.left_out


def spread(seen: np.ndarray) -> Found:
    """IS of images whose probabilities are seen [N, 10]."""
    score = inception_score(seen, groups=GROUPS)
    return score.value, score.left_out


def apart(a: Found, b: Found) -> Found:
    """a - b, of the same images: without each group, too."""
    return a[0] - b[0], a[1] - b[1]


def told(a: Found, b: Found | None = None) -> str:
    """a, or a - b, with its 95 % interval by the jackknife over ten groups of images."""
    value, left = a if b is None else apart(a, b)
    half = half_width(left)
    return f"{value:{'' if b is None else '+'}.3f} [{value - half:.3f}, {value + half:.3f}]"
