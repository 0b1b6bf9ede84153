"""What a search gives back, and the page that shows it."""

import base64
import html
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from noise_search.storage.atomic import write_text

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1000px; margin: 2em auto; padding: 0 1.5em }
figure { display: inline-block; margin: .5em; text-align: center } figure img { min-width: 128px; display: block }
figure img { image-rendering: pixelated } td { padding: .1em 1.5em .1em 0; font-variant-numeric: tabular-nums }
"""


@dataclass(frozen=True)
class Found:
    """The B images of a search, in the order of the conditions; texts: what these are called.

    scores: float32 [B], the verifier's, of these very images; [B, V] of a verifier of V members. nfe: evaluations an
    image, search and final generation. curve: (nfe, mean score of the best so far, as the search saw it) at each point
    on the way. bill, over all images: evaluations, backward, network_rows, scored, decoded, left_out (multiply-adds
    that drafts left out of the rows), seconds.
    addresses: of each image its number and those it is made again from, by `render` with the same `algorithm`: (image,
    candidate) of random search; (image, start, neighbour of each move) of zo; (image, noise, re-noising of each round)
    of paths. None of first_order, which follows the verifier's gradient: there the same search with the same seed
    finds them again. stopped: Ctrl-C ended the search.
    """

    images: list[Image.Image]
    texts: list[str]
    scores: np.ndarray
    nfe: int
    curve: list[tuple[int, float]]
    bill: dict[str, float]
    addresses: list[tuple[int, ...]] | None
    seed: int
    verifier: str
    stopped: bool = False

    def save(self, path: str | Path) -> None:
        """One self-contained HTML page."""
        shown = zip(self.images, self.texts, self.scores.tolist(), strict=True)
        figures = "".join(figure(image, text, score) for image, text, score in shown)
        bill = "".join(f"<tr><td>{name}</td><td>{value:,.6g}</td></tr>" for name, value in self.bill.items())
        stopped = " Stopped before its end." if self.stopped else ""
        content = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>noise_search</title>
<style>{STYLE}</style>
<h1>{len(self.images)} images, {self.nfe:,} NFE each</h1>
<p>Scored by {html.escape(self.verifier)}; seed {self.seed}.{stopped}</p>
{figures}
<h2>Mean score of the best so far, against NFE an image</h2>{drawn(self.curve)}
<h2>Bill</h2><table>{bill}</table>
</html>
"""
        write_text(Path(path), content)


def figure(image: Image.Image, text: str, score: float | list[float]) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "png")
    numbers = " ".join(f"{value:.4g}" for value in np.atleast_1d(score))
    source = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return f'<figure><img src="{source}" alt=""><figcaption>{html.escape(text)}<br>{numbers}</figcaption></figure>\n'


def drawn(curve: list[tuple[int, float]]) -> str:
    """The curve as SVG, 600 x 200, with its ends written out."""
    x, y = np.array(curve, dtype=np.float64).T
    left, low = x.min(), y.min()
    across, up = max(np.ptp(x), 1e-12), max(np.ptp(y), 1e-12)
    places = zip(10 + 580 * (x - left) / across, 190 - 180 * (y - low) / up, strict=True)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
    ends = f"{y[0]:.4g} at {x[0]:,.0f} NFE, {y[-1]:.4g} at {x[-1]:,.0f} NFE"
    line = f'<polyline points="{points}" fill="none" stroke="#1f77b4" stroke-width="2"/>'
    return f'<svg width="600" height="200" style="background: #f6f6f6">{line}</svg><p>{ends}</p>'
