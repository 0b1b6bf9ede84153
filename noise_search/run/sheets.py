"""Small pictures of the candidates of a run's first images, taken as they are scored: nothing is decoded for them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from noise_search.report.bank import COLUMNS, PICTURED

SIDE = 64  # pixels of a small picture, at most


class Sheets:
    """Of each image whose id is below `first`, its first PICTURED candidates in the order of their numbers; `kept`:
    position of the image in its group -> uint8 [h, h, 3] each, on the device."""

    def __init__(self, ids: Sequence[int], first: int) -> None:
        self.kept: dict[int, list[Tensor]] = {i: [] for i, image in enumerate(ids) if image < first}

    def __call__(self, images: Tensor, who: Tensor) -> None:
        """Decoded candidates images [N, 3, H, W] in [-1, 1] of the images who [N], each one's in growing order."""
        if not self.kept:
            return
        found, room = list[tuple[int, int]](), {i: PICTURED - len(own) for i, own in self.kept.items()}
        for row, i in enumerate(who.tolist()):
            if room.get(i, 0) > 0:
                room[i] -= 1
                found.append((row, i))
        if not found:
            return
        rows = torch.tensor([row for row, _ in found]).to(images.device, non_blocking=True)
        for (_, i), small in zip(found, shrunk(images.detach()[rows]), strict=True):
            self.kept[i].append(small)

    def sheet(self, image: int) -> bytes | None:
        """A WebP of COLUMNS candidates a line, of the image at this position; None where none were seen."""
        if not (own := self.kept.get(image)):
            return None
        small = torch.stack(own).cpu().numpy()
        lines, side = -(-len(small) // COLUMNS), small.shape[1]
        cells = np.full((lines * COLUMNS, side, side, 3), 255, np.uint8)
        cells[: len(small)] = small
        grid = cells.reshape(lines, COLUMNS, side, side, 3).transpose(0, 2, 1, 3, 4)
        out = io.BytesIO()
        picture = Image.fromarray(grid.reshape(lines * side, COLUMNS * side, 3))
        picture.save(out, "webp", lossless=side <= 16, quality=85)
        return out.getvalue()

    def saved(self) -> dict[int, Tensor]:
        """For a checkpoint."""
        return {i: torch.stack(own).cpu() for i, own in self.kept.items() if own}

    def restore(self, saved: Mapping[int, Tensor], device: torch.device) -> None:
        for i, own in saved.items():
            self.kept[i] = list(own.to(device))


def shrunk(images: Tensor) -> Tensor:
    """[N, 3, H, W] in [-1, 1] -> uint8 [N, h, h, 3]: no side above SIDE, white beside what is not square."""
    height, width = images.shape[2:]
    factor = min(1.0, SIDE / max(height, width))
    size = max(1, round(height * factor)), max(1, round(width * factor))
    small = torch.nn.functional.interpolate(images.float(), size, mode="area") if factor < 1 else images.float()
    square = small.new_ones(*small.shape[:2], max(size), max(size))
    top, left = (max(size) - size[0]) // 2, (max(size) - size[1]) // 2
    square[:, :, top : top + size[0], left : left + size[1]] = small
    return (127.5 * square + 128).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
