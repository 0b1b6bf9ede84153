"""The example of a plug-in, as a package beside noise_search: its parts run, are noted, replayed and refused."""

import importlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from noise_search.core.driver import Readout, search, sweep_points
from noise_search.errors import Refused
from noise_search.run.instantiate import build
from noise_search.storage.units import read_units
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


WITHOUT_TORCH = (
    "import sys, runpy; sys.argv = ['run.py', *sys.argv[1:]]; sys.modules['torch'] = None\n"
    f"runpy.run_path({str(ROOT / 'run.py')!r}, run_name='__main__')"
)
WHOLE = "model=toy dataset=mixture verifier=mean_image algorithm=random metrics=pixels budget.points=[1,2]"
REFUSED = {  # what is asked, beside PARTS -> what is said; texts cannot be wanting, every data set has them
    "dataset.file=nowhere.txt": "dataset.file=nowhere.txt: there is no such file",
    "dataset.file=empty.txt": "dataset prompts_toy holds no conditions",
    "dataset.file=image.png": "dataset.file=image.png: not a text in UTF-8",
    "verifier=likelihood": "verifier likelihood knows classes, dataset prompts_toy has prompts",
    "model=toy": "dataset prompts_toy has prompts, no classes, model toy 10 classes",
    "metrics=pixels": "metrics: their classes are those of mixture, dataset prompts_toy has prompts",
    "dataset.file=prompts.txt": "run holds results of conditions=",
    "verifier=mean_image": "whole set of images: with independent candidates (algorithm=random) only, not part",
    f"{WHOLE} algorithm=zo": "whole set of images: with independent candidates (algorithm=random) only, not ZO",
    f"{WHOLE} rank=0 world=2": "verifier=mean_image looks at the whole set of images: one worker only, not world=2",
    f"{WHOLE} observers=[brightness]": "verifier=mean_image looks at the whole set of images: no observers beside it",
    f"{WHOLE} verifier=brightness observers=[mean_image]": "observers: mean_image gives no score of one image",
    f"{WHOLE} budget.points=[1]": "verifier=mean_image looks at the whole set of images: budget points from N = 1 on",
    f"{WHOLE} verifier.target=2": "verifier.target=2: from -1 (black) to 1 (white)",
    f"{WHOLE} verifier.grid=0": "verifier.grid=0: at least 1",
    f"{WHOLE} verifier.group=0": "verifier.group=0: at least 1",
}


def without_torch(folder: Path, site: str, *words: str) -> subprocess.CompletedProcess:
    """`python run.py` with PARTS, changed by `words`, where torch cannot be imported."""
    options = dict(word.split("=", 1) for word in (*PARTS, *words))
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *(f"{name}={value}" for name, value in options.items())],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((site, str(ROOT)))},
        capture_output=True,
        text=True,
        check=False,
    )


def refused_without_torch(home: Path, folder: Path, *words: str, version: str = "0.1.0") -> str:
    """What is said of `words` in a folder with an edited list of prompts and the run that was made before."""
    shutil.copytree(home / "run", folder / "run")
    shutil.copy(home / "run/images/side_by_side.png", folder / "image.png")
    (folder / "prompts.txt").write_text("the third wave\na fifth wave\n")
    (folder / "empty.txt").write_text("\n")
    done = without_torch(folder, install(folder / "site", version), *words)
    assert done.returncode == 1 and one_line(done.stderr), done.stderr
    return done.stderr


@pytest.mark.parametrize("asked", REFUSED)
def test_what_does_not_fit_is_told_before_torch_is_imported(home: Path, tmp_path: Path, asked: str) -> None:
    assert REFUSED[asked] in refused_without_torch(home, tmp_path, *asked.split())


def test_another_version_is_refused(home: Path, tmp_path: Path) -> None:
    said = refused_without_torch(home, tmp_path, "dataset.file=null", version="0.2.0")
    assert "plugins.noise_search_example=0.1.0, not 0.2.0" in said


def test_why_a_part_cannot_be_imported_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "noise_search.verifiers.brightness", None)
    monkeypatch.delattr("noise_search.verifiers.brightness")
    with pytest.raises(Refused, match=r"there is no such part \(import of noise_search.verifiers.brightness halted"):
        build({"_target_": "noise_search.verifiers.brightness.Brightness"}, "verifier")


@pytest.mark.parametrize("asked", ["dataset.file=null", WHOLE])
def test_its_plans_need_no_torch(home: Path, tmp_path: Path, asked: str) -> None:
    done = without_torch(tmp_path, str(home / "site"), *asked.split(), "plan_only=true")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["plan.csv"]


def test_without_it_its_names_are_unknown(home: Path) -> None:
    said = call(home, *PARTS, "dataset.file=prompts.txt", "images=6", code=1, PYTHONPATH="").stderr
    assert one_line(said) and "Could not find 'model/prompt_toy'" in said


@pytest.mark.parametrize("asked", ["status", "verify"])
@pytest.mark.parametrize(("version", "here"), [("", "which is not installed here"), ("0.2.0", "here is 0.2.0")])
def test_a_saved_run_names_the_plugin_that_it_needs(
    home: Path, tmp_path: Path, asked: str, version: str, here: str
) -> None:
    said = ask(home, asked, "run", code=1, PYTHONPATH=install(tmp_path, version) if version else "").stderr
    assert said == f"error: run was made with the plug-in noise_search_example 0.1.0; {here}\n"


def test_its_verifier_of_the_whole_set_brings_the_mean_near(home: Path, tmp_path: Path) -> None:
    def run(images: int, code: int = 0) -> str:
        parts = ("experiment=toy", "verifier=mean_image", "budget.points=[1,2,4]", f"images={images}", "logger=none")
        return call(tmp_path, *parts, "hydra.run.dir=run", code=code, PYTHONPATH=str(home / "site")).stderr

    def distance(point: int) -> float:
        """Of the stored images' mean, over quarters of 4 x 4 pixels, from mid grey."""
        stored = read_units(tmp_path / "run", ["image_id", "png"], point=point)["png"].to_pylist()
        images = np.stack([np.asarray(Image.open(io.BytesIO(png))) for png in stored]) / 127.5 - 1
        return float(np.linalg.norm(images.reshape(100, 2, 4, 2, 4, 3).mean((0, 2, 4))))

    run(100)
    one, two, four = map(distance, (1, 2, 4))
    assert one > 2 * two > 4 * four
    said = ask(tmp_path, "verify", "run", PYTHONPATH=str(home / "site")).stdout
    assert "no image is made again: with verifier=mean_image a choice depends on all the images before" in said
    said = run(50, code=1)
    assert one_line(said) and "settings.verifier.images=100, not 50" in said


def test_its_verifier_of_the_whole_set_is_greedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PLUGIN))
    verifier = importlib.import_module("noise_search_example.mean_image").MeanImage(images=4, target=0.3)
    features = np.random.default_rng(0).standard_normal((4, 5, verifier.columns), np.float32)  # 5 candidates an image
    memory, sets = verifier.begin(features[:, 0], [2, 5]), {2: features[:, 0].copy(), 5: features[:, 0].copy()}
    for i in range(4):
        frozen = verifier.against(memory)
        for point, held in sets.items():
            tried = [np.concatenate([held[:i], [new], held[i + 1 :]]).mean(0) for new in features[i, :point]]
            distances = np.linalg.norm(np.stack(tried) - 0.3, axis=1)
            assert np.allclose(-frozen.combine(torch.from_numpy(features[i : i + 1, :point]), point)[0], distances)
            held[i] = features[i, distances.argmin()]
        memory = verifier.commit(
            memory, features[i : i + 1, 0], {point: held[i : i + 1] for point, held in sets.items()}
        )
        assert all(np.allclose(memory[point], held.mean(0)) for point, held in sets.items())
    with pytest.raises(ValueError, match=r"^images=4: 3, as the run's"):
        verifier.begin(features[:3, 0], [2])


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
