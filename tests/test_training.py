"""The shared training loop: its schedule, its average, and that a killed run takes up where it was."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from noise_search.networks.autoencoder import ConvAutoencoder
from noise_search.storage.weights import load_weights, save_weights
from noise_search.training.loop import Average, learning_rate, train


def test_learning_rate_rises_then_falls_to_zero() -> None:
    rates = [learning_rate(p / 1000, 2.0) for p in range(1001)]
    assert rates[0] == 0 and rates[20] == pytest.approx(2.0) and rates[-1] == pytest.approx(0, abs=1e-12)
    assert rates[:20] == sorted(rates[:20]) and rates[20:] == sorted(rates[20:], reverse=True)


def test_the_average_follows_with_its_decay() -> None:
    net = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(net.weight)
    average = Average(net, 0.9)
    nn.init.ones_(net.weight)
    for step in range(1000, 1005):
        average.update(net, step)
    assert float(average.net.weight.detach()) == pytest.approx(1 - 0.9**5, rel=1e-5)


def run(folder: Path, minutes: float, seen: list[int]) -> dict:
    net = nn.Linear(2, 1)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)

    def loss(step: int) -> dict[str, Tensor]:
        seen.append(step)
        return {"loss": (net(torch.ones(4, 2)) - 3).square().mean()}

    return train(folder, net, [optimizer], loss, minutes, save_every=0.0)[1]


def test_training_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    first: list[int] = []
    spent = run(tmp_path, 0.01, first)
    assert first == list(range(len(first))) and spent["steps"] == len(first)
    again: list[int] = []
    run(tmp_path, 0.01, again)
    assert again == []  # its time was spent
    more: list[int] = []
    assert run(tmp_path, 0.02, more)["minutes"] >= 0.02
    assert more[0] == len(first)


def test_weights_come_back_with_their_card(tmp_path: Path) -> None:
    state = {"a": torch.randn(3, 4), "b": torch.tensor([1.0])}
    save_weights(tmp_path / "w.safetensors", state, {"config": {"x": 1}}, torch.float32)
    loaded, card = load_weights(tmp_path / "w.safetensors", "a")
    assert torch.equal(loaded["a"], state["a"]) and card == {"config": {"x": 1}}
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


def test_files_that_are_not_ours_are_refused(tmp_path: Path) -> None:
    (tmp_path / "half").write_bytes(b"half a file")
    with pytest.raises(ValueError, match="half: not the weights that were expected"):
        load_weights(tmp_path / "half", "a")
    save_weights(tmp_path / "other", {"b": torch.zeros(1)}, {})
    with pytest.raises(ValueError, match="it has no tensor 'a'"):
        load_weights(tmp_path / "other", "a")
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_weights(tmp_path / "absent", "a")


def test_the_autoencoder_starts_at_the_best_linear_code() -> None:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(200, 3, 4, 4, generator=generator)
    images = nn.functional.interpolate(coarse, size=32, mode="bilinear") * 2 - 1
    net = ConvAutoencoder(latent=12, widths=(16, 16, 16), depths=(1, 1, 1))
    before = (net.decode(net.encode(images)) - images).square().mean()
    net.start_at_principal_components(images)
    with torch.no_grad():
        after = (net.decode(net.encode(images)) - images).square().mean()
    patches = nn.functional.unfold(images, 8, stride=8).transpose(1, 2).flatten(0, 1)
    lost = torch.linalg.eigvalsh(torch.cov(patches.T))[:-12].clamp(min=0).sum() / 192
    assert after < 0.1 * before
    assert float(after) == pytest.approx(float(lost), rel=0.15)
