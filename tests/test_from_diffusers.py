"""Pipelines of diffusers behind our integrator: with n = 1 they make what they make by themselves."""

import functools
import inspect
import logging
from pathlib import Path
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
from noise_search.front.order import ensemble_of
from noise_search.models.diffusers import flux, sd3, wrap
from noise_search.models.diffusers.flux import packed, unpacked
from noise_search.verifiers.brightness import Brightness
from tests.tiny_pipelines import tiny

PROMPTS = ["a red fox", "two cubes on snow"]
STEPS = 4
FLOW = ("flux_dev", "flux_schnell", "sd3")

LENGTH = 48  # of T5's texts, here: the pipelines' own defaults take ten times as long
pipeline = functools.cache(tiny)  # whoever changes one makes another


@pytest.fixture(autouse=True)
def short_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    for family in (flux, sd3):
        monkeypatch.setattr(family, "LONGEST", LENGTH)


def ours(model: Model, noise: Tensor, texts: list[str] = PROMPTS, guidance: float | None = None) -> Tensor:
    """Latents of full runs from noise [B, ...]."""
    scale = model.guidance if guidance is None else guidance
    problem = open_problem(
        model,
        Brightness(),
        torch.zeros(len(texts), dtype=torch.int64),
        guidance=Guidance(scale),
        texts=texts,
        batch_size=8,
    )
    with torch.no_grad():
        return problem.flow.solve(noise, problem.grid(STEPS), problem.who(1)).x


def theirs(pipe: Any, noise: Tensor, texts: list[str] = PROMPTS, **said: Any) -> tuple[Tensor, np.ndarray]:
    """Latents [B, ...] and images uint8 [B, H, W, 3] of the pipeline itself."""
    packs, seen = type(pipe).__name__ == "FluxPipeline", list[Tensor]()
    images = pipe(
        texts,
        latents=packed(noise) if packs else noise.clone(),
        num_inference_steps=STEPS,
        output_type="np",
        max_sequence_length=LENGTH,
        callback_on_step_end=lambda pipe, step, time, latents: seen.append(latents["latents"]) or latents,
        **said,
    ).images
    return unpacked(seen[-1], noise.shape[1:]) if packs else seen[-1], (images * 255).round().astype(np.uint8)


def noise_of(model: Model, count: int = len(PROMPTS)) -> Tensor:
    return torch.randn(count, *model.shape, generator=torch.Generator().manual_seed(3))


def compared(family: str, sizes: dict[str, int], guidance: float | None = None, **said: Any) -> None:
    pipe = pipeline(family)
    model = from_diffusers(pipe, steps=STEPS, guidance=guidance, **sizes, **said)
    noise = noise_of(model)
    name = "true_cfg_scale" if family == "flux_schnell" else "guidance_scale"
    scale = {} if guidance is None else {name: guidance}
    latents, images = theirs(pipe, noise, **(sizes or {"height": 32, "width": 32}), **scale, **said)
    x = ours(model, noise)
    assert (x - latents).abs().max() < 2e-5 * latents.abs().max()
    with torch.no_grad():
        pixels = tensor_to_images(model.decoder(x).clamp(-1, 1))
    assert pixels.shape == images.shape and np.abs(pixels.astype(int) - images).max() <= 1
    assert np.ptp(images) > 10


@pytest.mark.parametrize("family", FLOW)
def test_a_full_run_is_the_pipelines_own(family: str) -> None:
    compared(family, {"height": 32, "width": 32})


@pytest.mark.parametrize("family", FLOW)
def test_other_heights_and_widths(family: str) -> None:
    compared(family, {"height": 48, "width": 24})


def test_sizes_and_numbers_are_the_pipelines_own_where_none_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    model = from_diffusers(pipeline("sd3"))
    assert model.shape == (4, 8, 8) and (model.steps, model.guidance) == (28, 7.0)
    assert model.name == "StableDiffusion3Pipeline"
    dev, schnell = (from_diffusers(pipeline(family), height=32, width=32) for family in ("flux_dev", "flux_schnell"))
    assert (dev.steps, dev.guidance, dev.distilled) == (28, 3.5, True)
    assert (schnell.steps, schnell.guidance, schnell.distilled) == (4, 1.0, False)
    monkeypatch.undo()
    for family, pipe in ((flux, pipeline("flux_dev")), (sd3, pipeline("sd3"))):
        assert inspect.signature(pipe.__call__).parameters["max_sequence_length"].default == family.LONGEST
    assert from_diffusers(pipeline("flux_dev")).shape == (4, 128, 128)  # the default of the pipeline itself


@pytest.mark.parametrize(("family", "guidance"), [("sd3", 3.0), ("flux_schnell", 2.0)])
def test_negative_prompts(family: str, guidance: float) -> None:
    compared(family, {"height": 32, "width": 32}, guidance, negative_prompt="fog")
    pipe = pipeline(family)
    plain, other = (from_diffusers(pipe, height=32, width=32, negative_prompt=text) for text in (None, "fog"))
    noise = noise_of(plain)
    assert (ours(plain, noise, guidance=guidance) - ours(other, noise, guidance=guidance)).abs().max() > 1e-3


def test_the_scale_of_distilled_guidance_is_told() -> None:
    compared("flux_dev", {"height": 32, "width": 32}, 1.0)
    model = from_diffusers(pipeline("flux_dev"), height=32, width=32)
    noise = noise_of(model)
    assert (ours(model, noise, guidance=1.0) - ours(model, noise, guidance=3.5)).abs().max() > 1e-3


def test_stable_diffusion_3_with_a_shift_that_depends_on_the_size() -> None:
    pipe = tiny("sd3")
    pipe.scheduler = type(pipe.scheduler)(use_dynamic_shifting=True)
    model = from_diffusers(pipe, steps=STEPS, height=64, width=64)
    noise = noise_of(model)
    latents, _ = theirs(pipe, noise, height=64, width=64)
    assert (ours(model, noise) - latents).abs().max() < 2e-5 * latents.abs().max()


def test_what_cannot_be_searched_is_refused_with_what_can() -> None:
    with pytest.raises(
        ValueError, match=r"LatentConsistencyModelPipeline cannot .*FluxPipeline, StableDiffusion3Pipeline"
    ):
        from_diffusers(tiny("lcm"))
    with pytest.raises(ValueError, match="pipe: str cannot be searched"):
        from_diffusers("black-forest-labs/FLUX.1-dev")
    pipe = tiny("sd3")
    pipe.scheduler = type(pipe.scheduler)(stochastic_sampling=True)
    with pytest.raises(ValueError, match=r"pipe.scheduler.config.stochastic_sampling=True: false"):
        from_diffusers(pipe)
    from diffusers import FlowMatchHeunDiscreteScheduler

    pipe.scheduler = FlowMatchHeunDiscreteScheduler()
    with pytest.raises(ValueError, match=r"pipe.scheduler=.*Heun.*: one of FlowMatchEulerDiscreteScheduler"):
        from_diffusers(pipe)


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ({"height": 30}, "height=30: a multiple of 8 pixels"),
        ({"width": 0}, "width=0: a multiple of 8 pixels"),
        ({"guidance": -1.0}, "guidance=-1.0: a number, at least 0"),
        ({"guidance": float("nan")}, "guidance=nan: a number"),
        ({"steps": 0}, "steps=0: a whole number, at least 1"),
        ({"decode_rows": 1.5}, "decode_rows=1.5: a whole number"),
        ({"negative_prompt": "fog"}, "negative_prompt=fog: none: this network is told the scale"),
    ],
)
def test_wrong_numbers_are_one_line(said: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        from_diffusers(pipeline("flux_dev"), **said)


def test_prompts_are_encoded_once_and_long_ones_are_counted_by_name(caplog: pytest.LogCaptureFixture) -> None:
    pipe = tiny("flux_dev")
    model = from_diffusers(pipe, height=32, width=32)
    seen: list[list[str]] = []
    encode = pipe.encode_prompt
    pipe.encode_prompt = lambda texts, *more, **said: seen.append(texts) or encode(texts, *more, **said)
    texts = ["b", "a", "b", "x" * 80, "b"]
    with caplog.at_level(logging.WARNING, "noise_search"):
        condition = model.condition(torch.arange(5), texts)
    assert seen == [["b", "a", "x" * 80]]
    assert [len(values) for values in condition] == [5, 5]
    assert all(values[0].equal(values[2]) and not values[0].equal(values[1]) for values in condition)
    told = [record.getMessage() for record in caplog.records if record.name == "noise_search"]
    line = "1 of 3 prompts are longer than the {} tokens that {} reads (up to 82), and their ends unread: 'xxx"
    assert len(told) == 2
    assert told[0].startswith(line.format(77, "CLIP")) and told[1].startswith(line.format(LENGTH, "T5"))


def test_how_many_latents_are_decoded_at_once_follows_the_size_of_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not that of the latents: SANA's have four times as many pixels on a side as the others'."""
    sides: list[int] = []
    monkeypatch.setattr(wrap, "rows_at_once", lambda side, device: sides.append(side) or 2)
    pipe, rows = tiny("sana"), list[int]()
    decode = pipe.vae.decode
    pipe.vae.decode = lambda x, **said: rows.append(len(x)) or decode(x, **said)
    model = from_diffusers(pipe, height=64, width=256)
    model.decoder(noise_of(model, 3))
    assert sides == [128 // 8] and rows == [2, 1]


class Hook:
    """Of a module that another device than its own computes for: only what is asked of one here."""

    execution_device = "cpu"


def test_an_offloaded_pipeline_is_not_moved_and_makes_room_before_it_encodes(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe, events = tiny("flux_dev"), []
    encode = pipe.encode_prompt
    pipe.encode_prompt = lambda *given, **said: events.append("encode") or encode(*given, **said)
    pipe.maybe_free_model_hooks = lambda: events.append("free")
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            part._hf_hook = Hook()
            monkeypatch.setattr(part, "to", lambda *_, **__: pytest.fail("moved"))
    with pytest.raises(ValueError, match="offload_encoders=True: hooks of the pipeline move its encoders already"):
        from_diffusers(pipe, offload_encoders=True)
    model = from_diffusers(pipe, steps=2, height=32, width=32)
    search(model, PROMPTS, brightness, n=2, batch_size=4)
    assert model.device == "cpu" and events == ["free", "encode"]


def test_encoders_are_on_the_device_while_they_encode_only(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe, places = tiny("sd3"), dict[str, str]()
    for name in ("text_encoder", "text_encoder_2", "text_encoder_3"):
        monkeypatch.setattr(getattr(pipe, name), "to", lambda place, name=name: places.update({name: str(place)}))
    pipe.encode_prompt = lambda texts, *_, **__: asked.append(set(places.values())) or (torch.zeros(1, 2),) * 4
    monkeypatch.setattr(type(pipe), "_execution_device", torch.device("meta"))
    asked: list[set[str]] = []
    model = from_diffusers(pipe, offload_encoders=True)
    assert set(places.values()) == {"cpu"} and len(places) == 3
    model.null(torch.device("meta"))
    assert asked == [{"meta"}] and set(places.values()) == {"cpu"}


def brightness(images: Tensor, texts: list[str]) -> Tensor:
    assert len(images) == len(texts)
    return images.mean((1, 2, 3))


def test_search_takes_the_usual_steps_and_guidance_and_its_ledger_is_exact() -> None:
    pipe, rows = tiny("sd3"), []
    forward = pipe.transformer.forward
    pipe.transformer.forward = lambda *given, **said: rows.append(len(said["hidden_states"])) or forward(*given, **said)
    model = from_diffusers(pipe, steps=4, guidance=3.0)
    found = search(model, PROMPTS, brightness, n=3, batch_size=5)
    assert found.nfe == 3 * 4 and found.bill["evaluations"] == 2 * 3 * 4
    assert sum(rows) == found.bill["network_rows"] == 2 * 2 * 3 * 4 and max(rows) <= 5
    assert len(found.curve) == 3 and found.images[0].size == (32, 32) and found.texts == PROMPTS
    plain = search(model, PROMPTS, brightness, n=1, batch_size=5)
    assert plain.nfe == 4 and (found.scores >= plain.scores).all() and (found.scores > plain.scores).any()
    said = search(model, PROMPTS, brightness, n=1, batch_size=5, final_nfe=2, cfg_scale=1.0)
    assert said.nfe == 2 and said.bill["network_rows"] == 2 * 2
    assert search(model, PROMPTS, brightness, nfe=8, batch_size=5).nfe == 8


@pytest.mark.parametrize("algorithm", ["zo", Paths(paths=1, backward_nfe=3)])
def test_other_algorithms_search_a_pipeline(algorithm: str | Paths) -> None:
    model = from_diffusers(pipeline("sd3"), steps=3, guidance=1.0)
    found = search(model, PROMPTS, brightness, algorithm=algorithm, n=9, batch_size=8)
    plain = search(model, PROMPTS, brightness, n=1, batch_size=8)
    assert found.bill["scored"] > 2 * 4 and found.scores.mean() > plain.scores.mean()


def test_gradients_go_through_a_pipeline() -> None:
    model = from_diffusers(pipeline("sd3"), steps=2, guidance=1.0)
    found = search(model, PROMPTS, brightness, algorithm="first_order", n=3, batch_size=8)
    assert found.bill["backward"] > 0


def test_in_bfloat16_the_state_stays_in_float32_and_the_image_is_near() -> None:
    pipe = tiny("flux_dev").to(torch.bfloat16)
    model = from_diffusers(pipe, steps=STEPS, height=32, width=32)
    noise = noise_of(model)
    x, full = ours(model, noise), ours(from_diffusers(pipeline("flux_dev"), height=32, width=32), noise)
    assert x.dtype == torch.float32 and model.decoder(x).dtype == torch.float32
    assert (x - full).abs().max() < 0.05 * full.abs().max()


def test_the_ensemble_is_that_of_texts_and_a_pipeline_is_searched_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # no weights there
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    model = from_diffusers(pipeline("sd3"), steps=2)
    with pytest.raises(FileNotFoundError, match="verifier") as told:
        search(model, PROMPTS, "ensemble", n=2)
    assert "classifier" not in str(told.value)
    assert (ensemble_of(model), ensemble_of("flux_dev"), ensemble_of("scenes")) == (
        "ensemble_text",
        "ensemble_text",
        "scenes_ensemble",
    )
    with pytest.raises(ValueError, match="device=cuda: StableDiffusion3Pipeline computes on cpu"):
        search(model, PROMPTS, brightness, n=2, device="cuda")
