"""The bank of an image's candidates, as its page shows it: small pictures of the first, scores of the best others."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from noise_search.report.pictures import data_uri, kind_of

PICTURED = 64  # candidates of an image that have a small picture
COLUMNS = 8  # of a sheet


def bank_of(row: Mapping[str, Any], columns: int) -> dict[str, Any]:
    """row: `bank` (scores [N, columns], flat) and `sheet` (a WebP of the first candidates, or None) of one image.

    c: numbers of the candidates that are told: those with a picture, and of all others the 64 best under each column;
    s: their scores, a list a column; r: their places from 1 on among all `n` under each column; ties go to the earlier.
    """
    scores = np.array(row["bank"], np.float64).reshape(-1, columns)
    pictured = min(PICTURED, len(scores)) if row["sheet"] is not None else 0
    order = np.argsort(-scores, axis=0, kind="stable")
    places = np.empty_like(order)
    np.put_along_axis(places, order, np.arange(1, len(scores) + 1)[:, None], axis=0)
    told = sorted({*range(pictured), *order[:PICTURED].flatten().tolist()})
    out: dict[str, Any] = {"n": len(scores), "c": told, "pictured": pictured}
    out["s"] = [[round(value, 5) for value in column] for column in scores[told].T.tolist()]
    out["r"] = places[told].T.tolist()
    if row["sheet"] is not None:
        out["sheet"] = data_uri(row["sheet"], kind_of(row["sheet"]))
        out["lines"] = -(-pictured // COLUMNS)
    return out
