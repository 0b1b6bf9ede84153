"""The manual's own checks find what is wrong, and its made pages have everything."""

from pathlib import Path

import pytest

from noise_search.configuration.comments import choice, names
from scripts import check_docs
from scripts.manual import running
from scripts.manual.blocks import Block, blocks
from scripts.manual.commands import commands, wrong_with
from scripts.manual.configuration import OTHER_GROUPS, configuration_page
from scripts.manual.docstrings import escaped, of_modules, prose
from scripts.manual.reference import ROOT, command_page, interfaces_page, library_page

FENCE = "`" * 3


def page(path: Path, *parts: str) -> Path:
    path.write_text("\n\n".join(parts).replace("~~~", FENCE) + "\n")
    return path


def test_links_and_commands_of_the_docs_are_right(capsys: pytest.CaptureFixture) -> None:
    assert check_docs.main(["--quick"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("python run.py experiment=toy images=4", ""),
        ("torchrun --nproc_per_node=8 run.py images=9", ""),
        ("python run.py -m algorithm=none,random,zo seed=0,1", ""),
        ("noise-search report RUN axis=seconds", ""),
        ("make demo", ""),
        ("python run.py sed=3", "did you mean 'seed'"),
        ("python run.py algorithm=zoo", "zoo"),
        ("python run.py budget.points=[4,2]", "growing"),
        ("noise-search report RUN axes=seconds", "report has no axes"),
        ("noise-search repot RUN", "unknown"),
        ("make demos", "make has no demos"),
        ("python scripts/train_sitt.py", "there is no scripts/train_sitt.py"),
        ("curl example.org", "unknown program"),
    ],
)
def test_what_is_wrong_with_a_command_is_said(line: str, said: str) -> None:
    block = Block("bash", False, "", f"{line}   # a remark\n", 1)
    (words,) = commands(block)
    wrong = wrong_with(words)
    assert said in wrong and bool(said) == bool(wrong)


def test_wrong_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("")
    made = page(tmp_path / "a.md", "[a](there.md#x) [b](gone.md) [c](https://arxiv.org/abs/2501.09732) [d](http://x)")
    assert [wrong.split(":")[0] for wrong in check_docs.wrong_links(made)] == ["gone.md", "http"]


def test_runnable_blocks_run_in_order_in_a_folder_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "ROOT", tmp_path)
    (tmp_path / "run.py").touch()
    (tmp_path / "scripts").mkdir()
    file = '~~~python runnable title="part/one.py"\nONE = 1\n~~~'
    first = "~~~bash runnable\necho 2 > two; test ! -e part/three\n~~~"
    second = "~~~python runnable\nfrom part.one import ONE\nassert ONE + int(open('two').read()) == 3\n~~~"
    shown = "~~~bash\nexit 9\n~~~"
    good = page(tmp_path / "good.md", file, first, shown, second)
    assert [block.runnable for block in blocks(good)] == [True, True, False, True]
    assert running.run_page(good) > 0 and not (tmp_path / "two").exists()
    assert running.run_page(page(tmp_path / "none.md", shown)) == 0
    with pytest.raises(RuntimeError, match=r"bad\.md:5: exit code 3\n(?s:.*)gone"):
        running.run_page(page(tmp_path / "bad.md", first, "~~~bash runnable\necho gone >&2; (exit 3)\n~~~"))


def test_a_shown_package_is_found_by_its_entry_points(tmp_path: Path) -> None:
    text = '[project]\nname = "mine"\nversion = "0.2"\n\n[project.entry-points.noise_search]\nits = "mine"\n'
    running.write(tmp_path / "pyproject.toml", text)
    assert (tmp_path / "mine-0.2.dist-info/entry_points.txt").read_text() == "[noise_search]\nits = mine\n"
    with pytest.raises(FileExistsError):
        running.write(tmp_path / "pyproject.toml", text)


def test_docstrings_are_shown_as_they_stand() -> None:
    assert escaped("x_s [B, K] *a* `a_b`") == r"x\_s \[B, K\] \*a\* `a_b`"
    assert prose("One\nline.\n\n    code_here\n\nTwo.") == f"One line.\n\n{FENCE}text\n    code_here\n{FENCE}\n\nTwo."
    said = prose("All: of\nx. x, y: two\nof it. z: one. w: none.", ["x", "y", "z"])
    assert said == "All: of x.\n\n- **x, y**: two of it.\n\n- **z**: one. w: none."
    with pytest.raises(KeyError, match="gone"):
        of_modules(ROOT, {"api.py": ("gone",)}, "##")


def test_made_pages_have_everything() -> None:
    configuration, config = configuration_page(), choice("", "config")
    for group in [*config.lines, *OTHER_GROUPS]:
        for name in names(group) if group in OTHER_GROUPS or not group.startswith("hydra/") else []:
            assert f"### {group}={name} " in configuration
            assert all(f"<dt>{path}=" in configuration for path, key in choice(group, name).keys.items() if key.value)
    assert "batch_size: int | str = 'auto'" in library_page() and "## render" in library_page()
    assert "### Traceable" in interfaces_page() and "score(candidates: Candidates) -> Tensor" in interfaces_page()
    assert "| <code>noise-search compare RUN... into=FOLDER</code> |" in command_page()
