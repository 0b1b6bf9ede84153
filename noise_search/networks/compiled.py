"""A network that torch.compile has fused."""

from typing import Any


def compile_network(network: Any, backend: Any = "inductor") -> None:
    """In place, at its first call: one graph, for batches of one shape, which `MeteredNetwork` then makes all of them.
    Whatever would break the graph is an error."""
    network.compile(fullgraph=True, dynamic=False, backend=backend)
    network.whole_batches = True


def restore(network: Any) -> None:
    """As it was before `compile_network`."""
    if getattr(network, "whole_batches", False):
        network._compiled_call_impl, network.whole_batches = None, False
