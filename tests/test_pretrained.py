"""Published pipelines from their folders: what a plan knows of them, and whole runs on a tiny one that was saved."""

import csv
import json
import logging
import re
import shutil
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from noise_search.cli.commands import verify
from noise_search.configuration.compose import composed, own_hydra
from noise_search.core.model import load_model
from noise_search.core.source import Hub
from noise_search.errors import Refused
from noise_search.models.diffusers import loading
from noise_search.models.diffusers.pretrained import Pretrained
from noise_search.run.execute import run_job
from tests.test_configs import described
from tests.tiny_pipelines import WARNINGS, tiny

pytestmark = [pytest.mark.filterwarnings(warning) for warning in WARNINGS]

TINY = {  # family -> what its tiny pipeline has of its own
    "flux_dev": ("channels=4", "scale=4", "height=32", "width=32", "precision=float32"),
    "sd3_medium": ("channels=4", "scale=4", "height=32", "width=32", "precision=float32"),
    "sdxl": ("scale=4", "height=32", "width=32", "precision=float32"),
    "pixart_sigma": ("scale=4", "height=32", "width=32", "precision=float32"),
    "sana": ("channels=8", "scale=4", "height=32", "width=32", "precision=float32"),
}
NETWORKS = {"flux_dev": 4, "sd3_medium": 5, "sdxl": 4, "pixart_sigma": 3, "sana": 3}
MAKER = {"sd3_medium": "sd3"}


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """name -> the folder of its tiny pipeline."""
    root = tmp_path_factory.mktemp("weights")
    for name in TINY:
        tiny(MAKER.get(name, name)).save_pretrained(root / name)
    return {name: root / name for name in TINY}


def options(name: str, saved: dict[str, Path]) -> list[str]:
    return [f"model={name}", f"model.folder={saved[name]}", *(f"model.{said}" for said in TINY[name])]


def settings_of(name: str, saved: dict[str, Path], *more: str) -> Pretrained:
    model = described(*options(name, saved), "verifier=brightness", *more).model
    assert isinstance(model, Pretrained)
    return model


@pytest.mark.parametrize("name", TINY)
def test_a_folder_is_loaded_as_its_settings_say_with_the_schedule_of_its_scheduler(
    name: str, saved: dict[str, Path]
) -> None:
    from noise_search import from_diffusers

    settings = settings_of(name, saved)
    model = load_model(settings, "cpu")
    assert len(model.weights) == NETWORKS[name]
    assert all(key.startswith(f"{name}/") and len(digest) == 64 for key, digest in model.weights.items())
    own = from_diffusers(tiny(MAKER.get(name, name)), height=32, width=32)
    for steps in (4, 28, 30):
        ours, theirs = (schedule(steps, solver="euler") for schedule in (settings.schedule, own.schedule))
        assert ours.times == pytest.approx(theirs.times, abs=1e-6) and ours.stages == theirs.stages
    texts = ["a red fox"]
    for ours, theirs in zip(model.condition(torch.zeros(1), texts), own.condition(torch.zeros(1), texts), strict=True):
        assert ours.allclose(theirs, atol=1e-5)


def test_sdxl_takes_the_network_that_dpo_trained_from_another_folder(saved: dict[str, Path], tmp_path: Path) -> None:
    base, other = tmp_path / "base", tmp_path / "other"
    shutil.copytree(saved["sdxl"], base)
    said = [f"model.{said}" for said in TINY["sdxl"]] + [f"model.folder={base}", f"model.network_folder={other}"]
    settings = described("model=sdxl_dpo", *said, "verifier=brightness").model
    shutil.rmtree(base / "unet")  # not needed
    with pytest.raises(FileNotFoundError, match=r"model\.network_folder=.*other: unet/ is missing; .*model=sdxl_dpo`"):
        settings.load("cpu")
    tiny("sdxl", seed=1).unet.save_pretrained(other / "unet")
    model = load_model(settings, "cpu")
    plain = load_model(settings_of("sdxl", saved), "cpu")
    changed = {name for name, digest in model.weights.items() if digest not in plain.weights.values()}
    assert changed == {"other/unet/diffusion_pytorch_model.safetensors"} and len(model.weights) == 4
    x, t, condition = torch.ones(1, 4, 8, 8), torch.tensor([0.5]), model.condition(torch.zeros(1), ["a red fox"])
    assert not model.network(x, t, *condition).eps.allclose(plain.network(x, t, *condition).eps, atol=1e-3)
    (base / "vae/diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.folder=.*base: vae/\*\.safetensors is missing; "):
        settings.load("cpu")


def test_a_plan_says_whose_steps_are_taken_in_place_of_a_multistep_schedulers(saved: dict[str, Path]) -> None:
    stand_ins = {"pixart_sigma": "DDIMScheduler", "sana": "FlowMatchEulerDiscreteScheduler", "sdxl": ""}
    for name, told in stand_ins.items():
        lines = [line for line in described(f"model={name}").text.splitlines() if "in place of" in line]
        assert len(lines) == bool(told) and all(f"steps of {told} in place of" in line for line in lines)
    for name, other in {"pixart_sigma": "null", "sdxl": "DDIMScheduler"}.items():
        line = r"model\.stand_in=\w+: (DDIMScheduler|null), for (DPMSolverMultistep|EulerDiscrete)Scheduler of "
        with pytest.raises(ValueError, match=line):
            settings_of(name, saved, f"model.stand_in={other}").load("cpu")


def test_a_pipeline_of_another_size_than_its_settings_say_is_one_line(saved: dict[str, Path]) -> None:
    line = r"model\.folder=.*sdxl: its StableDiffusionXLPipeline has shape=\(4, 8, 8\), not \(16, 8, 8\)"
    with pytest.raises(ValueError, match=line):
        settings_of("sdxl", saved, "model.channels=16").load("cpu")


def test_what_is_missing_is_one_line_that_says_what_to_do(saved: dict[str, Path], tmp_path: Path) -> None:
    settings = described("model=flux_dev", "verifier=brightness").model
    line = (
        "model.folder=weights/FLUX.1-dev: there is no model_index.json there; `noise-search prefetch model=flux_dev`"
        " fetches it; if black-forest-labs/FLUX.1-dev is gated, accept its licence on its page first,"
    )
    with pytest.raises(FileNotFoundError, match=re.escape(line)):
        settings.load("cpu")
    half = {"flux_dev": tmp_path / "half"}
    shutil.copytree(saved["flux_dev"], half["flux_dev"])
    weights = half["flux_dev"] / "transformer/diffusion_pytorch_model.safetensors"
    listing = {"weight_map": {"a": "part-00001-of-00002.safetensors", "b": weights.name}}
    (weights.parent / f"{weights.name}.index.json").write_text(json.dumps(listing))
    with pytest.raises(FileNotFoundError, match=r"half: transformer/part-00001-of-00002\.safetensors is missing; "):
        settings_of("flux_dev", half).load("cpu")
    (weights.parent / f"{weights.name}.index.json").unlink()
    weights.unlink()
    with pytest.raises(FileNotFoundError, match=r"half: transformer/\*\.safetensors is missing; "):
        settings_of("flux_dev", half).load("cpu")
    shutil.rmtree(half["flux_dev"] / "tokenizer_2")
    shutil.rmtree(half["flux_dev"] / "transformer")
    with pytest.raises(FileNotFoundError, match=r"half: (transformer|tokenizer_2)/ is missing; "):
        settings_of("flux_dev", half).load("cpu")


def test_what_is_damaged_or_half_there_is_one_line(saved: dict[str, Path], tmp_path: Path) -> None:
    """An empty tokenizer's folder above all: transformers 5 makes a tokenizer without words of it, and says nothing."""
    half = {"flux_dev": tmp_path / "half"}
    vocabulary = (
        r"half: tokenizer/ lacks tokenizer\.json or spiece\.model or .* or merges\.txt with vocab\.json; `noise"
    )
    for path, content, line in (
        ("tokenizer/merges.txt tokenizer/tokenizer.json", None, vocabulary),
        ("scheduler/scheduler_config.json", None, r"half: scheduler/ lacks scheduler_config\.json; `noise-search pref"),
        (
            "model_index.json",
            b"{",
            r"model_index\.json: not the JSON that it should be .*; remove it, and fetch it again",
        ),
        ("transformer/config.json", b"{", "half: cannot be loaded .*; remove what is damaged, then `noise-search pref"),
        ("vae/diffusion_pytorch_model.safetensors", b"<html>sign in</html>", "half: cannot be loaded .*; remove"),
        ("text_encoder_2/model.safetensors", b"\x10\0\0\0\0\0\0\0{", "half: cannot be loaded .*; remove what"),
    ):
        shutil.copytree(saved["flux_dev"], half["flux_dev"])
        for file in (half["flux_dev"] / name for name in path.split()):
            file.unlink(missing_ok=True)
            if content is not None:
                file.write_bytes(content)
        with pytest.raises(Refused, match=line) as caught:
            settings_of("flux_dev", half).load("cpu")
        assert "\n" not in str(caught.value)
        shutil.rmtree(half["flux_dev"])


def test_a_pipeline_that_is_not_supported_is_refused_before_its_weights_are_read(
    saved: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(saved["flux_dev"], tmp_path / "flux_dev")
    index = tmp_path / "flux_dev/model_index.json"
    index.write_text(index.read_text().replace("FluxPipeline", "LatentConsistencyModelPipeline"))
    settings = settings_of("flux_dev", {"flux_dev": tmp_path / "flux_dev"})
    with mock.patch.object(loading, "read", side_effect=AssertionError):
        with pytest.raises(
            Refused, match=r"flux_dev: LatentConsistencyModelPipeline cannot .*; these .*: FluxPipeline"
        ):
            settings.load("cpu")
        for package, line, more in (
            ("accelerate", "model.offload=model: accelerate is not installed; `pip install accelerate`", "model"),
            ("transformers", "model: transformers is not installed; `pip install noise_search[text]`", "none"),
        ):
            there = mock.patch.object(loading, "find_spec", lambda name, package=package: name != package or None)
            with there, pytest.raises(Refused, match=re.escape(line)):
                settings_of("flux_dev", saved, f"model.offload={more}").load("cpu")


def test_times_that_are_not_the_pipelines_own_are_refused_or_told(
    saved: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    for said in ("model.patch=1", "model.shift=2.0"):
        with pytest.raises(
            Refused, match=r"model\.shift=.*: 28 steps at t = 1\.0000, 0\..*; the pipeline's own at 1\.0"
        ):
            settings_of("flux_dev", saved, said).load("cpu")
    with caplog.at_level(logging.WARNING, "noise_search"):
        settings_of("sdxl", saved).load("cpu")
        assert "model.schedule" not in caplog.text
        settings_of("sdxl", saved, "model.schedule.offset=0").load("cpu")
    assert "model.schedule: 50 steps at t = " in caplog.text and "the pipeline's own at " in caplog.text


NEEDED = [
    *("model_index.json", "scheduler/scheduler_config.json", "tokenizer/vocab.json", "tokenizer/merges.txt"),
    *("tokenizer_2/spiece.model", "tokenizer_2/tokenizer.json", "text_encoder/config.json"),
    *("text_encoder/model.safetensors", "text_encoder_2/model-00001-of-00002.safetensors"),
    *("text_encoder_2/model.safetensors.index.json", "transformer/config.json", "vae/config.json"),
    "transformer/diffusion_pytorch_model-00003-of-00003.safetensors",
]
UNNEEDED = [
    *("flux1-dev.safetensors", "ae.safetensors", "README.md", "dev_grid.jpg", ".gitattributes", "LICENSE.md"),
    *("text_encoder/model.fp16.safetensors", "text_encoder/flax_model.msgpack"),
    "text_encoder_3/model.fp16-00001-of-00002.safetensors",
]


@pytest.mark.parametrize("name", ["flux_dev", "flux_schnell", "sd3_medium"])
def test_only_the_files_that_the_pipeline_needs_are_fetched(name: str) -> None:
    model = described(f"model={name}", "verifier=brightness").model
    (hub,) = model.sources
    assert isinstance(hub, Hub) and hub.target == f"{model.folder}/"
    more = ["text_encoder_3/model-00002-of-00002.safetensors"] if name == "sd3_medium" else []
    assert all(re.fullmatch(hub.pattern, file) for file in NEEDED + more)
    assert not any(
        re.fullmatch(hub.pattern, file) for file in [*UNNEEDED, "text_encoder_3/model.fp16-00001-of-00002.x"]
    )


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("model.height=1000", "model.height=1000: a multiple of 16 pixels"),
        ("model.width=0", "model.width=0: a multiple of 16 pixels"),
        ("model.guidance=strong", "model.guidance=strong: one of distilled, classifier-free"),
        ("model.offload=all", "model.offload=all: one of none, encoders, model, sequential"),
        ("model.shift=by_name", "model.shift=by_name: a number above 0, or by_size"),
        ("model.negative_prompt=fog", "model.negative_prompt=fog: null where guidance is distilled"),
        ("model.precision=int8", "model.precision=int8: one of float32, bfloat16, float16"),
    ],
)
def test_wrong_settings_are_one_line(said: str, line: str) -> None:
    with pytest.raises(ValueError, match=re.escape(line)):
        described("model=flux_dev", "verifier=brightness", said)


def test_the_schedule_follows_the_size() -> None:
    def second(*more: str) -> float:
        return described("model=flux_dev", "verifier=brightness", *more).model.schedule(2, solver="euler").times[1]

    assert second() == pytest.approx(0.7595, abs=1e-4)  # exp(1.15) at 4,096 tokens, on u = 1/2
    assert second("model.height=256", "model.width=256") == pytest.approx(0.6225, abs=1e-4)  # exp(0.5) at 256


def written_out(query: Tensor, key: Tensor, value: Tensor, **_: Any) -> Tensor:
    """Attention as two products, which every version of torch counts."""
    return (query @ key.transpose(-1, -2)).softmax(-1) @ value


def after_blocks(network: Any, counter: FlopCounterMode) -> list[int]:
    """What is counted when each block of a transformer ends."""
    out: list[int] = []
    for name in ("transformer_blocks", "single_transformer_blocks"):
        for block in getattr(network, name, ()):
            block.register_forward_hook(lambda *_: out.append(counter.get_total_flops()))
    return out


def test_the_costs_of_published_models_are_those_of_their_networks() -> None:
    """multiply_adds and the transformer's parameters of the published configurations, counted on the meta device at
    1024 x 1024: 4,096 tokens of the image, 512 (FLUX) or 77 + 256 (SD3) of the text."""
    from diffusers import FluxTransformer2DModel, SD3Transformer2DModel

    sd3 = {"sample_size": 128, "num_layers": 24, "attention_head_dim": 64, "num_attention_heads": 24}
    sd3 |= {"joint_attention_dim": 4096, "caption_projection_dim": 1536, "pooled_projection_dim": 2048}
    sd3 |= {"out_channels": 16, "pos_embed_max_size": 192}
    with torch.device("meta"):
        empty = torch.empty
        flux = {"hidden_states": empty(1, 4096, 64), "encoder_hidden_states": empty(1, 512, 4096)}
        flux |= {"pooled_projections": empty(1, 768), "timestep": empty(1)}
        flux |= {"img_ids": empty(4096, 3), "txt_ids": empty(512, 3)}
        cases = {
            "flux_dev": (FluxTransformer2DModel(guidance_embeds=True), flux | {"guidance": empty(1)}),
            "flux_schnell": (FluxTransformer2DModel(guidance_embeds=False), flux),
            "sd3_medium": (
                SD3Transformer2DModel(**sd3),
                {
                    "hidden_states": empty(1, 16, 128, 128),
                    "encoder_hidden_states": empty(1, 77 + 256, 4096),
                    "pooled_projections": empty(1, 2048),
                    "timestep": empty(1),
                },
            ),
        }
        for name, (network, given) in cases.items():
            model = described(f"model={name}", "verifier=brightness").model
            assert isinstance(model, Pretrained)
            attention = mock.patch.object(torch.nn.functional, "scaled_dot_product_attention", written_out)
            with attention, torch.no_grad(), FlopCounterMode(display=False) as counter:
                after = after_blocks(network, counter)
                network(**given)
            assert (after[-1] - after[0]) // 2 == model.reusable
            assert counter.get_total_flops() // 2 == pytest.approx(model.multiply_adds, rel=1e-3)
            own = sum(values.numel() for values in network.parameters())
            encoders = (123060480 if "flux" in name else 123650304 + 694659840) + 4762310656  # CLIP-L, CLIP-G; T5
            assert own + encoders + 83819683 == pytest.approx(model.parameters, rel=1e-6)


@pytest.fixture(scope="session")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prompts") / "prompts.csv"
    path.write_text("prompt,category\na red fox,animals\ntwo cubes on snow,things\n")
    return path


ALGORITHMS = {
    "random": ("algorithm=random", "budget.points=[1,3]"),
    "guided": ("algorithm=random", "budget.points=[1,2]"),
    "zo": ("algorithm=zo", "budget.points=[1,2]", "algorithm.neighbours=2"),
    "paths": ("algorithm=paths_1", "budget.points=[1]", "algorithm.backward_nfe=3"),
}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_run_on_prompts_from_search_to_report_and_verify(
    algorithm: str, saved: dict[str, Path], prompts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "sdxl" if algorithm == "guided" else "flux_dev"
    said = [*options(name, saved), *ALGORITHMS[algorithm], "dataset=prompts", f"dataset.file={prompts}"]
    said += ["dataset.category=category", "budget.search_nfe=3", "budget.final_nfe=3", "images=2", "logger=none"]
    said += ["batch_size=4", "device=cpu", "draw_figures=false", "verifier=ensemble", *ENSEMBLE]
    with own_hydra():
        run_job(*composed(said), tmp_path)
    report = (tmp_path / "report.html").read_text()
    assert "a red fox" in report and "two cubes on snow" in report
    with (tmp_path / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {"score/light", "score_final/same"} <= {row["metric"] for row in rows}
    assert {int(row["network_rows"]) / int(row["nfe"]) for row in rows} == {2 if algorithm == "guided" else 1}
    assert all(path.is_file() for path in (tmp_path / "run.json", tmp_path / "categories.csv"))
    capsys.readouterr()
    assert verify(tmp_path) == 0


ENSEMBLE = (
    "~verifier.members.classifier",
    "~verifier.members.classifier_ssl",
    "+verifier@verifier.members.light=brightness",
    "+verifier@verifier.members.same=brightness",
)
