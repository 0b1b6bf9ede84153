"""The precision of networks: the run's, settled before anything is loaded, frozen in its identity, obeyed later."""

import json
from pathlib import Path

import pytest

from noise_search.errors import Refused
from noise_search.models.embedded import EmbeddedSiT
from noise_search.networks import precision
from noise_search.run import assemble as assembling
from noise_search.run.assemble import assemble
from noise_search.run.description import describe
from noise_search.run.execute import as_begun, begin_folder, identity_of_parts
from noise_search.run.reopen import reopen
from noise_search.verifiers.classifier import Classifier
from tests.test_configs import configuration

SMALL = ("images=2", "budget.points=[1]", "logger=none", "observers=[classifier_b]", "compile=false", "device=cpu")


def test_what_is_clearly_faster_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = {"float32": [0, 10], "bfloat16": [0, 7]}

    def clock(fast: int) -> str:
        times = iter(
            [t for name in ticks for _ in range(4) for t in (0, ticks[name][1] if name == "float32" else fast)]
        )
        monkeypatch.setattr(precision.time, "perf_counter", lambda: next(times))
        precision.fast_precision.cache_clear()
        return precision.fast_precision("cpu")

    assert [clock(fast) for fast in (7, 9, 400)] == ["bfloat16", "float32", "float32"]
    precision.fast_precision.cache_clear()


@pytest.mark.parametrize("fast", ["float32", "bfloat16"])
def test_a_run_keeps_the_precision_that_it_was_begun_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast: str
) -> None:
    monkeypatch.setattr(assembling, "fast_precision", lambda device: fast)
    run = describe(*configuration(*SMALL))
    parts = assemble(run)
    assert parts.tuning.precision == fast
    assert isinstance(parts.run.model, EmbeddedSiT) and parts.run.model.precision == fast
    chooser, observer = parts.verifier.parts.values()  # type: ignore[attr-defined]
    assert isinstance(chooser, Classifier) and isinstance(observer, Classifier)
    assert chooser.precision == observer.precision == fast
    assert run.identity["settings"]["model"]["precision"] == "auto"  # one folder, wherever it is begun
    begin_folder(parts, tmp_path, identity_of_parts(parts))
    assert json.loads((tmp_path / "identity.json").read_text())["tuning"]["precision"] == fast

    other = {"float32": "bfloat16", "bfloat16": "float32"}[fast]
    monkeypatch.setattr(assembling, "fast_precision", lambda device: other)
    for again in (as_begun(describe(*configuration(*SMALL)), tmp_path), reopen(tmp_path)):
        assert again.settings.precision == fast
        assert assemble(again).tuning.precision == fast
    late = assemble(describe(*configuration(*SMALL)))  # it looked before the folder was begun
    with pytest.raises(Refused, match=f"has just begun it in {fast}; start this one again"):
        begin_folder(late, tmp_path, identity_of_parts(late))


def test_a_precision_is_a_setting_of_the_run_or_of_a_part() -> None:
    run = describe(*configuration(*SMALL, "precision=float32", "verifier.precision=bfloat16"))
    settings = run.identity["settings"]
    assert settings["model"]["precision"] == "float32" and settings["verifier"]["precision"] == "bfloat16"
    with pytest.raises(Refused, match="precision=half"):
        describe(*configuration(*SMALL, "precision=half"))
