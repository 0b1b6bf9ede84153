"""verifier=http through a server of ours that answers well, late, wrongly, as somebody else, or not at all."""

import io
import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from noise_search.configuration.compose import composed, own_hydra
from noise_search.core.verifier import Candidates, Surroundings
from noise_search.errors import Refused
from noise_search.run.execute import run_job
from noise_search.storage.units import read_units
from noise_search.verifiers import remote
from noise_search.verifiers.brightness import Brightness
from noise_search.verifiers.ensemble import Ensemble
from noise_search.verifiers.http import Http
from scripts.manual.blocks import blocks
from tests.test_configs import described

SERVER = Path(__file__).parents[1] / "examples/score_server/server.py"
WHO = {"name": "light", "version": "1"}
TOY = [
    "experiment=toy",
    "draw_figures=false",
    "budget.points=[1,4]",
    "budget.search_nfe=2",
    "budget.final_nfe=3",
    "logger=none",
]
TOY += ["metrics=none", "device=cpu", "images=128", "batch_size=64", "seed=5"]


def well(sent: dict[str, np.ndarray]) -> dict[str, Any]:
    """Brighter is better."""
    return WHO | {"scores": (sent["images"].mean((1, 2, 3)) / 127.5 - 1).tolist()}


@dataclass
class Host:
    """answer: what it says to a batch, JSON, bytes or (HTTP code, bytes); who: to a GET. asked, keys: one a POST."""

    port: int = 0
    who: Any = field(default_factory=lambda: WHO)
    answer: Callable[[dict[str, np.ndarray]], Any] = well
    asked: list[dict[str, np.ndarray]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/score"

    def start(self) -> None:
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.say(host.who)

            def do_POST(self) -> None:
                assert self.path == "/score" and self.headers["Content-Type"] == "application/x-npz"
                with np.load(io.BytesIO(self.rfile.read(int(self.headers["Content-Length"])))) as sent:
                    host.asked.append(dict(sent))
                host.keys.append(self.headers["Authorization"])
                self.say(host.answer(host.asked[-1]))

            def say(self, found: Any) -> None:
                code, content = found if isinstance(found, tuple) else (200, found)
                content = content if isinstance(content, bytes) else json.dumps(content).encode()
                try:
                    self.send_response(code)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                except OSError:
                    """Whoever asked has gone."""

            def log_message(self, format: str, *arguments: object) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.01,)).start()

    def stop(self) -> None:
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    host.start()
    yield host
    host.stop()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PAUSE", 0.0)


def greys(levels: torch.Tensor | None = None) -> Candidates:
    levels = torch.tensor([[-0.8, 0.4, 0.0], [0.9, -0.2, -1.0]]) if levels is None else levels
    b, k = levels.shape
    images = levels[..., None, None, None].expand(b, k, 3, 8, 6)
    return Candidates(images, torch.tensor([7, 2])[:b], texts=["ein Bär", "a fox"][:b])


def scorer(host: Host, **settings: Any) -> Http:
    return Http(host.url, **settings).load(Surroundings())


def test_batches_with_their_texts_are_scored_in_order(host: Host) -> None:
    verifier = scorer(host, batch_size=4)
    scores = verifier.scores(greys())
    assert scores.shape == (2, 3, 1) and scores.dtype == torch.float32
    assert torch.allclose(scores, Brightness().scores(greys()), atol=0.005)
    assert [len(sent["images"]) for sent in host.asked] == [4, 2] and host.keys == [None, None]
    first = host.asked[0]
    assert first["images"].dtype == np.uint8 and first["images"].shape == (4, 8, 6, 3)
    assert first["texts"].tolist() == ["ein Bär"] * 3 + ["a fox"] and "classes" not in first
    assert verifier.name == "light 1 (over HTTP)" and verifier.weights == {"http:light": "1"}
    assert verifier.ranks_alone and not verifier.differentiable and verifier.reads == ("texts",)


def test_what_it_reads_is_what_it_is_sent(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", "secret")
    scorer(host, reads=["classes"], key="THE_KEY").score(greys()._replace(texts=()))
    assert set(host.asked[0]) == {"images", "classes"} and host.asked[0]["classes"].tolist() == [7, 7, 7, 2, 2, 2]
    assert host.asked[0]["classes"].dtype == np.int64 and host.keys == ["Bearer secret"]
    scorer(host, reads=[]).score(greys())
    assert set(host.asked[1]) == {"images"}
    with pytest.raises(Refused, match="reads texts: 0 of 2 images"):
        scorer(host).score(greys()._replace(texts=()))
    with pytest.raises(Refused, match=r"verifier\.key=NO_SUCH_KEY: this environment variable is not set"):
        scorer(host, key="NO_SUCH_KEY")


def test_images_that_are_not_finite_are_not_sent_and_have_no_score(host: Host) -> None:
    candidates = greys()
    images = candidates.images.clone()
    images[0, 1, 0, 0, 0], images[1] = torch.nan, torch.inf
    scores = scorer(host, batch_size=1).score(candidates._replace(images=images))
    assert scores.isfinite().tolist() == [[True, False, True], [False] * 3] and len(host.asked) == 2
    assert scores[0, [0, 2]].tolist() == pytest.approx([-0.8, 0.0], abs=0.005)
    assert scorer(host).score(candidates._replace(images=images * torch.nan)).isnan().all() and len(host.asked) == 2


def scored(*values: Any) -> dict[str, Any]:
    return WHO | {"scores": list(values)}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (scored(1, 2), "sent 3 images, it answers 2 scores: "),
        (scored(1, 2, 3, 4), "it answers 4 scores: "),
        (WHO | {"scores": 1.0}, "it answers scores=1.0: "),
        (WHO, "it answers scores=None: "),
        (scored(1, float("nan"), 3), "score 1 is nan: a finite number, higher is better"),
        (scored(float("-inf"), 1, 3), "score 0 is -inf: a finite number"),
        (scored(1, 2, 1e39), r"score 2 is 1e\+39: a finite number"),
        (scored(1, 2, 10**400), "score 2 is 1000.*: a finite number"),
        (scored(1, 2, "3"), "score 2 is 3: a finite number"),
        (scored(1, 2, None), "score 2 is None: a finite number"),
        (scored(1, 2, True), "score 2 is True: a finite number"),
        (scored(1, 2, [3]), r"score 2 is \[3\]: a finite number"),
        ({"scores": [1, 2, 3]}, 'its answer has no line of text "name": every one says'),
        (scored(1, 2, 3) | {"version": 1}, 'its answer has no line of text "version"'),
        (scored(1, 2, 3) | {"version": "2"}, "sent 3 images, light 2 answers; at the start it was light 1"),
        ([1, 2, 3], "it answers no JSON object: '.1, 2, 3.'"),
        (b"<html>\nwelcome</html>", "it answers no JSON object: '<html> welcome</html>'"),
        (b"\xff\xfe", "it answers no JSON object"),
        (b"[" * 100_000, "it answers no JSON object"),
        (b"", "it answers no JSON object: ''"),
    ],
)
def test_a_wrong_answer_is_one_clear_line_and_not_asked_again(host: Host, answer: Any, words: str) -> None:
    verifier = scorer(host)
    host.answer = lambda _: answer
    with pytest.raises(Refused, match=words) as caught:
        verifier.score(greys(torch.zeros(1, 3)))
    assert str(caught.value).startswith(f"verifier.url={host.url}: ") and "\n" not in str(caught.value)
    assert len(host.asked) == 1


def test_who_it_is_is_asked_at_the_start_and_before_nobody_is(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    for who in (
        {},
        {"name": "light"},
        {"name": "", "version": "1"},
        {"name": "x", "version": 3},
        {"name": "x", "version": "1\n2"},
        [],
        b"hello",
    ):
        host.who = who
        with pytest.raises(
            Refused, match=r"asked who it is, (its answer has no line of text|it answers no JSON object)"
        ):
            scorer(host)
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a plan connects"))
    assert described("verifier=http", f"verifier.url={host.url}").plan.purchases


def test_what_may_pass_is_asked_again_and_what_may_not_is_told(host: Host) -> None:
    verifier, one = scorer(host), greys(torch.zeros(1, 1))
    for code in (429, 500, 503):
        busy = iter([(code, b"later"), (code, b"later")])
        host.answer = lambda sent, busy=busy: next(busy, None) or well(sent)
        verifier.score(one)
    assert len(host.asked) == 9 and verifier.told() == (
        f"verifier.url={host.url}: 10 requests, 0 of them timed out, 6 tried again",
    )
    host.answer = lambda _: (503, b"still\nbusy")
    with pytest.raises(Refused, match=r"no answer in 5 tries \(HTTP 503 still busy\)"):
        verifier.score(one)
    for code in (400, 401, 404, 302):
        host.asked.clear()
        host.answer = lambda _, code=code: (code, b"not\nyou")
        with pytest.raises(Refused, match=f"refuses what it is asked: HTTP {code} not you"):
            verifier.score(one)
        assert len(host.asked) == 1


def test_waits_grow(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = list[float]()
    monkeypatch.setattr(remote, "PAUSE", 1.0)
    monkeypatch.setattr(time, "sleep", waits.append)
    verifier = scorer(host, tries=9)
    host.answer = lambda _: (500, b"")
    with pytest.raises(Refused, match="no answer in 9 tries"):
        verifier.score(greys(torch.zeros(1, 1)))
    assert [wait for wait in waits if wait >= 1] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_time_outs_are_told_counted_and_limited(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    free, slow, one = threading.Event(), iter([True, True]), greys(torch.zeros(1, 1))
    host.answer = lambda sent: (next(slow, False) and free.wait(20), well(sent))[1]
    verifier = scorer(host, timeout=0.2)
    with caplog.at_level(logging.WARNING, "noise_search"):
        assert verifier.score(one).item() == pytest.approx(0, abs=0.005)
    assert verifier.told() == (f"verifier.url={host.url}: 4 requests, 2 of them timed out, 2 tried again",)
    assert "no byte in 0.2 s; 2 requests, 1 of them timed out" in caplog.text
    host.answer = lambda sent: free.wait(20) and well(sent)
    with pytest.raises(Refused, match=r"no answer in 2 tries .*[Tt]imed? ?out.*is it up"):
        scorer(host, timeout=0.1, tries=2).score(one)
    with pytest.raises(Refused, match=r"2 of them timed out, 1 tried again, more than verifier\.timeouts=1;"):
        scorer(host, timeout=0.1, timeouts=1).score(one)
    free.set()


def test_one_that_is_down_is_one_line() -> None:
    with pytest.raises(Refused, match=r"^verifier\.url=http://127\.0\.0\.1:9/: no answer in 5 tries .*refused.*up\?$"):
        Http("http://127.0.0.1:9/").load(Surroundings())


def test_settings_are_checked() -> None:
    for settings, words in (
        ({"url": "file:///etc/passwd"}, "url=file:///etc/passwd: an address"),
        ({"url": "http://"}, "url=http://: an address"),
        ({"url": "http://a b/"}, "url=http://a b/: an address"),
        ({"url": "http://[::1/"}, "an address"),
        ({"url": "http://host:port/"}, "an address"),
        ({"url": "http://bär/"}, "an address"),
        ({"url": "http://me:secret@host/"}, "an address"),
        ({"url": None}, "url=None: an address"),
        ({"reads": ["text"]}, r"reads=\['text'\]: a list of some of texts, classes"),
        ({"reads": "texts"}, "reads=texts: a list of some"),
        ({"batch_size": 0}, "batch_size=0: a whole number of images"),
        ({"timeout": 0}, "timeout=0: seconds, above 0"),
        ({"tries": 0}, "tries=0: a whole number, at least 1"),
        ({"timeouts": -1}, "timeouts=-1: a whole number, at least 0"),
    ):
        with pytest.raises(Refused, match=words):
            Http(**{"url": "http://localhost/"} | settings)  # type: ignore[arg-type]
    assert Http("https://[::1]:80/score", timeouts=0).reads == ("texts",)


def test_it_is_a_member_like_any_other(host: Host) -> None:
    ensemble = Ensemble({"remote": Http(host.url), "brightness": Brightness()}).load(Surroundings())
    assert torch.equal(ensemble.combine(ensemble.scores(greys()), 3).argmax(1), torch.tensor([1, 0]))
    assert ensemble.told() == (f"verifier.url={host.url}: 2 requests, 0 of them timed out, 0 tried again",)


def run(folder: Path, *overrides: str) -> None:
    with own_hydra():
        run_job(*composed([*TOY, *overrides]), folder)


def found(folder: Path) -> list[dict[str, Any]]:
    return read_units(folder, ["image_id", "point", "candidate", "scores", "digest", "bank"]).to_pylist()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_the_page_shows_the_example() -> None:
    shown = {block.title: block.text for block in blocks(SERVER.parents[2] / "docs/how-to/neighbours.md")}
    assert shown["server.py"] == SERVER.read_text()


def test_the_example_picks_what_brightness_picks(tmp_path: Path) -> None:
    port, known = free_port(), {"image_id", "point", "candidate", "digest"}
    with subprocess.Popen([sys.executable, SERVER, str(port)], stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(300):
                with socket.socket() as one:
                    if not one.connect_ex(("127.0.0.1", port)):
                        break
                time.sleep(0.1)
            run(tmp_path / "remote", "verifier=http", f"verifier.url=http://127.0.0.1:{port}/")
        finally:
            server.kill()
    run(tmp_path / "local", "verifier=brightness")
    there, here = found(tmp_path / "remote"), found(tmp_path / "local")
    assert [{k: row[k] for k in known} for row in there] == [{k: row[k] for k in known} for row in here]
    assert len({row["candidate"] for row in there}) == 4
    for one, other in zip(there, here, strict=True):
        assert one["bank"] == (other["bank"] and pytest.approx(other["bank"], abs=0.004))
    said = (tmp_path / "remote/run.log").read_text()
    assert f"verifier.url=http://127.0.0.1:{port}/: " in said and "requests, 0 of them timed out, 0 tried" in said
    assert "http:brightness" in (tmp_path / "remote/run.json").read_text()


def test_where_it_goes_in_the_middle_the_run_stops_and_goes_on_later(host: Host, tmp_path: Path) -> None:
    options = ("verifier=http", f"verifier.url={host.url}", "verifier.tries=2")
    run(tmp_path / "whole", *options)
    first, units = host.asked[:], tmp_path / "run/units"

    def leaves(sent: dict[str, np.ndarray]) -> Any:
        """Gone, in the second unit: it does not even answer this."""
        if not units.is_dir() or not list(units.glob("*.parquet")):
            return well(sent)
        threading.Thread(target=host.stop).start()
        while host.server is not None:
            time.sleep(0.01)
        return 500, b""

    host.answer = leaves
    with pytest.raises(Refused, match=r"no answer in 2 tries \(.*refused.*is it up") as caught:
        run(tmp_path / "run", *options)
    assert "\n" not in str(caught.value) and not (tmp_path / "run/run.json").exists()
    assert [path.name for path in units.glob("*.parquet")] == ["00000000-00000063.parquet"]
    assert "tried again" in (tmp_path / "run/run.log").read_text()
    host.answer, host.who = lambda sent: well(sent) | host.who, WHO | {"version": "2"}
    host.start()
    with pytest.raises(Refused, match=r"holds results of weights\.http:light=1, not 2: choose another"):
        run(tmp_path / "run", *options)
    host.who = WHO
    host.stop()
    host.port = 0  # the same scorer, elsewhere
    host.start()
    host.asked.clear()
    run(tmp_path / "run", "verifier=http", f"verifier.url={host.url}", "verifier.timeout=9")
    assert found(tmp_path / "run") == found(tmp_path / "whole") and 0 < len(host.asked) < len(first)
