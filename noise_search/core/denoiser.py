"""The model boundary, guidance, and the two meters that make the cost ledger.

A network is wrapped once, in `models/`, and returns (x0, eps). Between it and the flow stand, from the inside out:
micro-batches, the meter of network rows, guidance, the meter of evaluations. One NFE is one guided evaluation.
"""

import copy
import logging
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from noise_search.core.guidance import Guidance
from noise_search.core.interpolant import expand

log = logging.getLogger("noise_search")


class Prediction(NamedTuple):
    """x0, eps: [N, ...], the clean image and the noise that x_t = a x0 + s eps is made of."""

    x0: Tensor
    eps: Tensor


Network = Callable[..., Prediction]  # (x [N, ...], t [N], *condition [N, ...] each)
Condition = tuple[Tensor, ...]  # what images are asked to show, as a network reads it: one row an image
# (x [N, ...], t [N], all the same, who int64 [N] on the CPU: the image a row works for). Bills are known on the
# host: no evaluation waits for the device.
Denoiser = Callable[[Tensor, Tensor, Tensor], Prediction]


class Meter:
    """Counts per image: `count` int64 [B] on the CPU."""

    def __init__(self, images: int) -> None:
        self.count = torch.zeros(images, dtype=torch.int64)

    def add(self, who: Tensor) -> None:
        """who: int64 [N], on the CPU."""
        self.count += torch.bincount(who, minlength=len(self.count))


class Batches:
    """Calls a function on at most `size` rows at a time; where the device has no memory for so many, on half as many
    from there on, which is told. Results do not depend on it. rows: what they are called then."""

    def __init__(self, size: int, rows: str = "rows") -> None:
        self.size, self.rows = size, rows

    def __call__(self, call: Callable[..., Any], *columns: Tensor) -> list[Any]:
        """columns: [N, ...] each -> what `call` returns for each batch of their rows, in order."""
        out, at = [], 0
        while at < len(columns[0]):
            size = self.size
            try:
                out.append(call(*(column[at : at + size] for column in columns)))
                at += size
                continue
            except torch.OutOfMemoryError:
                if size == 1:
                    raise
            self.size = size // 2  # here, where the error no longer holds on to what was computed
            log.warning("out of memory with %d %s at a time: going on with %d", size, self.rows, self.size)
            torch.cuda.empty_cache()
        return out


class AtOnce(Batches):
    """All rows, whatever their number: of a network that remembers them and cannot begin again in the middle."""

    def __init__(self) -> None:
        super().__init__(sys.maxsize)

    def __call__(self, call: Callable[..., Any], *columns: Tensor) -> list[Any]:
        return [call(*columns)]


class MeteredNetwork:
    """A network that bills every row to the image it works for, and is called in batches.

    Rows that will be differentiated are checkpointed: nothing inside the network is kept for the backward pass, which
    runs it once more; `backward` bills them, in addition to `rows`.

    condition: of the images, [C, ...] each, and stored once: a batch of rows takes its own when it is called. A network
    that has a number of `conditions`, how many different ones there can be, is given only those that differ, [U, ...]
    each, and with them `rows`, int64 [N]: which of them each row has.

    A network that takes `whole_batches` (`networks/compiled.py`) is called with one shape only, and may write each
    output over the one before. Rows that a batch lacks repeat its last; `padding` counts them, they are nobody's bill.

    left_out: multiply-adds that drafts have left out of `rows` (`core/draft.py`).
    """

    def __init__(self, network: Network, condition: Condition, images: int, batches: Batches | int) -> None:
        self.network, self.condition = network, condition
        self.conditions: int | None = getattr(network, "conditions", None)
        self.whole_batches: bool = getattr(network, "whole_batches", False)
        self.owner: Tensor | None = None
        if self.conditions is not None:
            self.condition, self.owner = different(condition)
        self.batches = Batches(batches) if isinstance(batches, int) else batches
        self.rows, self.backward, self.left_out = Meter(images), Meter(images), Meter(images)
        self.padding = 0

    def __call__(self, x: Tensor, t: Tensor, which: Tensor, who: Tensor) -> Prediction:
        """which: int64 [N] on the CPU, the row of the condition that each row is asked to show."""
        self.rows.add(who)
        call = self.conditioned
        if differentiated(x):
            self.backward.add(who)
            call = partial(checkpoint, self.conditioned, use_reentrant=False)
        parts = self.batches(call, x, t, which)
        return Prediction(torch.cat([p.x0 for p in parts]), torch.cat([p.eps for p in parts]))

    def conditioned(self, x: Tensor, t: Tensor, which: Tensor) -> Prediction:
        """One batch, without its bill."""
        if not self.whole_batches:
            return self.told(x, t, which)
        n, size = len(x), self.batches.size
        self.padding += size - n
        out = self.told(padded(x, size), padded(t, size), padded(which, size))
        return Prediction(out.x0[:n].clone(), out.eps[:n].clone())

    def told(self, x: Tensor, t: Tensor, which: Tensor) -> Prediction:
        """What the network makes of rows, told their conditions."""
        if self.owner is None or self.conditions is None:
            which = which.to(x.device, non_blocking=True)
            return self.network(x, t, *(rows[which] for rows in self.condition))
        used, rows = self.owner[which].unique(return_inverse=True)
        if self.whole_batches:
            used = padded(used, min(len(x), self.conditions))
        used, rows = used.to(x.device, non_blocking=True), rows.to(x.device, non_blocking=True)
        return self.network(x, t, *(values[used] for values in self.condition), rows=rows)


def padded(rows: Tensor, size: int) -> Tensor:
    """[N, ...] -> [size, ...], the last row repeated."""
    return torch.cat([rows, rows[-1:].expand(size - len(rows), *rows.shape[1:])]) if len(rows) < size else rows


def different(condition: Condition) -> tuple[Condition, Tensor]:
    """[C, ...] each -> those that differ, [U, ...] each, and which of them each is, int64 [C] on the CPU. Class labels
    are told apart by their numbers, in rising order; other conditions are taken to differ."""
    if len(condition) == 1 and condition[0].ndim == 1 and not condition[0].is_floating_point():
        values, owner = condition[0].cpu().unique(return_inverse=True)
        return (values.to(condition[0].device),), owner
    return condition, torch.arange(len(condition[0]))


def differentiated(x: Tensor) -> bool:
    """Will what is computed from x be differentiated?"""
    return torch.is_grad_enabled() and x.requires_grad


class Guided:
    """The network under classifier-free guidance. Cost: 1 evaluation, guidance.rows network rows a row.

    Row i of the network's condition belongs to image i; under guidance one more row, the last, is the null condition.
    """

    def __init__(self, network: MeteredNetwork, images: int, guidance: Guidance) -> None:
        self.network, self.images, self.guidance = network, images, guidance
        self.evaluations, self.backward = Meter(images), Meter(images)

    def __call__(self, x: Tensor, t: Tensor, who: Tensor) -> Prediction:
        self.evaluations.add(who)
        if differentiated(x):
            self.backward.add(who)
        if self.guidance.rows == 1:
            return self.network(x, t, who, who)
        which = torch.cat([who, torch.full_like(who, self.images)])
        out = self.network(torch.cat([x, x]), torch.cat([t, t]), which, torch.cat([who, who]))
        (x0, x0_null), (eps, eps_null) = out.x0.chunk(2), out.eps.chunk(2)
        return Prediction(self.mix(x0, x0_null, t), self.mix(eps, eps_null, t))

    def mix(self, own: Tensor, null: Tensor, t: Tensor) -> Tensor:
        """own, null [N, C, ...] at t [N] -> [N, C, ...], guided where guidance acts."""
        scale, channels, (low, high) = self.guidance.scale, self.guidance.channels, self.guidance.interval
        weight = torch.where((low <= t) & (t <= high), scale, 1.0).to(own.dtype)
        guided = null + expand(weight, own) * (own - null)
        return guided if channels is None else torch.cat([guided[:, :channels], own[:, channels:]], 1)


def rerouted(guided: Guided, network: Network) -> Guided:
    """The same denoiser, its conditions and its meters, through another network, which is called with all rows at once
    and is not compiled."""
    outer, inner = copy.copy(guided), copy.copy(guided.network)
    inner.network, inner.whole_batches, inner.batches = network, False, AtOnce()
    outer.network = inner
    return outer


def metered_denoiser(
    network: Network, condition: Condition, null: Condition, guidance: Guidance, batches: Batches | int
) -> Guided:
    """A network behind both meters. condition: [B, ...] each, of B images; null: [1, ...] each, under guidance."""
    images = len(condition[0])
    if guidance.rows == 2:
        condition = tuple(torch.cat(pair) for pair in zip(condition, null, strict=True))
    return Guided(MeteredNetwork(network, condition, images, batches), images, guidance)
