"""The painted parts of pictures that hang together, found for many pictures at once. Shapes: N pictures, H x W."""

import numpy as np

from noise_search.scenes.draw import BACKGROUND

PAINTED = 70.0  # how far from the background a pixel is that belongs to an object, about a third of the faintest paint
STRAY = 25.0  # the same, as a mean over nine pixels, of what is seen and belongs to none


def neighbourhood_maximum(labels: np.ndarray) -> np.ndarray:
    """[N, H, W]: the largest of a pixel and its eight neighbours."""
    rows = labels.copy()
    np.maximum(rows[:, 1:], labels[:, :-1], out=rows[:, 1:])
    np.maximum(rows[:, :-1], labels[:, 1:], out=rows[:, :-1])
    out = rows.copy()
    np.maximum(out[:, :, 1:], rows[:, :, :-1], out=out[:, :, 1:])
    np.maximum(out[:, :, :-1], rows[:, :, 1:], out=out[:, :, :-1])
    return out


def components(images: np.ndarray) -> np.ndarray:
    """uint8 [N, H, W, 3] -> int32 [N, H, W]: 0 on the background, one positive number a component in each picture; a
    component's faint edge, two pixels wide, is part of it."""
    images = images.astype(np.float32) - BACKGROUND
    far = np.sqrt(np.einsum("nhwc,nhwc->nhw", images, images))
    inside, n = far > PAINTED, images.shape[1] * images.shape[2]
    labels = np.where(inside, np.arange(1, n + 1, dtype=np.int32).reshape(1, *images.shape[1:3]), 0)
    going = np.arange(len(labels))
    while len(going):
        before = labels[going]
        after = neighbourhood_maximum(before) * inside[going]
        labels[going] = after
        going = going[(after != before).any((1, 2))]
    for _ in range(2):
        labels = np.where(labels > 0, labels, neighbourhood_maximum(labels))
    return labels


def strays(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """bool [N]: is there anything in a picture, however faint, beside its components?"""
    rest = (images.astype(np.float32) - BACKGROUND) * (labels == 0)[..., None]
    rows = rest[:, :-2] + rest[:, 1:-1] + rest[:, 2:]
    nine = (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / 9
    return np.square(nine).sum(3).max((1, 2)) > STRAY**2
