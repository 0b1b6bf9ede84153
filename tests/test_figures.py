"""Figures: laid out once, and drawn once for each of their two files."""

import io
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

from noise_search.report.figures import blank, save
from noise_search.report.pictures import thumbnail


def figure() -> Figure:
    out = blank(3, 2)
    axes = out.subplots()
    axes.plot([1, 100], [0.1, 0.2])
    axes.set_ylabel("a label that wants its place")
    out.supxlabel("a note")
    return out


def test_a_figure_is_laid_out_once_as_its_own_layout_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = figure()
    own.set_layout_engine("constrained")
    own.savefig(tmp_path / "own.png")
    layout, drawing = ConstrainedLayoutEngine.execute, Figure.draw
    monkeypatch.setattr(
        ConstrainedLayoutEngine, "execute", laid := mock.Mock(side_effect=layout.__get__(ConstrainedLayoutEngine()))
    )
    monkeypatch.setattr(Figure, "draw", drawn := mock.Mock(side_effect=drawing.__get__(ours := figure())))
    assert save(ours, tmp_path, "a/b") == tmp_path / "a_b.png" and (tmp_path / "a_b.pdf").read_bytes()[:4] == b"%PDF"
    assert (laid.call_count, drawn.call_count) == (1, 2)
    assert np.array_equal(*(np.asarray(Image.open(tmp_path / name)) for name in ("own.png", "a_b.png")))


def test_a_page_shows_large_images_small_and_small_ones_as_they_are() -> None:
    def png(width: int, height: int) -> bytes:
        out = io.BytesIO()
        Image.new("RGB", (width, height), (10, 200, 30)).save(out, "png")
        return out.getvalue()

    assert thumbnail(png(32, 32)) == png(32, 32)
    small = Image.open(io.BytesIO(thumbnail(png(1024, 512))))
    assert small.size == (256, 128) and small.format == "WEBP"
    assert np.abs(np.subtract(small.getpixel((5, 5)), (10, 200, 30))).max() < 8
