"""The front door: what its five lines promise."""

import dataclasses
import inspect
import itertools
import os
import re
import subprocess
import sys
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.singleton import Singleton
from omegaconf.basecontainer import BaseContainer
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from noise_search import render, search
from noise_search.algorithms.paths import Paths
from noise_search.algorithms.random import Random
from noise_search.algorithms.zero_order import ZeroOrder
from noise_search.core.algorithm import Cost
from noise_search.core.images import tensor_to_images
from noise_search.core.problem import open_problem
from noise_search.drafts.cache import Cache
from noise_search.drafts.early import Early
from noise_search.errors import Refused
from noise_search.front.found import Found
from noise_search.models.embedded import EmbeddedSiT, SmallEmbeddedSiT
from noise_search.models.toy import Toy
from noise_search.verifiers.brightness import Brightness
from noise_search.verifiers.likelihood import Likelihood
from tests.test_configs import CONFIGS

ROOT = Path(__file__).parents[1]
WAVES = ["wave 3", "wave 7"]


def bright(images: Tensor, texts: list[str]) -> Tensor:
    return images.mean((1, 2, 3))


def pixels(found: Found) -> np.ndarray:
    return np.stack([np.asarray(image) for image in found.images])


def test_the_lines_of_the_readme_run_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text().split("## As a library")[1]
    namespace: dict = {}
    exec(text.split("```python\n")[1].split("```")[0], namespace)
    found = namespace["found"]
    assert found.nfe == 16 * 10 + 20 and found.texts == ["cat", "ship"] and found.scores.shape == (2,)
    assert capsys.readouterr().out.startswith("[0.")
    page = (tmp_path / "found.html").read_text()
    assert page.count("data:image/png") == 2 and "<svg" in page and "ship" in page
    assert (tmp_path / "cat.png").read_bytes().startswith(b"\x89PNG")


def test_the_promised_names_are_there() -> None:
    numbers = "n nfe seconds algorithm draft dataset search_nfe final_nfe cfg_scale seed device batch_size progress"
    assert list(inspect.signature(search).parameters) == ["model", "conditions", "verifier", *numbers.split()]
    numbers = "algorithm dataset final_nfe cfg_scale seed device batch_size"
    assert list(inspect.signature(render).parameters) == ["model", "conditions", "addresses", *numbers.split()]
    fields, changelog = list(Found.__dataclass_fields__), (ROOT / "CHANGELOG.md").read_text()
    assert fields == ["images", "texts", "scores", "nfe", "curve", "bill", "addresses", "seed", "verifier", "stopped"]
    assert all(f"`{field}`" in changelog for field in fields)


def test_importing_the_package_loads_no_torch() -> None:
    code = "import noise_search as n, sys; assert 'torch' not in sys.modules; n.search; assert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
    with pytest.raises(ImportError, match="nothing"):
        from noise_search import nothing  # noqa: F401


@pytest.mark.parametrize("algorithm", ["random", "zo", "paths", "none"])
def test_one_candidate_is_the_plain_sample_to_the_bit(algorithm: str) -> None:
    found = search("sit_cifar10", ["cat", 8], bright, n=1, seed=3, device="cpu", algorithm=algorithm)
    with torch.no_grad():
        problem = open_problem(EmbeddedSiT(name="sit_cifar10").load(), Brightness(), torch.tensor([3, 8]), seed=3)
        plain = tensor_to_images(problem.render(problem.noise(0), 1.0))
    assert np.array_equal(pixels(found), plain)
    assert found.nfe == 20 and found.curve == [(20, pytest.approx(found.scores.mean()))]
    assert found.bill["evaluations"] == 40 and found.bill["scored"] == 2


class Live(TorchDispatchMode):
    """The most bytes that tensors made under it held at one time; views share their storage."""

    def __init__(self) -> None:
        super().__init__()
        self.holders: dict[int, int] = {}
        self.now = self.most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_iter(out):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                key, size = storage.data_ptr(), storage.nbytes()
                self.now += size * (key not in self.holders)
                self.holders[key] = self.holders.get(key, 0) + 1
                weakref.finalize(tensor, self.let_go, key, size)
        self.most = max(self.most, self.now)
        return out

    def let_go(self, key: int, size: int) -> None:
        self.holders[key] -= 1
        if not self.holders[key]:
            del self.holders[key]
            self.now -= size


def peak(n: int, batch_size: int) -> int:
    model = Toy(name="toy").load()
    with Live() as live:
        search(model, [3, 7], bright, n=n, batch_size=batch_size)
    return live.most


def test_memory_does_not_grow_with_the_number_of_candidates() -> None:
    four = peak(4, batch_size=8)
    assert peak(64, batch_size=8) <= 1.1 * four
    assert peak(64, batch_size=128) > 5 * four  # the count sees what is held


def test_batches_do_not_change_what_is_found() -> None:
    one = search("toy", WAVES, bright, n=9, batch_size=1)
    many = search("toy", WAVES, bright, n=9, batch_size=1000)
    assert one.addresses == many.addresses and [n for n, _ in one.curve] == [n for n, _ in many.curve]
    assert one.curve[0][0] == 20 and one.curve[-1][0] == one.nfe == 110
    values = [value for _, value in one.curve]
    assert values == sorted(values) and values[-1] > values[0]


@pytest.mark.parametrize(
    ("algorithm", "nfe", "scored"), [("random", 110, 9), ("zo", 110, 9), ("first_order", 110, 9), ("paths", 130, 8)]
)
def test_n_is_the_number_of_candidates_scored(algorithm: str, nfe: int, scored: int) -> None:
    found = search("toy", WAVES, bright, n=9, algorithm=algorithm)
    assert found.nfe == nfe and found.bill["scored"] == 2 * (scored + 1)  # and the final image
    assert found.bill["evaluations"] == 2 * nfe == found.bill["network_rows"]
    again = search("toy", WAVES, bright, nfe=nfe + 1, algorithm=algorithm)
    assert again.nfe == nfe and np.array_equal(pixels(again), pixels(found))


@pytest.mark.parametrize("algorithm", ["random", "zo", "first_order"])
def test_a_clock_ends_a_search(algorithm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that goes on by a second whenever it is looked at."""
    monkeypatch.setattr("noise_search.front.rounds.time", SimpleNamespace(monotonic=itertools.count().__next__))
    found = search("toy", WAVES, bright, seconds=6, algorithm=algorithm, batch_size=1)
    assert found.nfe > 60 and 6 < found.bill["seconds"] < 12 and not found.stopped
    assert search("toy", WAVES, bright, seconds=0, algorithm=algorithm).nfe == 20
    one = search("toy", WAVES, bright, seconds=2, algorithm=algorithm, batch_size=1)
    assert one.nfe in (30, 50)  # one round, whose length the plan agrees with


@pytest.mark.parametrize("verifier", ["brightness", "likelihood", Brightness(), bright])
def test_verifiers_by_name_by_object_and_by_function(verifier: Any) -> None:
    found = search("toy", [3, 3, 7], verifier, n=4)
    assert found.texts == ["wave 3", "wave 3", "wave 7"] and len({i.tobytes() for i in found.images}) == 3


def test_guidance_models_datasets_and_algorithms_of_ones_own() -> None:
    guided = search("toy", WAVES, bright, n=4, cfg_scale=2.0, search_nfe=4, final_nfe=8)
    assert guided.nfe == 24 and guided.bill["network_rows"] == 2 * guided.bill["evaluations"] == 96
    ids = search(Toy(name="toy").load(), [3, 7], bright, n=4, algorithm=Random())
    names = search(Toy(name="toy").load(), WAVES, bright, n=4, dataset="mixture")
    assert np.array_equal(pixels(ids), pixels(names)) and ids.texts == ["class 3", "class 7"]
    assert search("toy", "wave 3", bright, n=9, algorithm=ZeroOrder(neighbours=8)).nfe == 110
    with pytest.raises(ValueError, match="class ids only"):
        search(Toy(name="toy").load(), WAVES, bright, n=4)


def test_a_function_sees_images_from_0_to_1_and_a_text_for_each() -> None:
    seen = []

    def verifier(images: Tensor, texts: list[str]) -> list[float]:
        assert images.shape[1:] == (3, 8, 8) and images.min() >= 0 and images.max() <= 1
        seen.extend(texts)
        return [0.0] * len(texts)

    search("toy", WAVES, verifier, n=4)
    assert seen.count("wave 3") == seen.count("wave 7") == 5


def wrong_shape(images: Tensor, texts: list[str]) -> Tensor:
    return images.mean()


def not_a_number(images: Tensor, texts: list[str]) -> Tensor:
    return images.mean((1, 2, 3)) * float("nan")


def raises(images: Tensor, texts: list[str]) -> Tensor:
    raise KeyError("oops")


def no_gradient(images: Tensor, texts: list[str]) -> Tensor:
    return images.detach().mean((1, 2, 3))


@pytest.mark.parametrize(
    ("verifier", "n", "error", "message"),
    [
        (wrong_shape, 1, ValueError, r"verifier wrong_shape returned shape \(\), not \(2,\)"),
        (not_a_number, 4, ValueError, "verifier not_a_number returned NaN or infinity for 8 of 8"),
        (raises, 4, RuntimeError, "verifier raises raised KeyError: 'oops'"),
    ],
)
def test_a_bad_verifier_is_named(verifier: Any, n: int, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        search("toy", WAVES, verifier, n=n)
    assert verifier is not raises or isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "exactly one of n, nfe and seconds"),
        ({"n": 4, "nfe": 100}, "exactly one of n, nfe and seconds"),
        ({"n": 0}, "n=0: a whole number"),
        ({"n": True}, "n=True: a whole number"),
        ({"nfe": 19}, "nfe=19: below the final generation, budget.final_nfe=20, the least of random"),
        ({"seconds": -1}, "seconds=-1: a number"),
        ({"seconds": True}, "seconds=True: a number"),
        ({"n": 2, "algorithm": 5}, "algorithm=5: a name or an algorithm"),
        ({"n": 2, "algorithm": Random}, "algorithm=<class"),
        ({"n": 2, "verifier": Brightness}, "verifier=<class"),
        ({"n": 2, "dataset": 5}, "dataset=5: a name or a Dataset"),
        ({"n": 2, "model": 5}, "model=5: a name, a Model, or the settings of one"),
        ({"n": 2, "conditions": None}, "conditions=None: class names"),
        ({"seconds": 1, "algorithm": "paths"}, "Paths-2 has no result before its end"),
        ({"n": 4, "algorithm": "none"}, "none scores no candidates"),
        ({"n": 2, "algorithm": "zo"}, "n=2: the first round of ZO-2 scores 3 candidates"),
        ({"n": 4, "algorithm": "zoo"}, "algorithm='zoo': one of beam, dno"),
        ({"n": 4, "verifier": "brighter"}, "verifier='brighter': one of aesthetic, brightness"),
        ({"n": 4, "verifier": 3}, "verifier=3: a name"),
        ({"n": 4, "verifier": "oracle_fid"}, "chooses for a whole set"),
        ({"n": 4, "verifier": no_gradient, "algorithm": "first_order"}, "verifier no_gradient has no gradient"),
        ({"n": 4, "model": "toyy"}, "model='toyy': one of"),
        ({"n": 4, "conditions": []}, "conditions: none"),
        ({"n": 4, "conditions": ["wave 30"]}, "'wave 30': not a class of mixture; near it are wave 3"),
        ({"n": 4, "conditions": [10]}, "condition 10: a class name, or a class id from 0 to 9"),
        ({"n": 4, "seed": -1}, "seed=-1"),
        ({"n": 4, "device": "tpu"}, "device=tpu"),
        ({"n": 4, "batch_size": 0}, "batch_size=0"),
    ],
)
def test_bad_arguments_are_told(arguments: dict[str, Any], message: str) -> None:
    values = {"model": "toy", "conditions": WAVES, "verifier": bright} | arguments
    with pytest.raises(ValueError, match=message):
        search(**values)


@pytest.mark.parametrize("algorithm", ["random", "zo", "paths", "first_order"])
def test_ctrl_c_returns_the_best_so_far(algorithm: str) -> None:
    calls = 0

    def verifier(images: Tensor, texts: list[str]) -> Tensor:
        nonlocal calls
        calls += len(images)
        if calls == 12:  # some rounds have passed; not again in the final generation
            raise KeyboardInterrupt
        return bright(images, texts)

    found = search("toy", WAVES, verifier, n=40, algorithm=algorithm, batch_size=2)
    assert found.stopped and len(found.images) == 2 and np.isfinite(found.scores).all()
    plain = search("toy", WAVES, bright, n=1)
    if algorithm == "paths":
        assert np.array_equal(pixels(found), pixels(plain))
    else:
        assert found.scores.mean() > plain.scores.mean() and found.curve


def test_a_result_is_made_again_from_seed_and_address() -> None:
    found = search("sit_cifar10", ["cat", "ship"], bright, n=6, seed=5)
    assert found.addresses and [image for image, _ in found.addresses] == [0, 1]
    again = render("sit_cifar10", ["cat", "ship"], found.addresses, seed=found.seed)
    assert np.array_equal(np.stack([np.asarray(image) for image in again]), pixels(found))
    (alone,) = render("sit_cifar10", ["ship"], found.addresses[1:], seed=5)
    assert np.abs(np.asarray(alone).astype(int) - pixels(found)[1]).max() <= 3  # another batch: bfloat16's rounding
    assert np.array_equal(pixels(search("sit_cifar10", [3, 8], bright, n=6, seed=5)), pixels(found))
    assert not np.array_equal(pixels(search("sit_cifar10", [3, 8], bright, n=6, seed=6)), pixels(found))


TRACED = {  # with the candidates an image that are searched
    "random": ("random", 9),
    "none": ("none", 1),
    "unsearched paths": ("paths", 1),
    "zo": ("zo", 25),
    "evolution": ("evolution", 40),
    "evosearch": ("evosearch", 40),
    "unsearched evosearch": ("evosearch", 1),
    "threshold": ("threshold", 9),
    "zo latest": (ZeroOrder(neighbours=3, pivot="latest"), 25),
    "zo redraw": (ZeroOrder(similarity=0.5, on_stall="redraw"), 41),
    "zo latest redraw": (ZeroOrder(similarity=0.5, pivot="latest", on_stall="redraw"), 41),
    "paths": ("paths", 40),
    "paths per_path": (Paths(paths=3, backward_nfe=5, pool="per_path"), 40),
}


@pytest.mark.parametrize("name", TRACED)
def test_every_address_makes_its_image_again(name: str) -> None:
    (algorithm, n), classes = TRACED[name], [f"wave {k}" for k in range(4)]
    found = search("toy", classes, bright, n=n, seed=3, algorithm=algorithm, batch_size=1)
    assert found.addresses and [image for image, *_ in found.addresses] == [0, 1, 2, 3]
    if name.startswith("zo"):
        assert max(map(len, found.addresses)) > 4
        assert ("redraw" in name) == any(start > 0 for _, start, *_ in found.addresses)
    again = render("toy", classes, found.addresses, algorithm=algorithm, seed=found.seed, batch_size=1)
    assert np.array_equal(np.stack([np.asarray(image) for image in again]), pixels(found))
    some = [3, 1, 2]
    parts = [classes[i] for i in some], [found.addresses[i] for i in some]
    again = render("toy", *parts, algorithm=algorithm, seed=found.seed)
    assert np.abs(np.stack(again).astype(int) - pixels(found)[some]).max() <= 1


@pytest.mark.parametrize(
    ("algorithm", "address", "message"),
    [
        ("random", (0, 3, 5), r"address \(0, 3, 5\): random has \(image, candidate\)"),
        ("random", (0,), r"address \(0,\): random has"),
        ("random", (), r"address \(\): random has"),
        ("random", (0, -1), r"address \(0, -1\): whole numbers, at least 0"),
        ("random", (-1, 0), "whole numbers, at least 0"),
        ("random", (0, 1.0), "whole numbers, at least 0"),
        ("random", (0, True), "whole numbers, at least 0"),
        ("random", (0, 2**63), "whole numbers, at least 0"),
        ("random", "01", "address '01': whole numbers"),
        ("random", 3, "address 3: whole numbers"),
        ("none", (0, 1), r"none has \(image, 0\)"),
        ("zo", (0,), r"ZO-2 has \(image, start, neighbour of each move\)"),
        ("zo", (0, 5), "ZO-2 has"),  # of random search
        ("zo", (0, 1, 3), "ZO-2 has"),  # of a search that draws fresh pivots
        ("zo", (0, 0, 0), "ZO-2 has"),
        ("zo", (0, 0, 3, 4), "ZO-2 has"),  # twice in one round
        ("zo", (0, 0, 3, 2), "ZO-2 has"),
        ("evolution", (0, 8), r"Evolution-8 has \(image, noise, child of each mutation\)"),  # no first noise: a child
        ("evolution", (0, 1, 7), "Evolution-8 has"),  # no child
        ("evolution", (0, 1, 8, 9), "Evolution-8 has"),  # twice in one round
        ("evosearch", (0, 9), r"EvoSearch-8 has \(image, noise, child of each mutation\), or \(image, 0\) unsearched"),
        ("evosearch", (0, 0, 9), "EvoSearch-8 has"),  # children of what was not searched
        (ZeroOrder(on_stall="redraw"), (0, 2), "ZO-2 has"),
        (ZeroOrder(on_stall="redraw"), (0, 2, 4), "ZO-2 has"),  # before its pivot was drawn
        ("paths", (0,), r"Paths-2 has \(image, noise, re-noising of each round\), or \(image, 0\) unsearched"),
        ("paths", (0, 5), "Paths-2 has"),
        ("paths", (0, 1, 1, 1), "Paths-2 has"),
        ("paths", (0, 2, 1, 1, 1), "Paths-2 has"),
        ("paths", (0, 1, 1, 1, 1, 1), "Paths-2 has"),
        ("first_order", (0, 0), "algorithm first-order has no addresses"),
    ],
)
def test_wrong_addresses_are_refused(algorithm: Any, address: Any, message: str) -> None:
    with pytest.raises(Refused, match=message) as caught:
        render("toy", "wave 3", [address], algorithm=algorithm)
    assert "\n" not in str(caught.value)


def test_addresses_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(Refused, match="addresses: 1 for 2 conditions"):
        render("toy", WAVES, [(0, 0)])
    with pytest.raises(Refused, match="Paths-2: of these images some were searched and some not"):
        render("toy", WAVES, [(0, 0), (1, 1, 1, 1, 1)], algorithm="paths")
    with pytest.raises(Refused, match="EvoSearch-8: of these images some were searched and some not"):
        render("toy", WAVES, [(0, 0), (1, 1)], algorithm="evosearch")
    nothing = search("toy", WAVES, bright, n=9, algorithm="first_order").addresses
    assert nothing is None
    with pytest.raises(Refused, match="addresses=None: a list"):
        render("toy", WAVES, nothing)


def test_a_meter_that_differs_from_the_plan_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Random, "cost", lambda self, point, c, final: ZeroOrder().cost(point, c, final))
    with pytest.raises(RuntimeError, match=r"evaluations \[60, 60\] an image, 110 were planned"):
        search("toy", WAVES, bright, nfe=110)


def test_a_bar_is_shown_when_asked_for(capsys: pytest.CaptureFixture) -> None:
    search("toy", WAVES, bright, n=4)
    assert not capsys.readouterr().err
    search("toy", WAVES, bright, n=4, progress=True)
    assert re.search(r"100%.* 120/120 .*NFE", capsys.readouterr().err)


def test_the_page_escapes_what_it_shows(tmp_path: Path) -> None:
    found = search("toy", WAVES, bright, n=4)
    Found(**{**found.__dict__, "texts": ["<b>", "&"], "verifier": "<i>", "stopped": True}).save(tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert "&lt;b&gt;" in page and "<b>" not in page and "&lt;i&gt;" in page and "Stopped" in page


def test_no_global_state_is_left() -> None:
    def state() -> tuple[dict, set]:
        return {k: id(v) for k, v in Singleton._instances.items()}, set(BaseContainer._resolvers)

    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        search("toy", WAVES, bright, n=1)  # plugins are found once
        before, hydra, seed = state(), GlobalHydra.instance().hydra, torch.initial_seed()
        numbers, threads = torch.get_rng_state(), torch.get_num_threads()
        search("toy", WAVES, bright, n=4)
        assert state() == before and GlobalHydra.instance().hydra is hydra
        assert torch.initial_seed() == seed and torch.equal(torch.get_rng_state(), numbers)
        assert torch.get_num_threads() == threads and torch.is_grad_enabled()


MINE = """
import hydra
from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.version import VersionBase
from noise_search import search

@hydra.main(version_base="1.2", config_path="mine", config_name="mine")
def main(cfg):
    version = VersionBase.instance().getbase()
    found = search("toy", cfg.classes, lambda images, texts: images.mean((1, 2, 3)), n=cfg.n)
    assert VersionBase.instance().getbase() is version
    assert compose("mine", ["n=7"]).n == 7  # the caller's groups again
    print(found.nfe, cfg.job, HydraConfig.get().job.name)

main()
"""


def test_it_works_within_a_users_own_hydra_application(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mine.yaml").write_text("n: 4\nclasses: [wave 1, 2]\njob: ${hydra:job.name}\n")
    (tmp_path / "app.py").write_text(MINE)
    command = [sys.executable, "app.py", "n=9", "hydra.run.dir=out"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["110", "app", "app"]


def test_parts_that_are_not_loaded_yet_are_loaded() -> None:
    """The settings of a model, and a Verifier, which needs its data set's classes."""
    named = search("toy", [3, 7], "likelihood", n=4)
    given = search(Toy(name="toy"), np.array([3, 7]).tolist(), Likelihood(), n=np.int64(4), dataset="mixture")
    assert np.array_equal(named.scores, given.scores) and named.images[0].size == given.images[0].size == (8, 8)
    assert search("toy", np.int64(3), Likelihood(), n=1).texts == ["wave 3"]


@pytest.mark.parametrize("verifier", ["classifier", "classifier_b", "oracle_is", "ensemble"])
def test_a_verifier_of_other_classes_is_refused(verifier: str) -> None:
    """A model says whose classes it makes, or a data set does; nobody's classes are not scored as somebody's."""
    toy = Toy(name="toy").load()
    unsaid = dataclasses.replace(toy, class_set=None)
    for model, more, words in (
        (toy, {}, "scores classes: give dataset"),
        (unsaid, {}, "scores classes: give dataset"),
        (unsaid, {"dataset": "mixture"}, "knows the classes of cifar10"),
    ):
        with pytest.raises(ValueError, match=words):
            search(model, [0, 1], verifier, n=2, **more)
    with pytest.raises(ValueError, match="model toy knows the classes of mixture, dataset cifar10"):
        search(toy, [0, 1], verifier, n=2, dataset="cifar10")


def test_a_verifier_of_the_models_own_classes_needs_no_data_set() -> None:
    assert search(Toy(name="toy").load(), [3], "likelihood", n=2).scores.shape == (1,)


def test_what_is_returned_is_not_said_to_be_raised() -> None:
    with pytest.raises(ValueError, match=r"verifier <lambda> returned NoneType, not 2 numbers"):
        search("toy", [3, 7], lambda images, texts: None, n=1, device=torch.device("cpu"))


def test_without_a_search_few_evaluations_are_enough() -> None:
    assert search("toy", [3], bright, nfe=8, algorithm="none").nfe == 8


def test_a_closed_form_that_does_not_grow_is_refused() -> None:
    class Silent(Random):
        name = "silent"

        def cost(self, point: int, c: int, final: int) -> Cost:
            return Cost(c * point, final, final)

    with pytest.raises(ValueError, match=r"Cost.scored of silent does not grow with its points"):
        search("toy", [3], bright, n=4, algorithm=Silent())


def test_a_candidate_of_the_final_nfe_is_the_image() -> None:
    """Nothing is generated again."""
    found = search("toy", WAVES, "likelihood", n=5, search_nfe=6, final_nfe=6, progress=False)
    assert found.nfe == 30 and found.bill["evaluations"] == 30 * len(WAVES)
    assert [nfe for nfe, _ in found.curve] == [6, 12, 18, 24, 30]
    assert search("toy", WAVES, "likelihood", n=1, search_nfe=6, final_nfe=6, progress=False).nfe == 6


def test_a_draft_ranks_and_the_whole_network_renders() -> None:
    """Blocks are left out of candidates alone; what was found is rendered again without a draft."""
    asked = {"final_nfe": 6, "search_nfe": 4, "batch_size": 8, "device": "cpu"}
    found = search("sit_cifar10_small", ["cat"], "classifier", n=3, draft=Cache(every=2), **asked)
    assert found.nfe == 3 * 4 + 6 == found.bill["network_rows"]
    assert found.bill["left_out"] == 3 * 2 * SmallEmbeddedSiT(name="sit_cifar10_small").reusable
    assert found.addresses is not None
    again = render("sit_cifar10_small", ["cat"], found.addresses, final_nfe=6, batch_size=8, device="cpu")
    assert np.abs(np.asarray(again[0], np.int64) - np.asarray(found.images[0], np.int64)).max() <= 2
    early = search("sit_cifar10_small", ["cat"], "classifier", n=3, draft=Early(steps=3, time=0.5), **asked)
    assert early.nfe == 3 * 3 + 6 and early.bill["left_out"] == 0


def test_drafts_of_a_loaded_model_are_those_of_its_settings() -> None:
    settings = SmallEmbeddedSiT(name="sit_cifar10_small", precision="float32")
    asked = {"n": 3, "draft": Cache(every=2), "final_nfe": 6, "search_nfe": 6, "batch_size": 8, "device": "cpu"}
    by_settings = search(settings, [3], bright, **asked)
    of_model = search(settings.load("cpu"), [3], bright, **asked)
    assert np.array_equal(np.asarray(by_settings.images[0]), np.asarray(of_model.images[0]))
    assert by_settings.nfe == of_model.nfe == 3 * 6 + 6
    for key in ("network_rows", "left_out"):
        assert by_settings.bill[key] == of_model.bill[key] > 0


def test_drafts_that_cannot_serve_are_refused() -> None:
    with pytest.raises(Refused, match="draft=cache: the blocks of toy"):
        search("toy", WAVES, "brightness", n=2, draft="cache")
    with pytest.raises(Refused, match="draft=cache: the blocks of toy"):
        search(Toy(name="toy").load("cpu"), [0, 1], bright, n=2, draft="cache", batch_size=4)
    with pytest.raises(Refused, match="draft='nothing': one of cache, cfg, early"):
        search("toy", WAVES, "brightness", n=2, draft="nothing")
    with pytest.raises(Refused, match="draft=3: a name or a draft"):
        search("toy", WAVES, "brightness", n=2, draft=3)  # type: ignore[arg-type]
