"""Three independent numbers agree: the closed form, the meters and a spy inside the network."""

import pytest
import torch

from noise_search.algorithms.random import Random
from noise_search.core.budget import Budget, make_plan
from noise_search.core.driver import Readout, sweep_points
from noise_search.core.grid import uniform_grid
from noise_search.core.guidance import Guidance
from tests.conftest import make_setup


@pytest.mark.parametrize("solver", ["heun", "euler"])
@pytest.mark.parametrize("scale", [1.0, 1.5])
@pytest.mark.parametrize("path", ["linear", "cosine"])
@pytest.mark.parametrize("nfe", [1, 4, 5])
@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_plan_meter_and_spy_agree(solver: str, scale: float, path: str, nfe: int, batch_size: int) -> None:
    points, final = (1, 2, 5), 6
    setup = make_setup(nfe=nfe, solver=solver, scale=scale, path=path, batch_size=batch_size)
    plan = make_plan("toy", Random(), Budget(nfe, final, points=points), Guidance(scale).rows, 1)
    readouts = [r for r in sweep_points(setup.problem, Random(), points, setup.guided) if isinstance(r, Readout)]
    factor = 2 if scale != 1.0 else 1
    for purchase, readout in zip(plan.purchases, readouts, strict=True):
        assert purchase.nfe == purchase.nfe_search + final and purchase.network_rows == factor * purchase.nfe
        assert (readout.spent.evaluations == purchase.nfe_search).all()
        assert (readout.spent.rows == factor * purchase.nfe_search).all()
    assert setup.spy.rows == 6 * factor * plan.sweep_search
    assert setup.spy.largest <= batch_size
    before = setup.spy.rows
    setup.problem.flow.solve(readouts[-1].result.x, uniform_grid(final, solver), torch.arange(6))
    assert setup.spy.rows - before == 6 * factor * final
    assert int(setup.guided.network.rows.count.sum()) == setup.spy.rows


def test_no_search_is_made_where_no_point_needs_one() -> None:
    setup = make_setup()
    (readout,) = (r for r in sweep_points(setup.problem, Random(), [1], setup.guided) if isinstance(r, Readout))
    assert setup.spy.rows == 0 and (readout.spent.evaluations == 0).all()
    assert torch.equal(readout.result.x, setup.problem.noise(0))


def test_rows_are_billed_to_the_image_they_work_for() -> None:
    setup = make_setup(images=3, scale=2.0)
    who = torch.tensor([2, 2, 0])
    setup.problem.flow.solve(setup.problem.noise(0)[who], uniform_grid(5, "heun"), who)
    assert setup.guided.evaluations.count.tolist() == [5, 0, 10]
    assert setup.guided.network.rows.count.tolist() == [10, 0, 20]
