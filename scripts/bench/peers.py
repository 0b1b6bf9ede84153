"""The same search as the loops that people write, on the same weights and the same candidates.

plain_loop: SiT's published sampler (Heun, its own time from noise to data), float32, one candidate at a time for a
batch of images. best_of_n_loop: one pipeline call and one verifier call an image, as loops over a diffusers pipeline
do, in bfloat16 as here. Only the search is timed: draft, decode, verify, keep the best.
"""

import itertools
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from noise_search.core.driver import search
from noise_search.core.problem import Problem
from noise_search.core.verifier import Candidates
from noise_search.networks.sit import SiTNetwork
from noise_search.run.parts import Parts, begin
from scripts.bench.precision import FLOAT32, agreement, capture
from scripts.bench.timing import Benchmark, Figure, Measured, Options, alternate, open_run, ratios, seconds_note

LOOP = {
    "peers.plain_loop": Figure("time of a float32 Heun loop / of the search, equal NFE, same candidates", ">= 2.2"),
    "peers.plain_loop.compiled": Figure("time of the same loop / of the search with compile=true"),
    "peers.plain_loop.capture": Figure("capture of the search's choices by the loop's scores", ">= 0.99"),
    "peers.plain_loop.agreement": Figure("share of images for which both choose the same"),
}
EACH = {
    "peers.best_of_n_loop": Figure("time of a loop one image at a time / of the search, both in bfloat16", ">= 2.5")
}


def velocity_of(parts: Parts) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """(x [N, ...], SiT's time [N], label [N]) -> dx / dtime: the bare transformer, as the published code calls it."""
    network, kind = parts.model.network, torch.device(parts.device).type
    assert isinstance(network, SiTNetwork)

    def velocity(x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        with torch.autocast(kind, network.precision, enabled=network.precision != torch.float32):
            return network.net(x, time, label)[:, : network.net.channels].float()

    return velocity


def heun(velocity: Callable[[Tensor, Tensor, Tensor], Tensor], x: Tensor, label: Tensor, steps: int) -> Tensor:
    """From noise at time 0 to data at time 1; two evaluations a step."""
    times = torch.linspace(0, 1, steps + 1)
    for now, then in itertools.pairwise(times.tolist()):
        first = velocity(x, torch.full((len(x),), now, device=x.device), label)
        ahead = x + (then - now) * first
        second = velocity(ahead, torch.full((len(x),), then, device=x.device), label)
        x = x + (then - now) * (first + second) / 2
    return x


@torch.no_grad()
def loop(parts: Parts, noises: Callable[[int], Tensor], label: Tensor, n: int, nfe: int) -> tuple[Tensor, Tensor]:
    """Best of n -> images [B, 3, H, W], and all scores [B, n]. noises: candidate -> [B, ...]; label int64 [B]."""
    velocity, scores = velocity_of(parts), []
    best, kept = torch.full((len(label),), -torch.inf, device=label.device), None
    for candidate in range(n):
        images = parts.model.decoder(heun(velocity, noises(candidate), label, nfe // 2)).clamp(-1, 1)
        score = parts.verifier.score(Candidates(images[:, None], label))[:, 0]
        better = score > best
        kept = images if kept is None else torch.where(better[:, None, None, None], images, kept)
        best = torch.where(better, score, best)
        scores.append(score)
    assert kept is not None
    return kept, torch.stack(scores, 1)


def one_by_one(parts: Parts, problem: Problem, n: int) -> None:
    """A search of its own for every image."""
    noises = problem.noises(n)
    for own, label in zip(noises, problem.index, strict=True):
        loop(parts, lambda k, own=own: own[k : k + 1], label[None], n, problem.search_nfe)


def searched(parts: Parts, images: int, n: int) -> Tensor:
    """Scores [B, n]."""
    with torch.no_grad():
        *_, last = search(begin(parts, list(range(images))), parts.run.algorithm, n)
    return last.scores[..., 0]


def measure_plain(options: Options) -> dict[str, Measured]:
    images, n = options.size(64, 4, 1024), options.size(4, 2)
    ours, compiled, plain = open_run(options), open_run(options, "compile=true"), open_run(options, *FLOAT32)
    problem = begin(plain, list(range(images)))
    nfe = problem.search_nfe
    loops, own, fast = alternate(
        options,
        lambda: loop(plain, problem.noise, problem.index, n, nfe),
        partial(searched, ours, images, n),
        partial(searched, compiled, images, n),
    )
    _, exact = loop(plain, problem.noise, problem.index, n, nfe)
    picks = searched(ours, images, n).argmax(1)
    note = f"{images} images, {n} candidates, {nfe} NFE; {seconds_note(loop=loops, search=own, compiled=fast)}"
    return {
        "peers.plain_loop": Measured(ratios(loops, own), note),
        "peers.plain_loop.compiled": Measured(ratios(loops, fast), note),
        "peers.plain_loop.capture": Measured([capture(exact, picks)], f"{images} images, {n} candidates"),
        "peers.plain_loop.agreement": Measured([agreement(exact, picks)], f"{images} images, {n} candidates"),
    }


def measure_each(options: Options) -> dict[str, Measured]:
    images, n = options.size(64, 2, 128), options.size(2, 2)
    parts = open_run(options)
    problem = begin(parts, list(range(images)))
    loops, own = alternate(options, partial(one_by_one, parts, problem, n), partial(searched, parts, images, n))
    note = f"{images} images, {n} candidates, {problem.search_nfe} NFE; {seconds_note(loop=loops, search=own)}"
    return {"peers.best_of_n_loop": Measured(ratios(loops, own), note)}


PLAIN, ONE_BY_ONE = Benchmark(LOOP, measure_plain), Benchmark(EACH, measure_each)
