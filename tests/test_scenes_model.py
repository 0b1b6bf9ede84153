"""The embedded text-to-image model: its cost, its texts, its loader and its training, on tiny random twins."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from noise_search.api import search
from noise_search.assets import FOLDER, asset
from noise_search.core.images import images_to_tensor, tensor_to_images
from noise_search.core.model import Model, load_model
from noise_search.errors import Refused
from noise_search.models.scenes import Scenes
from noise_search.networks.scene_autoencoder import SceneAutoencoder
from noise_search.networks.scene_transformer import SceneTransformer
from noise_search.networks.scenes import load_scene_transformer
from noise_search.scenes.draw import draw
from noise_search.scenes.language import LONGEST, VOCABULARY, padded_numbers, parse, satisfied
from noise_search.scenes.read import read
from noise_search.scenes.sample import draw_pair, kept_caption
from noise_search.storage.atomic import sha256
from noise_search.storage.weights import save_weights
from noise_search.training import loop
from noise_search.training.muon import Muon, orthogonal
from noise_search.training.scenes_set import training_scenes
from tests.conftest import counted_multiply_adds

CONFIGS = Path(__file__).parents[1] / "configs"
TINY = {"channels": 4, "side": 4, "width": 16, "depth": 2, "heads": 2, "text_width": 8, "text_depth": 1}


def tiny() -> SceneTransformer:
    torch.manual_seed(0)
    net = SceneTransformer(**TINY, vocabulary=len(VOCABULARY), longest=LONGEST)
    for parameter in net.parameters():  # what training begins at zero would hide mistakes
        nn.init.normal_(parameter, std=0.3)
    return net


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    folder = tmp_path_factory.mktemp("scenes")
    flow, coder = folder / "flow.safetensors", folder / "autoencoder.safetensors"
    save_weights(flow, tiny().state_dict(), {"config": {"net": TINY}}, torch.float32)
    config = {"latent": 4, "widths": [8, 8, 8]}
    save_weights(coder, SceneAutoencoder(4, (8, 8, 8)).state_dict(), {"config": config}, torch.float32)
    return Scenes(name="tiny", precision="float32", weights=str(flow), autoencoder=str(coder))


@pytest.fixture(scope="module")
def model(settings: Scenes) -> Model:
    return load_model(settings, "cpu")


def test_the_loader_gives_what_the_settings_say(model: Model, settings: Scenes) -> None:
    assert model.shape == settings.shape == (4, 4, 4) and model.classes is None
    assert list(model.weights) == ["flow.safetensors", "autoencoder.safetensors"]
    images = model.decoder(torch.randn(3, *model.shape))
    assert images.shape == (3, 3, 32, 32) and model.reconstruct is not None
    assert model.reconstruct(images).shape == images.shape


def test_the_clean_image_and_the_noise_make_up_the_point(model: Model) -> None:
    x, t = torch.randn(5, *model.shape), torch.linspace(0.1, 0.9, 5)
    found = model.network(x, t, *model.condition(torch.arange(5), ["a red circle"] * 5))
    level = t.view(-1, 1, 1, 1)
    assert torch.allclose((1 - level) * found.x0 + level * found.eps, x, atol=1e-5)


def test_a_caption_means_the_same_beside_longer_ones(model: Model) -> None:
    """Padding is not read, and rows do not see one another."""
    short, long = "a red circle", "a striped red circle, a dotted blue square and a plain green triangle"
    x, t = torch.randn(1, *model.shape), torch.tensor([0.5])
    assert model.encode is not None
    text, bias = model.encode([long, short])
    alone = model.network(x, t, *model.encode([short])).x0
    assert torch.allclose(model.network(x, t, text[1:], bias[1:]).x0, alone, atol=1e-5)
    assert not torch.allclose(model.network(x, t, text[:1], bias[:1]).x0, alone, atol=1e-3)
    moved = text[1:].clone()
    moved[:, 5:] += 1.0
    assert torch.allclose(model.network(x, t, moved, bias[1:]).x0, alone, atol=1e-5)


def test_words_their_order_and_no_words_are_told_apart(model: Model) -> None:
    assert model.encode is not None
    texts = ["a red circle and a blue square", "a blue circle and a red square", "a circle above a square", ""]
    x, t = torch.randn(1, *model.shape).expand(4, -1, -1, -1), torch.full((4,), 0.5)
    found = model.network(x, t, *model.encode(texts)).x0
    assert found.isfinite().all()
    assert min(float((found[i] - found[j]).abs().max()) for i in range(4) for j in range(i)) > 1e-3
    with pytest.raises(Refused, match="'fox' is not a word of scenes"):
        model.encode(["a red fox"])


def test_a_search_finds_better_pictures_for_captions(settings: Scenes) -> None:
    def dark(images: Tensor, texts: list[str]) -> Tensor:
        assert images.shape[1:] == (3, 32, 32) and len(texts) == len(images)
        return -images.mean((1, 2, 3))

    texts = ["a red circle", "two blue squares", "a red circle"]
    one, best = (search(settings, texts, dark, n=n, search_nfe=4, final_nfe=4, cfg_scale=2.0) for n in (1, 6))
    assert list(best.texts) == texts and best.nfe == 24
    assert (best.scores >= one.scores).all() and (best.scores > one.scores).any()
    assert best.images[0].size == (32, 32) and best.images[0].tobytes() != best.images[2].tobytes()


def test_training_scenes_are_drawn_once_and_show_nothing_that_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "scenes.npz"
    images, words = training_scenes(path, 50, seed=3)
    before = path.stat().st_mtime_ns
    again = training_scenes(path, 50, seed=3)
    assert path.stat().st_mtime_ns == before and np.array_equal(images, again[0]) and np.array_equal(words, again[1])
    assert images.shape == (50, 32, 32, 3) and words.shape == (50, LONGEST)
    texts = [" ".join(VOCABULARY[word] for word in row if word).replace(" ,", ",") for row in words]
    assert np.array_equal(padded_numbers(texts), words) and not any(kept_caption(parse(text)) for text in texts)
    with pytest.raises(ValueError, match="50 scenes, 60 are asked for"):
        training_scenes(path, 60, seed=3)


def test_muon_makes_its_steps_orthogonal() -> None:
    for shape in ((6, 20), (20, 6)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(*shape)))
        assert values.min() > 0.5 and values.max() < 1.3


class Killed(Exception):
    pass


def trained(folder: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int | None = None) -> SceneTransformer:
    """Ten steps, by a clock that ticks once a step, a tenth of a minute."""
    ticks = iter(range(10**6))
    monkeypatch.setattr(loop.time, "monotonic", lambda: 6.0 * next(ticks))
    net = tiny()
    matrices = [p for k, p in net.named_parameters() if "blocks" in k and k.endswith("weight") and p.ndim == 2]
    rest = [p for p in net.parameters() if all(p is not m for m in matrices)]
    words = torch.from_numpy(padded_numbers(["a red circle", "two blue squares"])).long()

    def loss(step: int) -> dict[str, Tensor]:
        if step == killed_at:
            raise Killed
        x = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(step))
        return {"loss": (net.velocity(x, torch.tensor([0.3, 0.7]), *net.text(words)) - x).square().mean()}

    optimizers = [torch.optim.AdamW(rest, lr=1e-3), Muon(matrices, lr=1e-3)]
    average, spent = loop.train(folder, net, optimizers, loss, 1.0, save_every=0.0)
    assert spent["steps"] == 10
    return average.net  # type: ignore[return-value]


def test_resumed_training_equals_unbroken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trained(tmp_path / "whole", monkeypatch)
    with pytest.raises(Killed):
        trained(tmp_path / "broken", monkeypatch, killed_at=4)
    resumed = trained(tmp_path / "broken", monkeypatch)
    for (name, a), b in zip(whole.named_parameters(), resumed.named_parameters(), strict=True):
        assert torch.equal(a, b[1]), name


@pytest.fixture(scope="module")
def shipped() -> Model:
    return load_model(Scenes(name="scenes", precision="float32"), "cpu")


def test_the_shipped_model_is_small(shipped: Model) -> None:
    files = [path for path in FOLDER.iterdir() if path.name.startswith("scenes")]
    assert set(shipped.weights) <= {path.name for path in files} and sum(path.stat().st_size for path in files) < 25e6
    net = load_scene_transformer(asset("scenes_flow.safetensors"), len(VOCABULARY), LONGEST)
    assert sum(parameter.numel() for parameter in net.parameters()) == 1_458_624 <= 8e6
    assert shipped.encode is not None
    text = shipped.encode(["a red circle", "two squares"])
    with counted_multiply_adds() as count:
        shipped.network(torch.randn(2, *shipped.shape), torch.rand(2), *text)
    assert OmegaConf.load(CONFIGS / "model/scenes.yaml").model.multiply_adds * 2 == count() <= 2 * 150e6


def test_the_shipped_autoencoder_keeps_what_is_drawn(shipped: Model) -> None:
    rng = np.random.default_rng(4)
    pairs = [draw_pair(rng) for _ in range(60)]
    assert shipped.reconstruct is not None
    images = shipped.reconstruct(images_to_tensor(draw([objects for _, objects in pairs])))
    found = read(tensor_to_images(images))
    right = [reading.clear and satisfied(pair[0], reading.objects) for reading, pair in zip(found, pairs, strict=True)]
    assert np.mean(right) >= 0.95


def test_the_results_are_of_the_weights_that_are_shipped() -> None:
    """docs/results/text.md names each file with the first digits of its sha256."""
    told = re.findall(r"(\w+\.safetensors):([0-9a-f]{16})", (CONFIGS.parent / "docs/results/text.md").read_text())
    assert len(told) == 4 and all(sha256(asset(name)).startswith(digits) for name, digits in told)
