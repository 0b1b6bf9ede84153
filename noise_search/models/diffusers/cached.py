"""A pipeline's transformer whose later blocks are not run at every evaluation.

diffusers' own caches do not serve here: of these families only FLUX has `enable_cache`; FirstBlockCache decides for a
whole batch by its mean, so that neighbours would change a candidate; TaylorSeer counts calls, not time, on steps of
unequal length, and is newer than the oldest version that is supported.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn

from noise_search.core.denoiser import Network, Prediction
from noise_search.errors import Refused
from noise_search.networks.block_cache import Due, Reuse


class CachedBlocks:
    """As `network`, for the batch of rows that `reuse` is of: (x [N, ...], t [N], *condition) -> Prediction.

    blocks: all of the network's transformer, between which it does nothing: each is given tokens and what is told
    about their rows, and returns tokens, or (those of the text, those of the image). While an evaluation lasts they are
    called through here, then the pipeline is as it was; hooks that blocks have go on working where they run.
    """

    def __init__(self, network: Network, blocks: Sequence[nn.Module], reuse: Reuse) -> None:
        if any(offloaded_in_turn(part) for block in blocks for part in block.modules()):
            raise Refused("draft=cache: group offloading of the pipeline expects every block in its turn")
        self.network, self.blocks, self.reuse = network, blocks, reuse
        self.due: Due = None
        self.first: Any = None  # the first block's output

    def __call__(self, x: Tensor, t: Tensor, *condition: Tensor) -> Prediction:
        made = self.reuse.made
        with self.instead(t[:1]):
            out = self.network(x, t, *condition)
        if self.reuse.made != made + 1:
            raise Refused("draft=cache: the pipeline's blocks are not called one by one; it may be compiled as a whole")
        return out

    @contextmanager
    def instead(self, time: Tensor) -> Iterator[None]:
        """Every block's `forward` is ours."""
        own = [block.__dict__.get("forward") for block in self.blocks]
        try:
            for number, block in enumerate(self.blocks):
                block.forward = partial(self.block, number, block.forward, time)  # type: ignore[method-assign]
            yield
        finally:
            for block, forward in zip(self.blocks, own, strict=True):
                del block.forward
                if forward is not None:
                    block.forward = forward  # type: ignore[method-assign]
            self.first = None

    def block(self, number: int, forward: Any, time: Tensor, *told: Any, **named: Any) -> Any:
        """What the network is given for a block's output. Where no row is due, the first gives what the last would."""
        if not number:
            out = forward(*told, **named)
            self.due = self.reuse.begin(tokens_of(out), time)
            self.first = with_tokens(out, self.reuse.end()) if self.due is None else out
            return self.first
        if self.due is None:
            return self.first
        if isinstance(self.due, Tensor):
            told, named = tuple(map(self.own, told)), {name: self.own(value) for name, value in named.items()}
        out = forward(*told, **named)
        if number < len(self.blocks) - 1:
            return out
        return with_tokens(self.first, self.reuse.end(tokens_of(out)))

    def own(self, value: Any) -> Any:
        """Of what a block is told, the rows that are due; the blocks before it left out the others of tokens."""
        whole = isinstance(value, Tensor) and isinstance(self.due, Tensor) and len(value) == len(self.due)
        return value[self.due] if whole else value


def offloaded_in_turn(part: nn.Module) -> bool:
    registry: Any = getattr(part, "_diffusers_hook", None)
    return registry is not None and registry.get_hook("group_offloading") is not None


def tokens_of(out: Any) -> Tensor:
    """Those of the image [N, T, D], of a block's output."""
    found: Tensor = out[-1] if isinstance(out, tuple) else out
    return found


def with_tokens(out: Any, tokens: Tensor) -> Any:
    return (*out[:-1], tokens) if isinstance(out, tuple) else tokens
