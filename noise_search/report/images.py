"""Picture sheets of the images that were chosen at each budget."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from noise_search.core.budget import Purchase
from noise_search.storage.atomic import replacing


def sheet(images: np.ndarray, columns: int = 10) -> Image.Image:
    """uint8 [N, H, W, 3] -> one picture, `columns` a line; small images are enlarged to 64 pixels."""
    n, h, w, _ = images.shape
    padded = np.zeros((-(-n // columns) * columns, h, w, 3), dtype=np.uint8)
    padded[:n] = images
    rows = padded.reshape(-1, columns, h, w, 3).transpose(0, 2, 1, 3, 4)
    picture = Image.fromarray(rows.reshape(-1, columns * w, 3))
    scale = max(1, 64 // w)
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)


def save(picture: Image.Image, path: Path) -> None:
    with replacing(path) as temporary:
        picture.save(temporary, "png")


def write_grids(folder: Path, table: pa.Table, purchases: Sequence[Purchase]) -> dict[int, Image.Image]:
    """Write folder/<label>.png, the images in `table` at each budget, and side_by_side.png: one line an image, one
    column a budget, the first ten. Returns the sheets of the budgets by point."""
    chosen = {purchase.point: chosen_images(table, purchase.point) for purchase in purchases}
    sheets = {point: sheet(images) for point, images in chosen.items()}
    for purchase in purchases:
        save(sheets[purchase.point], folder / f"{purchase.label}.png")
    growing = np.stack([images[:10] for images in chosen.values()], axis=1)  # [10, budgets, H, W, 3]
    save(sheet(growing.reshape(-1, *growing.shape[2:]), columns=len(purchases)), folder / "side_by_side.png")
    return sheets


def chosen_images(table: pa.Table, point: int) -> np.ndarray:
    """The images of a budget, uint8 [N, H, W, 3]."""
    rows = table.filter(pa.array(table["point"].to_numpy() == point))
    return np.stack([np.asarray(Image.open(io.BytesIO(data))) for data in rows["png"].to_pylist()])
