"""`--help` and the manual's reference say what the YAML files say of themselves: so each key must say something."""

from pathlib import Path

import pytest

from noise_search.cli import help
from noise_search.configuration.comments import choice, names, told
from noise_search.configuration.compose import own_hydra
from noise_search.run.plugins import config_folder

FOLDERS = {path.parent.relative_to(config_folder()) for path in config_folder().glob("*/**/*.yaml")}
GROUPS = sorted(str(folder) for folder in FOLDERS if folder.parts[:2] != ("experiment", "paper"))
CHOICES = [("", "config"), *((group, name) for group in GROUPS for name in names(group))]


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_every_choice_has_a_header_and_every_key_a_comment(group: str, name: str) -> None:
    of = choice(group, name)
    assert of.summary
    silent = [path for path, key in of.keys.items() if key.value and not told(of, path)]
    assert not silent, f"configs/{group}/{name}.yaml: no comment beside or above {silent}"


def test_every_group_of_a_run_has_a_line() -> None:
    with own_hydra():
        said = help.text([])
    assert said.index("python run.py experiment=toy") < said.index("KEY=VALUE of the run")
    config = choice("", "config")
    for group, line in config.lines.items():
        if not group.startswith("hydra/"):
            assert line and f"{group}=NAME: {line}" in said, group
            assert all(f"\n    {name}  " in said for name in names(group)), group
    for path, key in config.keys.items():
        assert not key.value or f"\n    {path}=" in said, path


def test_help_shows_the_keys_of_other_choices_and_their_values() -> None:
    with own_hydra():
        said = help.text(["verifier=ensemble", "model=sit_b_2", "algorithm=zo_8", "seed=3"])
    assert "keys of verifier=ensemble" in said and "seed=3 " in said
    words = " ".join(said.split())
    assert "verifier.members.classifier.resolution=96 pixels; must be what the head was trained at" in words
    assert "algorithm.similarity=0.95 cosine of a neighbour" in words
    assert "model.vae=weights/sd-vae-ft-ema" in words and "model.schedule=Uniform knots in t" in words


def test_a_comment_is_read_where_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "verifier").mkdir()
    keys = "one: '#1' # first\n# above\ntwo: [1, 2]\nnet: {a: 1} # both\n"
    (tmp_path / "verifier/a.yaml").write_text(f"# What it is. And more.\n# note of no key\n_target_: x\n{keys}")
    (tmp_path / "verifier/b.yaml").write_text("# Another.\ndefaults: [a, _self_]\none: 2\nthree: 3\n")
    monkeypatch.setattr("noise_search.configuration.comments.folders", lambda: [tmp_path])
    choice.cache_clear()
    try:
        a, b = choice("verifier", "a"), choice("verifier", "b")
        assert a.summary == "What it is" and a.keys["verifier.one"].value == "'#1'"
        assert [told(a, f"verifier.{key}") for key in ("one", "two", "net.a")] == ["first", "above", "both"]
        assert told(b, "verifier.one") == "first" and told(b, "verifier.three") == ""
    finally:
        choice.cache_clear()
