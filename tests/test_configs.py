"""Every YAML in every group composes and builds, or says what is missing."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from noise_search.networks.transformer import DiffusionTransformer
from noise_search.run.instantiate import build
from noise_search.run.plan import plan_of
from noise_search.run.settings import read_settings, result_hash
from tests.conftest import counted_multiply_adds

CONFIGS = Path(__file__).parents[1] / "configs"
GROUPS = ("model", "dataset", "verifier", "algorithm", "budget", "metrics", "logger", "experiment")
CHOICES = [(group, path.stem) for group in GROUPS for path in sorted((CONFIGS / group).glob("*.yaml"))]

OmegaConf.register_new_resolver("result_hash", lambda: "hash", replace=True)


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose("config", list(overrides), return_hydra_config=True)


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_every_choice_composes_and_plans(group: str, name: str) -> None:
    cfg = composed(f"{group}={name}")
    assert cfg.hydra.runtime.choices[group] == name
    plan = plan_of(cfg, read_settings(cfg), dict(cfg.hydra.runtime.choices))
    assert plan.purchases and plan.purchases[-1].nfe > 0


WANTING = {  # choices whose weights are not in the package: what they say
    "dino": r"`hf download .*verifier\.backbone_file",
    "dino_ssl": r"`hf download .*verifier\.backbone_file",
    "clip": r"`hf download .*verifier\.pretrained",
    "clip_ssl": r"`hf download .*verifier\.pretrained",
    "inception": r"metrics.reference=weights/.*`python scripts/fetch_weights.py references`",
}
PUBLISHED = r"model.weights=weights/\w\wT-.*`python scripts/fetch_weights.py {}`"


@pytest.mark.parametrize(("group", "name"), [c for c in CHOICES if c[0] != "experiment"])
def test_every_choice_builds_or_says_what_is_missing(group: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg, usual = composed(f"{group}={name}"), composed()
    node = cfg.model.build if group == "model" else cfg[group]
    context = {"judge": build(usual.metrics), "dataset": build(usual.dataset), "device": "cpu"}
    published = group == "model" and node._target_.endswith("published")
    if name in WANTING or published:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(FileNotFoundError, match=PUBLISHED.format(name) if published else WANTING[name]):
            build(node, **context)
    else:
        assert build(node, **context) is not None


def test_the_costs_of_published_models_are_those_of_their_networks() -> None:
    """multiply_adds are the published numbers; the count here differs by what the paper leaves out."""
    for name in ("sit_s_2", "sit_b_2", "sit_l_2", "sit_xl_2", "sit_xl_2_512", "dit_xl_2", "dit_xl_2_512"):
        cfg = composed(f"model={name}")
        assert cfg.guidance.channels == 3 and cfg.budget.final_nfe == 250
        assert cfg.dataset.name == ("imagenet512" if "512" in name else "imagenet256")
        with torch.device("meta"), counted_multiply_adds() as count:
            net = DiffusionTransformer(**cfg.model.net, out_channels=8)
            x, c, rows = torch.empty(1, *net.shape), torch.empty(1, cfg.model.net.width), slice(None)
            tokens = net.embed(x)
            for block in net.blocks:
                tokens = block(tokens, c, rows)
            net.unembed(tokens, c, rows)
        assert count() == pytest.approx(cfg.model.multiply_adds, rel=2e-3)


def test_a_hash_sees_what_changes_a_result_and_nothing_else() -> None:
    def digest(*overrides: str) -> str:
        return result_hash(_root_=composed(*overrides))

    base = digest()
    for same in ("images=7", "batch_size=3", "device=cpu", "logger=none", "plan_only=true", "cfg_scale=1"):
        assert digest(same) == base, same
    for other in ("seed=1", "cfg_scale=1.5", "budget.points=[1,2]", "verifier=classifier_b", "model.solver=euler"):
        assert digest(other) != base, other
    for other in ("guidance.channels=3", "guidance.interval=[0.1,0.9]"):
        assert digest(other) != base, other


def test_only_this_package_can_be_built() -> None:
    for target in ("os.system", "noise_search.run.execute.os.system", "noise_search.storage.atomic.write_text"):
        with pytest.raises(ValueError, match="only parts of noise_search and of its plug-ins"):
            build(OmegaConf.create({"_target_": target, "command": "true"}))
