"""What leaves a run's folder: images in the formats that evaluators read (ADM's .npz, a folder of PNG files), and all
but images and features, which is small."""

import io
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from noise_search.errors import Refused
from noise_search.storage.atomic import replacing
from noise_search.storage.run_folder import finished_record, identity_of, unit_paths
from noise_search.storage.units import read_units, units, write_unit


def pngs(run: Path, point: int, count: int) -> Iterator[tuple[int, bytes]]:
    """(image id, PNG file) of one budget, ids 0 to count - 1, in order; a unit in memory at a time."""
    for unit in units(run, ("image_id", "point", "png"), count, point):
        for row in unit.sort_by("image_id").to_pylist():
            if row["png"] is None:
                raise Refused(f"{run}: made with keep_images=false, its images were not stored")
            yield row["image_id"], row["png"]


def export_npz(run: Path, point: int, count: int, path: Path) -> None:
    """Write the images of one budget as ADM's evaluator reads them: `arr_0`, uint8 [count, H, W, 3], of an uncompressed
    .npz. Image by image, so that 50,000 of them (9.8 GB at 256 x 256) need no more memory than a few."""
    with (
        replacing(path) as temporary,
        zipfile.ZipFile(temporary, "w") as archive,
        archive.open("arr_0.npy", "w", force_zip64=True) as file,
    ):
        for i, png in pngs(run, point, count):
            image = np.asarray(Image.open(io.BytesIO(png)))
            if i == 0:
                header = {"descr": "|u1", "fortran_order": False, "shape": (count, *image.shape)}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(image.tobytes())


def export_png(run: Path, point: int, count: int, folder: Path) -> None:
    """Write the images of one budget as folder/<image id>.png, for evaluators that read a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.png"):  # of an export of more images
        path.unlink()
    for i, png in pngs(run, point, count):
        (folder / f"{i:06d}.png").write_bytes(png)


SMALL = ("config.yaml", "identity.json", "plan.csv", "curve.csv", "floors.csv", "categories.csv", "run.json")
LARGE = ("png", "features", "features_search")  # columns that only drawing and judging again need


def export_scores(run: Path, into: Path, pictures: int = 0) -> None:
    """Write a finished run without its pictures and features: its small files, and one unit of what every image was
    scored and chosen by. It can be read, compared and drawn like the run itself, and not be judged again. pictures: of
    how many images these stay, for grids of samples. A bank that was another run's stays with that one."""
    images = finished_record(run)["images"]
    shared = ("bank",) if identity_of(run).get("source") else ()
    rows = read_units(run, below=images).to_pylist()
    for row in rows:
        row |= dict.fromkeys((*(LARGE if row["image_id"] >= pictures else LARGE[1:]), "sheet", *shared))
    made_with = pq.read_schema(unit_paths(run)[0]).metadata
    footer = {
        key.decode(): value.decode() for key, value in made_with.items() if key not in (b"schema", b"ARROW:schema")
    }
    shutil.rmtree(into / "units", ignore_errors=True)
    write_unit(into, rows, footer)
    for name in SMALL:
        if (run / name).is_file():
            shutil.copyfile(run / name, into / name)
