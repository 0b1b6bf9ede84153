"""Drafts of diffusers' pipelines: blocks left out, billed, and the pipeline left as it was."""

import functools
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from diffusers import hooks
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from noise_search import from_diffusers, render, search
from noise_search.core.draft import Draft
from noise_search.core.guidance import Guidance
from noise_search.core.model import Model
from noise_search.core.problem import Problem, open_problem
from noise_search.drafts.cache import Cache
from noise_search.drafts.early import Early
from noise_search.drafts.guidance_reuse import GuidanceReuse
from noise_search.drafts.steps import Steps
from noise_search.errors import Refused
from noise_search.models.diffusers import flux, sd3
from noise_search.models.diffusers.families import family_of
from noise_search.verifiers.brightness import Brightness
from tests import tiny_pipelines
from tests.test_pretrained import written_out
from tests.tiny_pipelines import SIDE, tiny

pytestmark = [pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")]
TEXTS = ["a red fox", "two cubes on snow"]
STEPS = 6
WITH_BLOCKS = ("flux_dev", "flux_schnell", "sd3", "pixart_sigma", "sana", "dit")
CACHES = {
    "every second": Cache(every=2, order=1),
    "every third": Cache(every=3),
    "by rows": Cache(every=None, threshold=0.15),
}
FURTHER = {"pixart_sigma": 1.2, "dit": 1.2}  # thresholds where tokens move more in so few steps


@functools.cache
def pipeline(family: str) -> Any:
    """Of three blocks where the family's sizes are those that most share, else of two."""
    with mock.patch.dict(tiny_pipelines.TRANSFORMER, num_layers=3):
        return tiny(family)


@pytest.fixture(autouse=True)
def short_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    for family in (flux, sd3):
        monkeypatch.setattr(family, "LONGEST", 48)


def model_of(pipe: Any) -> Model:
    return from_diffusers(pipe, steps=STEPS, height=SIDE, width=SIDE)


def opened(model: Model, draft: Draft, batch_size: int = 64, ids: tuple[int, ...] = (0, 1)) -> Problem:
    """Two rows an evaluation where the network is not told its guidance."""
    index = torch.tensor([3 * i for i in ids])
    texts = [TEXTS[i] for i in ids]
    loaded = draft.load(model, model, "cpu")
    guidance = Guidance(3.0, distilled=model.distilled)
    nfe = draft.evaluations(STEPS, model)
    return open_problem(
        model, Brightness(), index, list(ids), nfe, STEPS, guidance, 0, batch_size, texts=texts, draft=loaded
    )


def cache_of(family: str, name: str) -> Cache:
    draft = CACHES[name]
    return draft if draft.threshold is None else replace(draft, threshold=FURTHER.get(family, draft.threshold))


class Ran:
    """Rows of each block that really ran: hooks on what is inside it, which nothing of ours replaces."""

    def __init__(self, pipe: Any) -> None:
        network = pipe.transformer
        blocks = [*network.transformer_blocks, *getattr(network, "single_transformer_blocks", ())]
        self.rows = [0] * len(blocks)
        self.handles = [self.first_linear(block).register_forward_hook(self.hook(i)) for i, block in enumerate(blocks)]

    def first_linear(self, block: Any) -> nn.Module:
        """Called once a time, with all rows of the block."""
        return (block.attn if hasattr(block, "attn") else block.attn1).to_q  # type: ignore[no-any-return]

    def hook(self, number: int) -> Any:
        def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            self.rows[number] += len(inputs[0])

        return count

    def __enter__(self) -> "Ran":
        return self

    def __exit__(self, *error: object) -> None:
        for handle in self.handles:
            handle.remove()


@torch.no_grad()
def generated(problem: Problem, count: int = 3) -> Tensor:
    return problem.generate(problem.noises(count))[0]


@pytest.mark.parametrize("name", CACHES)
@pytest.mark.parametrize("family", WITH_BLOCKS)
def test_plan_meter_and_hooks_agree_to_the_block(family: str, name: str) -> None:
    pipe, draft = pipeline(family), cache_of(family, name)
    model, costs = model_of(pipe), family_of(pipe)(pipe, SIDE, SIDE).block_costs()
    problem = opened(model, draft)
    with Ran(pipe) as ran:
        generated(problem)
    network, guidance = problem.meters.network, problem.meters.guidance
    assert ran.rows[0] == int(network.rows.count.sum()) == 2 * 3 * STEPS * guidance.rows
    skipped = sum(cost * (ran.rows[0] - rows) for cost, rows in zip(costs, ran.rows, strict=True))
    assert int(network.left_out.count.sum()) == skipped > 0
    if not draft.bounded:
        assert (network.left_out.count == 3 * draft.left_out(STEPS, model, guidance).multiply_adds).all()


@pytest.mark.parametrize("family", WITH_BLOCKS)
def test_what_blocks_cost_is_counted(family: str) -> None:
    pipe = pipeline(family)
    wrapped = family_of(pipe)(pipe, SIDE, SIDE)
    model, counted, before = model_of(pipe), list[int](), list[int]()
    problem = opened(model, Cache())
    attention = mock.patch.object(torch.nn.functional, "scaled_dot_product_attention", written_out)
    with attention, torch.no_grad(), FlopCounterMode(display=False) as counter:
        handles = []
        for block in wrapped.blocks:
            handles += [
                block.register_forward_pre_hook(lambda *_: before.append(counter.get_total_flops())),
                block.register_forward_hook(lambda *_: counted.append(counter.get_total_flops() - before.pop())),
            ]
        x = problem.noises(1)[:, 0]
        problem.flow.denoiser(x, torch.full((2,), 0.7), torch.arange(2))
    for handle in handles:
        handle.remove()
    rows = 2 * problem.meters.guidance.rows
    assert [flops // 2 // rows for flops in counted] == wrapped.block_costs()
    assert model.reusable == sum(wrapped.block_costs()[1:])


@pytest.mark.parametrize("name", CACHES)
@pytest.mark.parametrize("family", ["flux_dev", "sd3", "pixart_sigma", "sana", "dit"])
def test_batches_and_neighbours_change_nothing_and_nothing_is_remembered(family: str, name: str) -> None:
    model = model_of(pipeline(family))
    draft = cache_of(family, name)
    together, apart = opened(model, draft), opened(model, draft, batch_size=4)
    whole = generated(together)
    torch.testing.assert_close(generated(apart), whole, atol=2e-5, rtol=2e-5)
    assert torch.equal(together.meters.network.left_out.count, apart.meters.network.left_out.count)
    alone = opened(model, draft, ids=(1,))
    torch.testing.assert_close(generated(alone), whole[1:], atol=2e-5, rtol=2e-5)
    assert torch.equal(generated(together), whole)
    assert not torch.allclose(whole, generated(opened(model, Steps(STEPS))), atol=1e-4)  # it does leave something out


@pytest.mark.parametrize("family", ["flux_dev", "sd3", "pixart_sigma", "sana", "dit"])
def test_a_cache_that_leaves_nothing_out_is_the_pipeline(family: str) -> None:
    model = model_of(pipeline(family))
    problem = opened(model, Cache(every=None, threshold=1e-12))
    torch.testing.assert_close(generated(problem), generated(opened(model, Steps(STEPS))), atol=2e-5, rtol=2e-5)
    assert not problem.meters.network.left_out.count.any()


@pytest.mark.parametrize("family", ["flux_dev", "sd3", "pixart_sigma"])
def test_search_renders_its_winner_in_full_and_leaves_the_pipeline_as_it_was(family: str) -> None:
    """By default with as many evaluations a candidate as in the final generation."""
    pipe = pipeline(family)
    model = model_of(pipe)
    modules = list(pipe.transformer.named_modules())
    state = {name: dict(module.__dict__) for name, module in modules}
    found = search(model, TEXTS, "brightness", n=3, draft="cache", batch_size=8, progress=False)
    assert all(module.__dict__ == state[name] for name, module in modules)
    assert found.nfe == 3 * STEPS + STEPS and model.reusable
    rows = 1 if model.distilled or model.guidance == 1 else 2
    assert found.bill["left_out"] == 2 * 3 * (STEPS // 2) * rows * model.reusable
    assert found.addresses is not None
    again = render(model, TEXTS, found.addresses, batch_size=8)
    assert all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(again, found.images, strict=True))


@pytest.mark.parametrize("draft", [Steps(3), Early(6, 0.5), GuidanceReuse(2)])
def test_other_drafts_serve_pipelines_too(draft: Draft) -> None:
    model = model_of(pipeline("sd3"))
    found = search(model, TEXTS, "brightness", n=3, draft=draft, batch_size=8, progress=False)
    assert found.nfe == 3 * draft.evaluations(STEPS, model) + STEPS
    less = draft.left_out(STEPS, model, Guidance(3.0)).rows
    assert found.bill["network_rows"] == 2 * (2 * found.nfe - 3 * less)


def test_an_error_inside_leaves_the_pipeline_as_it_was() -> None:
    pipe = tiny("sd3")
    model = model_of(pipe)
    problem = opened(model, Cache())
    broken = pipe.transformer.transformer_blocks[1]
    broken.forward = mock.Mock(side_effect=RuntimeError("no such luck"))
    with pytest.raises(RuntimeError, match="no such luck"):
        generated(problem)
    assert isinstance(broken.forward, mock.Mock)
    assert all("forward" not in block.__dict__ for block in pipe.transformer.transformer_blocks if block is not broken)


def test_what_cannot_be_cached_is_refused() -> None:
    with pytest.raises(Refused, match="draft=cache: the blocks of StableDiffusionXLPipeline are not known"):
        search(model_of(pipeline("sdxl")), TEXTS, "brightness", n=2, draft="cache")
    with pytest.raises(Refused, match="draft=cfg: distilled guidance"):
        search(model_of(pipeline("flux_dev")), TEXTS, "brightness", n=2, draft="cfg")
    pipe = tiny("sd3")
    model = model_of(pipe)
    own = pipe.transformer.forward
    pipe.transformer.forward = lambda hidden_states, **named: (hidden_states,)  # its blocks are not called
    with pytest.raises(Refused, match="draft=cache: the pipeline's blocks are not called one by one"):
        generated(opened(model, Cache()))
    pipe.transformer.forward = own
    hooks.apply_group_offloading(
        pipe.transformer, onload_device=torch.device("cpu"), offload_type="block_level", num_blocks_per_group=1
    )
    with pytest.raises(Refused, match="draft=cache: group offloading of the pipeline"):
        generated(opened(model, Cache()))


def test_a_pipeline_with_a_cache_of_its_own_is_refused() -> None:
    pipe = tiny("flux_dev")
    pipe.transformer.enable_cache(hooks.FirstBlockCacheConfig(threshold=0.1))
    with pytest.raises(Refused, match="transformer: a cache of diffusers is enabled"):
        model_of(pipe)
    pipe.transformer.disable_cache()
    assert model_of(pipe).reusable
