"""The finished work of a run: Parquet files of image ids, written whole or not at all, checked whenever they are read.

A unit is done when its file exists. Any number of workers may write into one folder: names say which ids a file holds.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from noise_search.errors import Refused
from noise_search.storage.atomic import replacing
from noise_search.storage.checked import Damaged, set_aside
from noise_search.storage.run_folder import runs, span, unit_paths, words

VERSION = "7"  # of SCHEMA; in every file's footer
READABLE = ("4", "5", "6", VERSION)  # "4" has no sheet, "4" and "5" no `left_out`, none of them `ties`
ADDED = {"sheet": None, "left_out": 0, "ties": None}  # columns, and what a file has that was written without
STAGES = ("denoise", "decode", "verify", "render", "judge")  # as core/stopwatch.py says

SCHEMA = pa.schema(
    [
        ("image_id", pa.int64()),
        ("condition", pa.int64()),  # which of the data set's conditions
        ("point", pa.int64()),  # of the algorithm's axis: N, K or M
        ("candidate", pa.int64()),  # the address of the chosen noise, within its search
        ("ties", pa.int64()),  # candidates that lost with equal scores; null: the algorithm does not count them
        ("scores", pa.list_(pa.float32())),  # of the chosen candidate in the search pass, one a column; NaN: not scored
        ("scores_final", pa.list_(pa.float32())),  # of the rendered image
        ("measures", pa.list_(pa.float32())),  # of it, by the judge's metrics of images, in the judge's order
        ("bank", pa.list_(pa.float32())),  # scores [N, columns] of all candidates, at the largest point; null elsewhere
        ("sheet", pa.large_binary()),  # beside a bank, of the first images: a WebP of the first candidates; else null
        ("nfe_search", pa.int64()),  # metered, for this point alone
        ("nfe_final", pa.int64()),
        ("nfe_backward", pa.int64()),
        ("network_rows", pa.int64()),
        ("left_out", pa.int64()),  # multiply-adds of these rows that drafts left out
        ("seconds_search", pa.float32()),  # of this point alone: this image's share; null: not known
        ("seconds_final", pa.float32()),
        ("spent_nfe", pa.int64()),  # metered, by this image in the whole sweep
        ("spent_rows", pa.int64()),
        ("spent_padding", pa.int64()),  # its share of the rows that filled up batches of a compiled network
        ("spent_scored", pa.int64()),  # images that the verifier was shown
        ("spent_decoded", pa.int64()),  # latents that were decoded: candidates, their views, finished images
        ("spent_seconds", pa.struct([(stage, pa.float32()) for stage in STAGES])),  # this image's share
        ("device", pa.string()),  # whose seconds these are
        ("digest", pa.string()),  # sha256 of the pixels, uint8 [H, W, 3], 32 digits
        ("png", pa.large_binary()),  # null: not kept
        ("features", pa.large_binary()),  # float32, of the judge's network
        ("features_search", pa.large_binary()),  # of the search pass; kept only where choices depend on the set
    ]
)


def write_unit(folder: Path, rows: list[dict], footer: Mapping[str, str]) -> None:
    """Write finished images as units/<first id>-<last id>.parquet: temporary name, fsync, rename, fsync of the folder.

    rows: of every id from the first to the last, at every point. footer: what they were made with, for whoever opens
    the file. Four bytes before Parquet's own footer, which readers skip, hold the CRC-32 of all the others.
    """
    ids = sorted({row["image_id"] for row in rows})
    assert ids == list(range(ids[0], ids[-1] + 1)), ids
    path = folder / "units" / f"{ids[0]:08d}-{ids[-1]:08d}.parquet"
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.Table.from_pylist(rows, SCHEMA.with_metadata({"schema": VERSION, **footer})),
        sink,
        write_page_checksum=True,
        dictionary_pagesize_limit=1 << 28,  # an image chosen at several points is stored once
    )
    content = sink.getvalue().to_pybytes()
    at = footer_start(content)
    checksum = zlib.crc32(content).to_bytes(4, "little")
    with replacing(path) as temporary:
        temporary.write_bytes(b"".join((content[:at], checksum, content[at:])))


def footer_start(content: bytes) -> int:
    """Where the footer of a Parquet file begins: its length stands before the last four bytes."""
    return max(0, len(content) - 8 - int.from_bytes(content[-8:-4], "little"))


def read_file(path: Path) -> bytes:
    """The content of a unit's file as it was written; a file that has changed since is set aside and told."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise Damaged(f"{path} is gone: another worker has found it damaged") from error
    at = footer_start(content)
    written, checksum = content[: max(0, at - 4)] + content[at:], content[max(0, at - 4) : at]
    if len(content) < 12 or zlib.crc32(written).to_bytes(4, "little") != checksum:
        set_aside(path)
    return content


def units(
    folder: Path, columns: Sequence[str] | None = None, below: int | None = None, point: int | None = None
) -> Iterator[pa.Table]:
    """Finished rows, unit by unit in the order of ids: of the ids under `below`, at one `point`; None: all. The same of
    columns, which must hold image_id. Each image once, though two processes may have made it; of the ids under `below`
    each must be there."""
    seen, first = set[int](), dict[bytes, bytes]()
    rules = [("image_id", "<", below)] * (below is not None) + [("point", "==", point)] * (point is not None)
    for path in unit_paths(folder):
        new = [i for i in span(path) if i not in seen and (below is None or i < below)]
        if not new:
            continue
        source = pa.BufferReader(read_file(path))
        there = pq.read_schema(source)
        made_with = there.metadata or {}
        version = made_with.get(b"schema", b"1").decode()
        if version not in READABLE:
            raise Refused(f"{path} was written by another version (schema {version}, not {VERSION})")
        wanted = list(columns or SCHEMA.names)
        table = pq.read_table(
            source,
            columns=[name for name in wanted if name in there.names],
            filters=rules or None,
            page_checksum_verification=True,
        )
        for name, value in ADDED.items():
            if name in wanted and name not in there.names:
                values = pa.array([value] * len(table), SCHEMA.field(name).type)
                table = table.append_column(SCHEMA.field(name), values)
        table = table.select(wanted)
        first = first or made_with
        if other := [name.decode() for name in (b"settings", b"weights") if made_with.get(name) != first.get(name)]:
            raise Refused(f"{path} was made with other {' and '.join(other)} than the files before it; remove it")
        if len(new) < len(span(path)):
            table = table.filter(pa.array(np.isin(table["image_id"].to_numpy(), new)))
        yield table
        seen.update(new)
    if below is not None and (gone := [i for i in range(below) if i not in seen]):
        raise Damaged(f"{folder}: ids {words(runs(gone))} are missing: the same command makes them")


def read_units(
    folder: Path, columns: Sequence[str] | None = None, below: int | None = None, point: int | None = None
) -> pa.Table:
    """The rows of `units` in one table, by image id, then point."""
    tables = list(units(folder, columns, below, point))
    if not tables:
        return SCHEMA.empty_table()
    keys = [(name, "ascending") for name in ("image_id", "point") if name in tables[0].column_names]
    return pa.concat_tables(tables).sort_by(keys)
