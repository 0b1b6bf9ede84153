"""The judge of published ImageNet numbers: FID, sFID, IS, KID, precision and recall on torch-fidelity's Inception."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from noise_search.core.checks import whole
from noise_search.core.images import images_to_tensor
from noise_search.measures.frechet import Gaussian
from noise_search.measures.judge import Judge, Space
from noise_search.measures.reference import Reference, read_reference
from noise_search.measures.usual import class_metrics, frechet_metric, kernel_metric, precision_recall_metrics
from noise_search.networks.vision import DinoV2, fetched, loaded, local
from noise_search.storage.atomic import sha256
from noise_search.storage.cache import state_digest

NETWORK = "Inception, torch-fidelity"
OUTPUTS = 1008  # of the network, for 1,000 classes
FRECHET = {  # name -> title and short
    "fid": ("Frechet inception distance (FID)", "FID"),
    "sfid": ("Frechet distance of spatial features (sFID)", "sFID"),
    "fd_dinov2": ("Frechet distance (FD-DINOv2)", "FD"),
}
CHANNELS = 7  # of the 17 x 17 map that sFID looks at
MAIN, SPATIAL = slice(0, 2048), slice(2048, 2048 + CHANNELS * 17 * 17)  # columns of the features
URL = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"


class Inception:
    """uint8 images [N, H, W, 3] -> features float32 [N, 2048 + 2023]: FID's pooled ones, then sFID's spatial ones."""

    def __init__(self, weights: Path, device: str, batch: int = 50) -> None:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        key, what = "metrics.weights", "torch-fidelity's Inception"

        def load() -> Any:
            torch.load(weights, map_location="cpu", weights_only=True)  # torch-fidelity itself would run code in it
            return FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(weights))

        self.net, self.device, self.batch = loaded(load, str(weights), key, what).to(device), device, batch
        self.seen: Tensor
        self.net.Mixed_6d.branch1x1.register_forward_hook(self.look)  # ADM's "mixed_6/conv"

    def look(self, module: object, inputs: object, output: Tensor) -> None:
        self.seen = output[:, :CHANNELS].permute(0, 2, 3, 1).flatten(1)  # in TensorFlow's order

    @torch.inference_mode()
    def __call__(self, images: np.ndarray) -> np.ndarray:
        parts = []
        for start in range(0, len(images), self.batch):
            x = torch.from_numpy(images[start : start + self.batch]).permute(0, 3, 1, 2).to(self.device)
            (pooled,) = self.net(x)
            parts.append(torch.cat([pooled, self.seen.float()], 1).cpu().numpy())
        return np.concatenate(parts) if parts else np.empty((0, SPATIAL.stop), np.float32)


def inception(
    reference: str,
    weights: str | None = None,
    label_map: str | None = None,
    splits: int = 10,
    shuffle: bool = True,
    equal_counts: bool = False,
    dinov2: str | None = None,
    dinov2_file: str | None = None,
    export_npz: bool = False,
    device: str = "cpu",
) -> Judge:
    """reference: real images or their statistics (`metrics.reference`). weights: torch-fidelity's file; None: fetched.

    label_map: imagenet_2012_challenge_label_map_proto.pbtxt of TensorFlow's models, which says which of the network's
    1,008 outputs is which class: wanted by class accuracy and oracle IS only. splits, shuffle: of the inception score:
    torch-fidelity shuffles, ADM's evaluator does not. equal_counts: precision and recall of as many samples as real
    images; false: of all of both, as ADM's evaluator measures them. dinov2: a timm name, for FD-DINOv2 too (Stein et
    al., arXiv 2306.04675: ViT-L/14 at 224 pixels, class token), from dinov2_file or timm's hub; it wants real images.
    export_npz: write the images of every budget for ADM's evaluator, too.
    """
    if not isinstance(reference, str) or not Path(reference).exists():
        name = "references_512" if "512" in str(reference) else "references"
        raise FileNotFoundError(
            f"metrics.reference={reference}: there is no such file or folder of real images;"
            f" `python scripts/fetch_weights.py {name}` fetches ADM's"
        )
    if not whole(splits) or splits < 1:
        raise ValueError(f"metrics.splits={splits}: a whole number, at least 1")
    for name, value in {"shuffle": shuffle, "equal_counts": equal_counts, "export_npz": export_npz}.items():
        if not isinstance(value, bool):
            raise ValueError(f"metrics.{name}={value}: true or false")
    path = Path(weights or local(Path(URL).name) or fetch())
    nets: dict[str, Any] = {"inception": Inception(path, device)}
    digests = {path.name: sha256(path)}
    if dinov2:
        nets["dinov2"] = ClassToken(dinov2, dinov2_file, device)
        digests[dinov2] = nets["dinov2"].digest

    def features(images: np.ndarray) -> np.ndarray:
        return np.concatenate([net(images) for net in nets.values()], 1)

    head = nets["inception"].net.fc.weight.detach().cpu().numpy()

    def probabilities(values: np.ndarray) -> np.ndarray:
        return torch.from_numpy(values[:, MAIN] @ head.T).softmax(1).numpy()  # no bias, as published

    real = read_reference(Path(reference), features, "".join(digests.values()))
    found, columns_of = spaces(real, dinov2), read_label_map(Path(label_map)) if label_map else None
    main = next(iter(found.values()))
    metrics = class_metrics(probabilities, NETWORK, columns_of, splits, shuffle)
    distances = [frechet_metric(space, name, *FRECHET[name]) for name, space in found.items()]
    if real.measured is None:
        metrics += distances
    else:
        kept = partial(main_features, real)
        metrics += [kernel_metric(main, kept, real.name), *distances]
        against = f"{real.name}, as many of its images" if equal_counts else real.name
        metrics += precision_recall_metrics(main, kept, against, equal_counts)
    return Judge(
        network=NETWORK,
        probe=NETWORK,
        features=features,
        probabilities=probabilities,
        main=main,
        metrics=metrics,
        columns_of=columns_of,
        export_npz=export_npz,
        weights=digests | {Path(reference).name: real.digest},
    )


def spaces(real: Reference, dinov2: str | None) -> dict[str, Space]:
    """FID, and sFID and FD-DINOv2 where the reference has what they need."""
    out = {}
    for metric, name, columns in (("fid", "mu", MAIN), ("sfid", "mu_s", SPATIAL)):
        if name in real.published:
            gaussian = real.published[name]
            if len(gaussian.mean) != columns.stop - columns.start:
                raise ValueError(
                    f"metrics.reference: {real.name} has {name} of {len(gaussian.mean)} numbers for {metric}"
                )
        elif real.published or real.measured is None:
            continue  # published without it: another set's would be measured
        else:
            gaussian = cut(real.measured()[0], columns)
        out[metric] = Space(columns, gaussian, real.name, NETWORK)
    if dinov2:
        if real.measured is None:
            raise ValueError(f"metrics.dinov2={dinov2}: {real.name} holds no images to measure FD-DINOv2 against")
        columns, (gaussian, kept) = slice(SPATIAL.stop, None), real.measured()
        images = f"{real.name}, its {len(kept)} images" if real.published else real.name
        out["fd_dinov2"] = Space(columns, cut(gaussian, columns), images, f"DINOv2 {dinov2}")
    return out


def main_features(real: Reference) -> np.ndarray:
    """FID's features of the reference's images, [M, 2048]."""
    assert real.measured is not None
    return real.measured()[1][:, MAIN]


def cut(gaussian: Gaussian, columns: slice) -> Gaussian:
    return Gaussian(gaussian.mean[columns], gaussian.covariance[columns, columns])


class ClassToken:
    """uint8 images [N, H, W, 3] -> float32 [N, width]: DINOv2's class token after the last norm, at 224 pixels.

    The whole image is squashed to them, bicubic, as in the code of Stein et al. (arXiv 2306.04675): nothing is cropped.
    """

    def __init__(self, backbone: str, file: str | None, device: str, batch: int = 50) -> None:
        net = DinoV2(backbone, file, 224, 1, "float32", key="metrics.dinov2", crop=False)
        self.net, self.device, self.batch = net.to(device), device, batch
        self.digest = state_digest(self.net.net)

    @torch.inference_mode()
    def __call__(self, images: np.ndarray) -> np.ndarray:
        parts = [images_to_tensor(images[i : i + self.batch], self.device) for i in range(0, len(images), self.batch)]
        tokens = [self.net(part)[:, : self.net.width].cpu().numpy() for part in parts]
        return np.concatenate(tokens) if tokens else np.empty((0, self.net.width), np.float32)


def fetch() -> Path:
    """torch-fidelity's weights in torch hub's folder."""
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(URL).name
    if not file.is_file():
        what = "weights of torch-fidelity's Inception"
        file.parent.mkdir(parents=True, exist_ok=True)
        command = f"wget -P weights {URL}"
        fetched(lambda: torch.hub.download_url_to_file(URL, str(file)), "metrics.weights", what, command)
    return file


def read_label_map(path: Path) -> np.ndarray:
    """int64 [1000]: class id (the rank of its WordNet id) -> the network's output."""
    if not path.is_file():
        raise FileNotFoundError(f"metrics.label_map={path}: there is no such file")
    text = path.read_bytes().decode(errors="replace")
    entries = re.findall(r'target_class:\s*(\d+)\s*target_class_string:\s*"(n\d+)"', text)
    outputs, ids = ({entry[k] for entry in entries} for k in (0, 1))
    if not len(entries) == len(outputs) == len(ids) == 1000 or max(map(int, outputs)) >= OUTPUTS:
        raise ValueError(
            f"metrics.label_map={path}: {len(entries)} entries, {len(outputs)} outputs, {len(ids)} classes; not 1000"
            f" of each, with outputs below {OUTPUTS}"
        )
    return np.array([int(column) for column, _ in sorted(entries, key=lambda entry: entry[1])])
