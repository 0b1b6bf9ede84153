"""An accelerator without one: tensors that say `cuda`, compute on the CPU, refuse to be mixed with tensors of the CPU,
and count how often the host waits for the device, for an event's end too. Code for a GPU runs whole under it, slowly
and exactly.

    with simulated_device() as device:
        ...                        # device="cuda" everywhere
        device.syncs               # where the host waited: names of operations
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

CUDA = torch.device("cuda", 0)
WAITING = ("_local_scalar_dense", "nonzero", "unique", "unique2", "_unique2", "unique_dim", "equal", "bincount", "item")


class Simulated(Tensor):
    """A tensor of the device; `inner` holds its values."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> "Simulated":
        made = Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=CUDA,
            requires_grad=inner.requires_grad,
        )
        made.inner = inner.detach()
        return made

    def __repr__(self) -> str:
        return f"Simulated({self.inner!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})

    def tolist(self) -> Any:
        CURRENT[-1].syncs.append("tolist")
        return self.inner.tolist()

    def new_tensor(self, data: Any, **options: Any) -> Tensor:
        return Simulated(self.inner.new_tensor(data, **{k: v for k, v in options.items() if k != "device"}))


def on_device(value: Any) -> bool:
    return isinstance(value, Simulated)


def unwrapped(value: Any) -> Any:
    if on_device(value):
        return value.inner
    return torch.device("cpu") if isinstance(value, torch.device) and value.type == "cuda" else value


def wrapped(value: Any) -> Any:
    return Simulated(value) if isinstance(value, Tensor) and not on_device(value) else value


class Device:
    """syncs: names of the operations that made the host wait; mixes are refused at once."""

    def __init__(self) -> None:
        self.syncs: list[str] = []


CURRENT: list[Device] = []


def synchronize(device: Any = None) -> None:
    CURRENT[-1].syncs.append("synchronize")


class Event:
    """Of a queue that is always empty; to read its time is to wait for it."""

    def __init__(self, enable_timing: bool = False) -> None:
        assert enable_timing
        self.at = 0.0

    def record(self, stream: None) -> None:
        self.at = time.perf_counter()

    def synchronize(self) -> None:
        CURRENT[-1].syncs.append("synchronize")

    def elapsed_time(self, end: "Event") -> float:
        CURRENT[-1].syncs.append("elapsed_time")
        return 1000 * (end.at - self.at)


def run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """One operation: on the device if a tensor of it takes part or if it is asked for there."""
    name = func._schema.name.split("::")[-1]
    tensors = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, Tensor)]
    there = [value for value in tensors if on_device(value)]
    named = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, torch.device)]
    target = named[0] if named else None
    copies = name in ("_to_copy", "copy_", "to")
    if there and not copies:
        plain = [value for value in tensors if not on_device(value) and value.ndim]
        if plain and name not in ("index", "index_put", "index_put_", "_index_put_impl_"):
            raise AssertionError(f"{name}: tensors of the device and of the CPU, {[tuple(v.shape) for v in plain]}")
    indices = args[1] if name.startswith("index") and len(args) > 1 and isinstance(args[1], (list, tuple)) else ()
    by_mask = any(isinstance(index, Tensor) and index.dtype == torch.bool for index in indices)
    leaves = name in ("_to_copy", "to") and there and target is not None and torch.device(target).type == "cpu"
    lands = name == "copy_" and on_device(args[1]) and not on_device(args[0])
    if there and CURRENT and (leaves or lands or by_mask or name in WAITING):
        CURRENT[-1].syncs.append(name)
    call_args, call_kwargs = tree_map(unwrapped, args), tree_map(unwrapped, kwargs)
    out = func(*call_args, **call_kwargs)
    if func._schema.is_mutable and args and isinstance(args[0], Tensor) and name.endswith("_"):
        return args[0]
    stays = there and not leaves
    asked_there = target is not None and torch.device(target).type == "cuda"
    return tree_map(wrapped, out) if (stays or asked_there) and not lands else out


class Placement(TorchDispatchMode):
    """Factories and copies that name the device make tensors of it."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})


def moved(module: nn.Module, *args: Any, **kwargs: Any) -> nn.Module:
    """`Module.to`, which cannot swap such parameters."""
    wanted = next((a for a in (*args, *kwargs.values()) if isinstance(a, (str, torch.device))), None)
    if wanted is None or torch.device(wanted).type != "cuda":
        return ORIGINAL_TO(module, *args, **kwargs)
    for part in module.modules():
        for store in (part._parameters, part._buffers):
            for name, value in store.items():
                if value is not None and not on_device(value):
                    held = Simulated(value.detach())
                    store[name] = nn.Parameter(held, requires_grad=False) if store is part._parameters else held
    return module


def tensor(data: Any, *, device: Any = None, **options: Any) -> Tensor:
    """`torch.tensor`, which reaches the device without any operation that could be seen."""
    made = ORIGINAL_TENSOR(data, **options)
    return Simulated(made) if device is not None and torch.device(device).type == "cuda" else made


def pinned(tensor: Tensor) -> Tensor:
    """`Tensor.pin_memory`, which wants a driver."""
    assert not on_device(tensor), "only memory of the CPU can be pinned"
    return tensor.clone()


ORIGINAL_TO, ORIGINAL_TENSOR = nn.Module.to, torch.tensor


@contextmanager
def simulated_device() -> Iterator[Device]:
    torch._C._ensureCUDADeviceGuardSet()
    # Once for the whole process, torch lists what `with torch.device` acts on: `torch.tensor`, not the one below,
    # or transformers takes a network without values for one that has them.
    with torch.device("cpu"):
        torch.empty(0)
    device = Device()
    CURRENT.append(device)
    patches = (
        mock.patch("torch.cuda._lazy_init", return_value=None),
        mock.patch("torch.cuda.is_available", return_value=True),
        mock.patch("torch.cuda.device_count", return_value=1),
        mock.patch("torch.cuda.is_bf16_supported", return_value=True),
        mock.patch("torch.cuda.get_device_name", return_value="a simulated device"),
        mock.patch("torch.cuda.synchronize", synchronize),
        mock.patch("torch.cuda.current_stream", return_value=None),
        mock.patch("torch.cuda.Event", Event),
        mock.patch.object(nn.Module, "to", moved),
        mock.patch("torch.tensor", tensor),
        mock.patch.object(Tensor, "pin_memory", pinned),
    )
    try:
        for patch in patches:
            patch.start()
        with Placement(), torch.backends.cudnn.flags(enabled=False), sdpa_kernel(SDPBackend.MATH):
            yield device
    finally:
        for patch in patches:
            patch.stop()
        CURRENT.pop()
