"""What the training scripts share: a learning rate over time, averaged weights, checkpoints that survive a kill."""

import copy
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from noise_search.storage.atomic import replacing


def learning_rate(progress: float, peak: float, warmup: float = 0.02) -> float:
    """Linear warm-up over the first `warmup` of the run, then a cosine to zero. progress in [0, 1]."""
    if progress < warmup:
        return peak * progress / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - warmup) / (1 - warmup))))


class Average:
    """Exponential moving average of a network's weights; its horizon grows with the step, up to `decay`."""

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.net, self.decay = copy.deepcopy(net).eval().requires_grad_(False), decay

    @torch.no_grad()
    def update(self, net: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.net.parameters()), list(net.parameters()), 1 - decay)


def atomic_save(state: dict | Tensor, path: Path) -> None:
    with replacing(path) as temporary:
        torch.save(state, temporary)


def train(
    folder: Path,
    net: nn.Module,
    optimizers: list[torch.optim.Optimizer],
    loss: Callable[[int], dict[str, Tensor]],
    minutes: float,
    decay: float = 0.999,
    save_every: float = 2.0,
) -> tuple[Average, dict]:
    """Run `loss(step)["loss"]` to its minimum for `minutes` of training time, going on from `folder` if it can.

    Time spent is part of the checkpoint, so a killed run takes up its schedule where it was. Returns the averaged
    weights and what was spent: {"steps", "minutes", "seconds_cpu"}. The log is folder/log.jsonl.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint, log = folder / "checkpoint.pt", folder / "log.jsonl"
    average = Average(net, decay)
    peaks = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]
    step, spent, cpu = 0, 0.0, 0.0
    if checkpoint.is_file():
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        net.load_state_dict(state["net"])
        average.net.load_state_dict(state["average"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        step, spent, cpu = state["step"], state["spent"], state["cpu"]
    sums: dict[str, float] = {}
    counted = 0
    saved_at, started, started_cpu = spent, time.monotonic() - spent, time.process_time() - cpu
    while spent < 60 * minutes:
        for optimizer, peak in zip(optimizers, peaks, strict=True):
            for group, lr in zip(optimizer.param_groups, peak, strict=True):
                group["lr"] = learning_rate(spent / (60 * minutes), lr)
        terms = loss(step)
        terms["loss"].backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        average.update(net, step)
        counted += 1
        step, spent = step + 1, time.monotonic() - started
        for name, value in terms.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach())
        if step % 100 == 0:
            means = {name: round(value / counted, 5) for name, value in sums.items()}
            line = {"step": step, "minutes": round(spent / 60, 2), **means}
            print(json.dumps(line), flush=True)
            with log.open("a") as file:
                file.write(json.dumps(line) + "\n")
            sums, counted = {}, 0
        if spent - saved_at > 60 * save_every or spent >= 60 * minutes:
            state = {"net": net.state_dict(), "average": average.net.state_dict(), "step": step, "spent": spent}
            state |= {"optimizers": [o.state_dict() for o in optimizers], "cpu": time.process_time() - started_cpu}
            atomic_save(state, checkpoint)
            saved_at = spent
    return average, {"steps": step, "minutes": spent / 60, "seconds_cpu": time.process_time() - started_cpu}
