"""Units on disk: written whole or not at all, damage is seen."""

import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow.parquet as pq
import pytest

from noise_search.storage import units
from noise_search.storage.checked import Damaged
from noise_search.storage.run_folder import finished_ids, runs, words
from noise_search.storage.units import SCHEMA, read_units, write_unit

FOOTER = {"settings": "abc", "weights": "{}", "versions": "{}"}


def rows(ids: list[int]) -> list[dict]:
    filler = dict.fromkeys(SCHEMA.names, 0) | {"png": b"x" * 3000, "features": b"y" * 5120, "features_search": None}
    filler |= {
        "scores": [0.5, float("nan")],
        "scores_final": [0.5],
        "bank": None,
        "sheet": None,
        "measures": [],
        "digest": "d",
    }
    filler |= {"spent_seconds": None, "device": "d"}
    return [filler | {"image_id": i, "point": p} for i in ids for p in (1, 2)]


def test_units_come_back_in_order_and_once(tmp_path: Path) -> None:
    write_unit(tmp_path, rows([64, 65]), FOOTER)
    write_unit(tmp_path, rows([0, 1]), FOOTER | {"versions": "other"})
    write_unit(tmp_path, rows([1, 2]), FOOTER)  # another process overlapped
    assert finished_ids(tmp_path) == {0, 1, 2, 64, 65}
    table = read_units(tmp_path)
    assert table["image_id"].to_pylist() == [0, 0, 1, 1, 2, 2, 64, 64, 65, 65]
    assert table["point"].to_pylist() == [1, 2] * 5
    assert table["bank"].null_count == 10


def test_a_budget_is_never_read_with_images_missing(tmp_path: Path) -> None:
    write_unit(tmp_path, rows([0, 1]), FOOTER)
    write_unit(tmp_path, rows([4, 5]), FOOTER)
    assert read_units(tmp_path, below=2).num_rows == 4
    with pytest.raises(Damaged, match="ids 2-3 are missing"):
        read_units(tmp_path, below=5)


def test_an_empty_folder_has_no_images(tmp_path: Path) -> None:
    assert finished_ids(tmp_path) == set()


def test_half_written_files_are_not_read(tmp_path: Path) -> None:
    write_unit(tmp_path, rows([0]), FOOTER)
    (tmp_path / "units" / "00000064-00000064.123.partial").write_bytes(b"PAR1 half")
    assert finished_ids(tmp_path) == {0}


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    filler, noise = rows([0])[0], np.random.default_rng(0)
    write_unit(tmp_path, [filler | {"image_id": i, "png": noise.bytes(300)} for i in range(64)], FOOTER)
    (path,) = (tmp_path / "units").glob("*.parquet")
    return path


def test_a_file_is_plain_parquet_that_says_what_made_it(unit: Path) -> None:
    found = pq.read_schema(unit).metadata
    assert found[b"settings"] == b"abc" and found[b"schema"] == b"7" and {b"weights", b"versions"} <= set(found)
    assert pq.read_table(unit, page_checksum_verification=True).num_rows == 64
    column = pq.ParquetFile(unit).metadata.row_group(0).column(0)
    assert column.path_in_schema == "image_id"


def test_every_flipped_bit_and_every_cut_is_noticed_and_set_aside(tmp_path: Path, unit: Path) -> None:
    whole = unit.read_bytes()
    rng = np.random.default_rng(0)
    places = [0, 1, len(whole) - 1, len(whole) - 5, *rng.integers(len(whole), size=150).tolist()]
    changed = [whole[:p] + bytes([whole[p] ^ (1 << int(rng.integers(8)))]) + whole[p + 1 :] for p in places]
    changed += [whole[:p] for p in (0, 3, 7, 100, len(whole) // 2, len(whole) - 1)] + [whole + b"x"]
    for content in changed:
        unit.write_bytes(content)
        with pytest.raises(Damaged, match="set aside"):
            read_units(tmp_path, ["image_id"])
        assert finished_ids(tmp_path) == set() and unit.with_suffix(".damaged").read_bytes() == content
    unit.write_bytes(whole)
    assert read_units(tmp_path).num_rows == 64


def test_a_file_of_the_schema_before_is_read(tmp_path: Path) -> None:
    """Schema 4 had neither sheet nor ties."""
    write_unit(tmp_path, rows([1]), FOOTER)
    older = pq.read_table(tmp_path / "units/00000001-00000001.parquet").drop_columns(["sheet", "ties"])
    write_unit(tmp_path, rows([0]), FOOTER)
    with mock.patch.object(units, "SCHEMA", older.schema.remove_metadata()), mock.patch.object(units, "VERSION", "4"):
        write_unit(tmp_path, rows([2]), FOOTER)
    table = read_units(tmp_path)
    assert table.column_names == SCHEMA.names and table["image_id"].to_pylist() == [0, 0, 1, 1, 2, 2]
    assert read_units(tmp_path, ["image_id", "sheet"], 3, 1)["sheet"].null_count == 3
    assert read_units(tmp_path, ["image_id", "ties"])["ties"].null_count == 2


def test_a_file_of_another_schema_is_refused(tmp_path: Path) -> None:
    write_unit(tmp_path, rows([0]), FOOTER | {"schema": "1"})
    with pytest.raises(ValueError, match="another version"):
        read_units(tmp_path)


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk's."""
    script = f"""
import resource, signal
from pathlib import Path
from noise_search.storage.units import write_unit
from tests.test_store import FOOTER, rows
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = Path({str(tmp_path)!r})
write_unit(folder, rows([0]), FOOTER)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_unit(folder, [row | {{"png": bytes(range(256)) * 300}} for row in rows([1])], FOOTER)
except OSError as error:
    print(error.strerror)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "File too large\n"
    assert [path.name for path in (tmp_path / "units").iterdir()] == ["00000000-00000000.parquet"]


def test_ids_in_words() -> None:
    assert words(runs([5, 2, 0, 1, 6])) == "0-2, 5-6" and words(runs([3])) == "3" and words(runs([])) == ""


def test_repeated_images_cost_no_space(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    images = {i: noise.bytes(5000) for i in range(64)}
    filler = rows([0])[0]
    write_unit(
        tmp_path, [filler | {"image_id": i, "point": p, "png": images[i]} for i in range(64) for p in range(8)], FOOTER
    )
    (path,) = (tmp_path / "units").glob("*.parquet")
    assert path.stat().st_size < 1.3 * 64 * 5000
