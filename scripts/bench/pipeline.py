"""diffusers' DiTPipeline beside the same network here: the same random weights, bfloat16, rows and steps."""

import tempfile
from pathlib import Path

import torch
from torch import nn

from noise_search.core.model import Model
from noise_search.core.problem import open_problem
from noise_search.models.published import Published
from noise_search.verifiers.brightness import Brightness
from scripts.bench.timing import Benchmark, Figure, Measured, Options, alternate, ratios, seconds_note
from scripts.make_fake_weights import write_diffusers_dit, write_vae

FIGURES = {
    "peers.diffusers_pipeline": Figure(
        "rows a second here / of diffusers' DiTPipeline: a DiT of B/2's size, 8 rows, equal steps", ">= 1.0"
    )
}
B2 = {"size": 32, "width": 768, "heads": 12, "classes": 1000}


def load_ours(folder: Path, depth: int, rows: int, options: Options) -> Model:
    """The network that diffusers wrote into `folder`, by our loader."""
    settings = Published(
        name="dit_b_2",
        solver="euler",
        kind="dit",
        net={"channels": 4, "patch": 2, "depth": depth, **B2},
        weights=str(folder),
        vae=str(folder / "vae"),
        precision="bfloat16",
        vae_precision="bfloat16",
        rows={"cpu": rows, "cuda": rows},
        decode_rows=rows,
    )
    return settings.load(options.device)


def measure(options: Options) -> dict[str, Measured]:
    from diffusers import AutoencoderKL, DDIMScheduler, DiTPipeline

    depth, rows, steps = options.size(12, 2), options.size(8, 2), options.size(4, 2, 50)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        transformer: nn.Module = write_diffusers_dit(folder, depth, True, **B2)
        write_vae(folder / "vae")
        vae = AutoencoderKL.from_pretrained(folder / "vae")
        model = load_ours(folder, depth, rows, options)
    pipeline = DiTPipeline(transformer, vae, DDIMScheduler()).to(options.device, torch.bfloat16)
    pipeline.set_progress_bar_config(disable=True)
    labels = torch.arange(rows, device=options.device)
    problem = open_problem(model, Brightness(), labels, final_nfe=steps)

    def theirs() -> None:
        pipeline(list(range(rows)), guidance_scale=1.0, num_inference_steps=steps, output_type="np")

    @torch.no_grad()
    def ours() -> None:
        problem.render(problem.noise(0), 1.0).cpu().numpy()

    seconds, own = alternate(options, theirs, ours)
    note = f"{rows} rows, {steps} steps, unguided, a tiny VAE; {seconds_note(diffusers=seconds, here=own)}"
    return {"peers.diffusers_pipeline": Measured(ratios(seconds, own), note)}


BENCHMARK = Benchmark(FIGURES, measure)
