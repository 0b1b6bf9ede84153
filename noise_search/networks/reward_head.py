"""The head of two published reward models, ImageReward's and the aesthetic predictor's v2: five linear maps."""

from collections.abc import Mapping

import torch
from torch import Tensor

from noise_search.errors import Refused

LAYERS = (0, 2, 4, 6, 7)  # by their published numbers; between them was dropout, and never an activation
WIDTHS = (768, 1024, 128, 64, 16, 1)


def folded(state: Mapping[str, Tensor], file: object, widths: tuple[int, ...] = WIDTHS) -> tuple[Tensor, Tensor]:
    """weight float64 [D] and bias [] of the one affine map that the head is where nothing is dropped.

    state: layers.{0,2,4,6,7}.{weight,bias}, and nothing else; file: where it is from, for messages. widths: of the
    features, and of what each layer gives.
    """
    ends = dict(zip(LAYERS, zip(widths[1:], widths, strict=False), strict=True))  # outputs, inputs
    expected: dict[str, tuple[int, ...]] = {f"layers.{k}.weight": shape for k, shape in ends.items()}
    expected |= {f"layers.{k}.bias": shape[:1] for k, shape in ends.items()}
    found = {name: tuple(value.shape) for name, value in state.items()}
    if wrong := sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)):
        name = wrong[0]
        told = f"{list(found[name])}" if name in found else "missing"
        wanted = f"{list(expected[name])}" if name in expected else "no such tensor"
        raise Refused(f"{file}: not the published head: {name} is {told}, expected {wanted}")
    weight = torch.eye(widths[0], dtype=torch.double)
    bias = torch.zeros(widths[0], dtype=torch.double)
    for k in LAYERS:
        layer = state[f"layers.{k}.weight"].double()
        weight, bias = layer @ weight, layer @ bias + state[f"layers.{k}.bias"].double()
    return weight[0], bias[0]
