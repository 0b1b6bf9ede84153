"""The example of a plug-in, as a package beside noise_search: its parts run, are noted, replayed and refused."""

import importlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from noise_search.core.driver import Readout, search, sweep_points
from tests.conftest import Likeness, make_setup
from tests.test_commands import ask
from tests.test_run import ROOT, call, curve, values

PLUGIN = ROOT / "examples/plugin"
PARTS = (
    *("model=prompt_toy", "dataset=prompts_toy", "verifier=word_likelihood", "algorithm=particles"),
    *("metrics=prompt_pixels", "more_metrics=[colourfulness]", "logger=none", "hydra.run.dir=run"),
    *("budget.search_nfe=4", "budget.final_nfe=6", "budget.points=[2,4]"),
)


def install(site: Path, version: str = "0.1.0") -> str:
    """What pip leaves, without pip: a folder for PYTHONPATH with the package and what is known of it."""
    about = site / f"noise_search_example-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: noise_search_example\nVersion: {version}\n")
    (about / "entry_points.txt").write_text("[noise_search]\nexample = noise_search_example\n")
    (site / "noise_search_example").symlink_to(PLUGIN / "noise_search_example")
    return str(site)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the plug-in in `site`, a list of prompts, and a finished run of both, `run`."""
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "prompts.txt").write_text("the third wave\na fourth wave\n")
    path = install(folder / "site")
    call(folder, *PARTS, "dataset.file=prompts.txt", "images=6", PYTHONPATH=path)
    return folder


def again(home: Path, site: str, code: int = 1) -> str:
    return call(home, *PARTS, "dataset.file=prompts.txt", "images=6", code=code, PYTHONPATH=site).stderr


def one_line(said: str) -> bool:
    return said.startswith("error: ") and said.count("\n") == 1


def test_its_parts_make_a_run(home: Path) -> None:
    few, many = values(home / "run", "score_final")
    assert many > few
    rows = [row for row in curve(home / "run") if row["metric"] == "colourfulness"]
    assert [row["nfe_search"] for row in rows] == ["38", "76"] and all(float(row["value"]) > 0 for row in rows)
    assert not values(home / "run", "class_accuracy")
    identity = json.loads((home / "run/identity.json").read_text())
    assert identity["plugins"] == {"noise_search_example": "0.1.0"}
    assert "third wave" in (home / "run/report.html").read_text()


def test_its_run_is_made_again(home: Path) -> None:
    said = ask(home, "verify", "run", "images=2", PYTHONPATH=str(home / "site")).stdout
    assert "4 of 4 are the same" in said and "nothing is wrong" in said


def test_its_algorithm_and_metric_serve_classes_too(home: Path, tmp_path: Path) -> None:
    parts = ("experiment=toy", "algorithm=particles", "more_metrics=[colourfulness]", "budget.points=[1,4]")
    call(tmp_path, *parts, "images=64", "logger=none", "hydra.run.dir=run", PYTHONPATH=str(home / "site"))
    one, four = values(tmp_path / "run", "score_final")
    assert four > one and len(values(tmp_path / "run", "colourfulness")) == 2


def test_another_version_is_refused(home: Path, tmp_path: Path) -> None:
    said = again(home, install(tmp_path, "0.2.0"))
    assert one_line(said) and "noise_search_example" in said and "0.2.0" in said


def test_an_edited_list_is_refused(home: Path) -> None:
    prompts = home / "prompts.txt"
    before = prompts.read_text()
    prompts.write_text(before.replace("fourth", "fifth"))
    said = again(home, str(home / "site"))
    prompts.write_text(before)
    assert one_line(said) and "conditions" in said


def test_without_it_its_names_are_unknown(home: Path) -> None:
    said = again(home, "")
    assert one_line(said) and "Could not find 'model/prompt_toy'" in said
    said = ask(home, "verify", "run", "images=2", code=1, PYTHONPATH="").stderr
    assert one_line(said) and "noise_search_example" in said


@pytest.fixture
def particles(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(PLUGIN))
    return importlib.import_module("noise_search_example.particles").Particles


@pytest.mark.parametrize("solver", ["heun", "euler"])
@pytest.mark.parametrize("path", ["linear", "cosine", "ddpm"])
def test_what_particles_cost_is_what_the_meters_count(particles: Any, solver: str, path: str) -> None:
    for options in ({}, {"parts": 1}, {"parts": 3, "leg_nfe": 5, "leap": 0.3, "eta": 0.5}):
        algorithm, setup = particles(**options), make_setup(solver=solver, path=path, scale=1.5, batch_size=7)
        with torch.no_grad():
            events = list(sweep_points(setup.problem, algorithm, [0, 1, 3], setup.guided))
        for readout in (event for event in events if isinstance(event, Readout)):
            cost, result = algorithm.cost(readout.point, 4, 8), readout.result
            assert (readout.spent.evaluations == cost.search).all() and (readout.spent.rows == 2 * cost.search).all()
            assert result.x.shape == (6, 1, 1, 2) and result.x.isfinite().all()
            assert (result.t == 1) == (cost.final > 0) and result.views.shape == (6, 0, 1, 1, 2)


def test_particles_do_not_depend_on_their_company_and_can_be_restored(particles: Any) -> None:
    def states(ids: list[int], start: Any = None) -> list[Any]:
        with torch.no_grad():
            return list(search(make_setup(ids=ids).problem, particles(), 3, start))

    together, alone = states([4, 5, 6]), states([5])
    assert torch.allclose(together[-1].x[1], alone[-1].x[0], atol=1e-5)
    for state in alone:
        file = io.BytesIO()
        torch.save(state._asdict(), file)
        file.seek(0)
        restored = type(state)(**torch.load(file, weights_only=True))
        assert torch.equal(states([5], restored)[-1].x, alone[-1].x)


def test_particles_are_drawn_by_their_weights(particles: Any) -> None:
    problem, algorithm = make_setup(images=500).problem, particles(strength=1.0)
    weights = torch.tensor([0.1, 0.6, 0.25, 0.05])
    kept = algorithm.resample(problem, weights.log().expand(500, 4)[..., None], 1)
    counts = torch.stack([(kept == k).sum(1) for k in range(4)], 1)
    assert ((counts - 4 * weights).abs() < 1).all()  # systematic: within one of what is expected
    assert torch.allclose(counts.double().mean(0), 4 * weights.double(), atol=0.1)


def test_particles_refuse_what_they_cannot_do(particles: Any) -> None:
    with pytest.raises(ValueError, match="compares with views"):
        particles().init(make_setup(verifier=Likeness()).problem, 2)
    for key, wrong in {"parts": 0, "leg_nfe": 0, "leap": 1.0, "eta": 2.0, "strength": -1.0}.items():
        with pytest.raises(ValueError, match=f"^{key}={wrong}"):
            particles(**{key: wrong})
