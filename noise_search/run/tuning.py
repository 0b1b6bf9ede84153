"""What can change a bit of a result and is no setting of it: how many rows share a batch, whether the network is
compiled, and the precision of networks (`assemble` loads them in it). Found when a run first starts, kept in its
identity.json, obeyed by whoever goes on with it."""

import json
import logging
import time
from collections.abc import Callable

import torch
from torch import nn

from noise_search.core.denoiser import Batches, metered_denoiser
from noise_search.core.guidance import NO_GUIDANCE
from noise_search.core.model import Model
from noise_search.errors import Refused
from noise_search.networks.compiled import compile_network, restore
from noise_search.run.parts import Parts, Tuning, device_name
from noise_search.storage.cache import digest, is_kept, kept_numbers

log = logging.getLogger("noise_search")
LEAST, MOST = 8, 8192  # rows of a batch that are tried
ENOUGH = 0.95  # of the best rate
COMPILING = 60.0  # seconds that compiling is taken to need where it has not been measured


def tune(parts: Parts) -> Tuning:
    """What parts.run.settings leave open ("auto") is found; parts are changed to it."""
    settings, model = parts.run.settings, parts.model
    parts.batches.size = batch_size(model, parts.device) if settings.batch_size == "auto" else int(settings.batch_size)
    if settings.compile is True and not isinstance(model.network, nn.Module):
        raise Refused(f"compile=true: the network of {model.name} is no torch.nn.Module")
    compiled = pays(parts) if settings.compile == "auto" else bool(settings.compile)
    tuning = parts.tuning._replace(batch_size=parts.batches.size, compile=compiled)
    obey(parts, tuning)
    return tuning


def obey(parts: Parts, tuning: Tuning) -> None:
    """Change parts to what was found before."""
    parts.batches.size, network = tuning.batch_size, parts.model.network
    if not tuning.compile:
        restore(network)
    elif not getattr(network, "whole_batches", False):
        compile_network(network)


def batch_size(model: Model, device: str) -> int:
    """What the model says, or the smallest batch that is nearly at the best rate, measured once for a device."""
    if model.batch_size is not None:
        return model.batch_size

    def measure() -> dict[str, float]:
        return {"batch_size": fastest(lambda rows: rate(model, device, Batches(rows)))}

    size = int(kept_numbers("batch", key_of(model, device), measure)["batch_size"])
    log.info("batches of %d rows: nearly the best rate of %s on %s", size, model.name, device_name(device))
    return size


def fastest(rate: Callable[[int], float]) -> int:
    """The smallest of 8, 16, 32, ... rows with `ENOUGH` of the best rate; no more are tried when one was slower, or did
    not fit."""
    rates: dict[int, float] = {}
    size = LEAST
    while size <= MOST:
        try:
            rates[size] = rate(size)
        except torch.OutOfMemoryError:
            if not rates:
                return 1
            break
        if rates[size] < ENOUGH * max(rates.values()):
            break
        size *= 2
    return min(size for size, value in rates.items() if value >= ENOUGH * max(rates.values()))


def pays(parts: Parts) -> bool:
    """Does compiling save more of this run than it takes? Where that is not known yet, it is tried when the network
    needs ten times as long as compiling is taken to."""
    run, model, batches = parts.run, parts.model, parts.batches
    if not isinstance(model.network, nn.Module):
        return False
    rows, key = run.plan.rows(run.settings.images)[0], digest(key_of(model, parts.device), str(batches.size))
    guess = run.model.rows_per_second
    seconds = rows / (guess if guess is not None else rate(model, parts.device, batches))
    if seconds < 10 * COMPILING and not is_kept("compile", key):
        return False
    known = kept_numbers("compile", key, lambda: compared(model, parts.device, batches))
    return known["compiled"] > 0 and rows * (1 / known["plain"] - 1 / known["compiled"]) > known["seconds"]


def compared(model: Model, device: str, batches: Batches) -> dict[str, float]:
    """Rows a second, plain and compiled (0: it cannot be), and the seconds that compiling takes."""
    plain, started = rate(model, device, batches), time.monotonic()
    try:
        compile_network(model.network)
        fused = rate(model, device, batches)
    except Exception as error:  # there are as many as there are compilers
        log.warning("%s cannot be compiled here: %s: %s", model.name, type(error).__name__, error)
        return {"plain": plain, "compiled": 0.0, "seconds": 0.0}
    finally:
        restore(model.network)
    seconds = time.monotonic() - started
    log.info("%s compiled in %.0f s: %.0f rows/s, not %.0f", model.name, seconds, fused, plain)
    return {"plain": plain, "compiled": fused, "seconds": seconds}


@torch.no_grad()
def rate(model: Model, device: str, batches: Batches) -> float:
    """Network rows a second of a batch: the best of those that follow the first, in a third of a second."""
    condition = model.condition(torch.zeros(1, dtype=torch.int64, device=device), [model.null_text])
    if model.distilled:
        condition = (*condition, torch.ones(1, device=device))
    network = metered_denoiser(model.network, condition, (), NO_GUIDANCE, batches).network
    x, t = torch.randn(batches.size, *model.shape, device=device), torch.full((batches.size,), 0.5, device=device)
    which, seconds = torch.zeros(batches.size, dtype=torch.int64), list[float]()
    while len(seconds) < 2 or sum(seconds[1:]) < 0.3:
        started = time.monotonic()
        network.conditioned(x, t, which)
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.monotonic() - started)
    return batches.size / min(seconds[1:])


def key_of(model: Model, device: str) -> str:
    """A digest of device and model; the types of its weights say the precision."""
    weights = model.network.parameters() if isinstance(model.network, nn.Module) else ()
    described = json.dumps([model.name, model.weights, model.shape, sorted({str(value.dtype) for value in weights})])
    return digest(device_name(device), torch.__version__, described)
