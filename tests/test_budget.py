"""Budgets: what they buy, and what they refuse."""

import csv
import dataclasses
from pathlib import Path
from typing import ClassVar

import pytest

from noise_search.algorithms.first_order import FirstOrder
from noise_search.algorithms.none import NoSearch
from noise_search.algorithms.paths import Paths
from noise_search.algorithms.random import Random
from noise_search.algorithms.zero_order import ZeroOrder
from noise_search.core.algorithm import Algorithm, Cost
from noise_search.core.budget import Budget, make_plan
from noise_search.run.execute import make_run, write_plan
from noise_search.run.instantiate import build
from noise_search.storage.units import read_units
from tests.test_configs import described


def test_the_papers_axis_for_random_search() -> None:
    budget = Budget(50, 250, points=(1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256))
    plan = make_plan("fig", Random(), budget, each=1, multiply_adds=1)
    assert [p.nfe_paper for p in plan.purchases] == [250, 300, 400, 600, 1000, 1800, 3400, 5000, 6600, 9800, 13000]
    assert [p.nfe for p in plan.purchases][:3] == [250, 350, 450]
    assert plan.sweep_search == 50 * 256 and plan.sweep_final == (250, 11 * 250)


@pytest.mark.parametrize(("neighbours", "more"), [(2, 100), (4, -100), (8, -500)])
def test_the_meter_counts_more_than_the_paper_for_zo_2_only(neighbours: int, more: int) -> None:
    """As docs/reproduce-imagenet.md says, with the paper's 50 and 250 NFE."""
    budget = Budget(50, 250, points=(1, 4, 30))
    assert {p.nfe - p.nfe_paper for p in budget.purchases(ZeroOrder(neighbours), 1, 1)} == {more}


def test_gflops_are_two_per_multiply_add_of_every_network_row() -> None:
    plan = make_plan("x", Random(), Budget(10, 20, points=(4,)), each=2, multiply_adds=500_000_000)
    assert plan.purchases[0].network_rows == 120
    assert plan.purchases[0].gflops == pytest.approx(120.0)


def test_a_backward_pass_counts_as_three_forward_passes() -> None:
    (moves,) = make_plan("x", FirstOrder(), Budget(10, 20, points=(3,)), each=2, multiply_adds=500_000_000).purchases
    assert (moves.nfe, moves.nfe_backward, moves.network_rows) == (10 * 4 + 20, 40, 120)
    assert moves.gflops == pytest.approx(120 + 3 * 2 * 40)


@pytest.mark.parametrize("nfe", [20, 39, 40, 59, 60, 1000, 1009])
def test_a_total_buys_the_most_it_can(nfe: int) -> None:
    budget = Budget(10, 20, nfe=(nfe,))
    (purchase,) = budget.purchases(Random(), 1, 1)
    assert purchase.nfe <= nfe < budget.total(Random(), purchase.point + 1)


@pytest.mark.parametrize("algorithm", [ZeroOrder, Paths, FirstOrder, Random, NoSearch])
def test_every_hyper_parameter_is_checked_for_its_type(algorithm: type[Algorithm]) -> None:
    wrong = {"int": (2.5, "2", True, None), "float": ("a", None, True, float("nan"), float("inf")), "str": (1, None)}
    for field in dataclasses.fields(algorithm):
        for value in wrong[str(field.type)]:
            node = {"_target_": f"{algorithm.__module__}.{algorithm.__name__}", field.name: value}
            with pytest.raises(ValueError, match=rf"^algorithm.{field.name}={value}: a (whole number|number|text)$"):
                build(node, "algorithm")


@dataclasses.dataclass(frozen=True)
class Warm(Random):
    """Four noises whatever the point, which might be a temperature: other searches at one cost."""

    anytime: ClassVar[bool] = False

    def cost(self, point: int, c: int, final: int) -> Cost:
        return Cost(4 * c, final, final, 4) if point else Cost(0, final, final)

    def rounds(self, point: int) -> int:
        return 4 if point else 0


def test_points_of_equal_cost_are_allowed_where_they_are_other_searches() -> None:
    bought = Budget(10, 20, points=(1, 2, 3)).purchases(Warm(), 1, None)
    assert [p.nfe for p in bought] == [60, 60, 60] and {p.gflops for p in bought} == {None}
    assert [p.label for p in bought] == ["nfe000060-point1", "nfe000060-point2", "nfe000060-point3"]
    with pytest.raises(ValueError, match=r"budget.points=\[0, 1\]: 0 and 1 cost the same 20 NFE, no search"):
        Budget(10, 20, points=(0, 1)).purchases(Random(), 1, 1)


def test_a_run_of_such_points_keeps_them_apart(tmp_path: Path) -> None:
    run = described("experiment=toy", "images=8", "budget.points=[1,2]", "budget.search_nfe=4", "logger=none")
    plan = make_plan("warm", Warm(), run.budget, 1, None)
    make_run(dataclasses.replace(run, algorithm=Warm(), plan=plan), tmp_path)
    assert {path.name for path in (tmp_path / "images").iterdir()} == {
        *("nfe000036-point1.png", "nfe000036-point2.png", "side_by_side.png"),
    }
    with (tmp_path / "curve.csv").open() as file:
        assert {(row["point"], row["nfe"]) for row in csv.DictReader(file)} == {("1", "36"), ("2", "36")}
    bank = read_units(tmp_path, ["point", "bank"])
    assert {len(scores) for scores in bank["bank"].to_pylist() if scores} == {4}  # any independent candidates are kept


def test_without_a_search_final_nfe_bounds_nothing() -> None:
    assert [p.nfe for p in Budget(10, 20, nfe=(8, 12)).purchases(NoSearch(), 1, 1)] == [8, 12]
    with pytest.raises(ValueError, match=r"budget.nfe=0: below 1 NFE, the least of none"):
        Budget(10, 20, nfe=(0,)).purchases(NoSearch(), 1, 1)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"search_nfe": 0, "final_nfe": 20, "points": (1,)}, "budget.search_nfe=0"),
        ({"search_nfe": 10, "final_nfe": 0, "points": (1,)}, "budget.final_nfe=0"),
        ({"search_nfe": 10, "final_nfe": 20}, "give budget.nfe"),
        ({"search_nfe": 10, "final_nfe": 20, "points": (1,), "nfe": (20,)}, "give one of them"),
        ({"search_nfe": 10, "final_nfe": 20, "points": ()}, "growing whole numbers"),
        ({"search_nfe": 10, "final_nfe": 20, "points": (2, 1)}, "growing whole numbers"),
        ({"search_nfe": 10, "final_nfe": 20, "points": (-1, 1)}, "from 0 on"),
        ({"search_nfe": 10, "final_nfe": 20, "nfe": (19,)}, "below the final generation"),
        ({"search_nfe": 10, "final_nfe": 20, "nfe": (20, 30)}, "buys nothing more"),
        ({"search_nfe": 10, "final_nfe": 20, "points": ("a",)}, "growing whole numbers"),
        ({"search_nfe": 2.5, "final_nfe": 20, "points": (1,)}, "whole number"),
    ],
)
def test_bad_budgets_are_refused(values: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Budget(**values).purchases(Random(), 1, 1)


def test_plan_csv(tmp_path: Path) -> None:
    write_plan(make_plan("a/b", Random(), Budget(10, 20, points=(1, 4)), 2, 1), tmp_path / "plan.csv")
    rows = list(csv.DictReader((tmp_path / "plan.csv").read_text().splitlines()))
    assert rows == [
        {"series": "a/b", "point": "1", "nfe": "20", "nfe_paper": "20", "network_rows": "40"},
        {"series": "a/b", "point": "4", "nfe": "60", "nfe_paper": "50", "network_rows": "120"},
    ]
