"""T2I-CompBench's own layout: samples/{prompt}_{id}.png of each category, and the vqa_result.json of its scorers.

Its scripts take the prompt from a file's name (all before the first "_") and the number of the question from the digits
at its end; their own means want 10 images a prompt. What is here is averaged over what is really there.
"""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from noise_search.errors import MissingFile, Refused
from noise_search.storage.atomic import write_text

NAME = "t2i_compbench"  # as exports and imports are asked for it
LONGEST = 255  # bytes of a name, on every usual file system
RESULTS = {  # category -> where its scorer leaves its answers; the others' is BLIP-VQA's
    "spatial": "labels/annotation_obj_detection_2d",
    "3d_spatial": "labels/annotation_obj_detection_3d",
    "numeracy": "annotation_num",
    "complex": "annotation_3_in_1",
    "non_spatial": "annotation_clip",
}
BLIP = "annotation_blip"


class Question(NamedTuple):
    """number: of the question within its category, from 0 on without a gap; image: the run's id of it."""

    category: str
    number: int
    image: int
    prompt: str

    @property
    def name(self) -> str:
        """Of its file: the prompt as far as a file system and the benchmark's scripts can read it."""
        end = f"_{self.number:06d}.png"
        text = re.sub(r"[/_\x00-\x1f]", " ", self.prompt)
        return text.encode()[: LONGEST - len(end)].decode(errors="ignore") + end

    @property
    def changed(self) -> bool:
        return self.name != f"{self.prompt}_{self.number:06d}.png"


def questions(conditions: Sequence[int], texts: Sequence[str], categories: Sequence[str]) -> list[Question]:
    """One a run's image, conditions by image id. Within a category all images of a prompt follow one another, as the
    benchmark's scripts want them."""
    out, numbers = list[Question](), dict[str, int]()
    for image, k in sorted(enumerate(conditions), key=lambda pair: (pair[1], pair[0])):
        number = numbers.get(categories[k], 0)
        out.append(Question(categories[k], number, image, texts[k]))
        numbers[categories[k]] = number + 1
    return out


def write_samples(folder: Path, asked: Sequence[Question], pngs: Iterable[tuple[int, bytes]]) -> None:
    """Write folder/{category}/samples/ from (image id, PNG file), and in folder/images.json which question is which
    image. What an earlier export left there is removed."""
    for path in folder.glob("*/samples/*.png"):
        path.unlink()
    places = {q.image: folder / q.category / "samples" / q.name for q in asked}
    for parent in {path.parent for path in places.values()}:
        parent.mkdir(parents=True, exist_ok=True)
    for image, png in pngs:
        places[image].write_bytes(png)
    rows = [question._asdict() | {"file": question.name} for question in asked]
    write_text(folder / "images.json", json.dumps(rows, indent=1) + "\n")


def read_questions(folder: Path) -> list[Question]:
    """What `write_samples` said."""
    path = folder / "images.json"
    if not path.is_file():
        raise MissingFile(f"{path} is not there: `noise-search export RUN as=t2i_compbench` writes it")
    try:
        return [Question(*(row[name] for name in Question._fields)) for row in json.loads(path.read_text("utf-8"))]
    except (ValueError, TypeError, KeyError) as error:
        raise Refused(f"{path} is damaged ({error}); export again") from error


def results_path(folder: Path, category: str) -> Path:
    return folder / category / RESULTS.get(category, BLIP) / "vqa_result.json"


def read_answers(path: Path, count: int) -> dict[int, float]:
    """Number of a question -> its answer, of those that are there; of a category of `count` images."""
    try:
        found = [(int(row["question_id"]), float(row["answer"])) for row in json.loads(path.read_text("utf-8"))]
    except (ValueError, TypeError, KeyError) as error:
        raise Refused(f'{path}: not a list of {{"question_id": 0, "answer": "0.69"}} ({error})') from error
    if beyond := [number for number, _ in found if not 0 <= number < count]:
        why = "3_in_1.py counts on 10 images a prompt until its num is changed" if "3_in_1" in str(path) else "others'"
        raise Refused(f"{path}: question {beyond[0]}, but {count} images were exported, 0 to {count - 1} ({why})")
    if len(dict(found)) < len(found) or not found:
        raise Refused(f"{path}: {len(found)} answers to {len(dict(found))} questions; one each, at least one")
    return dict(found)
