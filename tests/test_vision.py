"""DINOv2 and CLIP verifiers on random weights in the exact published file formats."""

import shutil
import urllib.error
from pathlib import Path
from unittest import mock

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Normalize, Resize, ToTensor

from noise_search.core.dataset import Dataset
from noise_search.core.images import images_to_tensor
from noise_search.core.verifier import Candidates, Surroundings
from noise_search.datasets.cifar10 import cifar10, shipped_images
from noise_search.networks.inception import ClassToken, Inception
from noise_search.networks.vision import Clip, DinoV2, Preprocess
from noise_search.verifiers.clip import ClipSimilarity, ClipZeroShot
from noise_search.verifiers.dino import Dino, DinoSimilarity
from scripts.make_fake_weights import BACKBONE, CLIP, write_clip, write_dino, write_dino_head
from tests.conftest import Evil

IMAGENET = Dataset("imagenet", tuple(f"class {k}" for k in range(1000)), class_set="imagenet1k")

INTO = Surroundings("cpu", IMAGENET)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NOISE_SEARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def dino_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dino") / "dinov2_vits14_pretrain.pth"
    write_dino(path)
    return path


@pytest.mark.parametrize("layers", [1, 4])
def test_published_heads_read_what_they_were_trained_on(tmp_path: Path, dino_file: Path, layers: int) -> None:
    """Against the definition, from the backbone's own blocks: class tokens of the last layers, mean of the patches."""
    path = write_dino_head(tmp_path, layers)
    options = {"head_file": str(path), "layers": layers, "resolution": 56, "precision": "float32"}
    verifier = Dino(BACKBONE, str(dino_file), **options).load(INTO)
    images = images_to_tensor(shipped_images("heads")[0][:4])
    labels = torch.tensor([1, 999])
    with torch.no_grad():
        scores = verifier.score(Candidates(images.unflatten(0, (2, 2)), labels))
        net, x = verifier.features.net, verifier.features.preprocess(images)
        tokens, outputs = net.norm_pre(net.patch_drop(net._pos_embed(net.patch_embed(x)))), []
        for block in net.blocks:
            tokens = block(tokens)
            outputs.append(net.norm(tokens))
        features = torch.cat([out[:, 0] for out in outputs[-layers:]] + [outputs[-1][:, 1:].mean(1)], 1)
        head = torch.load(path, weights_only=True)
        expected = features @ head["weight"].T + head["bias"]
    assert torch.allclose(scores.flatten(), expected[range(4), labels.repeat_interleave(2)], atol=1e-4)


@pytest.mark.parametrize("size", [(256, 256), (300, 410), (512, 384), (32, 32)])
@pytest.mark.parametrize("kind", ["clip", "dino"])
def test_pixels_are_those_of_the_published_transforms(kind: str, size: tuple[int, int]) -> None:
    """Within the published one's rounding to 1/255; smooth images, so that a shift of the crop would show."""
    y, x = np.mgrid[: size[0], : size[1]]
    waves = [np.sin(x / 9 + y / 40), np.cos(x / 50 - y / 11), np.sin((x + y) / 30)]
    pixels = (127.5 + 127.5 * np.stack(waves, -1)).round().astype(np.uint8)
    mean, std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    if kind == "clip":
        published = open_clip.image_transform(224, is_train=False, mean=mean, std=std)
    else:  # DINOv2's linear evaluation; below 224 pixels nothing is cut away here
        resize = Resize(224 if size == (32, 32) else 256, InterpolationMode.BICUBIC)
        published = Compose([resize, CenterCrop(224), ToTensor(), Normalize(mean, std)])
    ours = Preprocess(224, mean, std, resize=224 if kind == "clip" else 256)(images_to_tensor(pixels[None]))[0]
    apart = (ours - published(Image.fromarray(pixels))).abs() * torch.tensor(std).view(3, 1, 1) * 255
    assert ours.shape == (3, 224, 224) and apart.max() < 1.6 and apart.mean() < 0.5


def test_a_metric_squashes_where_a_head_crops(dino_file: Path) -> None:
    image = torch.zeros(1, 3, 64, 128)
    image[..., :16] = image[..., 112:] = 1
    crop, squash = (DinoV2(BACKBONE, str(dino_file), 56, 1, "float32", crop=crop) for crop in (True, False))
    assert crop.preprocess(image).amax() < squash.preprocess(image).amax()
    assert ClassToken(BACKBONE, str(dino_file), "cpu").net.preprocess.resize is None


def test_probabilities_add_up_and_sizes_can_be_chosen(tmp_path: Path, dino_file: Path) -> None:
    path, images = write_dino_head(tmp_path, 1), torch.rand(1, 1, 3, 32, 32)
    verifier = Dino(BACKBONE, str(dino_file), head_file=str(path), resolution=28, output="probability").load(INTO)
    with torch.no_grad():
        total = sum(float(verifier.score(Candidates(images, torch.tensor([k])))) for k in range(0, 1000, 100))
    assert 0 < total < 1
    with pytest.raises(ValueError, match=r"verifier.resolution=30: a multiple of 14"):
        DinoV2(BACKBONE, str(dino_file), 30, 1, "float32")


def test_without_a_published_head_prototypes_are_made_once(dino_file: Path, cache: Path) -> None:
    def build() -> Dino:
        return Dino(BACKBONE, str(dino_file), resolution=28).load(Surroundings("cpu", cifar10()))

    first = build()
    (kept,) = cache.glob("dino-prototypes-*.safetensors")
    before = kept.stat().st_mtime_ns
    second = build()
    assert kept.stat().st_mtime_ns == before and torch.equal(first.weight, second.weight)
    images, labels = shipped_images("heads")
    shown = images_to_tensor(images[:200])
    with torch.no_grad():
        scores = [first.score(Candidates(shown[:, None], torch.full((200,), k)))[:, 0] for k in range(10)]
    right = (torch.stack(scores, 1).argmax(1).numpy() == labels[:200]).mean()
    assert right > 0.15  # on the very images, with random weights: above chance


def test_a_linear_head_is_trained_on_the_whole_training_set(dino_file: Path, cache: Path) -> None:
    """Random features of a few photographs: a trained head tells them apart, which class means hardly do."""
    images, labels = (part[:60] for part in shipped_images("heads"))
    few = Dataset("few", cifar10().texts, class_set="few", labelled={"linear": lambda: (images, labels)})
    verifier = Dino(BACKBONE, str(dino_file), head="linear", resolution=28).load(Surroundings("cpu", few))
    with torch.no_grad():
        columns = [
            verifier.score(Candidates(images_to_tensor(images)[:, None], torch.full((60,), k)))[:, 0] for k in range(10)
        ]
    assert (torch.stack(columns, 1).argmax(1).numpy() == labels).mean() > 0.5
    assert len(list(cache.glob("dino-linear-*.safetensors"))) == 1
    with pytest.raises(ValueError, match=r"verifier.head=prototypes: dataset few has no labelled images"):
        Dino(BACKBONE, str(dino_file), head="prototypes").load(Surroundings("cpu", few))


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "open_clip_model.safetensors"
    write_clip(path, "ViT-B-32-quickgelu")
    return path


def test_clip_is_the_zero_shot_classifier_of_open_clip(tmp_path: Path, cache: Path) -> None:
    names, file = ("airplane", "cat"), tmp_path / "open_clip_model.safetensors"
    write_clip(file, CLIP)
    verifier = ClipZeroShot(CLIP, str(file), precision="float32").load(
        Surroundings("cpu", Dataset("two", names, class_set="two"))
    )
    images = images_to_tensor(shipped_images("heads")[0][:2])
    labels = torch.tensor([1, 0])
    with torch.no_grad():
        scores = verifier.score(Candidates(images[:, None], labels))[:, 0]
        net = verifier.features.net
        classifier = open_clip.build_zero_shot_classifier(
            net, open_clip.get_tokenizer(CLIP), names, open_clip.OPENAI_IMAGENET_TEMPLATES
        )
        features = net.encode_image(verifier.features.preprocess(images), normalize=True)
        expected = (net.logit_scale.exp() * features @ classifier)[range(2), labels]
    assert torch.allclose(scores, expected, atol=1e-3)
    assert len(list(cache.glob("text-*.safetensors"))) == 1


def test_self_supervised_twins_are_one_for_an_image_and_itself(dino_file: Path, clip_file: Path) -> None:
    images = images_to_tensor(shipped_images("heads")[0][:4]).unflatten(0, (2, 2))
    for verifier in (
        DinoSimilarity(BACKBONE, 0.4, str(dino_file), resolution=28).load(Surroundings()),
        ClipSimilarity("ViT-B-32-quickgelu", str(clip_file), 0.4).load(Surroundings()),
    ):
        assert verifier.needs == (0.4,)
        with torch.no_grad():
            same = verifier.score(Candidates(images, torch.zeros(2, dtype=torch.int64), images[:, :, None]))
            other = verifier.score(Candidates(images, torch.zeros(2, dtype=torch.int64), -images[:, :, None]))
        assert torch.allclose(same, torch.ones(2, 2), atol=1e-3) and (other < same).all()


def test_missing_and_wrong_files_are_told_by_key(tmp_path: Path, dino_file: Path, clip_file: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"verifier.backbone_file=/nowhere.pth"):
        Dino(BACKBONE, "/nowhere.pth").load(Surroundings("cpu", cifar10()))
    with pytest.raises(FileNotFoundError, match=r"verifier.head_file=/nowhere.pth"):
        Dino(BACKBONE, str(dino_file), head_file="/nowhere.pth").load(INTO)
    with pytest.raises(ValueError, match=r"reads 768 features, not the 1920 of .* with verifier.layers=4"):
        Dino(BACKBONE, str(dino_file), head_file=str(write_dino_head(tmp_path, 1)), layers=4, resolution=28).load(INTO)
    (tmp_path / "bad.pth").write_bytes(b"no weights")
    with pytest.raises(ValueError, match=r"bad.pth: not a file of weights"):
        Dino(BACKBONE, str(dino_file), head_file=str(tmp_path / "bad.pth"), resolution=28).load(INTO)
    with pytest.raises(ValueError, match="has no labelled images"):
        Dino(BACKBONE, str(dino_file)).load(Surroundings("cpu", Dataset("bare", ("a", "b"), class_set="bare")))
    with pytest.raises(FileNotFoundError, match=r"verifier.pretrained=/nowhere.safetensors"):
        Clip("ViT-B-32-quickgelu", "/nowhere.safetensors", "float32")
    with pytest.raises(ValueError, match="not an architecture"):
        Clip("ViT-Q", "openai", "float32")


def test_heads_of_other_shapes_are_refused_by_what_they_hold(tmp_path: Path, dino_file: Path) -> None:
    path, width = tmp_path / "head.pth", 2 * 384
    wrong = {
        "holds {'weight': \\(1000, 768\\)}, not a published linear head": {"weight": torch.ones(1000, width)},
        "holds list, not a published linear head": [1],
        "holds .*\\(7,\\)}, not a published": {"weight": torch.ones(1000, width), "bias": torch.ones(7)},
        "not a published": {"weight": torch.ones(width), "bias": torch.ones(width)},
        "reads 5 features, not the 768 of vit_small": {"weight": torch.ones(1000, 5), "bias": torch.ones(1000)},
        "published: 10 classes, imagenet has 1000": {"weight": torch.ones(10, width), "bias": torch.ones(10)},
    }
    for words, state in wrong.items():
        torch.save(state, path)
        with pytest.raises(ValueError, match=words):
            Dino(BACKBONE, str(dino_file), head_file=str(path), resolution=28).load(INTO)


def test_files_that_fetch_weights_left_are_found(
    tmp_path: Path, dino_file: Path, clip_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In weights/, under the names of noise_search/cli/fetch.py, without a file in the settings."""
    head = write_dino_head(tmp_path, 1)
    wanted = Dino(BACKBONE, str(dino_file), head_file=str(head), resolution=28).load(INTO).weights
    kept = Clip("ViT-B-32-quickgelu", str(clip_file), "float32").net.state_dict()
    for name, file in (
        (f"{BACKBONE}/model.safetensors", None),
        ("dinov2_vits14_linear_head.pth", head),
        ("ViT-B-32-quickgelu-openai/open_clip_model.safetensors", clip_file),
    ):
        target = tmp_path / "weights" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if file is None:
            save_file(torch.load(dino_file, weights_only=True), target)
        else:
            shutil.copy(file, target)
    monkeypatch.chdir(tmp_path)
    assert Dino(BACKBONE, resolution=28).load(INTO).weights == wanted
    found = Clip("ViT-B-32-quickgelu", "openai", "float32").net.state_dict()
    assert all(torch.equal(value, found[name]) for name, value in kept.items())


def test_without_a_network_the_message_names_file_key_and_command(
    dino_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(FileNotFoundError, match=r"(?s)vit_small.*`hf download timm/vit_small.*verifier.backbone_file"):
        Dino(BACKBONE).load(Surroundings("cpu", cifar10()))
    head = r"(?s)linear head of vit_small.*`wget .*dinov2_vits14_linear_head.pth`.*verifier.head_file=\.\.\."
    monkeypatch.setattr(
        torch.hub, "load_state_dict_from_url", mock.Mock(side_effect=urllib.error.URLError("no network"))
    )
    with pytest.raises(FileNotFoundError, match=head):
        Dino(BACKBONE, str(dino_file), resolution=28).load(INTO)
    with pytest.raises(FileNotFoundError, match=r"(?s)ViT-B-32.*`hf download.*verifier.pretrained"):
        Clip("ViT-B-32-quickgelu", "openai", "float32")


def test_a_file_with_code_in_it_is_not_run(tmp_path: Path, dino_file: Path) -> None:
    evil = tmp_path / "evil.pth"
    torch.save({"weight": Evil(tmp_path / "ran"), "bias": np.zeros(3)}, evil)
    with pytest.raises(ValueError, match="not a file of weights"):
        Dino(BACKBONE, str(dino_file), head_file=str(evil), resolution=28).load(INTO)
    with pytest.raises(ValueError, match=r"verifier.backbone_file=.*evil.pth: not weights of"):
        DinoV2(BACKBONE, str(evil), 28, 1, "float32")
    with pytest.raises(ValueError, match=r"verifier.pretrained=.*evil.pth: not weights of"):
        Clip("ViT-B-32-quickgelu", str(evil), "float32")
    with pytest.raises(ValueError, match=r"metrics.weights=.*evil.pth: not torch-fidelity's Inception"):
        Inception(evil, "cpu")
    assert not (tmp_path / "ran").exists()


def test_a_file_that_lacks_a_tensor_is_refused(tmp_path: Path, dino_file: Path, clip_file: Path) -> None:
    state = torch.load(dino_file, weights_only=True)
    torch.save({name: value for name, value in state.items() if name != "norm.weight"}, tmp_path / "part.pth")
    with pytest.raises(ValueError, match=r"verifier.backbone_file=.*part.pth: not weights of"):
        DinoV2(BACKBONE, str(tmp_path / "part.pth"), 28, 1, "float32")
    clip = load_file(clip_file)
    save_file({k: v for k, v in clip.items() if k != "visual.proj"}, tmp_path / "part.safetensors")
    with pytest.raises(ValueError, match=r"verifier.pretrained=.*part.safetensors: not weights of"):
        Clip("ViT-B-32-quickgelu", str(tmp_path / "part.safetensors"), "float32")
