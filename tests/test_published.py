"""SiT and DiT from files of the published formats: against the published equations, written out once more."""

import argparse
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from noise_search.core.denoiser import Network, Prediction, metered_denoiser
from noise_search.core.flow import Flow
from noise_search.core.grid import uniform_grid
from noise_search.core.guidance import Guidance
from noise_search.core.interpolant import DDPMInterpolant
from noise_search.core.model import Model
from noise_search.models.published import Published
from noise_search.networks.checkpoints import load_transformer
from noise_search.networks.compiled import compile_network
from noise_search.networks.dit import DiTNetwork
from noise_search.networks.sit import SiTNetwork
from noise_search.networks.transformer import DiffusionTransformer
from scripts.make_fake_weights import transformer_state, write_diffusers_dit, write_vae
from tests.conftest import Evil, make_setup

SMALL = {"size": 8, "width": 96, "heads": 6, "classes": 10}
NET = {"channels": 4, "size": 8, "patch": 2, "width": 96, "depth": 2, "heads": 6, "classes": 10}


def random_state(out_channels: int = 8, seed: int = 0) -> dict[str, Tensor]:
    return transformer_state(out_channels=out_channels, seed=seed, **NET)


def restated(
    state: dict[str, Tensor], x: Tensor, time: float, label: int, shift: int = 0, norm2_eps: float = 1e-6
) -> Tensor:
    """One image [4, 8, 8] through the published network, in float64 and straight lines -> [out_channels, 8, 8]."""
    w = {name: value.double() for name, value in state.items()}

    def linear(name: str, v: Tensor) -> Tensor:
        return v @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def silu(v: Tensor) -> Tensor:
        return v / (1 + torch.exp(-v))

    def norm(v: Tensor, eps: float) -> Tensor:
        return (v - v.mean(1, keepdim=True)) / (v.var(1, unbiased=False, keepdim=True) + eps).sqrt()

    def gelu(v: Tensor) -> Tensor:
        return 0.5 * v * (1 + torch.tanh((2 / math.pi) ** 0.5 * (v + 0.044715 * v**3)))

    side, heads, width = 4, NET["heads"], NET["width"]
    tokens = []
    for row in range(side):
        for column in range(side):
            patch = x[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].reshape(-1)
            embedded = w["x_embedder.proj.weight"].reshape(width, -1) @ patch + w["x_embedder.proj.bias"]
            place = []
            for position in (column, row):
                angles = [position / 10000 ** (i / (width // 4)) for i in range(width // 4)]
                place += [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
            tokens.append(embedded + torch.tensor(place, dtype=torch.float64))
    h = torch.stack(tokens)
    angles = [time * math.exp(-math.log(10000) * i / (128 - shift)) for i in range(128)]
    waves = torch.tensor([[math.cos(a) for a in angles] + [math.sin(a) for a in angles]], dtype=torch.float64)
    c = linear("t_embedder.mlp.2", silu(linear("t_embedder.mlp.0", waves)))
    c = c + w["y_embedder.embedding_table.weight"][label]
    for i in range(NET["depth"]):
        m = linear(f"blocks.{i}.adaLN_modulation.1", silu(c)).view(6, 1, width)
        q, k, v = linear(f"blocks.{i}.attn.qkv", norm(h, 1e-6) * (1 + m[1]) + m[0]).view(16, 3, heads, -1).unbind(1)
        mixed = []
        for head in range(heads):
            scores = q[:, head] @ k[:, head].T / (width // heads) ** 0.5
            weights = torch.exp(scores) / torch.exp(scores).sum(1, keepdim=True)
            mixed.append(weights @ v[:, head])
        h = h + m[2] * linear(f"blocks.{i}.attn.proj", torch.cat(mixed, 1))
        inner = gelu(linear(f"blocks.{i}.mlp.fc1", norm(h, norm2_eps) * (1 + m[4]) + m[3]))
        h = h + m[5] * linear(f"blocks.{i}.mlp.fc2", inner)
    m = linear("final_layer.adaLN_modulation.1", silu(c)).view(2, 1, width)
    patches = linear("final_layer.linear", norm(h, 1e-6) * (1 + m[1]) + m[0])
    out = torch.zeros(patches.shape[1] // 4, 8, 8, dtype=torch.float64)
    for n, patch in enumerate(patches):
        row, column = divmod(n, side)
        out[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] = patch.view(2, 2, -1).permute(2, 0, 1)
    return out


CASES = [(1.0, 3), (0.7, 10), (0.31, 0), (0.0, 9)]  # (t, label): 10 is "no class"


@pytest.mark.parametrize("out_channels", [4, 8])
def test_sit_is_the_published_network(tmp_path: Path, out_channels: int) -> None:
    state = random_state(out_channels)
    torch.save(state, tmp_path / "sit.pt")
    network = SiTNetwork(load_transformer(tmp_path / "sit.pt", "sit", NET))
    x = torch.randn(len(CASES), 4, 8, 8, generator=torch.Generator().manual_seed(1))
    t, label = torch.tensor([c[0] for c in CASES]), torch.tensor([c[1] for c in CASES])
    with torch.no_grad():
        x0, eps = network(x, t, label)
    for n, (time, k) in enumerate(CASES):
        velocity = restated(state, x[n].double(), 1 - time, k)[:4]  # in SiT's own time, d x / d (1 - t)
        assert torch.allclose(x0[n].double(), x[n] + time * velocity, atol=2e-5)
        assert torch.allclose(eps[n].double(), x[n] - (1 - time) * velocity, atol=2e-5)


def test_dit_is_the_published_network_at_whole_and_broken_indices(tmp_path: Path) -> None:
    state = random_state()
    save_file(state, tmp_path / "dit.safetensors")
    network = DiTNetwork(load_transformer(tmp_path / "dit.safetensors", "dit", NET))
    kept = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)
    x = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    for index in (999.0, 500.0, 499.25, 0.0):
        with torch.no_grad():
            x0, eps = network(x, torch.full((4,), (index + 1) / 1000), torch.tensor([0, 3, 9, 10]))
        for n, k in enumerate((0, 3, 9, 10)):
            noise = restated(state, x[n].double(), index, k)[:4]
            assert torch.allclose(eps[n].double(), noise, atol=1e-4)
            if index.is_integer():
                a2 = kept[int(index)]
                expected = (x[n] - (1 - a2).sqrt() * noise) / a2.sqrt()
                assert torch.allclose(x0[n].double(), expected, rtol=1e-4, atol=1e-4 / float(a2.sqrt()))


def test_the_ddpm_path_is_its_table_at_whole_indices_and_clean_at_zero() -> None:
    path, kept = DDPMInterpolant(), torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)
    for dtype in (torch.float32, torch.float64):
        t = (torch.arange(1000, dtype=torch.float64) + 1).div(1000).to(dtype)
        assert torch.equal(path.index(t), torch.arange(1000, dtype=torch.float64))
        assert torch.allclose(path.signal(t) ** 2, kept, rtol=1e-12)
        assert torch.allclose(path.noise(t) ** 2, 1 - kept, rtol=1e-9)
    between = torch.linspace(0, 1, 12_345, dtype=torch.float64)
    assert torch.allclose(path.signal(between) ** 2 + path.noise(between) ** 2, torch.ones_like(between))
    assert (path.noise(between).diff() > 0).all() and path.noise(between[:1]) == 0


class ExactNoise(torch.nn.Module):
    """The mixture's exact noise prediction behind DiT's own convention: an index, and variances after the noise."""

    channels, classes = 1, 2

    def __init__(self, exact: object) -> None:
        super().__init__()
        self.exact = exact

    def forward(self, x: Tensor, index: Tensor, label: Tensor, rows: None = None) -> Tensor:
        eps = self.exact(x, (index.double() + 1).div(1000).to(x.dtype), label).eps
        return torch.cat([eps, 7 * torch.ones_like(eps)], 1)


def test_a_noise_predictor_samples_the_exact_mixture() -> None:
    """The whole frame around DiT: only the last 0.01 of noise, where the table ends, may differ."""
    exact, framed = make_setup(images=200, path="ddpm"), make_setup(images=200, path="ddpm")
    framed.guided.network.network = DiTNetwork(ExactNoise(exact.spy.network))
    x, who = exact.problem.noise(0), torch.arange(200)
    for nfe in (50, 51):
        ends = [s.problem.flow.solve(x, s.problem.grid(nfe), who).x for s in (exact, framed)]
        assert (ends[0] - ends[1]).abs().max() < 0.03 and (ends[0] - ends[1]).square().mean().sqrt() < 0.01


@pytest.mark.parametrize("safe", [True, False])
def test_diffusers_folders_give_what_diffusers_gives(tmp_path: Path, safe: bool) -> None:
    theirs = write_diffusers_dit(tmp_path, safe=safe, **SMALL)
    network = DiTNetwork(load_transformer(tmp_path, "dit", NET))
    x = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    label = torch.tensor([0, 10, 4])
    for index in (999, 250, 0):
        with torch.no_grad():
            expected = theirs(x, torch.full((3,), index), class_labels=label).sample[:, :4]
            found = network(x, torch.full((3,), (index + 1) / 1000), label).eps
        assert torch.allclose(found, expected, atol=1e-5)
    state = load_transformer(tmp_path, "dit", NET).state_dict()
    eps = restated(state, x[0].double(), 250, 0, shift=1, norm2_eps=1e-5)[:4]
    with torch.no_grad():
        assert torch.allclose(network(x[:1], torch.tensor([0.251]), label[:1]).eps[0].double(), eps, atol=1e-4)


def test_training_checkpoints_give_their_average(tmp_path: Path) -> None:
    ema, model = random_state(seed=1), random_state(seed=2)
    whole = {"model": model, "ema": ema, "opt": {"state": {}}, "args": argparse.Namespace(model="SiT-XL/2")}
    torch.save(whole, tmp_path / "whole.pt")
    net = load_transformer(tmp_path / "whole.pt", "sit", NET)
    assert all(torch.equal(value, ema[name]) for name, value in net.state_dict().items())


def test_wrong_files_are_refused_by_what_they_hold(tmp_path: Path) -> None:
    state = random_state()
    torch.save(state, tmp_path / "good.pt")

    def refused(name: str, words: str, kind: str = "sit", **sizes: int) -> None:
        with pytest.raises((ValueError, FileNotFoundError), match=words) as caught:
            load_transformer(tmp_path / name, kind, NET | sizes)
        assert name in str(caught.value) and "\n" not in str(caught.value)

    refused("nowhere.pt", "no such file")
    refused("good.pt", "'width': 96.*not.*'width': 1152", width=1152)
    refused("good.pt", "'classes': 10.*not.*'classes': 1000", classes=1000)
    refused("good.pt", "'size': 8.*not.*'size': 16", size=16)
    whole = (tmp_path / "good.pt").read_bytes()
    (tmp_path / "short.pt").write_bytes(whole[: len(whole) // 2])
    refused("short.pt", "damaged or")
    (tmp_path / "text.pt").write_text("not weights at all")
    refused("text.pt", "damaged")
    torch.save({"ema": {"x": Evil(tmp_path / "harm")}}, tmp_path / "evil.pt")
    refused("evil.pt", r"wants to run \S*system")
    assert not (tmp_path / "harm").exists()
    torch.save([1, 2], tmp_path / "list.pt")
    refused("list.pt", "no state dict")
    torch.save({"model": state, "opt": {}}, tmp_path / "raw.pt")  # the average is never silently missing
    refused("raw.pt", "no training checkpoint's ema")
    for out_channels in (1, 1.5, 16):
        last = {
            f"final_layer.linear.{n}": torch.ones(int(4 * out_channels), *s)
            for n, s in (("weight", (96,)), ("bias", ()))
        }
        torch.save(state | last, tmp_path / "last.pt")
        refused("last.pt", rf"last layer gives {out_channels:g} channels, not 4, or with variances twice as many")
    torch.save(state | {"x_embedder.proj.weight": torch.ones(96)}, tmp_path / "flat.pt")
    refused("flat.pt", "not a SiT or DiT")
    with pytest.raises(ValueError, match="a width of 96 is not shared by 5 heads"):
        load_transformer(tmp_path / "good.pt", "sit", NET | {"heads": 5})
    torch.save({"weight": torch.ones(2)}, tmp_path / "head.pt")
    refused("head.pt", "not a SiT or DiT")
    torch.save({k: v for k, v in state.items() if k != "blocks.1.mlp.fc2.bias"}, tmp_path / "part.pt")
    refused("part.pt", "blocks.1.mlp.fc2.bias")
    torch.save(random_state(4), tmp_path / "velocity.pt")
    refused("velocity.pt", "this is a SiT", kind="dit")
    (tmp_path / "bad.safetensors").write_bytes(b"1234567890")
    refused("bad.safetensors", "damaged")
    write_diffusers_dit(tmp_path, **SMALL)
    refused("transformer", "but model.kind=sit")
    refused("transformer", "'size': 8.*not.*'size': 16", kind="dit", size=16)
    config = tmp_path / "transformer/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"sample_size": 16}))
    refused("transformer", "'size': 16.*not.*'size': 8", kind="dit")
    good = {**json.loads(config.read_text()), "sample_size": 8}
    wrong = {
        "sample_size='8'": {"sample_size": "8"},
        "norm_eps=0": {"norm_eps": 0},
        "num_attention_heads=3, but model.net.heads=6": {"num_attention_heads": 3},
        "num_layers=9, but model.net.depth=2": {"num_layers": 9},
        "a UNet2DModel, not a": {"_class_name": "UNet2DModel"},
    }
    for words, changed in wrong.items():
        config.write_text(json.dumps(good | changed))
        refused("transformer", f"config.json: .*{words}", kind="dit")
    for text in (b"{", b"\xff\xfe", b"[1, 2]"):
        config.write_bytes(text)
        refused("transformer", "config.json: not diffusers' config.json", kind="dit")
    config.write_text(json.dumps(good))
    file = tmp_path / "transformer/diffusion_pytorch_model.safetensors"
    save_file(load_file(file) | {"extra.weight": torch.ones(1)}, file)
    refused("transformer", "has no extra.weight", kind="dit")
    config.unlink()
    refused("transformer", "config.json", kind="dit")
    (tmp_path / "empty").mkdir()
    refused("empty", "diffusion_pytorch_model", kind="dit")
    with pytest.raises(ValueError, match=r"model.kind='unet'"):
        load_transformer(tmp_path / "good.pt", "unet", NET)


def tiny(folder: Path, kind: str = "sit") -> Model:
    torch.save(random_state(), folder / f"{kind}.pt")
    write_vae(folder / "vae")
    files = (str(folder / f"{kind}.pt"), str(folder / "vae"), "float32", "float32")
    names = ("weights", "vae", "precision", "vae_precision")
    own = dict(zip(names, files, strict=True)) | {"rows": {"cpu": 8, "cuda": 8}, "decode_rows": 2}
    return Published(name="tiny", kind=kind, net=NET, **own).load()


@pytest.mark.parametrize("scale", [1.0, 1.5])
@pytest.mark.parametrize("kind", ["sit", "dit"])
def test_250_nfe_are_250_evaluations(tmp_path: Path, kind: str, scale: float) -> None:
    """Two images; under guidance each evaluation has their rows twice, without it there is no second pass."""
    model = tiny(tmp_path, kind)
    rows: list[int] = []
    model.network.net.final_layer.register_forward_hook(lambda _m, given, _out: rows.append(len(given[0])))
    condition, null = (torch.tensor([3, 9]),), model.null(torch.device("cpu"))
    denoiser = metered_denoiser(model.network, condition, null, Guidance(scale), model.batch_size)
    flow = Flow(denoiser, model.interpolant, model.decoder)
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        end = flow.solve(x, uniform_grid(250, "heun"), torch.arange(2)).x
    assert rows == [2 if scale == 1.0 else 4] * 250
    assert end.isfinite().all() and denoiser.network.rows.count.tolist() == [250 if scale == 1.0 else 500] * 2


def test_modulations_are_computed_once_for_each_class(tmp_path: Path) -> None:
    """Rows share a time; what is made for each of their classes is what a row alone gets."""
    network = tiny(tmp_path).network
    rows: list[int] = []
    for block in network.net.blocks:
        block.adaLN_modulation.register_forward_hook(lambda _m, given, _out: rows.append(len(given[0])))
    x = torch.randn(6, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    label, t = torch.tensor([3, 3, 5, 9]), torch.full((6,), 0.5)
    denoiser = metered_denoiser(network, (label,), (torch.tensor([10]),), Guidance(1.5), 100)
    with torch.no_grad():
        denoiser(x, t, torch.tensor([0, 0, 1, 1, 2, 0]))
        assert rows == [3, 3]  # classes 3 and 5, and none; nobody wants 9
        together = denoiser.network(x, t, torch.tensor([0, 0, 1, 1, 2, 4]), torch.tensor([0, 0, 1, 1, 2, 0]))
        for i, own in enumerate((3, 3, 3, 3, 5, 10)):
            alone = network(x[i : i + 1], t[i : i + 1], torch.tensor([own]))
            assert torch.allclose(together.x0[i : i + 1], alone.x0, atol=1e-5)


def test_files_of_other_precisions_are_read_as_float32(tmp_path: Path) -> None:
    state = random_state()
    for name, precision in (("single", torch.float32), ("double", torch.float64)):
        torch.save({k: v.to(precision) for k, v in state.items()}, tmp_path / f"{name}.pt")
    one, other = (load_transformer(tmp_path / f"{name}.pt", "sit", NET).state_dict() for name in ("single", "double"))
    assert all(torch.equal(value, other[name]) and value.dtype == torch.float32 for name, value in one.items())


def test_compiling_changes_only_the_speed(tmp_path: Path) -> None:
    eager, compiled = tiny(tmp_path).network, tiny(tmp_path).network
    compile_network(compiled)

    def call(network: Network, n: int) -> Prediction:
        x = torch.randn(n, 4, 8, 8, generator=torch.Generator().manual_seed(n))
        return network(x, torch.full((n,), 0.4), torch.arange(n))

    with torch.no_grad():
        if shutil.which("g++") is None:
            with pytest.raises(RuntimeError, match="No working C\\+\\+ compiler"):
                call(compiled, 3)
            return
        for n in (6, 3):
            for found, expected in zip(call(compiled, n), call(eager, n), strict=True):
                assert torch.allclose(found, expected, atol=1e-4)


@pytest.mark.slow
def test_a_full_size_file_loads_without_a_second_copy_in_memory(tmp_path: Path) -> None:
    """SiT-XL/2 as published, 2.7 GB: who loads it grows by less than 1.3 times its size (meta device, mmap)."""
    sizes = {"channels": 4, "size": 32, "patch": 2, "width": 1152, "depth": 28, "heads": 16, "classes": 1000}
    with torch.device("meta"):
        shapes = {k: v.shape for k, v in DiffusionTransformer(**sizes, out_channels=8).state_dict().items()}
    assert len(shapes) == 292 and sum(math.prod(shape) for shape in shapes.values()) == pytest.approx(
        675.13e6, rel=1e-3
    )
    path = tmp_path / "SiT-XL-2-256x256.pt"
    torch.save({k: torch.full(shape, 0.01) for k, shape in shapes.items()}, path)
    script = f"""
import re
from pathlib import Path
from noise_search.core.denoiser import Network, Prediction
from noise_search.networks.checkpoints import load_transformer

def peak():  # KiB, of this process alone
    return int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text()).group(1))

before = peak()
net = load_transformer(Path({str(path)!r}), "sit", {sizes!r})
touched = sum(float(p.sum()) for p in net.parameters())  # reads every page
print((peak() - before) * 1024)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert 0 < int(done.stdout) < 1.3 * path.stat().st_size
