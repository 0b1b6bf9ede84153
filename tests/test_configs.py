"""Every YAML in every group composes and builds, or says what is missing."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from noise_search.configuration.compose import composed, own_hydra
from noise_search.core.verifier import Surroundings, Verifier
from noise_search.errors import Refused
from noise_search.models.published import Published
from noise_search.networks.transformer import DiffusionTransformer
from noise_search.run.description import Description, describe
from noise_search.run.instantiate import build
from noise_search.run.settings import settings_digest
from noise_search.verifiers import remote
from tests.conftest import counted_multiply_adds

CONFIGS = Path(__file__).parents[1] / "configs"
GROUPS = ("model", "dataset", "verifier", "algorithm", "draft", "budget", "metrics", "logger", "experiment")
EXAMPLE = Path(__file__).parents[1] / "examples/plugin/noise_search_example/prompts.txt"
FUZZ = Path(__file__).with_name("fuzz_configuration.py")
CHOICES = [(group, path.stem) for group in GROUPS for path in sorted((CONFIGS / group).glob("*.yaml"))]


def configuration(*overrides: str) -> tuple[dict, dict[str, str]]:
    """What stands behind the door: the configuration of `run.py` with these overrides, and the names of its groups."""
    with own_hydra():
        return composed(overrides)


def described(*overrides: str) -> Description:
    return describe(*configuration(*overrides))


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_every_choice_composes_and_plans(group: str, name: str) -> None:
    run = described(*FITTING.get(name, ()), f"{group}={name}")
    assert group in ("logger", "experiment") or run.choices[group] == name
    assert run.plan.purchases and run.plan.purchases[-1].nfe > 0


FITTING = {  # choices that the default data set does not fit: what they come with
    **dict.fromkeys(("likelihood", "pixels", "mixture", "toy"), ("experiment=toy",)),
    **dict.fromkeys(("imagenet256", "imagenet512"), ("model=sit_xl_2",)),
    **dict.fromkeys(("drawbench", "geneval", "partiprompts", "t2i_compbench"), ("experiment=paper/fig8",)),
    "scenes": ("model=scenes",),
    "http": ("verifier.url=http://127.0.0.1:9/",),  # where nobody is
    "cfg": ("cfg_scale=2",),
    "held_out": ("algorithm=first_order",),
    "prompts": ("experiment=paper/fig8", f"dataset.file={EXAMPLE}"),
}
WANTING = {  # choices whose weights are not in the package: what they say
    "dino": r"`hf download .*verifier\.backbone_file",
    "dino_ssl": r"`hf download .*verifier\.backbone_file",
    "clip": r"`hf download .*verifier\.pretrained",
    "clip_ssl": r"`hf download .*verifier\.pretrained",
    "siglip_ssl": r"`hf download .*verifier\.pretrained",
    "clipscore": r"`hf download timm/vit_large_patch14_clip_224.openai .*verifier\.file=",
    "pickscore": r"`hf download yuvalkirstain/PickScore_v1 model.safetensors .*verifier\.file=",
    "hpsv2": r"`hf download xswu/HPSv2 HPS_v2.1_compressed.pt .*verifier\.file=",
    **dict.fromkeys(
        ("aesthetic", "ensemble_text", "ensemble_pickscore"),
        r"^verifier\.head=weights/.*`wget -P weights .*, or `noise-search prefetch`",
    ),
    "vlm": r"verifier\.model\.folder=weights/.*`noise-search prefetch`",
    "imagereward": r"verifier\.file=weights/.*`noise-search prefetch`",
    "flux_dev": r"model\.folder=weights/FLUX\.1-dev: .*`noise-search prefetch model=flux_dev` fetches it; .* is gated",
    "flux_schnell": r"model\.folder=weights/FLUX\.1-schnell: .*`noise-search prefetch model=flux_schnell`",
    **{
        name: rf"model\.folder=weights/.*: .*`noise-search prefetch model={name}` fetches it"
        for name in ("sdxl", "sdxl_dpo", "pixart_sigma", "sana")
    },
    "sd3_medium": r"model\.folder=weights/.*: .*`noise-search prefetch model=sd3_medium` fetches it; .* is gated",
    "inception": r"metrics.reference=weights/.*`python scripts/fetch_weights.py references`",
}
ELSEWHERE = {
    "http": r"^verifier\.url=http://127\.0\.0\.1:9/: no answer in 5 tries .*is it up"
}  # and who does not answer
PUBLISHED = r"model.weights=weights/\w\wT-.*`python scripts/fetch_weights.py {}`"


@pytest.mark.parametrize(("group", "name"), [c for c in CHOICES if c[0] != "experiment"])
def test_every_choice_builds_or_says_what_is_missing(group: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run, usual = described(*FITTING.get(name, ()), f"{group}={name}"), described()
    part = {"model": run.model, "verifier": run.verifier, "metrics": run.judge}.get(group)
    if part is None:
        return  # it has nothing to load

    def load() -> object:
        if isinstance(part, Verifier):
            return part.load(Surroundings("cpu", usual.dataset, usual.judge.load("cpu") if part.needs_judge else None))
        return part.load("cpu")

    published = isinstance(part, Published)
    if name in WANTING or published:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(FileNotFoundError, match=PUBLISHED.format(name) if published else WANTING[name]):
            load()
    elif name in ELSEWHERE:
        monkeypatch.setattr(remote, "PAUSE", 0.0)
        with pytest.raises(Refused, match=ELSEWHERE[name]):
            load()
    else:
        assert load() is not None


def test_whatever_is_set_is_a_plan_or_one_line_that_names_the_key() -> None:
    """150 cases over every key of every group, in a process of its own: it must not load torch."""
    done = subprocess.run(
        [sys.executable, FUZZ, "150"], cwd=FUZZ.parents[1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "every case was a plan, or one line" in done.stdout


def test_the_costs_of_published_models_are_those_of_their_networks() -> None:
    """multiply_adds are the published numbers; the count here differs by what the paper leaves out."""
    for name in ("sit_s_2", "sit_b_2", "sit_l_2", "sit_xl_2", "sit_xl_2_512", "dit_xl_2", "dit_xl_2_512"):
        run = described(f"model={name}")
        assert run.guidance.channels == 3 and run.budget.final_nfe == 250
        assert run.dataset.name == ("imagenet512" if "512" in name else "imagenet256")
        assert isinstance(run.model, Published)
        with torch.device("meta"), counted_multiply_adds() as count:
            net = DiffusionTransformer(**run.model.net, out_channels=8)
            x, c, rows = torch.empty(1, *net.shape), torch.empty(1, run.model.net["width"]), slice(None)
            tokens = net.embed(x)
            for block in net.blocks:
                tokens = block(tokens, c, rows)
            net.unembed(tokens, c, rows)
        assert count() == pytest.approx(run.model.multiply_adds, rel=2e-3)


def test_a_hash_sees_what_changes_a_result_and_nothing_else() -> None:
    def digest(*overrides: str) -> str:
        return settings_digest(configuration(*overrides)[0])

    base = digest()
    for same in ("images=7", "batch_size=3", "device=cpu", "logger=none", "plan_only=true", "cfg_scale=1"):
        assert digest(same) == base, same
    for other in ("seed=1", "cfg_scale=1.5", "budget.points=[1,2]", "verifier=classifier_b", "model.solver=euler"):
        assert digest(other) != base, other
    scorer = digest("verifier=http")
    for same in ("url=https://elsewhere:1/", "key=KEY", "timeout=1", "tries=1", "timeouts=0"):
        assert digest("verifier=http", f"verifier.{same}") == scorer != base, same
    assert digest("verifier=http", "verifier.reads=[]") != scorer
    for other in ("guidance.channels=3", "guidance.interval=[0.1,0.9]"):
        assert digest(other) != base, other


def test_only_this_package_can_be_built() -> None:
    for target in ("os.system", "noise_search.run.execute.os.system", "noise_search.storage.atomic.write_text"):
        with pytest.raises(ValueError, match="only parts of noise_search and of its plug-ins"):
            build({"_target_": target, "command": "true"}, "verifier")
