"""The judge of published ImageNet numbers: FID, sFID, IS, KID, precision and recall on torch-fidelity's Inception."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from noise_search.core.checks import require
from noise_search.core.dataset import IMAGENET
from noise_search.errors import MissingFile, Refused
from noise_search.measures.frechet import Gaussian
from noise_search.measures.judge import Judge, JudgeSettings, Space
from noise_search.measures.usual import (
    Comparison,
    class_metrics,
    frechet_metric,
    kernel_metric,
    precision_recall_metrics,
)
from noise_search.storage.atomic import sha256

if TYPE_CHECKING:
    from noise_search.measures.reference import Reference

NETWORK = "Inception, torch-fidelity"
OUTPUTS = 1008  # of the network, for 1,000 classes
FRECHET = {  # name -> title and short
    "fid": ("Frechet inception distance (FID)", "FID"),
    "sfid": ("Frechet distance of spatial features (sFID)", "sFID"),
    "fd_dinov2": ("Frechet distance (FD-DINOv2)", "FD"),
}


@dataclass(frozen=True)
class InceptionJudge(JudgeSettings):
    """reference: real images or their statistics (`measures.reference`). weights: torch-fidelity's file; None: fetched.

    label_map: imagenet_2012_challenge_label_map_proto.pbtxt of TensorFlow's models, which says which of the network's
    1,008 outputs is which class: wanted by class accuracy and oracle IS only. splits, shuffle: of the inception score:
    torch-fidelity shuffles, ADM's evaluator does not. equal_counts: precision and recall of as many samples as real
    images; false: of all of both, as ADM's evaluator measures them. dinov2: a timm name, for FD-DINOv2 too (Stein et
    al., arXiv 2306.04675: ViT-L/14 at 224 pixels, class token), from dinov2_file or timm's hub; it wants real images.
    export_npz: write the images of every budget for ADM's evaluator, too.
    """

    reference: str
    weights: str | None = None
    label_map: str | None = None
    splits: int = 10
    shuffle: bool = True
    equal_counts: bool = False
    dinov2: str | None = None
    dinov2_file: str | None = None
    export_npz: bool = False

    def __post_init__(self) -> None:
        require("splits", self.splits, self.splits >= 1, "at least 1")

    @property
    def class_set(self) -> str | None:  # type: ignore[override]
        return IMAGENET if self.label_map else None

    @property
    def needing_classes(self) -> Sequence[str]:  # type: ignore[override]
        return ("class_accuracy",) if self.label_map else ()

    def load(self, device: str = "cpu") -> Judge:
        import torch

        from noise_search.measures.reference import read_reference
        from noise_search.networks.files import local
        from noise_search.networks.inception import MAIN, URL, ClassToken, Inception, fetch

        if not Path(self.reference).exists():
            name = "references_512" if "512" in self.reference else "references"
            raise MissingFile(
                f"metrics.reference={self.reference}: there is no such file or folder of real images;"
                f" `python scripts/fetch_weights.py {name}` fetches ADM's"
            )
        path = Path(self.weights or local(Path(URL).name) or fetch())
        nets: dict[str, Any] = {"inception": Inception(path, device)}
        digests = {path.name: sha256(path)}
        if self.dinov2:
            nets["dinov2"] = ClassToken(self.dinov2, self.dinov2_file, device)
            digests[self.dinov2] = nets["dinov2"].digest

        def features(images: np.ndarray) -> np.ndarray:
            return np.concatenate([net(images) for net in nets.values()], 1)

        head = nets["inception"].net.fc.weight.detach().cpu().numpy()

        def probabilities(values: np.ndarray) -> np.ndarray:
            return torch.from_numpy(values[:, MAIN] @ head.T).softmax(1).numpy()  # no bias, as published

        real = read_reference(Path(self.reference), features, "".join(digests.values()))
        found, columns_of = spaces(real, self.dinov2), read_label_map(Path(self.label_map)) if self.label_map else None
        main = next(iter(found.values()))
        metrics = class_metrics(probabilities, NETWORK, columns_of, self.splits, self.shuffle)
        distances = [frechet_metric(space, name, *FRECHET[name]) for name, space in found.items()]
        if real.measured is None:
            metrics += distances
        else:
            compared = Comparison(main, cache(partial(main_features, real)))
            metrics += [kernel_metric(compared, real.name), *distances]
            against = f"{real.name}, as many of its images" if self.equal_counts else real.name
            metrics += precision_recall_metrics(compared, against, self.equal_counts)
        return Judge(
            network=NETWORK,
            probe=NETWORK,
            features=features,
            probabilities=probabilities,
            main=main,
            metrics=metrics,
            columns_of=columns_of,
            weights=digests | {Path(self.reference).name: real.digest},
        )


def spaces(real: Reference, dinov2: str | None) -> dict[str, Space]:
    """FID, and sFID and FD-DINOv2 where the reference has what they need."""
    from noise_search.networks.inception import MAIN, SPATIAL

    out = {}
    for metric, name, columns in (("fid", "mu", MAIN), ("sfid", "mu_s", SPATIAL)):
        if name in real.published:
            gaussian = real.published[name]
            if len(gaussian.mean) != columns.stop - columns.start:
                raise Refused(f"metrics.reference: {real.name} has {name} of {len(gaussian.mean)} numbers for {metric}")
        elif real.published or real.measured is None:
            continue  # published without it: another set's would be measured
        else:
            gaussian = cut(real.measured()[0], columns)
        out[metric] = Space(columns, gaussian, real.name, NETWORK)
    if dinov2:
        if real.measured is None:
            raise Refused(f"metrics.dinov2={dinov2}: {real.name} holds no images to measure FD-DINOv2 against")
        columns, (gaussian, kept) = slice(SPATIAL.stop, None), real.measured()
        images = f"{real.name}, its {len(kept)} images" if real.published else real.name
        out["fd_dinov2"] = Space(columns, cut(gaussian, columns), images, f"DINOv2 {dinov2}")
    return out


def main_features(real: Reference) -> np.ndarray:
    """FID's features of the reference's images, [M, 2048]."""
    from noise_search.networks.inception import MAIN

    assert real.measured is not None
    return real.measured()[1][:, MAIN]


def cut(gaussian: Gaussian, columns: slice) -> Gaussian:
    return Gaussian(gaussian.mean[columns], gaussian.covariance[columns, columns])


def read_label_map(path: Path) -> np.ndarray:
    """int64 [1000]: class id (the rank of its WordNet id) -> the network's output."""
    if not path.is_file():
        raise MissingFile(f"metrics.label_map={path}: there is no such file")
    text = path.read_bytes().decode(errors="replace")
    entries = re.findall(r'target_class:\s*(\d+)\s*target_class_string:\s*"(n\d+)"', text)
    outputs, ids = ({entry[k] for entry in entries} for k in (0, 1))
    if not len(entries) == len(outputs) == len(ids) == 1000 or max(map(int, outputs)) >= OUTPUTS:
        raise Refused(
            f"metrics.label_map={path}: {len(entries)} entries, {len(outputs)} outputs, {len(ids)} classes; not 1000"
            f" of each, with outputs below {OUTPUTS}"
        )
    return np.array([int(column) for column, _ in sorted(entries, key=lambda entry: entry[1])])
