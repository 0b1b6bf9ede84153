"""The finished work of a run: Parquet files of image ids, written whole or not at all."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = pa.schema(
    [
        ("image_id", pa.int64()),
        ("label", pa.int32()),
        ("point", pa.int64()),  # of the algorithm's axis: N, K or M
        ("candidate", pa.int64()),  # the address of the chosen noise, within its search
        ("scores", pa.list_(pa.float32())),  # of the chosen candidate in the search pass, one a column; NaN: not scored
        ("scores_final", pa.list_(pa.float32())),  # of the rendered image
        ("bank", pa.list_(pa.float32())),  # scores [N, columns] of all candidates, at the largest point; null elsewhere
        ("nfe_search", pa.int64()),  # metered, for this point alone
        ("nfe_final", pa.int64()),
        ("nfe_backward", pa.int64()),
        ("network_rows", pa.int64()),
        ("spent_nfe", pa.int64()),  # metered, by this image in the whole sweep
        ("spent_rows", pa.int64()),
        ("png", pa.large_binary()),
        (
            "features_search",
            pa.large_binary(),
        ),  # the same of the search pass; kept only where choices depend on the set
        ("features", pa.large_binary()),  # float32, of the judge's network
    ]
)


def write_unit(folder: Path, rows: list[dict]) -> None:
    """Write finished images as units/<first id>-<last id>.parquet: temporary name, fsync, rename, fsync."""
    units = folder / "units"
    units.mkdir(parents=True, exist_ok=True)
    ids = [row["image_id"] for row in rows]
    path = units / f"{min(ids):08d}-{max(ids):08d}.parquet"
    temporary = path.with_suffix(f".{os.getpid()}.partial")
    with temporary.open("wb") as file:
        pq.write_table(
            pa.Table.from_pylist(rows, SCHEMA),
            file,
            write_page_checksum=True,
            dictionary_pagesize_limit=1 << 28,  # an image chosen at several points is stored once
        )
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    descriptor = os.open(units, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def units(
    folder: Path, columns: Sequence[str] | None = None, below: int | None = None, point: int | None = None
) -> Iterator[pa.Table]:
    """Finished rows, unit by unit in the order of ids: of the ids under `below`, at one `point`; None: all. The same of
    columns, which must hold image_id. Each image once, though two processes may have made it."""
    seen = np.empty(0, dtype=np.int64)
    rules = [("image_id", "<", below)] * (below is not None) + [("point", "==", point)] * (point is not None)
    for path in sorted((folder / "units").glob("*.parquet")):
        if below is not None and int(path.stem.split("-")[0]) >= below:
            continue
        try:
            table = pq.read_table(
                path, columns=columns and list(columns), filters=rules or None, page_checksum_verification=True
            )
        except (OSError, pa.ArrowInvalid) as error:
            raise ValueError(f"{path} is damaged ({error}): delete it and run the same command again") from error
        ids = table["image_id"].to_numpy()
        yield table.filter(pa.array(~np.isin(ids, seen)))
        seen = np.union1d(seen, ids)


def read_units(
    folder: Path, columns: Sequence[str] | None = None, below: int | None = None, point: int | None = None
) -> pa.Table:
    """The rows of `units` in one table, by image id, then point."""
    tables = list(units(folder, columns, below, point))
    if not tables:
        return SCHEMA.empty_table()
    keys = [(name, "ascending") for name in ("image_id", "point") if name in tables[0].column_names]
    return pa.concat_tables(tables).sort_by(keys)


def finished_ids(folder: Path) -> set[int]:
    """The image ids that `folder` holds."""
    return set(read_units(folder, ["image_id"])["image_id"].to_pylist())
