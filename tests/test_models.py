"""The embedded model: its cost, its invariance to batching, its quality."""

from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from noise_search.assets import asset
from noise_search.core.denoiser import Guided, metered_denoiser
from noise_search.core.flow import Flow
from noise_search.core.grid import uniform_grid
from noise_search.core.guidance import Guidance
from noise_search.core.images import images_to_tensor, tensor_to_images
from noise_search.core.model import Model
from noise_search.core.noise import normal
from noise_search.datasets.cifar10 import cifar10, shipped_images
from noise_search.metrics.lite2 import Lite2
from noise_search.models.embedded import EmbeddedSiT
from noise_search.networks.efficientnet import EfficientNetLite
from noise_search.networks.embedded import load_autoencoder, load_sit
from noise_search.networks.sit import SiTNetwork
from noise_search.storage.weights import load_weights
from tests.conftest import counted_multiply_adds

CONFIGS = Path(__file__).parents[1] / "configs"


@pytest.fixture(scope="module")
def model() -> Model:
    return EmbeddedSiT(name="sit_cifar10", precision="float32").load()


@torch.inference_mode()
def samples(
    model: Model, count: int, batch_size: int, scale: float = 1.0, nfe: int = 10
) -> tuple[torch.Tensor, Guided]:
    labels = torch.from_numpy(cifar10().index(range(count)))
    guided = metered_denoiser(model.network, (labels,), (torch.tensor([10]),), Guidance(scale), batch_size)
    flow = Flow(guided, model.interpolant, model.decoder)
    noise = normal(0, range(count), [0] * count, model.shape)
    return flow.decode(flow.solve(noise, uniform_grid(nfe, "heun"), torch.arange(count)).x), guided


def test_configured_multiply_adds_are_the_counted_ones(model: Model) -> None:
    with counted_multiply_adds() as count:
        model.network(torch.randn(2, *model.shape), torch.rand(2), torch.tensor([0, 1]))
    assert OmegaConf.load(CONFIGS / "model/sit_cifar10.yaml").multiply_adds * 2 == count()


def test_weights_that_are_cast_once_change_not_a_bit() -> None:
    """Against autocast, which casts float32 weights in every call: the SiT, the decoder and a verifier's features."""
    ours = EmbeddedSiT(name="sit_cifar10", precision="bfloat16").load()
    autocast = torch.autocast("cpu", torch.bfloat16)
    sit = SiTNetwork(load_sit(asset("sit_cifar10.safetensors")), torch.bfloat16)
    x, t, label = torch.randn(5, *ours.shape), torch.full((5,), 0.4), torch.arange(5)
    coder, images = load_autoencoder(asset("autoencoder.safetensors")), torch.randn(5, 3, 32, 32)
    cast, uncast = EfficientNetLite(0, 96, "bfloat16"), EfficientNetLite(0, 96)
    assert {w.dtype for w in cast.net.conv_stem.parameters()} == {torch.bfloat16}
    uncast.dtype = torch.bfloat16
    with torch.no_grad(), autocast:
        decoded = coder.decode(x).float()
    with torch.no_grad():
        assert torch.equal(ours.network(x, t, label).x0, sit(x, t, label).x0)
        assert torch.equal(ours.decoder(x), decoded) and torch.equal(cast(images), uncast(images))


def test_samples_do_not_depend_on_the_batch_size(model: Model) -> None:
    whole, _ = samples(model, 6, 1000, scale=2.0)
    for batch_size in (1, 5):
        assert torch.allclose(samples(model, 6, batch_size, scale=2.0)[0], whole, atol=1e-3)


def test_network_rows_double_under_guidance_only(model: Model) -> None:
    for scale, factor in ((1.0, 1), (2.0, 2)):
        guided = samples(model, 3, 100, scale, nfe=5)[1]
        assert guided.evaluations.count.tolist() == [5] * 3
        assert guided.network.rows.count.tolist() == [5 * factor] * 3


def test_predictions_recompose_the_point(model: Model) -> None:
    x, t = torch.randn(4, *model.shape), torch.tensor([1.0, 0.6, 0.2, 0.0])
    with torch.inference_mode():
        x0, eps = model.network(x, t, torch.arange(4))
    level = t.view(4, 1, 1, 1)
    assert torch.allclose((1 - level) * x0 + level * eps, x, atol=1e-5)


def test_the_autoencoder_keeps_what_its_card_says(model: Model) -> None:
    images = shipped_images("reference")[0][:200]
    assert model.reconstruct is not None
    with torch.inference_mode():
        coded = tensor_to_images(model.reconstruct(images_to_tensor(images)))
    error = ((coded.astype(float) - images) ** 2).mean()
    card = load_weights(Path(__file__).parents[1] / "noise_search/assets/autoencoder.safetensors", "linear_in.weight")[
        1
    ]
    assert 10 * np.log10(255**2 / error) == pytest.approx(card["measured"]["psnr_test_db"], abs=0.7)


def test_guidance_makes_samples_show_their_class(model: Model) -> None:
    judge, labels = Lite2().load(), cifar10().index(range(40))
    accuracy = []
    for scale in (1.0, 3.0):
        images = tensor_to_images(samples(model, 40, 1000, scale, nfe=12)[0])
        accuracy.append((judge.probabilities(judge.features(images)).argmax(1) == labels).mean())
    assert accuracy[0] > 0.3
    assert accuracy[1] > max(0.6, accuracy[0])
