"""The grader through an endpoint of our own that answers well, nonsense, slowly, later, or not at all."""

import base64
import io
import json
import logging
import math
import re
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
from PIL import Image

from noise_search import search
from noise_search.configuration.compose import composed, own_hydra
from noise_search.core.verifier import Candidates, Surroundings
from noise_search.errors import Refused
from noise_search.models.toy import Toy
from noise_search.run.execute import run_job
from noise_search.storage import cache
from noise_search.verifiers import remote
from noise_search.verifiers.ensemble import Ensemble
from noise_search.verifiers.vlm import Grader
from noise_search.verifiers.vlm_endpoint import Endpoint
from noise_search.verifiers.vlm_model import Unreadable
from noise_search.verifiers.vlm_pairs import meetings
from noise_search.verifiers.vlm_questions import MARKS, question, read_better, read_marks

Answer = Callable[[str, list[float], dict[str, Any]], Any]  # question, brightness of the images (0 to 1), body


def said(content: str | None) -> dict[str, Any]:
    return {"choices": [{"message": {"content": content}}]}


def well(words: str, light: list[float], body: dict[str, Any]) -> dict[str, Any]:
    """Brighter is better."""
    if len(light) == 2:
        return said(json.dumps({"better": 1 if light[0] > light[1] else 2}))
    marks = dict.fromkeys(MARKS, 5) | {"overall": round(10 * light[0], 3), "quality": 7}
    return said(f"Here are my marks:\n```json\n{json.dumps(marks)}\n```")


@dataclass
class Host:
    """answer: what it answers with, JSON or bytes or (HTTP code, bytes). asked: what it was asked, one a request."""

    url: str = ""
    answer: Answer = well
    asked: list[tuple[str, list[float], dict[str, Any]]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            (message,) = body["messages"]
            *images, text = message["content"]
            seen = (base64.b64decode(image["image_url"]["url"].split(",", 1)[1]) for image in images)
            light = [np.asarray(Image.open(io.BytesIO(image))).mean() / 255 for image in seen]
            asked = (text["text"], light, body)
            host.asked.append(asked)
            host.keys.append(self.headers["Authorization"])
            found = host.answer(*asked) if self.path == "/v1/chat/completions" else (404, b"nothing here")
            code, content = found if isinstance(found, tuple) else (200, found)
            content = content if isinstance(content, bytes) else json.dumps(content).encode()
            try:
                self.send_response(code)
                if code == 302:
                    self.send_header("Location", "http://localhost:9/v1")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                """Whoever asked has gone."""

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    host.url = f"http://127.0.0.1:{server.server_port}/v1/"
    yield host
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOISE_SEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "PAUSE", 0.0)


def grader(host: Host, ask: str = "rubric", retries: int = 2, timeout: float = 20.0, **more: Any) -> Grader:
    return Grader(Endpoint(host.url, "some/model", timeout=timeout), ask, retries=retries, **more).load(Surroundings())


LEVELS = torch.tensor([[-0.8, 0.4], [0.9, -0.2]])  # of grey, of two images with two candidates each


def greys(levels: torch.Tensor = LEVELS) -> Candidates:
    b, k = levels.shape
    images = levels[..., None, None, None].expand(b, k, 3, 8, 8)
    return Candidates(images, torch.arange(b), texts=[f"grey {number} {{text}}" for number in range(b)])


def test_marks_are_asked_for_with_image_and_text_and_kept(host: Host) -> None:
    verifier = grader(host)
    scores = verifier.scores(greys())
    assert scores.shape == (2, 2, 1) and torch.allclose(scores[..., 0], 5 * (LEVELS + 1), atol=0.05)
    assert torch.equal(verifier.combine(scores, 2), scores[..., 0]) and verifier.ranks_alone
    assert len(host.asked) == 4 and all(len(light) == 1 for _, light, _ in host.asked)
    by_light = sorted((light[0], words) for words, light, _ in host.asked)
    texts = [re.search(r"grey \d \{text\}", words).group() for _, words in by_light]
    assert texts == ["grey 0 {text}", "grey 1 {text}", "grey 0 {text}", "grey 1 {text}"]
    assert all(body["model"] == "some/model" and body["temperature"] == 0 for _, _, body in host.asked)
    assert host.keys == [None] * 4
    assert torch.equal(grader(host).scores(greys()), scores) and len(host.asked) == 4  # another run asks nobody
    assert (grader(host, mark="quality").score(greys()) == 7).all() and len(host.asked) == 4
    assert set(verifier.weights) == {"some/model", "question"}
    assert verifier.name == "grader some/model (rubric, overall)"


def test_another_question_model_image_or_text_is_asked_anew(host: Host) -> None:
    grader(host).score(greys())
    Grader(Endpoint(host.url, "another")).load(Surroundings()).score(greys())
    assert len(host.asked) == 8
    grader(host).score(greys(LEVELS + 0.05))
    assert len(host.asked) == 12
    grader(host).score(greys()._replace(texts=("red", "blue")))
    assert len(host.asked) == 16


def test_pairs_meet_in_both_orders_and_the_share_of_wins_counts(host: Host) -> None:
    verifier = grader(host, "pairwise")
    levels = torch.tensor([[-0.8, 0.4, 0.0, 0.9], [0.9, -0.2, 0.1, -0.9]])
    numbers = verifier.scores(greys(levels))
    assert numbers.shape == (2, 4, verifier.columns) and not host.asked
    share = verifier.combine(numbers, 4)
    places = levels.argsort(1).argsort(1)
    assert torch.allclose(share, places / 3) and not verifier.ranks_alone
    assert len(host.asked) == 2 * 12 and all(words.count("grey") == 1 for words, *_ in host.asked)
    assert torch.allclose(verifier.combine(numbers[:, :2], 2), torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    assert len(host.asked) == 24  # the same pairs
    assert torch.equal(grader(host, "pairwise").combine(numbers, 4), share)  # another process, from the disk
    unscored = verifier.combine(torch.cat([numbers[:, :1] * torch.nan, numbers[:, 1:2]], 1), 1)
    assert unscored[:, 0].isnan().all() and (unscored[:, 1] == 0).all()
    assert verifier.shown(numbers).shape == (2, 4, 0) and verifier.members == ()
    with pytest.raises(Refused, match="members give one score each"):
        Ensemble({"pairs": verifier})


def test_a_model_that_always_takes_the_first_wins_nothing_by_it(host: Host) -> None:
    host.answer = lambda *_: said('{"better": 1}')
    verifier = grader(host, "pairwise")
    assert (verifier.combine(verifier.scores(greys()), 2) == 0.5).all()


def test_who_meets_whom() -> None:
    everybody = [(i, j) for i in range(5) for j in range(5) if i != j]
    assert sorted(meetings(5, None)) == everybody == sorted(meetings(5, 4)) == sorted(meetings(5, 10))
    ring = meetings(6, 2)
    assert len(ring) == len(set(ring)) == 12 and all((i - j) % 6 in (1, 5) for i, j in ring)
    assert meetings(1, None) == [] and sorted(meetings(2, None)) == [(0, 1), (1, 0)] and len(meetings(4, None)) == 12


def test_pairs_that_are_gone_are_told(host: Host, tmp_path: Path) -> None:
    verifier = grader(host, "pairwise")
    numbers = verifier.scores(greys())
    for file in (tmp_path / "cache").glob("candidate-*"):
        file.unlink()
    with pytest.raises(Refused, match="cannot be compared"):
        verifier.combine(numbers, 2)


def top(*tokens: tuple[str, float]) -> dict[str, Any]:
    listed = [{"token": token, "logprob": value} for token, value in tokens]
    return {"choices": [{"logprobs": {"content": [{"top_logprobs": listed}]}}]}


def test_yes_is_the_sum_of_its_tokens_or_a_bound(host: Host) -> None:
    host.answer = lambda *_: top(("Yes", -1.0), ("no", -0.7), (" yes", -2.0), ("The", -5.0))
    expected = math.log(math.exp(-1) + math.exp(-2))
    assert grader(host, "yes").score(greys())[0, 0].item() == pytest.approx(expected)
    body = host.asked[0][2]
    assert body["max_tokens"] == 1 and body["logprobs"] is True and body["top_logprobs"] == 20
    host.answer = lambda *_: top(("No", -0.01), ("Not", -6.0), ("Nope", -9.0))
    assert (grader(host, "yes").score(greys(LEVELS / 2)) == -9).all()
    for nonsense in (top(("The", -0.1)), top(), well("", [1.0], {}), top(("yes", "high"))):  # type: ignore[arg-type]
        host.answer = lambda *_, nonsense=nonsense: nonsense
        with pytest.raises(Refused, match="3 answers to one question cannot be read"):
            grader(host, "yes").score(greys(LEVELS / 4))


NONSENSE = (
    said("What a lovely picture!"),
    said('{"overall": 8}'),
    said(json.dumps(dict.fromkeys(MARKS, 11))),
    said(json.dumps(dict.fromkeys(MARKS, "8"))),
    said(json.dumps(dict.fromkeys(MARKS, True))),
    said('{"accuracy": NaN, "originality": 1, "quality": 1, "consistency": 1, "resonance": 1, "overall": 1}'),
    said(None),
    said(""),
    {"choices": []},
    [],
    b"<html>welcome</html>",
    b"\xff\xfe",
)


@pytest.mark.parametrize("nonsense", NONSENSE, ids=range(len(NONSENSE)))
def test_nonsense_is_counted_asked_again_and_never_a_score(
    host: Host, nonsense: Any, caplog: pytest.LogCaptureFixture
) -> None:
    host.answer = lambda *_: nonsense
    verifier, one = grader(host, retries=1), greys(LEVELS[:1, :1])
    with caplog.at_level(logging.WARNING, "noise_search"), pytest.raises(Refused, match="2 answers to one") as caught:
        verifier.score(one)
    assert "2 of 2 in all" in str(caught.value) and "\n" not in str(caught.value)
    assert (verifier.asker.asked, verifier.asker.malformed) == (2, 2) and len(host.asked) == 2
    assert "1 of 1 answers cannot be read" in caplog.text and "2 of 2 answers" in caplog.text
    first, second = (words for words, *_ in host.asked)
    assert second.startswith(first) and "Asked again, time 2" in second
    host.answer = well  # nothing of it was kept
    assert verifier.score(one).item() == pytest.approx(1.0, abs=0.05)


def test_one_bad_answer_among_good_ones_costs_one_question_more(host: Host) -> None:
    bad = iter([said("no idea")])
    host.answer = lambda *asked: next(bad, None) or well(*asked)
    verifier = grader(host)
    assert torch.allclose(verifier.score(greys()), 5 * (LEVELS + 1), atol=0.05)
    assert (verifier.asker.asked, verifier.asker.malformed) == (5, 1)


def test_a_slow_endpoint_is_given_up_in_one_line(host: Host) -> None:
    free = threading.Event()
    host.answer = lambda *_: free.wait(20) and well(*_)
    begun = time.monotonic()
    with pytest.raises(Refused, match=r"no answer in 3 tries .*[Tt]imed? ?out") as caught:
        grader(host, timeout=0.1).score(greys(LEVELS[:1, :1]))
    free.set()
    assert time.monotonic() - begun < 10 and "\n" not in str(caught.value) and len(host.asked) == 3


def test_what_may_pass_is_asked_again_and_what_may_not_is_told(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    one = greys(LEVELS[:1, :1])
    for code in (429, 500, 503):
        busy = iter([(code, b"later"), (code, b"later")])
        host.answer = lambda *asked, busy=busy: next(busy, None) or well(*asked)
        Grader(Endpoint(host.url, f"busy {code}")).load(Surroundings()).score(one)
    assert len(host.asked) == 9
    host.answer = lambda *_: (503, b"still\nbusy")
    with pytest.raises(Refused, match=r"no answer in 3 tries \(HTTP 503 still busy\)"):
        grader(host).score(one)
    for code in (400, 401, 404, 302):
        host.asked.clear()
        host.answer = lambda *_, code=code: (code, b"not\nyou")
        with pytest.raises(Refused, match=f"refuses what it is asked: HTTP {code} not you"):
            grader(host).score(one)
        assert len(host.asked) == 1
    monkeypatch.setenv("THE_KEY", "secret")
    host.answer = well
    Grader(Endpoint(host.url, "m", key="THE_KEY")).load(Surroundings()).score(one)
    assert host.keys[-1] == "Bearer secret"


def test_an_endpoint_that_is_down_is_one_line(host: Host) -> None:
    model = Endpoint("http://127.0.0.1:9/v1", "m", timeout=2)
    with pytest.raises(Refused, match=r"verifier.model.url=http://127.0.0.1:9/v1: no answer in 3 tries .*is it up"):
        Grader(model).load(Surroundings()).score(greys())
    with pytest.raises(Refused, match="key=NO_SUCH_KEY: this environment variable is not set"):
        Grader(Endpoint(host.url, "m", key="NO_SUCH_KEY")).load(Surroundings())


def test_after_an_error_nothing_more_is_asked(host: Host) -> None:
    host.answer = lambda *_: (400, b"no")
    with pytest.raises(Refused):
        grader(host).score(greys(torch.linspace(-1, 1, 200)[None]))
    assert len(host.asked) < 100


def test_a_unit_that_the_endpoint_fails_is_not_written_and_the_run_goes_on_later(host: Host, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    told = ["model=toy", "dataset=mixture", "metrics=none", "logger=none", "device=cpu", "images=128", "budget=text"]
    told += ["budget.search_nfe=2", "budget.final_nfe=2", "budget.points=[1]", "batch_size=64", "draw_figures=false"]
    told += ["verifier=vlm_endpoint", f"verifier.model.url={host.url}", "verifier.retries=1"]

    def units() -> list[str]:
        return sorted(path.name for path in (folder / "units").glob("*.parquet"))

    host.answer = lambda *asked: said("no idea") if units() else well(*asked)
    with (
        own_hydra(),
        pytest.raises(Refused, match=r"2 answers to one question .* Its images are not written"),
    ):
        run_job(*composed(told), folder)
    assert units() == ["00000000-00000063.parquet"] and not (folder / "curve.csv").exists()
    asked, host.answer = len(host.asked), well
    with own_hydra():
        run_job(*composed(told), folder)
    assert units() == ["00000000-00000063.parquet", "00000064-00000127.parquet"]
    assert (folder / "curve.csv").is_file() and len(host.asked) - asked == 64


def test_settings_are_checked() -> None:
    fine = Endpoint("http://localhost/v1", "m")
    for make, words in (
        (lambda: Endpoint("file:///etc/passwd", "m"), "url=file:///etc/passwd: an address"),
        (lambda: Endpoint("http://localhost", " "), "model= : the name of a model"),
        (lambda: Endpoint("http://localhost", "m", timeout=0), "timeout=0: seconds, above 0"),
        (lambda: Endpoint("http://localhost", "m", tries=0), "tries=0: a whole number, at least 1"),
        (lambda: Endpoint("http://localhost", "m", at_once=0), "at_once=0: a whole"),
        (lambda: Grader(fine, "loudly"), "ask=loudly: one of rubric, pairwise, yes"),
        (lambda: Grader(fine, mark="beauty"), "mark=beauty: one of accuracy"),
        (lambda: Grader(fine, retries=-1), "retries=-1: a whole number, at least 0"),
        (lambda: Grader(fine, opponents=3), "opponents=3: an even number"),
        (lambda: Grader("gpt"), "model=gpt: "),  # type: ignore[arg-type]
    ):
        with pytest.raises(Refused, match=words):
            make()


def test_a_verifier_without_its_texts_is_told(host: Host) -> None:
    with pytest.raises(Refused, match="needs the text of every image: 0 texts of 2 images"):
        grader(host).score(greys()._replace(texts=()))


def test_a_class_without_a_name_is_no_text(host: Host) -> None:
    """A model's own classes are numbers where no dataset names them; "class 3" would be asked about in earnest."""
    words = (
        "verifier grader some/model .* reads texts, toy has class ids only: give dataset=..., whose classes have names"
    )
    with pytest.raises(Refused, match=words):
        search(Toy(name="toy"), [3], grader(host), n=2, device="cpu")
    assert not host.asked
    search(Toy(name="toy"), [3], grader(host), n=2, device="cpu", dataset="mixture")
    assert any("wave 3" in words for words, *_ in host.asked)


def test_the_forms_that_are_asked_for_can_be_read_but_not_their_echo() -> None:
    words = question("rubric", "a fox")
    with pytest.raises(Unreadable, match="no JSON object"):
        read_marks(words)
    assert read_marks(words.replace(": N", ": 7.5")) == dict.fromkeys(MARKS, 7.5)
    assert read_better(question("pairwise", "a fox")) == {"better": 1.0}
    with pytest.raises(Unreadable, match="better is True"):
        read_better('{"better": true}')


@pytest.mark.parametrize(("algorithm", "ask"), [("random", "pairwise"), ("zo", "rubric")])
def test_a_search_finds_what_the_grader_prefers(host: Host, algorithm: str, ask: str) -> None:
    options = {"search_nfe": 2, "final_nfe": 2, "device": "cpu", "batch_size": 8, "algorithm": algorithm}
    found = search("sit_cifar10", ["cat", "dog"], grader(host, ask), n=4 if algorithm == "random" else 5, **options)
    plain = search("sit_cifar10", ["cat", "dog"], grader(host, ask), n=1, **options | {"algorithm": "random"})
    light = [[np.asarray(image).mean() for image in one.images] for one in (found, plain)]
    assert all(after >= before for after, before in zip(*light, strict=True)) and light[0] != light[1]
    assert cache.folder().name == "cache" and any("cat" in words for words, *_ in host.asked)
    assert np.size(found.scores) == (2 if ask == "rubric" else 0)
