"""Fetching what parts name, from a host of our own: whole or not at all, checked, recorded, refused in one line."""

import dataclasses
import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, RepositoryNotFoundError

from noise_search.cli import fetch
from noise_search.cli.fetch import fetch_all
from noise_search.core.dataset import Dataset
from noise_search.core.source import Hub, Url
from noise_search.datasets import drawbench, t2i_compbench
from noise_search.datasets.drawbench import drawbench as drawbench_at
from noise_search.errors import Refused
from tests.test_configs import described
from tests.test_prompts import MADE

GOOD = MADE["drawbench.csv"](200).encode()


@dataclasses.dataclass
class Host:
    """answers: path -> (status, content, content length that is told). asked: what was asked for."""

    url: str
    answers: dict[str, tuple[int, bytes, int]]
    asked: list[str]

    def gives(self, path: str, content: bytes, status: int = 200, length: int | None = None) -> None:
        self.answers[path] = (status, content, len(content) if length is None else length)


@pytest.fixture
def host() -> Iterator[Host]:
    answers, asked = dict[str, tuple[int, bytes, int]](), list[str]()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            asked.append(f"{self.command} {self.path}")
            status, content, length = answers.get(self.path, (404, b"", 0))
            if self.command == "HEAD" and self.path.startswith("/get-only"):
                status = 405
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_GET = do_HEAD = answer

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield Host(f"http://127.0.0.1:{server.server_port}", answers, asked)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def prompts(host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Dataset:
    """DrawBench, from that host."""
    monkeypatch.setattr(drawbench, "URL", f"{host.url}/get-only/table?tqx=out:csv")
    return drawbench_at(str(tmp_path / "data/drawbench.csv"))


TABLE = "/get-only/table?tqx=out:csv"


def refused(dataset: Dataset, words: str) -> None:
    with pytest.raises(Refused, match=words) as caught:
        fetch_all(dataset.sources, Path())
    assert "\n" not in str(caught.value)


def test_prompts_are_fetched_once_recorded_and_checked_ever_after(
    host: Host, prompts: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host.gives(TABLE, GOOD)
    for _ in range(2):  # what is there is not asked for: a file that was put there by hand wants no internet
        fetch_all(prompts.sources, Path())
    assert host.asked == [f"HEAD {TABLE}", f"GET {TABLE}"]
    said = capsys.readouterr().out
    assert "drawbench.csv: size unknown, licence unknown, from http" in said and said.count("there already") == 1
    path = tmp_path / "data/drawbench.csv"
    assert path.read_bytes() == GOOD and prompts.texts[0] == "A red colored car."
    known = json.loads((path.parent / "SOURCES.json").read_text())["drawbench.csv"]
    assert known["sha256"] == hashlib.sha256(GOOD).hexdigest() and known["sha256 told by its host"] is False
    assert {p.name for p in path.parent.iterdir()} == {"drawbench.csv", "SOURCES.json"}
    path.write_bytes(GOOD.replace(b"Counting", b"Colors"))  # as many prompts, the first one right
    with pytest.raises(Refused, match=r"drawbench.csv: not what was fetched .*remove it and fetch it again"):
        list(drawbench_at(str(path)).texts)


def test_what_is_not_the_published_list_never_gets_its_name(host: Host, prompts: Dataset, tmp_path: Path) -> None:
    for content, words in (
        (MADE["drawbench.csv"](199).encode(), "holds 199 prompts, the published list 200"),
        (GOOD.replace(b"A red colored car.", b"A car."), "begins with 'A car.', the published list with 'A red"),
        (b"<html>sign in</html>\nx\n", "line 2: no column 'prompts'"),
        (b"", "holds no prompts"),
    ):
        host.gives(TABLE, content)
        refused(prompts, words)
        assert not list((tmp_path / "data").iterdir())


def test_what_is_cut_short_starts_anew(
    host: Host, prompts: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.gives(TABLE, GOOD[:900], length=len(GOOD))
    refused(prompts, rf"cut short, 900 of {len(GOOD):,} bytes came; fetch it again")
    assert not list((tmp_path / "data").iterdir())
    host.gives(TABLE, GOOD)

    def killed(answer: Any, file: Any, size: int) -> None:
        file.write(answer.read(100))
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfileobj", killed)
        with pytest.raises(KeyboardInterrupt):
            fetch_all(prompts.sources, Path())
    assert not list((tmp_path / "data").iterdir())
    fetch_all(prompts.sources, Path())
    assert (tmp_path / "data/drawbench.csv").read_bytes() == GOOD


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "is gated: accept its terms on its page, then `hf auth login`"),
        (403, "is gated: accept its terms on its page, then `hf auth login`"),
        (404, r"is not there \(any more\): get the file elsewhere, and put it where the configuration says"),
        (500, "is not to be had: HTTP Error 500"),
    ],
)
def test_a_host_that_does_not_give_a_file(host: Host, tmp_path: Path, status: int, words: str) -> None:
    host.gives("/file", b"", status)
    refused(Dataset("own", ("a",), sources=[Url(f"{host.url}/file", "MIT", str(tmp_path / "file"))]), words)
    host.gives("/get-only", b"", status)  # told when the file itself is asked for
    refused(Dataset("own", ("a",), sources=[Url(f"{host.url}/get-only", "MIT", str(tmp_path / "file"))]), words)
    assert not list(tmp_path.iterdir())


def test_a_checksum_of_its_makers_is_kept_to(host: Host, tmp_path: Path) -> None:
    host.gives("/file", b"weights")
    digest, path = hashlib.sha256(b"weights").hexdigest(), tmp_path / "file"
    with pytest.raises(Refused, match="but its host says 0000"):
        fetch_all([Url(f"{host.url}/file", "MIT", "file", sha256="0000")], tmp_path)
    assert not list(tmp_path.iterdir())
    fetch_all([Url(f"{host.url}/file", "MIT", sha256=digest)], tmp_path)
    assert path.read_bytes() == b"weights"
    assert json.loads((tmp_path / "SOURCES.json").read_text())["file"]["sha256 told by its host"] is True


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            GatedRepoError,
            "owner/model is gated: accept its terms on its page, then `hf auth login`, and fetch it again",
        ),
        (RepositoryNotFoundError, "owner/model: there is no such repository, or it is private: then `hf auth login`"),
        (EntryNotFoundError, r"owner/model is not there \(any more\)"),
        (OSError, "owner/model is not to be had: no route"),
    ],
)
def test_a_hub_that_does_not_give_a_model(
    error: type[Exception], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raised(*_: object, **__: object) -> None:
        raise error.__new__(error, "no route\nto host")

    monkeypatch.setattr(fetch, "HfApi", lambda: SimpleNamespace(repo_info=raised))
    with pytest.raises(Refused, match=words) as caught:
        fetch_all([Hub("owner/model", ".*", "model/")], tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_of_a_hub_is_completed_at_one_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[str] = []

    def info(repo: str, repo_type: str, revision: str | None, files_metadata: bool) -> SimpleNamespace:
        assert (repo, repo_type, revision) == ("owner/set", "dataset", "v1")
        files = [SimpleNamespace(rfilename=name, size=4, lfs=None) for name in ("a/one.txt", "two.txt", "README.md")]
        return SimpleNamespace(siblings=files, sha="abc", card_data=None)

    def download(repo: str, name: str, repo_type: str, revision: str, local_dir: Path) -> str:
        assert (repo_type, revision) == ("dataset", "abc")
        fetched.append(name)
        path = local_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("bad" if len(fetched) == 2 else "good")
        return str(path)

    def check(path: Path) -> None:
        if path.read_text() != "good":
            raise Refused("not what was expected")

    monkeypatch.setattr(fetch, "HfApi", lambda: SimpleNamespace(repo_info=info))
    monkeypatch.setattr(fetch, "hf_hub_download", download)
    source = Hub("owner/set", r".*\.txt", "set/", "v1", "dataset", check)
    with pytest.raises(Refused, match="not what was expected"):
        fetch_all([source], tmp_path)
    assert (tmp_path / "set/a/one.txt").is_file() and not (tmp_path / "set/two.txt").exists()
    fetch_all([source], tmp_path)  # only what is missing
    assert fetched == ["a/one.txt", "two.txt", "two.txt"] and (tmp_path / "set/two.txt").read_text() == "good"
    assert set(json.loads((tmp_path / "SOURCES.json").read_text())) == {"set/a/one.txt", "set/two.txt"}


def test_every_part_is_asked_for_its_sources() -> None:
    run, sources = described("experiment=toy", "observers=[brightness]"), [Url(f"x/{k}", "MIT") for k in range(4)]
    run.verifier.parts["brightness"].sources = sources[:1]
    run.judge.__class__.sources = sources[1:2]
    try:
        own = Dataset("own", ("a",), sources=sources[2:])
        assert dataclasses.replace(run, dataset=own).sources == [*sources[2:], *sources[:2]]
    finally:
        del run.judge.__class__.sources
    set_of = t2i_compbench.t2i_compbench("data", ["color", "shape"]).sources
    assert [source.target for source in set_of] == ["data/color_val.txt", "data/shape_val.txt"]
    assert all(source.url.endswith(source.target[5:]) for source in set_of)
