"""DINOv2 verifiers: the published classifier's logit, and the self-supervised similarity (paper, section 3.1)."""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from noise_search.core.dataset import Dataset
from noise_search.core.images import images_to_tensor
from noise_search.core.verifier import Candidates, Verifier
from noise_search.networks.linear_probe import fit
from noise_search.networks.vision import DinoV2, fetched, loaded, local
from noise_search.storage.cache import cached, digest, state_digest
from noise_search.verifiers.classifier import class_scores, require_output
from noise_search.verifiers.self_supervised import SelfSupervised

HEADS = ("auto", "published", "prototypes", "linear")
TEMPERATURE = 0.07  # of the prototypes' cosine
URL = "https://dl.fbaipublicfiles.com/dinov2/dinov2_{0}/dinov2_{0}{1}_linear{2}_head.pth"


class Dino(Verifier):
    """Logit or probability of the conditioning class under DINOv2 and a linear head. Cost: one forward an image.

    head: "published" (ImageNet's 1,000 classes; 1 or 4 layers), "prototypes" (cosine to each class's mean feature over
    the labelled images that come with the dataset, divided by 0.07) or "linear" (logistic regression on its full
    training set); "auto": the published one if it fits the dataset, else prototypes. The last two are made once and
    kept by content. head_file: the published .pth; None: fetched. layers: 1 or 4, of the published head.
    """

    differentiable = True
    reads = ("classes",)

    def __init__(
        self,
        dataset: Dataset,
        backbone: str,
        backbone_file: str | None = None,
        head: str = "auto",
        head_file: str | None = None,
        layers: int = 1,
        resolution: int = 224,
        output: str = "logit",
        precision: str = "bfloat16",
        device: str = "cpu",
    ) -> None:
        require_output(output)
        if head not in HEADS:
            raise ValueError(f"verifier.head={head!r}: one of {', '.join(HEADS)}")
        if layers not in (1, 4):
            raise ValueError(f"verifier.layers={layers}: 1 or 4, as published")
        if head == "auto":
            head = "published" if dataset.published_heads or head_file else "prototypes"
        if head != "published" and head not in dataset.labelled:
            raise ValueError(f"verifier.head={head}: dataset {dataset.name} has no labelled images for it")
        self.output, self.name = output, f"DINOv2 {backbone.split('.')[0]}, {head} head ({output})"
        self.features = DinoV2(backbone, backbone_file, resolution, layers, precision).to(device)
        weights = state_digest(self.features.net)
        if head == "published":
            self.weight, self.bias = published(backbone, head_file, layers, self.features.width)
            if (found := len(self.bias)) != len(dataset.texts):
                raise ValueError(f"verifier.head=published: {found} classes, {dataset.name} has {len(dataset.texts)}")
        else:
            both = cached(
                f"dino-{head}", self.key(dataset, head, weights, resolution), lambda: self.make(dataset, head, device)
            )
            self.weight, self.bias = both[:, :-1], both[:, -1]
        self.prototypes = head == "prototypes"
        self.weight, self.bias = self.weight.to(device), self.bias.to(device)
        self.weights = {backbone: weights, f"{backbone} head": digest(self.weight.cpu().numpy().tobytes())}

    def key(self, dataset: Dataset, head: str, weights: str, resolution: int) -> str:
        images, labels = dataset.labelled[head]()
        return digest(
            weights,
            str(resolution),
            str(self.features.preprocess.resize),
            str(self.features.layers),
            str(self.features.dtype),
            images.tobytes(),
            labels.tobytes(),
        )

    @torch.no_grad()
    def make(self, dataset: Dataset, head: str, device: str) -> Tensor:
        """[classes, D + 1]: weights and bias of a head made from the dataset's labelled images."""
        images, labels = dataset.labelled[head]()
        parts = [images[i : i + 100] for i in range(0, len(images), 100)]
        features = torch.cat([self.features(images_to_tensor(part, device)).cpu() for part in parts])
        classes = torch.from_numpy(labels)
        if head == "linear":
            with torch.enable_grad():
                weight, bias = fit(features.numpy(), classes, decay=4e-3)
            return torch.cat([weight, bias[:, None]], 1)
        unit = F.normalize(features, dim=1)
        means = torch.stack([unit[classes == k].mean(0) for k in range(len(dataset.texts))])
        return torch.cat([F.normalize(means, dim=1) / TEMPERATURE, torch.zeros(len(means), 1)], 1)

    def score(self, candidates: Candidates) -> Tensor:
        features = self.features(candidates.images.flatten(0, 1))
        if self.prototypes:
            features = F.normalize(features, dim=1)
        return class_scores(features @ self.weight.T + self.bias, candidates, self.output)


def published(backbone: str, file: str | None, layers: int, width: int) -> tuple[Tensor, Tensor]:
    """weight [1000, (1 + layers) * width] and bias of a published linear head."""
    size = next((s for s in ("small", "base", "large", "giant") if f"vit_{s}_" in backbone), "")
    url = URL.format(f"vit{size[:1]}14", "_reg4" if "reg4" in backbone else "", "4" if layers == 4 else "")
    file = file or local(Path(url).name)
    if file is None:
        if not size:
            raise ValueError(f"verifier.head_file: no published head is known for {backbone}; give a file")
        state = fetched(
            lambda: torch.hub.load_state_dict_from_url(url, map_location="cpu", weights_only=True, progress=False),
            "verifier.head_file",
            f"linear head of {backbone}",
            f"wget -P weights {url}",
        )
        file = url
    else:
        path, key = Path(file), "verifier.head_file"
        state = loaded(lambda: torch.load(path, map_location="cpu", weights_only=True), file, key, "a file of weights")
    parts = dict(state) if isinstance(state, dict) else {}
    shapes = {name: tuple(getattr(value, "shape", ())) for name, value in parts.items()}
    whole = set(shapes) == {"weight", "bias"} and shapes["bias"] == shapes["weight"][:1] and len(shapes["weight"]) == 2
    if not whole:
        raise ValueError(
            f"verifier.head_file={file}: holds {shapes or type(state).__name__}, not a published linear head:"
            " weight [classes, D] and bias [classes]"
        )
    if shapes["weight"][1] != (1 + layers) * width:
        raise ValueError(
            f"verifier.head_file={file}: reads {shapes['weight'][1]} features, not the {(1 + layers) * width} of"
            f" {backbone} with verifier.layers={layers}"
        )
    return parts["weight"].float(), parts["bias"].float()


def dino_ssl(
    backbone: str,
    view: float,
    backbone_file: str | None = None,
    resolution: int = 224,
    precision: str = "bfloat16",
    device: str = "cpu",
) -> SelfSupervised:
    """Similarity of the class tokens of the image and of its early prediction."""
    net = DinoV2(backbone, backbone_file, resolution, 1, precision).to(device)
    weights = {backbone: state_digest(net.net)}

    def class_token(images: Tensor) -> Tensor:
        return net(images)[:, : net.width]

    return SelfSupervised(
        f"self-supervised DINOv2 {backbone.split('.')[0]}", class_token, view, weights, differentiable=True
    )
