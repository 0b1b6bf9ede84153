"""Units on disk: written whole or not at all, damage is seen."""

from pathlib import Path

import numpy as np
import pytest

from noise_search.store import SCHEMA, finished_ids, read_units, write_unit


def rows(ids: list[int]) -> list[dict]:
    filler = dict.fromkeys(SCHEMA.names, 0) | {"png": b"x" * 3000, "features": b"y" * 5120, "features_search": None}
    filler |= {"scores": [0.5, float("nan")], "scores_final": [0.5], "bank": None}
    return [filler | {"image_id": i, "point": p} for i in ids for p in (1, 2)]


def test_units_come_back_in_order_and_once(tmp_path: Path) -> None:
    write_unit(tmp_path, rows([64, 65]))
    write_unit(tmp_path, rows([0, 1]))
    write_unit(tmp_path, rows([1, 2]))  # another process overlapped
    assert finished_ids(tmp_path) == {0, 1, 2, 64, 65}
    table = read_units(tmp_path)
    assert table["image_id"].to_pylist() == [0, 0, 1, 1, 2, 2, 64, 64, 65, 65]
    assert table["point"].to_pylist() == [1, 2] * 5
    assert table["bank"].null_count == 10


def test_an_empty_folder_has_no_images(tmp_path: Path) -> None:
    assert finished_ids(tmp_path) == set()


def test_half_written_files_are_not_read(tmp_path: Path) -> None:
    write_unit(tmp_path, rows([0]))
    (tmp_path / "units" / "00000064-00000064.123.partial").write_bytes(b"PAR1 half")
    assert finished_ids(tmp_path) == {0}


@pytest.mark.parametrize("where", [0.3, 0.6])
def test_a_flipped_bit_is_noticed(tmp_path: Path, where: float) -> None:
    filler = rows([0])[0]
    noise = np.random.default_rng(0)
    write_unit(tmp_path, [filler | {"image_id": i, "png": noise.bytes(3000)} for i in range(64)])
    (path,) = (tmp_path / "units").glob("*.parquet")
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is damaged"):
        read_units(tmp_path)


def test_repeated_images_cost_no_space(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    images = {i: noise.bytes(5000) for i in range(64)}
    filler = rows([0])[0]
    write_unit(tmp_path, [filler | {"image_id": i, "point": p, "png": images[i]} for i in range(64) for p in range(8)])
    (path,) = (tmp_path / "units").glob("*.parquet")
    assert path.stat().st_size < 1.3 * 64 * 5000
