"""Every YAML in every group composes and builds, or says what is missing."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from noise_search.build import build
from noise_search.experiment import plan_of
from noise_search.settings import read_settings, result_hash

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


@pytest.mark.parametrize(("group", "name"), [c for c in CHOICES if c[0] != "experiment"])
def test_every_choice_builds(group: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = composed(f"{group}={name}")
    node = cfg[group]
    context = {"judge": build(cfg.metrics), "dataset": build(cfg.dataset), "device": "cpu"}
    if name in ("dino", "dino_ssl", "clip", "clip_ssl"):  # need weights that are not in the package
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(FileNotFoundError, match=r"`hf download .*verifier\.(backbone_file|pretrained)"):
            build(node, **context)
        return
    assert build(node.build if group == "model" else node, **context) is not None


def test_a_hash_sees_what_changes_a_result_and_nothing_else() -> None:
    def digest(*overrides: str) -> str:
        return result_hash(_root_=composed(*overrides))

    base = digest()
    for same in ("images=7", "batch_size=3", "device=cpu", "logger=none", "plan_only=true", "cfg_scale=1"):
        assert digest(same) == base, same
    for other in ("seed=1", "cfg_scale=1.5", "guidance.channels=3", "budget.points=[1,2]", "verifier=classifier_b"):
        assert digest(other) != base, other


def test_only_this_package_can_be_built() -> None:
    with pytest.raises(ValueError, match="only noise_search"):
        build(OmegaConf.create({"_target_": "os.system", "command": "true"}))
