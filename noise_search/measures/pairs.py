"""All pairs within a set of features and between two sets, once: sums of KID's kernel, and who is near to whom.

Products are made in the type of the features (float32 from a network), a block of pairs at a time; sums are float64.
The blocks and their order depend on the counts alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

SIDE = 1000  # of a block of pairs


def group_cuts(n: int, groups: int) -> list[int]:
    """Where the runs of a jackknife begin, and n: image i of n is in group i * groups // n."""
    return [-(-g * n // groups) for g in range(groups + 1)]


class Within(NamedTuple):
    """A set of N images, in G groups of neighbours, and all pairs in it; k nearest are known of each image.

    rows [N, D]: features about `origin` [D], so that distances keep their digits. squares, shifts [N]: |row|^2, and
    what makes x.y = row.row' + shift + shift'. sums float64 [G, G]: the kernel (x.y / D + 1)^3 over pairs of different
    images. near [N, G, k]: squared distances to the nearest others of every group; inf where there are none.
    """

    rows: np.ndarray
    origin: np.ndarray
    squares: np.ndarray
    shifts: np.ndarray
    sums: np.ndarray
    near: np.ndarray
    side: int

    @property
    def sizes(self) -> np.ndarray:
        """int64 [G]: images of every group."""
        return np.diff(group_cuts(len(self.rows), len(self.sums)))

    def blocks(self) -> Iterator[tuple[slice, int]]:
        """Runs of at most `side` images, each of one group, and that group."""
        cuts = group_cuts(len(self.rows), len(self.sums))
        for group, (low, high) in enumerate(itertools.pairwise(cuts)):
            for start in range(low, high, self.side):
                yield slice(start, min(start + self.side, high)), group

    def radii(self) -> np.ndarray:
        """[1 + G, N]: squared distance to the k-th nearest, of all and without each group, whose own have -1: they
        reach nobody."""
        n, groups, k = self.near.shape
        out, cuts = np.empty((1 + groups, n), self.near.dtype), group_cuts(n, groups)
        for left in range(1 + groups):
            kept = [g for g in range(groups) if g != left - 1]
            near = self.near[:, kept].reshape(n, -1)
            out[left] = np.partition(near, k - 1, axis=1)[:, k - 1] if kept else np.inf
            if left:
                out[left, cuts[left - 1] : cuts[left]] = -1
        return out


class Between(NamedTuple):
    """sums float64 [G]: the kernel over pairs of every group of samples x and all real images y. precise bool [N]: is a
    sample in some real image's ball? recalled bool [1 + G, M]: is a real image in the ball of a sample, of any and
    without each group?"""

    sums: np.ndarray
    precise: np.ndarray
    recalled: np.ndarray


def within(x: np.ndarray, k: int = 3, groups: int = 1, origin: np.ndarray | None = None, side: int = SIDE) -> Within:
    """All pairs within x [N, D]. origin: None: x's mean. Memory: a copy of x, N * G * k and a few times side^2 numbers;
    cost N^2 * D multiply-adds / 2."""
    n = len(x)
    origin = x.mean(0, dtype=np.float64).astype(x.dtype) if origin is None else origin
    rows = x - origin
    squares = np.einsum("ij,ij->i", rows, rows)
    about = origin.astype(np.float64)
    shifts = (rows @ origin + about @ about / 2).astype(x.dtype)
    near = np.full((n, groups, k), np.inf, x.dtype)
    out = Within(rows, origin, squares, shifts, np.zeros((groups, groups)), near, side)
    blocks = list(out.blocks())
    for i, (a, g) in enumerate(blocks):
        for b, h in blocks[i:]:
            product = rows[a] @ rows[b].T
            kernel, far = kernel_of(out, a, out, b, product), distances(out, a, out, b, product)
            if a == b:  # an image and itself
                np.fill_diagonal(kernel, 0)
                np.fill_diagonal(far, np.inf)
            total = kernel.sum(dtype=np.float64)
            out.sums[g, h] += total
            nearer(near[a, h], far)
            if a != b:
                out.sums[h, g] += total
                nearer(near[b, g], far.T)
    return out


def between(x: Within, y: Within) -> Between:
    """All pairs of samples x and real images y, which is one group, about the same origin. Cost N * M * D."""
    assert x.origin is y.origin and len(y.sums) == 1
    reach, real = x.radii(), y.radii()[0]
    out = Between(np.zeros(len(x.sums)), np.zeros(len(x.rows), bool), np.zeros((len(reach), len(y.rows)), bool))
    for a, g in x.blocks():
        for b, _ in y.blocks():
            product = x.rows[a] @ y.rows[b].T
            out.sums[g] += kernel_of(x, a, y, b, product).sum(dtype=np.float64)
            far = distances(x, a, y, b, product)
            out.precise[a] |= (far <= real[b]).any(1)
            for left in range(len(reach)):
                if left != g + 1:
                    out.recalled[left, b] |= (far <= reach[left, a, None]).any(0)
    return out


def kernel_of(x: Within, a: slice, y: Within, b: slice, product: np.ndarray) -> np.ndarray:
    """(x.y / D + 1)^3 of a block of pairs."""
    d = x.rows.shape[1]
    base = product + x.shifts[a, None]
    base += y.shifts[b] + d
    base /= d
    cube = base * base
    cube *= base
    return cube


def distances(x: Within, a: slice, y: Within, b: slice, product: np.ndarray) -> np.ndarray:
    """Squared, of a block of pairs; made in the place of their products."""
    product *= -2
    product += x.squares[a, None]
    product += y.squares[b]
    return np.maximum(product, 0, out=product)


def nearer(near: np.ndarray, far: np.ndarray) -> None:
    """near [n, k] becomes the k smallest of itself and far [n, m]: the least, k times, where np.partition takes much
    longer."""
    every, (n, k) = np.arange(len(far)), near.shape
    far, found = far.copy(order="C"), np.empty((n, 2 * k), near.dtype)
    found[:, k:] = near
    for i in range(k):
        least = far.argmin(1)
        found[:, i] = far[every, least]
        far[every, least] = np.inf
    near[:] = np.sort(found, axis=1)[:, :k]
