"""The families on DDPM's table and those whose own scheduler is replaced: with n = 1 they make what they make alone."""

import functools
import itertools
import logging
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from noise_search import from_diffusers, search
from noise_search.algorithms.paths import Paths
from noise_search.core.guidance import Guidance
from noise_search.core.images import tensor_to_images
from noise_search.core.model import Model
from noise_search.core.problem import open_problem
from noise_search.verifiers.brightness import Brightness
from tests.tiny_pipelines import WARNINGS, tiny

pytestmark = [pytest.mark.filterwarnings(warning) for warning in WARNINGS]
PROMPTS = ["a red fox", "two cubes on snow"]
SIZE = {"height": 32, "width": 32}
pipeline = functools.cache(tiny)  # whoever changes one makes another
EXACT = {"use_resolution_binning": False}


def schedulers() -> dict[str, Any]:
    import diffusers

    return {
        name: getattr(diffusers, name)
        for name in ("DDIMScheduler", "EulerDiscreteScheduler", "FlowMatchEulerDiscreteScheduler")
    }


def theirs(pipe: Any, noise: Tensor, steps: int, **said: Any) -> tuple[Tensor, np.ndarray]:
    """Latents [B, ...] and images uint8 [B, H, W, 3] of the pipeline itself, from the same noise."""
    given = {"prompt": PROMPTS, "num_inference_steps": steps, **said}
    latents = pipe(**given, latents=noise.clone(), output_type="latent").images
    images = pipe(**given, latents=noise.clone(), output_type="np").images
    return latents, (images * 255).round().astype(np.uint8)


def ours(model: Model, noise: Tensor, index: tuple[int, ...] = (0, 0)) -> Tensor:
    """Latents of a full run from noise [B, ...], by the model's own numbers."""
    assert model.steps and model.guidance is not None
    guidance, texts = Guidance(model.guidance), PROMPTS if model.classes is None else ()
    problem = open_problem(model, Brightness(), torch.tensor(index), guidance=guidance, texts=texts, batch_size=8)
    with torch.no_grad():
        return problem.flow.solve(noise, problem.grid(model.steps), problem.who(1)).x


def noise_of(model: Model) -> Tensor:
    return torch.randn(2, *model.shape, generator=torch.Generator().manual_seed(3))


def compared(pipe: Any, steps: int = 5, size: dict[str, int] = SIZE, run: Any = None, **said: Any) -> Tensor:
    """run: the pipeline to compare with, by default the same. said: to the pipeline, and what we are told too."""
    told = {name: value for name, value in said.items() if name == "negative_prompt"}
    guidance = said.get("guidance_scale")
    model = from_diffusers(pipe, steps=steps, guidance=guidance, **size, **told)
    noise = noise_of(model)
    latents, images = theirs(run or pipe, noise, steps, **size, **said)
    x = ours(model, noise)
    assert (x - latents).abs().max() < 3e-5 * latents.abs().max()
    with torch.no_grad():
        pixels = tensor_to_images(model.decoder(x).clamp(-1, 1))
    assert pixels.shape == images.shape and np.abs(pixels.astype(int) - images).max() <= 1
    assert np.ptp(images) > 10
    return x


@pytest.mark.parametrize("size", [SIZE, {"height": 48, "width": 24}])
def test_sdxl_is_its_own_pipeline(size: dict[str, int]) -> None:
    compared(pipeline("sdxl"), size=size)


def test_sdxl_has_an_empty_condition_of_zeros_or_a_negative_prompt() -> None:
    pipe = pipeline("sdxl")
    zeros = compared(pipe, guidance_scale=7.0)
    empty = compared(pipe, guidance_scale=7.0, negative_prompt="")
    fog = compared(pipe, guidance_scale=7.0, negative_prompt="fog")
    plain = compared(pipe, guidance_scale=1.0)
    assert all((zeros - other).abs().max() > 1e-3 for other in (empty, fog, plain))


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_sdxl_with_other_settings_of_euler(spacing: str, prediction: str) -> None:
    pipe = tiny("sdxl")
    config, euler = pipe.scheduler.config, schedulers()["EulerDiscreteScheduler"]
    pipe.scheduler = euler.from_config(config, timestep_spacing=spacing, prediction_type=prediction)
    compared(pipe, steps=7)


def test_sdxl_with_the_noise_levels_of_karras() -> None:
    pipe = tiny("sdxl")
    config, euler = pipe.scheduler.config, schedulers()["EulerDiscreteScheduler"]
    pipe.scheduler = euler.from_config(config, timestep_spacing="trailing", use_karras_sigmas=True)
    compared(pipe, steps=7)


def test_euler_stands_in_for_a_multistep_scheduler_of_sdxl(caplog: pytest.LogCaptureFixture) -> None:
    from diffusers import DPMSolverMultistepScheduler

    pipe = tiny("sdxl")
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    with caplog.at_level(logging.WARNING, "noise_search"):
        compared(pipe, run=pipeline("sdxl"), steps=7)
    assert "EulerDiscreteScheduler stands in" in caplog.text


def test_sdxl_with_ddim_that_ends_at_the_first_noise_level() -> None:
    pipe = tiny("sdxl")
    more = {"clip_sample": False, "set_alpha_to_one": False}
    pipe.scheduler = schedulers()["DDIMScheduler"].from_config(pipe.scheduler.config, **more)
    compared(pipe, steps=7)


@pytest.mark.parametrize("name", ["DDIMScheduler", "EulerDiscreteScheduler"])
@pytest.mark.parametrize("size", [SIZE, {"height": 48, "width": 24}])
def test_pixart_is_its_own_pipeline_with_ddim_or_euler_in_it(name: str, size: dict[str, int]) -> None:
    pipe = tiny("pixart_sigma")
    settings = {"timestep_spacing": "trailing"} | ({"clip_sample": False} if name == "DDIMScheduler" else {})
    pipe.scheduler = schedulers()[name].from_config(pipe.scheduler.config, **settings)
    compared(pipe, size=size, **EXACT)
    fog = compared(pipe, size=size, negative_prompt="fog", **EXACT)
    assert (fog - compared(pipe, size=size, guidance_scale=1.0, **EXACT)).abs().max() > 1e-3


def test_ddim_stands_in_for_the_scheduler_of_pixart(caplog: pytest.LogCaptureFixture) -> None:
    pipe, run = pipeline("pixart_sigma"), tiny("pixart_sigma")
    settings = {"timestep_spacing": "trailing", "clip_sample": False}
    run.scheduler = schedulers()["DDIMScheduler"].from_config(pipe.scheduler.config, **settings)
    with caplog.at_level(logging.WARNING, "noise_search"):
        compared(pipe, run=run, **EXACT)
    assert "DPMSolverMultistepScheduler cannot be branched" in caplog.text and "DDIMScheduler stands in" in caplog.text


@pytest.mark.parametrize("size", [SIZE, {"height": 64, "width": 32}])
def test_euler_stands_in_for_the_scheduler_of_sana(size: dict[str, int]) -> None:
    pipe, run, steps = pipeline("sana"), tiny("sana"), 5
    run.scheduler = schedulers()["FlowMatchEulerDiscreteScheduler"](shift=3.0)
    exact = {"sigmas": np.linspace(1, 1 / steps, steps), **EXACT}
    compared(pipe, run=run, steps=steps, size=size, **exact)
    fog = compared(pipe, run=run, steps=steps, size=size, negative_prompt="fog", **exact)
    assert (fog - compared(pipe, run=run, steps=steps, size=size, guidance_scale=1.0, **exact)).abs().max() > 1e-3


def test_sana_with_euler_of_its_own() -> None:
    pipe = tiny("sana")
    pipe.scheduler = schedulers()["FlowMatchEulerDiscreteScheduler"](shift=3.0)
    compared(pipe, **EXACT)


def test_the_end_of_a_text_that_sana_does_not_read_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Its instruction takes one of the 300 tokens, the beginning of the text another."""
    model = from_diffusers(pipeline("sana"), **SIZE)
    for length, cut in ((298, False), (299, True)):
        caplog.clear()
        first, second = (model.condition(torch.zeros(1), ["x" * (length - 1) + end])[0] for end in "ab")
        assert first.equal(second) == cut == ("ends unread" in caplog.text)


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_dit_is_its_own_pipeline(guidance: float) -> None:
    pipe, classes, steps = pipeline("dit"), [207, 360], 6
    model = from_diffusers(pipe, steps=steps, guidance=guidance)
    noise = torch.randn(2, *model.shape, generator=torch.Generator().manual_seed(3))
    said = {"num_inference_steps": steps, "guidance_scale": guidance, "output_type": "np"}
    images = pipe(class_labels=classes, generator=torch.Generator().manual_seed(3), **said).images
    x = ours(model, noise, tuple(classes))
    with torch.no_grad():
        pixels = tensor_to_images(model.decoder(x).clamp(-1, 1))
    assert np.abs(pixels.astype(int) - (images * 255).round()).max() <= 1 and np.ptp(images) > 0.1
    assert (ours(model, noise, (1, 2)) - x).abs().max() > 1e-3
    assert model.classes == 1000 and model.class_set == "imagenet1k" and model.shape == (4, 8, 8)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"prediction_type": "sample"}, "prediction_type=sample: one of epsilon, v_prediction"),
        ({"final_sigmas_type": "sigma_min"}, "final_sigmas_type=sigma_min: zero"),
        ({"interpolation_type": "log_linear"}, "interpolation_type=log_linear: linear"),
        ({"rescale_betas_zero_snr": True}, "rescale_betas_zero_snr=True: false"),
    ],
)
def test_settings_of_a_scheduler_that_are_refused(settings: dict[str, Any], line: str) -> None:
    pipe = tiny("sdxl")
    pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, **settings)
    with pytest.raises(ValueError, match=r"pipe\.scheduler\.config\." + line):
        from_diffusers(pipe)


def test_ddim_that_clips_latents_is_refused() -> None:
    pipe = tiny("dit")
    pipe.scheduler = type(pipe.scheduler)(clip_sample=True)
    with pytest.raises(ValueError, match=r"clip_sample=True: false"):
        from_diffusers(pipe)
    with pytest.raises(ValueError, match="height=64: 32, the only size of this pipeline"):
        from_diffusers(pipeline("dit"), height=64)


@pytest.mark.parametrize("family", ["sdxl", "dit"])
def test_parts_of_the_way_of_a_table_that_does_not_begin_at_its_end(family: str) -> None:
    """What paths are made of: legs down from t = 1 and back from a time between two knots."""
    schedule = from_diffusers(pipeline(family), steps=4).schedule
    whole, leg, rest = schedule(4, solver="euler"), schedule(3, 1.0, 0.3, "euler"), schedule(3, 0.8, 0.0, "euler")
    offset = 0.002 if family == "sdxl" else 0.001
    assert whole.times == pytest.approx([0.75 + offset, 0.5 + offset, 0.25 + offset, offset, 0])
    for grid in (leg, rest):
        assert grid.nfe == 3 and all(s < t for t, s in itertools.pairwise(grid.times))
    assert (leg.times[0], leg.times[-1], rest.times[0], rest.times[-1]) == (1.0, 0.3, 0.8, 0.0)


@pytest.mark.parametrize("family", ["sdxl", "pixart_sigma", "sana", "dit"])
def test_in_bfloat16_the_state_stays_in_float32_and_the_image_is_near(family: str) -> None:
    size = {} if family == "dit" else SIZE
    model = from_diffusers(tiny(family).to(torch.bfloat16), steps=3, **size)
    full = from_diffusers(pipeline(family), steps=3, **size)
    noise = noise_of(model)
    x, exact = ours(model, noise), ours(full, noise)
    assert x.dtype == torch.float32 and model.decoder(x).dtype == torch.float32
    assert 0 < (x - exact).abs().max() < 0.1 * exact.abs().max()


def test_the_autoencoder_of_sdxl_decodes_in_float32_where_half_precision_overflows() -> None:
    pipe = tiny("sdxl")
    model = from_diffusers(pipe, **SIZE)
    x = noise_of(model)
    exact = model.decoder(x)
    pipe.vae.to(torch.float16)
    assert pipe.vae.config.force_upcast
    assert (model.decoder(x) - exact).abs().max() < 2e-2 and pipe.vae.dtype == torch.float16


LEDGERS = {
    "dit": ("random", 4, 12),
    "sdxl": ("random", 4, 12),
    "pixart_sigma": ("zo", 5, 18),
    "sana": (Paths(paths=1, backward_nfe=3), 9, 30),
}


@pytest.mark.parametrize("family", LEDGERS)
def test_the_ledger_of_a_search_is_what_the_network_was_called_with(family: str) -> None:
    """Two network rows an evaluation, under guidance; as the closed form says."""
    algorithm, n, nfe = LEDGERS[family]
    pipe, rows = tiny(family), list[int]()
    network = pipe.components.get("transformer") or pipe.unet
    forward = network.forward
    network.forward = lambda x, *given, **said: rows.append(len(x)) or forward(x, *given, **said)
    model = from_diffusers(pipe, steps=3, **SIZE)
    asked = [207, 360] if family == "dit" else PROMPTS
    found = search(model, asked, lambda images, texts: images.mean((1, 2, 3)), algorithm=algorithm, n=n, batch_size=4)
    assert found.bill["network_rows"] == sum(rows) == 2 * found.bill["evaluations"] and max(rows) <= 4
    assert found.nfe == nfe and found.bill["evaluations"] == 2 * nfe
    assert [image.size for image in found.images] == [(32, 32)] * 2
