"""Prompts as data sets, from made-up files of their formats; T2I-CompBench's layout there and back; categories."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from noise_search.core.dataset import Dataset
from noise_search.datasets.drawbench import drawbench
from noise_search.datasets.geneval import geneval
from noise_search.datasets.partiprompts import partiprompts
from noise_search.datasets.prompts import prompts
from noise_search.datasets.t2i_compbench import t2i_compbench
from noise_search.errors import Refused
from noise_search.storage.fetched import record
from noise_search.storage.t2i_compbench import Question, questions
from tests.test_commands import ask
from tests.test_plugin import install
from tests.test_run import call

MADE = {  # name -> a file of its format: its content with so many rows, the first as published
    "drawbench.csv": lambda n: (
        '"Prompts","Category"\n"A red colored car.","Colors"\n' + '"one, ""two"" cars","Counting"\n' * (n - 1)
    ),
    "geneval.jsonl": lambda n: (
        '{"tag": "single_object", "prompt": "a photo of a bench"}\n'
        + '{"tag": "counting", "prompt": "a photo of two \\u2028 benches"}\n' * (n - 1)
    ),
    "partiprompts.tsv": lambda n: (
        "Prompt\tCategory\tChallenge\tNote\nbond\tAbstract\tBasic\tx\n" + 'say "hi\tText\tBasic\t\n' * (n - 1)
    ),
}
SETS = {
    "drawbench.csv": (drawbench, 200, ("A red colored car.", 'one, "two" cars'), ("Colors", "Counting")),
    "geneval.jsonl": (
        geneval,
        553,
        ("a photo of a bench", "a photo of two \u2028 benches"),
        ("single_object", "counting"),
    ),
    "partiprompts.tsv": (partiprompts, 1632, ("bond", 'say "hi'), ("Abstract", "Text")),
}


def benchmark(folder: Path) -> Path:
    """color and shape of T2I-CompBench, made up."""
    folder.mkdir(parents=True)
    more = "".join(f"a {k} wave\n" for k in ("third", "fourth/fifth", "fifth_sixth", "sixth " + "é" * 200))
    (folder / "color_val.txt").write_text("a green bench and a blue bowl\n" + more + "a wave\n" * 295)
    (folder / "shape_val.txt").write_text("a second wave\na first wave\n" + "a wave\n" * 298)
    return folder


@pytest.mark.parametrize("name", SETS)
def test_a_published_set_is_read_when_wanted_and_must_be_as_published(name: str, tmp_path: Path) -> None:
    made, count, texts, categories = SETS[name]
    path = tmp_path / name
    absent = made(str(path))  # a plan needs the number alone
    assert len(absent.texts) == count and absent.index([0, count]).tolist() == [0, 0]
    with pytest.raises(FileNotFoundError, match=r"dataset.file=.* `noise-search prefetch` with the same options"):
        absent.digest  # noqa: B018
    path.write_text(MADE[name](count), "utf-8")
    found = made(str(path), [1])
    assert (found.texts[0], found.texts[count - 1]) == texts and found.index([5]).tolist() == [1]
    assert (found.categories[0], found.categories[1]) == categories and len(found.digest) == 64
    path.write_text(MADE[name](count - 1), "utf-8")
    with pytest.raises(Refused, match=f"holds {count - 1} prompts, the published list {count}"):
        list(made(str(path)).texts)
    path.write_text(MADE[name](count).replace(texts[0], "another"), "utf-8")
    with pytest.raises(Refused, match="begins with 'another', the published list with"):
        list(made(str(path)).texts)


def test_the_benchmark_has_its_categories_one_after_the_other(tmp_path: Path) -> None:
    folder = benchmark(tmp_path / "t2i")
    both = t2i_compbench(str(folder), ["shape", "color"])
    assert both.texts[1] == "a first wave" and both.texts[301] == "a third wave"
    assert (both.categories[299], both.categories[300]) == ("shape", "color")
    assert (
        len(t2i_compbench(str(folder), ["color", "shape", "texture", "spatial", "numeracy", "complex"]).texts) == 1800
    )
    for wrong in ([], ["colour"], ["color", "color"]):
        with pytest.raises(Refused, match=r"categories=.*some of color, shape"):
            t2i_compbench(str(folder), wrong)


def test_any_file_of_prompts(tmp_path: Path) -> None:
    def of(name: str, text: str, *options: str) -> Dataset:
        (tmp_path / name).write_bytes(text.encode())
        return prompts(str(tmp_path / name), *options)

    assert of("a.txt", "\ufeffa cat\r\n\r\n  a dog  \n").texts == ("a cat", "a dog")
    table = of("a.csv", 'id,Prompt,kind\n1,"a, b",x\n\n2,"two\nlines",y\n', "prompt", "kind")
    assert table.texts == ("a, b", "two\nlines") and table.categories == ("x", "y")
    assert of("a.jsonl", '{"text": "a"}\n\n{"text": "b"}', "text").texts == ("a", "b")
    several = of("b.txt", "a\nb\n")  # four images of two prompts: each twice
    assert several.index(range(4)).tolist() == [0, 1, 0, 1] and not several.categories


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", b"", "holds no prompts"),
        ("a.txt", b" \n\n", "holds no prompts"),
        ("a.csv", b"prompt\n", "holds no prompts"),
        ("a.csv", b"", "holds no prompts"),
        ("a.txt", b"\xff\xfe", "not a text in UTF-8"),
        ("a.csv", b"text\na\n", "line 2: no column 'prompt'; there are text"),
        ("a.csv", b"prompt,kind\n,x\n", "line 2: prompt='': a text that is not empty"),
        ("a.jsonl", b'{"prompt": 3}', "line 1: prompt=3: a text"),
        ("a.jsonl", b'{"prompt": "a"}\n{"prompt"', "line 2: not JSON"),
        ("a.jsonl", b"[1]", "line 1: not an object"),
        ("a.docx", b"x", "its name must end in one of .txt, .csv, .tsv, .jsonl"),
    ],
)
def test_a_bad_file_of_prompts_is_told_in_one_line(name: str, content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Refused) as caught:
        prompts(str(tmp_path / name))
    assert words in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(Refused, match="there is no such file"):
        prompts(str(tmp_path / "none.txt"))
    (tmp_path / "b.txt").write_text("a cat")
    with pytest.raises(Refused, match=r"b\.txt: a text file has no columns, and none of categories \('kind'\)"):
        prompts(str(tmp_path / "b.txt"), category="kind")
    with pytest.raises(Refused, match="file=None: a file of prompts"):
        prompts(None)


def test_a_file_that_was_fetched_must_not_change(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a cat\n")
    record(tmp_path, "a.txt", {"sha256": "0" * 64})
    with pytest.raises(Refused, match=r"not what was fetched .*remove it and fetch it again"):
        prompts(str(path))


def test_categories_are_one_a_text() -> None:
    with pytest.raises(Refused, match="1 categories of 2 conditions"):
        Dataset("own", ("a", "b"), categories=("x",))


def test_a_question_is_numbered_within_its_category_and_its_name_can_be_written() -> None:
    asked = questions([1, 0, 2, 1, 0, 2], ["a/b", "é" * 200, "c_d"], ["x", "x", "y"])
    assert [(q.category, q.number, q.image) for q in asked] == [
        *(("x", 0, 1), ("x", 1, 4), ("x", 2, 0), ("x", 3, 3)),
        *(("y", 0, 2), ("y", 1, 5)),
    ]
    assert asked[0].name == "a b_000000.png" and asked[0].changed and asked[4].name == "c d_000000.png"
    assert asked[2].name == "é" * 122 + "_000002.png" and len(asked[2].name.encode()) == 255
    assert not Question("x", 7, 7, "a red car.").changed


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of seven prompts in two categories, two images a prompt."""
    folder = tmp_path_factory.mktemp("benchmark")
    benchmark(folder / "data/prompts/t2i_compbench")
    options = ("model=prompt_toy", "verifier=word_likelihood", "metrics=prompt_pixels", "logger=none")
    data = ("dataset=t2i_compbench", "dataset.categories=[color,shape]", "dataset.classes=[0,1,2,3,4,300,301]")
    budget = ("budget=text", "budget.search_nfe=4", "budget.final_nfe=4", "budget.points=[1,3]", "images=14")
    path = install(folder / "site")
    more = ("more_metrics=[contrast]", "observers=[brightness]")
    call(folder, *options, *data, *budget, *more, "hydra.run.dir=run", PYTHONPATH=path)
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_means_by_category_are_those_of_the_curve(home: Path) -> None:
    rows, curve = rows_of(home / "run/categories.csv"), rows_of(home / "run/curve.csv")
    names = {"score", "score_final", "score/brightness", "score_final/brightness", "contrast"}
    assert {row["metric"] for row in rows} == names
    for metric in names:
        (whole,) = (float(r["value"]) for r in curve if r["metric"] == metric and r["point"] == "3")
        parts = {r["category"]: r for r in rows if r["metric"] == metric and r["point"] == "3"}
        assert {name: r["n_images"] for name, r in parts.items()} == {"color": "10", "shape": "4"}
        mean = sum(float(r["value"]) * int(r["n_images"]) for r in parts.values()) / 14
        assert mean == pytest.approx(whole, abs=1e-6)
    page = (home / "run/report.html").read_text()
    for row in rows:
        assert f"<tr><td>{row['metric']}</td><td>{row['category']}</td><td>{row['n_images']}</td>" in page
    assert {r["nfe"] for r in curve} == {"4", "12"} and {r["nfe_final"] for r in curve} == {"0"}


def test_the_benchmark_there_and_back(home: Path, tmp_path: Path) -> None:
    """Answers are averaged over what is there; what the hard-coded 10 images a prompt would write is refused."""
    shutil.copytree(home, tmp_path, dirs_exist_ok=True, symlinks=True)
    path = str(tmp_path / "site")
    said = ask(tmp_path, "export", "run", "as=t2i_compbench", "points=3", "into=out", PYTHONPATH=path).stdout
    (folder,) = (tmp_path / "out").iterdir()
    assert folder.name == "nfe000012" and "its prompt is 'a fourth/fifth wave'" in said
    color = sorted(p.name for p in (folder / "color/samples").iterdir())
    assert len(color) == 10 and "a third wave_000003.png" in color and "a fourth fifth wave_000004.png" in color
    assert len(list((folder / "shape/samples").iterdir())) == 4

    def answered(where: str, answers: list[dict]) -> None:
        (folder / where).mkdir(parents=True, exist_ok=True)
        (folder / where / "vqa_result.json").write_text(json.dumps(answers))

    early = ask(tmp_path, "import", "run", "as=t2i_compbench", "from=out", code=1, PYTHONPATH=path)
    assert "no results of an exported budget" in early.stderr
    blip = "color/annotation_blip"
    answered(blip, [{"question_id": n, "answer": f"{n / 10:.4f}"} for n in reversed(range(9))])
    said = ask(tmp_path, "import", "run", "as=t2i_compbench", "from=out", PYTHONPATH=path).stdout
    assert "color: 0.4000, 9 of 10 images" in said and "script for shape writes it" in said
    (row,) = rows_of(tmp_path / "run/t2i_compbench.csv")
    assert (row["category"], row["point"], row["metric"], row["n_images"]) == ("color", "3", "annotation_blip", "9")
    answered(blip, [{"question_id": n, "answer": 0.5} for n in range(50)])
    wrong = ask(tmp_path, "import", "run", "as=t2i_compbench", "from=out", code=1, PYTHONPATH=path)
    assert "question 10, but 10 images were exported" in wrong.stderr and wrong.stderr.count("\n") == 1


def test_images_of_the_search_are_generated_again_for_another_verifier_alone(home: Path) -> None:
    """`select` of a run whose candidates are its images: told at the search's cost, billed what it renders."""
    path = str(home / "site")
    ask(home, "select", "run", "verifier=brightness", "into=bright", PYTHONPATH=path)
    rows = [row for row in rows_of(home / "bright/curve.csv") if row["metric"] == "score_final"]
    assert [(row["nfe"], row["nfe_final"]) for row in rows] == [("4", "0"), ("12", "0")]
    spent = json.loads((home / "bright/run.json").read_text())["spent"]
    assert spent["nfe_search"] == 0 and 0 < spent["nfe"] <= 4 * 14
    there = [row for row in rows_of(home / "run/curve.csv") if row["metric"] == "score_final/brightness"]
    assert rows[0]["value"] == there[0]["value"] and float(rows[1]["value"]) > float(there[1]["value"])
