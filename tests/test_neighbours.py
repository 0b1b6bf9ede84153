"""A bank of candidates for other programs: the addresses make the same candidates again, the pairs obey their rule."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from noise_search import render
from noise_search.cli import look
from noise_search.configuration.compose import composed, own_hydra
from noise_search.core.noise import normal
from noise_search.errors import Refused
from noise_search.run.assemble import assemble
from noise_search.run.execute import run_job
from noise_search.run.parts import begin
from noise_search.run.reopen import reopen
from noise_search.storage.preferences import Bank, Rule, Source, bank_lines, losers, pair_lines, write_lines
from noise_search.storage.units import read_units

TOY = [
    "experiment=toy",
    "draw_figures=false",
    "budget.points=[1,2,8]",
    "budget.search_nfe=4",
    "budget.final_nfe=6",
    "logger=none",
]
IMAGES = 70  # more than one unit


def made(folder: Path, *overrides: str) -> Path:
    with own_hydra():
        run_job(*composed([*TOY, f"images={IMAGES}", "device=cpu", *overrides]), folder)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("bank") / "run", "observers=[brightness]", "seed=3")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def exported(run: Path, form: str, path: Path, **options: str) -> list[dict[str, Any]]:
    with own_hydra():
        assert look.export(run, form, path, [], options) == 0
    return lines(path)


def test_every_candidate_is_a_line_with_what_the_run_has_stored_of_it(run: Path, tmp_path: Path) -> None:
    found = exported(run, "bank", tmp_path / "deep/bank.jsonl")
    assert [line["address"] for line in found] == [[i, k] for i in range(IMAGES) for k in range(8)]
    stored = read_units(run, ["image_id", "point", "bank"], point=8)["bank"].to_pylist()
    assert [list(line["scores"].values()) for line in found] == np.reshape(stored, (-1, 2)).tolist()
    first = found[8 * 12]
    assert (first["condition"], first["condition_id"], first["image"], first["seed"]) == ("wave 2", 2, 12, 3)
    assert list(first["scores"]) == ["likelihood", "brightness"] and first["candidate"] == 0


def test_an_address_is_the_same_noise_and_candidate_with_the_same_score(run: Path, tmp_path: Path) -> None:
    found = exported(run, "pairs", tmp_path / "pairs.jsonl")
    settings = json.loads((tmp_path / "pairs.settings.json").read_text())
    assert len(found) == IMAGES and {line["run"] for line in found} == {settings["run"]}
    parts, noise = assemble(reopen(run)), settings["noise"]
    assert noise["philox"] == {"key": ["seed", 0], "counter": [0, "image", "candidate", 0]}
    assert settings["search_nfe"] == parts.run.budget.search_nfe == 4
    for line in found[::11]:
        for who in ("winner", "loser"):
            (image, candidate), seed = line[f"{who}_address"], line["seed"]
            assert (image, candidate) == (line["image"], line[who])
            key, counter = np.array([seed, 0], np.uint64), np.array([0, image, candidate, 0], np.uint64)
            told = np.random.Generator(np.random.Philox(key=key, counter=counter))
            x = torch.from_numpy(told.standard_normal(noise["shape"], np.float32))
            problem = begin(parts, [image])
            assert torch.equal(x, problem.noise(candidate)[0])
            assert torch.equal(x, normal(seed, [image], [candidate], parts.model.shape)[0])
            assert parts.run.dataset.texts[problem.index[0]] == line["condition"]
            scores = problem.evaluate(x[None, None].to(problem.device))[0, 0].tolist()
            assert scores == pytest.approx(list(line[f"{who}_scores"].values()), abs=1e-5)


def test_the_front_door_makes_a_candidate_again(run: Path, tmp_path: Path) -> None:
    line = exported(run, "pairs", tmp_path / "pairs.jsonl", verifier="brightness")[5]
    addresses, options = [line["winner_address"], line["loser_address"]], {"seed": line["seed"], "device": "cpu"}
    images = render("toy", [line["condition"]] * 2, addresses, final_nfe=4, **options)
    light = [np.asarray(image).mean() / 127.5 - 1 for image in images]
    told = [line[f"{who}_scores"]["brightness"] for who in ("winner", "loser")]
    assert light == pytest.approx(told, abs=0.005) and light[0] > light[1]


@pytest.mark.parametrize("against", ["worst", "random"])
def test_pairs_obey_their_margin_and_hold_the_best(run: Path, tmp_path: Path, against: str) -> None:
    bank = {(line["image"], line["candidate"]): line["scores"] for line in exported(run, "bank", tmp_path / "b")}
    every = exported(run, "pairs", tmp_path / "all", pairs="9", against=against)
    assert len(every) == 7 * IMAGES  # 9 asked for, and no more than there are
    some = exported(run, "pairs", tmp_path / "some", pairs="9", against=against, margin="0.2")
    assert 0 < len(some) < len(every)
    assert len(some) == sum(line["difference"] >= 0.2 for line in every)
    for line in some:
        winner, loser = line["winner_scores"]["likelihood"], line["loser_scores"]["likelihood"]
        assert winner - loser == line["difference"] >= 0.2 and line["verifier"] == "likelihood"
        assert line["winner_scores"] == bank[line["image"], line["winner"]]
        assert line["loser_scores"] == bank[line["image"], line["loser"]]
        assert winner == max(bank[line["image"], k]["likelihood"] for k in range(8))


def test_losers_are_the_worst_or_drawn_by_a_seed() -> None:
    bank = Bank(5, 0, np.array([[1.0], [3.0], [0.0], [3.0], [2.0], [0.0]]))
    assert losers(bank, Rule(0, 9)) == (1, [2, 5, 0, 4])  # the equal one at 3 is no loser
    assert losers(bank, Rule(0, 2)) == (1, [2, 5]) and losers(bank, Rule(0, 9, margin=2.0)) == (1, [2, 5, 0])
    assert losers(bank, Rule(0, 9, margin=3.5)) == (1, [])
    assert losers(Bank(0, 0, np.ones((4, 1))), Rule(0)) == (0, [])
    drawn = [losers(bank, Rule(0, 1, "random", seed=seed))[1] for seed in range(200)]
    counts = [drawn.count([k]) for k in range(6)]
    assert drawn == [losers(bank, Rule(0, 1, "random", seed=seed))[1] for seed in range(200)]
    assert counts[1] == counts[3] == 0 and all(count > 25 for k, count in enumerate(counts) if k not in (1, 3))
    assert sorted(losers(bank, Rule(0, 9, "random"))[1]) == [0, 2, 4, 5]


def test_a_line_is_a_line_whatever_its_prompt_says(tmp_path: Path) -> None:
    texts, bank = ['a\u2028b\n\x85 Bär \ud800 "x"'], Bank(0, 0, np.array([[1.0], [0.5]]))
    path = tmp_path / "lines"
    assert write_lines(path, pair_lines([bank], Source(["v"], texts, 0, "r"), Rule(0))) == 1
    (line,) = lines(path)
    assert line["condition"] == texts[0] and (line["winner"], line["loser"], line["difference"]) == (0, 1, 0.5)
    nan = Bank(0, 0, np.array([[np.nan]]))
    with pytest.raises(ValueError, match="Out of range"):
        write_lines(path, bank_lines([nan], Source(["v"], texts, 0, "r")))
    assert lines(path) == [line] and [file.name for file in tmp_path.iterdir()] == ["lines"]


def test_two_exports_are_the_same_to_the_byte(run: Path, tmp_path: Path) -> None:
    for form, options in (("bank", {}), ("pairs", {"against": "random", "pairs": "2"})):
        for name in ("one", "two"):
            exported(run, form, tmp_path / name / "lines.jsonl", **options)
        for name in ("lines.jsonl", "lines.settings.json"):
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
        assert not list(tmp_path.glob("*/*.partial"))
    other = exported(run, "pairs", tmp_path / "other", against="random", pairs="2", seed="1")
    assert other != lines(tmp_path / "one/lines.jsonl")


def test_a_run_of_scores_alone_and_one_read_again_have_their_bank(run: Path, tmp_path: Path) -> None:
    expected = exported(run, "pairs", tmp_path / "there", verifier="brightness")
    with own_hydra():
        look.export(run, "scores", tmp_path / "kept")
    assert exported(tmp_path / "kept", "pairs", tmp_path / "here", verifier="brightness") == expected
    from noise_search.cli.commands import select

    with own_hydra():
        select(run, "brightness", tmp_path / "chosen", [])
        again = exported(tmp_path / "chosen", "pairs", tmp_path / "again")
        assert [line["winner_address"] for line in again] == [line["winner_address"] for line in expected]
        look.export(tmp_path / "chosen", "scores", tmp_path / "small")
        with pytest.raises(Refused, match="are not in it, but in the run that it was read from"):
            look.export(tmp_path / "small", "bank", tmp_path / "none")
    assert not (tmp_path / "none").exists() and not list(tmp_path.glob("*.partial"))


def test_an_order_of_ranks_makes_no_pairs_but_its_members_do(tmp_path: Path) -> None:
    parts = {"a": "brightness.Brightness", "b": "likelihood.Likelihood"}
    members = {name: {"_target_": f"noise_search.verifiers.{part}"} for name, part in parts.items()}
    with own_hydra():
        config, choices = composed([*TOY, "images=2", "device=cpu", "verifier=ensemble"])
    config["verifier"] |= {"members": members}
    ranks = tmp_path / "ranks"
    run_job(config, choices, ranks)
    with own_hydra(), pytest.raises(Refused, match=r"ranks an image's candidates among themselves.* one of a, b"):
        look.export(ranks, "pairs", tmp_path / "pairs")
    assert {line["verifier"] for line in exported(ranks, "pairs", tmp_path / "pairs", verifier="b")} == {"b"}
    assert list(exported(ranks, "bank", tmp_path / "bank")[0]["scores"]) == ["a", "b"]


def test_what_has_no_bank_or_is_not_whole_is_told(run: Path, tmp_path: Path) -> None:
    other = made(tmp_path / "zo", "algorithm=zo", "budget.points=[1]", "images=2")
    with own_hydra(), pytest.raises(Refused, match="zo: keeps no bank; that wants algorithm=random"):
        look.export(other, "bank", tmp_path / "lines")
    shutil.copytree(run, tmp_path / "part")
    (tmp_path / "part/units/00000064-00000069.parquet").unlink()
    with own_hydra(), pytest.raises(Refused, match=r"part: not a finished run; `noise-search status .*part`"):
        look.export(tmp_path / "part", "bank", tmp_path / "lines")
    with own_hydra(), pytest.raises(Refused, match=r"nowhere: not the folder of a run"):
        look.export(tmp_path / "nowhere", "pairs", tmp_path / "lines")
    assert not (tmp_path / "lines").exists()


@pytest.mark.parametrize(
    ("form", "into", "options", "words"),
    [
        ("pairs", None, {}, "as=pairs: into=FILE, where the lines go"),
        ("bank", ".", {}, "as=bank: into=FILE, not the folder"),
        ("bank", "x", {"margin": "1"}, "as=bank: no option margin; there are into"),
        ("pairs", "x", {"margin": "nan"}, "margin=nan: the least difference"),
        ("pairs", "x", {"margin": "-1"}, "margin=-1: the least difference"),
        ("pairs", "x", {"margin": "wide"}, "margin=wide: the least difference"),
        ("pairs", "x", {"pairs": "0"}, "pairs=0: a whole number, at least 1"),
        ("pairs", "x", {"pairs": "-3"}, "pairs=-3: a whole number, at least 1"),
        ("pairs", "x", {"seed": "1e3"}, "seed=1e3: a whole number, at least 0"),
        ("pairs", "x", {"against": "me"}, "against=me: one of worst, random"),
        ("pairs", "x", {"verifier": "dino"}, "verifier=dino: .* has no scores of it; verifier= one of likelihood"),
        ("npz", None, {"seed": "1"}, "as=npz: seed goes with as=pairs"),
    ],
)
def test_wrong_options_are_one_line(
    run: Path, tmp_path: Path, form: str, into: str | None, options: dict[str, str], words: str
) -> None:
    with own_hydra(), pytest.raises(Refused, match=words) as caught:
        look.export(run, form, tmp_path / into if into else None, [], options)
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


def test_points_are_not_for_pairs(run: Path) -> None:
    with own_hydra(), pytest.raises(Refused, match="as=pairs: of all candidates, points go with"):
        look.export(run, "pairs", Path("x"), [2])
