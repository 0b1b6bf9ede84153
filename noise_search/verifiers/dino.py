"""DINOv2 verifiers: the published classifier's logit, and the self-supervised similarity (paper, section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from noise_search.core.checks import require, require_one_of, require_precision
from noise_search.core.dataset import IMAGENET, Dataset
from noise_search.core.verifier import Candidates, Surroundings, Verifier
from noise_search.errors import Refused
from noise_search.verifiers.classifier import OUTPUTS, class_scores
from noise_search.verifiers.self_supervised import SelfSupervised

if TYPE_CHECKING:
    from torch import Tensor

HEADS = ("auto", "published", "prototypes", "linear")
PATCH = 14  # pixels
TEMPERATURE = 0.07  # of the prototypes' cosine
URL = "https://dl.fbaipublicfiles.com/dinov2/dinov2_{0}/dinov2_{0}{1}_linear{2}_head.pth"


@dataclass(eq=False)
class Dino(Verifier):
    """Logit or probability of the conditioning class under DINOv2 and a linear head. Cost: one forward an image.

    head: "published" (ImageNet's 1,000 classes; 1 or 4 layers), "prototypes" (cosine to each class's mean feature over
    the labelled images that come with the dataset, divided by 0.07) or "linear" (logistic regression on its full
    training set); "auto": the published one if it fits the dataset, else prototypes. The last two are made once and
    kept by content. head_file: the published .pth; None: fetched. layers: 1 or 4, of the published head.
    """

    backbone: str
    backbone_file: str | None = None
    head: str = "auto"
    head_file: str | None = None
    layers: int = 1
    resolution: int = 224
    output: str = "logit"
    precision: str = "auto"

    differentiable = True
    reads = ("classes",)

    def __post_init__(self) -> None:
        require_one_of("output", self.output, OUTPUTS)
        require_one_of("head", self.head, HEADS)
        require_precision("precision", self.precision)
        require("layers", self.layers, self.layers in (1, 4), "1 or 4, as published")
        require_patches(self.resolution)

    def load(self, into: Surroundings) -> Dino:
        import torch

        from noise_search.networks.vision import DinoV2
        from noise_search.storage.cache import cached, digest, state_digest

        dataset, head = into.the_dataset(f"DINOv2 {self.backbone}"), self.head
        if head == "auto":
            head = "published" if dataset.class_set == IMAGENET or self.head_file else "prototypes"
        if head != "published" and head not in dataset.labelled:
            raise Refused(f"verifier.head={head}: dataset {dataset.name} has no labelled images for it")
        self.name = f"DINOv2 {self.backbone.split('.')[0]}, {head} head ({self.output})"
        net = DinoV2(self.backbone, self.backbone_file, self.resolution, self.layers, self.precision).to(into.device)
        self.features, weights = net, state_digest(net.net)
        if head == "published":
            self.weight, self.bias = published(self.backbone, self.head_file, self.layers, net.width)
            if (found := len(self.bias)) != len(dataset.texts):
                raise Refused(f"verifier.head=published: {found} classes, {dataset.name} has {len(dataset.texts)}")
        else:
            key = self.key(dataset, head, weights)
            with torch.no_grad():
                both = cached(f"dino-{head}", key, lambda: self.make(dataset, head, into.device))
            self.weight, self.bias = both[:, :-1], both[:, -1]
        self.prototypes = head == "prototypes"
        self.weight, self.bias = self.weight.to(into.device), self.bias.to(into.device)
        self.weights = {self.backbone: weights, f"{self.backbone} head": digest(self.weight.cpu().numpy().tobytes())}
        return self

    def key(self, dataset: Dataset, head: str, weights: str) -> str:
        from noise_search.storage.cache import digest

        images, labels = dataset.labelled[head]()
        return digest(
            weights,
            str(self.resolution),
            str(self.features.preprocess.resize),
            str(self.features.layers),
            str(self.features.dtype),
            images.tobytes(),
            labels.tobytes(),
        )

    def make(self, dataset: Dataset, head: str, device: str) -> Tensor:
        """[classes, D + 1]: weights and bias of a head made from the dataset's labelled images."""
        import torch
        from torch.nn import functional as F

        from noise_search.core.images import images_to_tensor
        from noise_search.networks.linear_probe import fit

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
        from torch.nn import functional as F

        features = self.features(candidates.images.flatten(0, 1))
        if self.prototypes:
            features = F.normalize(features, dim=1)
        return class_scores(features @ self.weight.T + self.bias, candidates, self.output)


def published(backbone: str, file: str | None, layers: int, width: int) -> tuple[Tensor, Tensor]:
    """weight [1000, (1 + layers) * width] and bias of a published linear head."""
    import torch

    from noise_search.networks.files import fetched, loaded, local

    size = next((s for s in ("small", "base", "large", "giant") if f"vit_{s}_" in backbone), "")
    url = URL.format(f"vit{size[:1]}14", "_reg4" if "reg4" in backbone else "", "4" if layers == 4 else "")
    file = file or local(Path(url).name)
    if file is None:
        if not size:
            raise Refused(f"verifier.head_file: no published head is known for {backbone}; give a file")
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
        raise Refused(
            f"verifier.head_file={file}: holds {shapes or type(state).__name__}, not a published linear head:"
            " weight [classes, D] and bias [classes]"
        )
    if shapes["weight"][1] != (1 + layers) * width:
        raise Refused(
            f"verifier.head_file={file}: reads {shapes['weight'][1]} features, not the {(1 + layers) * width} of"
            f" {backbone} with verifier.layers={layers}"
        )
    return parts["weight"].float(), parts["bias"].float()


@dataclass(eq=False)
class DinoSimilarity(SelfSupervised):
    """Similarity of DINOv2's class tokens of the image and of its early prediction."""

    backbone: str
    view: float
    backbone_file: str | None = None
    resolution: int = 224
    precision: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_precision("precision", self.precision)
        require_patches(self.resolution)

    def load(self, into: Surroundings) -> DinoSimilarity:
        from noise_search.networks.vision import DinoV2
        from noise_search.storage.cache import state_digest

        net = DinoV2(self.backbone, self.backbone_file, self.resolution, 1, self.precision).to(into.device)

        def class_token(images: Tensor) -> Tensor:
            return net(images)[:, : net.width]

        self.features, self.weights = class_token, {self.backbone: state_digest(net.net)}
        self.name = f"self-supervised DINOv2 {self.backbone.split('.')[0]} (similarity)"
        return self


def require_patches(resolution: int) -> None:
    good = resolution >= PATCH and resolution % PATCH == 0
    require("resolution", resolution, good, f"a multiple of {PATCH} (the patch size)")
