"""What a grader asks, word by word, and how its answers are read. Another wording is another verifier."""

from __future__ import annotations

import json
import re
from typing import Any

from noise_search.core.checks import finite
from noise_search.verifiers.vlm_model import Unreadable

ASPECTS = ("accuracy", "originality", "quality", "consistency", "resonance")
MARKS = (*ASPECTS, "overall")

RUBRIC = """An image was made for this text:

{text}

Mark the image from 0 (worst) to 10 (best) in five aspects, and as a whole:
- accuracy: it shows what the text says, all of it and nothing against it
- originality: it is more than the most usual picture of this
- quality: it is sharp, well lit and well composed, without artefacts
- consistency: its parts fit together, in shape, number, place and light
- resonance: it has a mood, and conveys it
- overall: your mark of the whole, with accuracy first

Answer with one JSON object and nothing else:
{"accuracy": N, "originality": N, "quality": N, "consistency": N, "resonance": N, "overall": N}
with your marks in place of N."""

PAIR = """Two images were made for this text:

{text}

Which is the better one: shows more of what the text says, and is better made? There is no draw.
Answer with one JSON object and nothing else: {"better": 1} for the first image, {"better": 2} for the second."""

YES = """Does this image show all that this text says?

{text}

Answer yes or no."""

AGAIN = "\n\n(Asked again, time {count}: the answer before was not what was asked for. Keep to the form.)"
QUESTIONS = {"rubric": RUBRIC, "pairwise": PAIR, "yes": YES}


def question(ask: str, text: str, count: int = 1) -> str:
    """count: how often it is asked now; a model that always answers the same is asked with other words."""
    again = AGAIN.replace("{count}", str(count)) if count > 1 else ""
    return QUESTIONS[ask].replace("{text}", text) + again


def read_marks(answer: str) -> dict[str, float]:
    """All six marks, 0 to 10."""
    found = read_object(answer)
    for name in MARKS:
        if not (finite(found.get(name)) and 0 <= found[name] <= 10):
            raise Unreadable(f"{name} is {found.get(name)!r}, not a mark from 0 to 10")
    return {name: float(found[name]) for name in MARKS}


def read_better(answer: str) -> dict[str, float]:
    """better: 1 or 2."""
    found = read_object(answer)
    better = found.get("better")
    if not finite(better) or better not in (1, 2):
        raise Unreadable(f"better is {better!r}, neither 1 nor 2")
    return {"better": float(better)}


def read_object(answer: str) -> dict[str, Any]:
    """The first JSON object in an answer that may speak around it."""
    there = re.search(r"\{[^{}]*\}", answer)
    try:
        found = json.loads(there.group() if there else "")
    except ValueError as error:
        raise Unreadable(f"no JSON object in {' '.join(answer.split())[:80]!r}") from error
    return dict(found)
