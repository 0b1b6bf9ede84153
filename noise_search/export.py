"""Finished images in the format that ADM's evaluator reads."""

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from noise_search.files import replacing
from noise_search.store import units


def export_npz(folder: Path, point: int, count: int, path: Path) -> None:
    """Write the images of one budget, ids 0 to count - 1, as `arr_0` uint8 [count, H, W, 3] of an uncompressed .npz.

    Image by image, so that 50,000 of them (9.8 GB at 256 x 256) need no more memory than a few.
    """
    with replacing(path) as temporary:
        write_npz(folder, point, count, temporary)


def write_npz(folder: Path, point: int, count: int, path: Path) -> None:
    written = 0
    with zipfile.ZipFile(path, "w") as archive, archive.open("arr_0.npy", "w", force_zip64=True) as file:
        for unit in units(folder, ("image_id", "point", "png"), count, point):
            for png in unit.sort_by("image_id")["png"].to_pylist():
                if png is None:
                    raise ValueError(f"{folder}: made with keep_images=false, its images were not stored")
                image = np.asarray(Image.open(io.BytesIO(png)))
                if not written:
                    header = {"descr": "|u1", "fortran_order": False, "shape": (count, *image.shape)}
                    np.lib.format.write_array_header_1_0(file, header)
                file.write(image.tobytes())
                written += 1
    if written != count:
        raise RuntimeError(f"{path}: {written} images at point {point}, not {count}")
