"""How fast a published architecture runs here, on random weights, beside plain float32 and diffusers' pipeline.

    python scripts/bench_imagenet.py [model=sit_xl_2] [rows=8,16,32,64,128,256] [seconds=3]

Without a GPU the defaults are model=sit_b_2 rows=2,4,8. For every way and number of rows: network rows a second, the
share of the machine's measured bfloat16 matrix rate (2 x multiply-adds a row), and the peak of GPU memory. What
bfloat16 changes in images and choices: `python -m scripts.bench --only precision`.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from noise_search.networks.sit import SiTNetwork
from noise_search.networks.transformer import DiffusionTransformer

CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"
STEPS = 4  # of diffusers' pipeline in one call


def rate(call: Callable[[], object], seconds: float) -> float:
    """Calls a second, after a warm-up of two; the device's queue included."""

    def wait() -> None:
        if CUDA:
            torch.cuda.synchronize()

    for _ in range(2):
        call()
    wait()
    started, calls = time.perf_counter(), 0
    while time.perf_counter() - started < seconds or calls < 3:
        call()
        calls += 1
        wait()
    return calls / (time.perf_counter() - started)


def matrix_rate(seconds: float) -> float:
    """Measured FLOP/s of a large bfloat16 matrix product: two a multiply-add."""
    n = 8192 if CUDA else 2048
    a, b = (torch.randn(n, n, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    return 2 * n**3 * rate(lambda: a @ b, seconds)


def random_net(cfg: DictConfig) -> DiffusionTransformer:
    net = DiffusionTransformer(**cfg.model.net, out_channels=8)
    with torch.no_grad():
        for name, value in net.named_parameters():
            if name != "pos_embed":
                value.normal_(std=0.02)
    return net.to(DEVICE).eval().requires_grad_(False)


def diffusers_pipeline(cfg: DictConfig) -> Callable[[int], object]:
    """STEPS steps of diffusers' DiTPipeline on n rows, bfloat16, unguided; its VAE a tiny one, so as not to count."""
    from diffusers import AutoencoderKL, DDIMScheduler, DiTPipeline, DiTTransformer2DModel

    net = cfg.model.net
    shape = {"sample_size": net.size, "patch_size": net.patch, "num_embeds_ada_norm": net.classes}
    transformer = DiTTransformer2DModel(net.heads, net.width // net.heads, 4, 8, net.depth, **shape)
    vae = AutoencoderKL(block_out_channels=(32,), latent_channels=4, down_block_types=("DownEncoderBlock2D",))
    pipeline = DiTPipeline(transformer, vae, DDIMScheduler()).to(DEVICE, torch.bfloat16)
    pipeline.set_progress_bar_config(disable=True)
    return lambda n: pipeline(list(range(n)), guidance_scale=1.0, num_inference_steps=STEPS, output_type="np")


def ways(cfg: DictConfig) -> dict[str, tuple[int, Callable[[int], object]]]:
    """What is compared: (evaluations a call, call on n rows). The time is the same for all rows, the classes differ, as
    in a search."""
    net, pipeline = random_net(cfg), diffusers_pipeline(cfg)

    def forward(network: SiTNetwork) -> Callable[[int], object]:
        def call(n: int) -> object:
            x = torch.randn(n, 4, cfg.model.net.size, cfg.model.net.size, device=DEVICE)
            return network(x, torch.full((n,), 0.5, device=DEVICE), torch.arange(n, device=DEVICE) % 1000)

        return call

    compiled = SiTNetwork(net, torch.bfloat16)
    compiled.compile()
    return {
        "bfloat16 (autocast)": (1, forward(SiTNetwork(net, torch.bfloat16))),
        "bfloat16, compiled": (1, forward(compiled)),
        "float32 (TF32 on a GPU)": (1, forward(SiTNetwork(net))),
        "diffusers' DiTPipeline": (STEPS, pipeline),
    }


@torch.inference_mode()
def speed(cfg: DictConfig, rows: list[int], seconds: float) -> None:
    torch.set_float32_matmul_precision("high")
    peak = matrix_rate(seconds)
    flops = 2 * cfg.model.multiply_adds
    where = torch.cuda.get_device_name() if CUDA else f"{torch.get_num_threads()} CPU threads"
    print(f"{cfg.model.name} on {where}: {flops / 1e9:.0f} GFLOP a row; matrix rate {peak / 1e12:.2f} TFLOP/s")
    for name, (evaluations, call) in ways(cfg).items():
        for n in rows:
            if CUDA:
                torch.cuda.reset_peak_memory_stats()
            found = n * evaluations * rate(partial(call, n), seconds)
            memory = f", {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB" if CUDA else ""
            print(
                f"  {name:<24} {n:>4} rows: {found:9.1f} rows/s, {found * flops / peak:5.1%} of the matrix rate{memory}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("options", nargs="*", help="model=NAME rows=N,N,... seconds=S")
    options = dict(argument.split("=", 1) for argument in parser.parse_args().options)
    model = options.pop("model", "sit_xl_2" if CUDA else "sit_b_2")
    rows = [int(n) for n in options.pop("rows", "8,16,32,64,128,256" if CUDA else "2,4,8").split(",")]
    seconds = float(options.pop("seconds", 3))
    if options:
        parser.error(f"unknown {', '.join(options)}")
    with initialize_config_dir(str(Path(__file__).parents[1] / "configs"), version_base="1.3"):
        cfg = compose("config", [f"model={model}"])
    speed(cfg, rows, seconds)


if __name__ == "__main__":
    main()
