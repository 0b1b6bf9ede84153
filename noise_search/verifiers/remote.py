"""An address that is asked over HTTP: again where nobody answers, never elsewhere, with every time-out counted."""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from noise_search.core.checks import finite, require, whole
from noise_search.errors import Refused

log = logging.getLogger("noise_search")
PAUSE = 1.0  # seconds before a second try, twice as many before each further one
LONGEST_PAUSE = 60.0
LATER = (408, 409, 425, 429)  # HTTP codes below 500 that may be another the next time


class NotElsewhere(HTTPRedirectHandler):
    """The key is shown to nobody but the address that was given."""

    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass(eq=False)
class Remote:
    """setting: where messages say that its settings are, as verifier.model. url: http(s)://... key: the environment
    variable that holds what it is shown as a bearer's token; None: nothing. timeout: seconds without a byte; tries: of
    a request that nobody answers; timeouts: as many as there may be in all; None: any number.

    asked, late, again: requests so far, time-outs, and tries beyond the first.
    """

    setting: str
    url: str
    key: str | None = None
    timeout: float = 60.0
    tries: int = 3
    timeouts: int | None = None
    asked: int = 0
    late: int = 0
    again: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        require("url", self.url, is_address(self.url), "an address, http://... or https://...")
        require("timeout", self.timeout, finite(self.timeout) and self.timeout > 0, "seconds, above 0")
        require("tries", self.tries, whole(self.tries) and self.tries >= 1, "a whole number, at least 1")
        some = self.timeouts is None or (whole(self.timeouts) and self.timeouts >= 0)
        require("timeouts", self.timeouts, some, "a whole number, at least 0")

    @property
    def where(self) -> str:
        return f"{self.setting}.url={self.url}"

    @property
    def told(self) -> str:
        """How it went so far."""
        return f"{self.asked:,} requests, {self.late:,} of them timed out, {self.again:,} tried again"

    def open(self) -> None:
        """Make ready to ask; nothing is sent."""
        self.secret = os.environ.get(self.key) if self.key else None
        if self.key and not self.secret:
            raise Refused(f"{self.setting}.key={self.key}: this environment variable is not set; it holds the key")
        self.opener = build_opener(NotElsewhere)

    def ask(self, path: str = "", body: bytes | None = None, kind: str = "application/json") -> bytes:
        """The body of an answer. path: behind the address; body: what is sent, of this media type; None: a GET. Where
        nobody answers, and where the host says so, it is asked again a little later."""
        headers = {"Content-Type": kind} if body is not None else {}
        if self.secret:
            headers["Authorization"] = f"Bearer {self.secret}"
        address, why = f"{self.url.rstrip('/')}{path}" if path else self.url, ""
        for count in range(self.tries):
            time.sleep(min(LONGEST_PAUSE, PAUSE * 2 ** (count - 1)) if count else 0)
            with self.lock:
                self.asked, self.again = self.asked + 1, self.again + bool(count)
            try:
                with self.opener.open(Request(address, body, headers), timeout=self.timeout) as answer:
                    return bytes(answer.read())
            except HTTPError as error:
                with error:
                    why = f"HTTP {error.code} {' '.join(error.read(500).decode(errors='replace').split())[:200]}"
                if error.code < 500 and error.code not in LATER:
                    raise Refused(f"{self.where}: refuses what it is asked: {why}") from error
            except (OSError, HTTPException) as error:
                why = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
                self.count_if_late(error)
        raise Refused(f"{self.where}: no answer in {self.tries} tries ({why}); is it up?")

    def count_if_late(self, error: Exception) -> None:
        """One time-out more; too many are refused."""
        if not isinstance(error, TimeoutError) and not isinstance(getattr(error, "reason", None), TimeoutError):
            return
        with self.lock:
            self.late += 1
            told = self.told
        log.warning("%s: no byte in %g s; %s", self.where, self.timeout, told)
        if self.timeouts is not None and self.late > self.timeouts:
            raise Refused(f"{self.where}: {told}, more than {self.setting}.timeouts={self.timeouts}; is it too busy?")


def is_address(url: Any) -> bool:
    """Could it be asked? ASCII, with a scheme of the web and a host, and no password, which would be stored."""
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and "@" not in url
    except ValueError:  # of a port or an address of IPv6
        return False
