"""What a bank of candidates tells of several verifiers: the cross-verifier matrix (what one selects, judged by the
others: hacking, in one picture) and how their scores go together (paper, figure 5)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from noise_search.report.figures import blank, save
from noise_search.storage.atomic import write_text


def banks(table: pa.Table, columns: int) -> np.ndarray:
    """float64 [B, N, columns]: the scores of all candidates of every image, from the rows of a random search."""
    kept = [bank for bank in table["bank"].to_pylist() if bank is not None]
    return np.array(kept, dtype=np.float64).reshape(len(kept), -1 if kept else 0, columns)


def cross_matrix(bank: np.ndarray, more: Sequence[np.ndarray] = ()) -> np.ndarray:
    """bank [B, N, V] -> [V, V]: row i, column j is how far j rates i's choices above the mean of all N candidates of an
    image, averaged over images, in standard deviations of j among an image's candidates.

    more: choices int [B] of verifiers that have no column, an ensemble's for example; each is a row below.
    """
    away = bank - bank.mean(1, keepdims=True)
    spread = np.sqrt((away**2).mean((0, 1)))
    rows = np.arange(len(bank))
    gains = np.stack([away[rows, chosen].mean(0) for chosen in (*bank.argmax(1).T, *more)])
    return np.divide(gains, spread, out=np.zeros_like(gains), where=spread > 0)  # no spread: nothing to choose


def write_correlation(folder: Path, bank: np.ndarray, names: Sequence[str]) -> Path:
    """Write folder/correlation.csv (r of every two verifiers over the images' first candidates), and the scatter of the
    first verifier's scores against every other's as .png and .pdf; returns the PNG. bank [B, N, V]."""
    folder.mkdir(parents=True, exist_ok=True)
    first = bank[:, 0]
    with np.errstate(invalid="ignore"):  # a verifier that gives all the same score has no r
        values = np.atleast_2d(np.corrcoef(first.T))
    lines = [[f"r of n = {len(first)}", *names]]
    lines += [[name, *(f"{value:.4f}" for value in row)] for name, row in zip(names, values, strict=True)]
    write_text(folder / "correlation.csv", "".join(",".join(line) + "\n" for line in lines))
    figure = blank(3.2 * (len(names) - 1), 3)
    panels = figure.subplots(1, len(names) - 1, squeeze=False)
    for axes, name, y, r in zip(panels[0], names[1:], first.T[1:], values[0, 1:], strict=True):
        axes.scatter(first[:, 0], y, s=4, alpha=0.4)
        axes.set_xlabel(f"score of {names[0]}")
        axes.set_ylabel(f"score of {name}")
        axes.set_title(f"r = {r:.2f}, n = {len(first):,} first candidates", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    return save(figure, folder, "correlation")


def write_matrix(
    folder: Path, bank: np.ndarray, names: Sequence[str], more: Mapping[str, np.ndarray] | None = None
) -> Path:
    """Write folder/cross_verifier.csv, .png and .pdf; returns the PNG. more: name -> choices, as in `cross_matrix`."""
    folder.mkdir(parents=True, exist_ok=True)
    more = more or {}
    values, choosers = cross_matrix(bank, list(more.values())), [*names, *more]
    lines = [["selected by"] + [f"judged by {name}" for name in names]]
    lines += [[name, *(f"{value:.4f}" for value in row)] for name, row in zip(choosers, values, strict=True)]
    write_text(folder / "cross_verifier.csv", "".join(",".join(line) + "\n" for line in lines))
    figure = blank(1.6 + 1.1 * len(names), 1.2 + 0.8 * len(choosers))
    axes = figure.subplots()
    axes.imshow(values, cmap="RdBu", vmin=-abs(values).max(), vmax=abs(values).max())
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            dark = value > 0.6 * abs(values).max()
            axes.text(j, i, f"{value:.2f}", ha="center", va="center", color="white" if dark else "black")
    axes.set_xticks(range(len(names)), names, rotation=20, ha="right")
    axes.set_yticks(range(len(choosers)), choosers)
    axes.set_xlabel("judged by")
    axes.set_ylabel("selected by")
    axes.set_title(
        f"gain over a random candidate, in standard deviations\nbest of {bank.shape[1]}, n = {len(bank):,}", fontsize=9
    )
    return save(figure, folder, "cross_verifier")
