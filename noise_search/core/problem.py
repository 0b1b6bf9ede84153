"""What a search is allowed to touch: the flow, the verifier, the noise, and which images it works for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from noise_search.core.denoiser import Batches, Guided, Meter, Prediction, differentiated, metered_denoiser
from noise_search.core.draft import WHOLE, Drafter
from noise_search.core.flow import Flow
from noise_search.core.grid import Grid
from noise_search.core.guidance import NO_GUIDANCE, Guidance
from noise_search.core.model import Model
from noise_search.core.noise import normal, uniform
from noise_search.core.noise_ahead import Draws, NoiseAhead, drawn
from noise_search.core.schedule import UNIFORM, Schedule
from noise_search.core.stopwatch import Stopwatch
from noise_search.core.verifier import Candidates, Verifier
from noise_search.errors import Refused


@dataclass(frozen=True)
class Problem:
    """ids: the B image ids; index int64 [B] and texts: what each is asked to show; shape: the latent shape; search_nfe:
    c, of one candidate; draft: what makes it; watch: takes the seconds of every stage, if it has a device; witness: is
    shown every decoded candidate, images [N, 3, H, W] and whose they are int64 [N], once it has its scores."""

    flow: Flow
    verifier: Verifier
    ids: Sequence[int]
    index: Tensor
    texts: Sequence[str]
    shape: tuple[int, ...]
    search_nfe: int
    final_nfe: int
    solver: str
    seed: int
    schedule: Schedule = UNIFORM
    watch: Stopwatch = field(default_factory=Stopwatch)
    witness: Callable[[Tensor, Tensor], None] | None = None
    draft: Drafter = WHOLE

    @property
    def device(self) -> torch.device:
        return self.index.device

    @property
    def meters(self) -> Guided:
        """What every image has cost so far."""
        assert isinstance(self.flow.denoiser, Guided)
        return self.flow.denoiser

    @cached_property
    def scored(self) -> Meter:
        """How often the verifier was shown a candidate of each image."""
        return Meter(len(self.ids))

    @cached_property
    def decoded(self) -> Meter:
        """How many latents were decoded for each image."""
        return Meter(len(self.ids))

    @cached_property
    def broken(self) -> Tensor:
        """bool [B]: a score or the finished image of this image was not finite, so that its choices mean nothing."""
        return torch.zeros(len(self.ids), dtype=torch.bool, device=self.device)

    @property
    def broken_ids(self) -> list[int]:
        return [i for i, broken in zip(self.ids, self.broken.tolist(), strict=True) if broken]

    @cached_property
    def draws(self) -> Callable[[Draws], Tensor]:
        """As `drawn`, ahead where a device denoises meanwhile. On a CPU there is nobody to do it: a draw takes a
        thousandth of the time in which its noise is denoised, and would take it from that."""
        kind = self.device.type
        make = partial(drawn, self.seed, self.ids, self.shape, kind == "cuda")
        return make if kind == "cpu" else NoiseAhead(make, self.at_once)

    def noise(self, candidate: int | Tensor, round: int = 0, tag: str = "noise") -> Tensor:
        """[B, ...] standard normal: draw number `candidate` (one, or int64 [B], each image's own). Free of cost."""
        if isinstance(candidate, int) and tag == "noise":
            return self.noises(1, round, tag, candidate)[:, 0]
        numbers = candidate.tolist() if isinstance(candidate, Tensor) else [candidate] * len(self.ids)
        return normal(self.seed, self.ids, numbers, self.shape, round, tag).to(self.device)

    def noises(self, count: int, round: int = 0, tag: str = "noise", first: int = 0) -> Tensor:
        """[B, count, ...]: draws `first` to first + count - 1."""
        return self.draws(Draws(first, count, round, tag)).to(self.device, non_blocking=True)

    def uniform(self, count: int, round: int = 0, tag: str = "uniform") -> Tensor:
        """float64 [B, count] in [0, 1): numbers for choices, one row an image. Free of cost."""
        return uniform(self.seed, self.ids, count, round, tag).to(self.device)

    @property
    def at_once(self) -> int:
        """Candidates of every image that fill a batch together."""
        return max(1, self.meters.network.batches.size // (len(self.ids) * self.meters.guidance.rows))

    def grid(self, nfe: int, start: float = 1.0, end: float = 0.0) -> Grid:
        return self.schedule(nfe, start, end, self.solver)

    def who(self, k: int, images: Tensor | None = None) -> Tensor:
        """int64 [B * k] on the CPU: the image that each row of [B, k, ...] works for. images: int64 [B] on the CPU, the
        places among the problem's images of those that the rows are of; None: all."""
        return (torch.arange(len(self.ids)) if images is None else images).repeat_interleave(k)

    def solve(
        self, x: Tensor, grid: Grid, levels: Sequence[float] = (), images: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """x [B, K, ...] at the grid's start -> its end [B, K, ...] and views [B, K, L, ...]; grid.nfe evaluations.
        images: as of `who`."""
        b, k = x.shape[:2]
        with self.watch("denoise"):
            solution = self.flow.solve(x.flatten(0, 1), grid, self.who(k, images), levels)
        return solution.x.unflatten(0, (b, k)), solution.views.unflatten(0, (b, k))

    def predict(self, x: Tensor, t: float, images: Tensor | None = None) -> Prediction:
        """x [B, K, ...] at time t -> clean image and noise [B, K, ...] each; one evaluation a candidate. images: as of
        `who`."""
        b, k = x.shape[:2]
        with self.watch("denoise"):
            out = self.flow.predict(x.flatten(0, 1), t, self.who(k, images))
        return Prediction(out.x0.unflatten(0, (b, k)), out.eps.unflatten(0, (b, k)))

    def score(self, x: Tensor, views: Tensor, images: Tensor | None = None) -> Tensor:
        """Scores [B, K, V] of clean latents x [B, K, ...] with their views [B, K, L, ...]; no evaluation. images: as of
        `who`.

        Decoded and scored in batches of the network's size, so that memory does not grow with K; checkpointed where
        a gradient is wanted.
        """
        b, k = x.shape[:2]
        who = self.who(k, images)
        self.bill(who, views.shape[2])
        rows = x.flatten(0, 1), views.flatten(0, 1), who
        call = partial(checkpoint, self.score_rows, use_reentrant=False) if differentiated(x) else self.score_rows
        scores = torch.cat(self.meters.network.batches(call, *rows)).unflatten(0, (b, k))
        bad = ~scores.detach().isfinite().flatten(1).all(1)
        if images is None:
            self.broken.logical_or_(bad)
        else:
            self.broken[images.to(self.device)] |= bad
        return scores

    def bill(self, who: Tensor, views: int) -> None:
        """Rows of images `who` [N] are decoded, each with so many views, and shown to the verifier."""
        self.scored.add(who)
        self.decoded.add(who.repeat(1 + views))

    def paid_before(self, evaluations: Tensor, rows: Tensor, seconds: Sequence[float]) -> None:
        """One candidate of every image was evaluated and scored before this problem was opened: int64 [B] each, and
        seconds of each stage of a search, of all B together."""
        self.meters.evaluations.count += evaluations
        self.meters.network.rows.count += rows
        self.bill(self.who(1), 0)
        self.watch.add(seconds)

    def score_rows(self, x: Tensor, views: Tensor, who: Tensor) -> Tensor:
        """x [N, ...], views [N, L, ...] of images who [N] -> scores [N, V]."""
        with self.watch("decode"):
            images = self.flow.decode(x)
        scores = self.verify(images, views, who)
        if self.witness is not None:
            self.witness(images, who)
        return scores

    def verify(self, images: Tensor, views: Tensor, who: Tensor) -> Tensor:
        """images [N, 3, H, W] with their views [N, L, ...], of images who [N] -> scores [N, V]."""
        texts = [self.texts[i] for i in who.tolist()] if "texts" in self.verifier.reads else ()
        with self.watch("decode"):
            seen = self.decode_views(views[:, None])
        condition = self.index[who.to(self.device, non_blocking=True)]
        with self.watch("verify"):
            scores = self.verifier.scores(Candidates(images[:, None], condition, seen, texts))
        if scores.shape != (len(images), 1, self.verifier.columns):
            expected = [len(images), 1, self.verifier.columns]
            raise TypeError(f"verifier {self.verifier.name}: scores {list(scores.shape)}, not {expected}")
        return scores[:, 0]

    def decode_views(self, views: Tensor) -> Tensor:
        """views [B, K, L, ...] -> images [B, K, L, 3, H, W]; with L = 0 nothing is decoded."""
        if not views.numel():
            return views
        return self.flow.decode(views.flatten(0, 2)).unflatten(0, views.shape[:3])

    def evaluate(self, noise: Tensor, images: Tensor | None = None) -> Tensor:
        """Scores [B, K, V] of candidates noise [B, K, ...] at t = 1; search_nfe evaluations a candidate. images: as of
        `who`."""
        return self.generate(noise, images)[2]

    def generate(self, noise: Tensor, images: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """As `evaluate`, with what was scored: clean latents [B, K, ...], views [B, K, L, ...], scores [B, K, V]."""
        x, views = self.draft.make(self, noise, images)
        return x, views, self.score(x, views, images)

    def combine(self, scores: Tensor, point: int = 0) -> Tensor:
        """[B, K, V] of candidates that are compared -> [B, K], the order in which the verifier prefers them."""
        with self.watch("verify"):
            return self.verifier.combine(scores, point)

    def render(self, x: Tensor, t: float) -> Tensor:
        """Images [B, 3, H, W] of a result x [B, ...] at t: final_nfe evaluations from a noise, none at t = 0."""
        if t:
            x = self.flow.solve(x, self.grid(self.final_nfe), self.who(1)).x
        return self.flow.decode(x)

    def prefers(self, new: Tensor, old: Tensor) -> Tensor:
        """bool [B]: is the candidate with scores new [B, V] better than the one with old [B, V] (NaN: unscored)?"""
        pair = self.combine(torch.stack([old, new], 1))
        return ~(pair[:, 1] <= pair[:, 0])


def open_problem(
    model: Model,
    verifier: Verifier,
    index: Tensor,
    ids: Sequence[int] | None = None,
    search_nfe: int = 10,
    final_nfe: int = 20,
    guidance: Guidance = NO_GUIDANCE,
    seed: int = 0,
    batch_size: Batches | int | None = None,
    texts: Sequence[str] = (),
    watch: Stopwatch | None = None,
    witness: Callable[[Tensor, Tensor], None] | None = None,
    draft: Drafter = WHOLE,
) -> Problem:
    """The problem of searching for B images with a model; `problem.meters` count what it costs.

    index: int64 [B], what each is asked to show; texts: the same in words, for models and verifiers that read them.
    ids: of the images, for their noise; by default 0 to B - 1. batch_size: rows at a time; by default the model's.
    watch: by default one that takes nothing. witness, draft: as of `Problem`.
    """
    rows = batch_size or model.batch_size
    if rows is None:
        raise Refused(f"model {model.name}: its fastest batch is not known; give batch_size")
    guidance = replace(guidance, distilled=model.distilled)
    condition, null = model.condition(index, texts), model.null(index.device) if guidance.rows == 2 else ()
    if guidance.distilled:
        condition = (*condition, torch.full((len(index),), float(guidance.scale), device=index.device))
    denoiser = metered_denoiser(model.network, condition, null, guidance, rows)
    flow = Flow(denoiser, model.interpolant, model.decoder)
    ids = range(len(index)) if ids is None else ids
    return Problem(
        flow,
        verifier,
        ids,
        index,
        texts,
        model.shape,
        search_nfe,
        final_nfe,
        model.solver,
        seed,
        model.schedule,
        watch or Stopwatch(),
        witness,
        draft,
    )
