"""A vision-language model behind an address that speaks OpenAI's protocol: a service, vLLM, llama.cpp and others."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from noise_search.core.checks import require, whole
from noise_search.storage.cache_folder import digest
from noise_search.verifiers.remote import Remote
from noise_search.verifiers.vlm_model import Unreadable, VisionLanguageModel

LONGEST = 300  # tokens of an answer
LISTED = 20  # most probable first tokens


@dataclass(eq=False)
class Endpoint(VisionLanguageModel):
    """url: up to /v1. model: by its name there. key: the environment variable that holds the key; null: it wants none.

    timeout: seconds without a byte; tries: of a question that nobody answers; at_once: questions side by side. What is
    behind a name is not known to us: answers are kept by address and name.
    """

    url: str
    model: str
    key: str | None = None
    timeout: float = 60.0
    tries: int = 3
    at_once: int = 8

    def __post_init__(self) -> None:
        self.host = Remote("verifier.model", self.url, self.key, self.timeout, self.tries)
        require("model", self.model, bool(self.model.strip()), "the name of a model there")
        require("at_once", self.at_once, whole(self.at_once) and self.at_once >= 1, "a whole number, at least 1")
        self.name, self.identity = self.model, digest(self.url, self.model)

    def load(self, device: str) -> None:
        self.host.open()
        self.weights = {self.model: "not told"}

    def answer(self, question: str, images: Sequence[bytes]) -> str:
        said = self.first(question, images, {"max_tokens": LONGEST}, "message", "content")
        if not isinstance(said, str):
            raise Unreadable(f"message.content is {said!r}, no text")
        return said

    def log_yes(self, question: str, images: Sequence[bytes]) -> float:
        """Where yes is not among the listed first tokens but no is: that of the least probable one listed, a bound."""
        options = {"max_tokens": 1, "logprobs": True, "top_logprobs": LISTED}
        listed = self.first(question, images, options, "logprobs", "content", 0, "top_logprobs")
        try:
            tokens = [(str(one["token"]).strip().lower(), min(0.0, float(one["logprob"]))) for one in listed]
        except (TypeError, KeyError, ValueError) as error:
            raise Unreadable("no list of tokens with logprobs; does the endpoint give them?") from error
        yes = [value for token, value in tokens if token == "yes"]
        if yes:
            top = max(yes)
            return min(0.0, top + math.log(sum(math.exp(value - top) for value in yes)))
        if not any(token == "no" for token, _ in tokens):
            raise Unreadable(f"neither yes nor no among its first tokens, {[token for token, _ in tokens][:5]}")
        return min(value for _, value in tokens)

    def first(self, question: str, images: Sequence[bytes], options: dict[str, Any], *path: str | int) -> Any:
        """What lies under `path` in the first choice of its answer."""
        shown = [f"data:image/png;base64,{base64.b64encode(image).decode()}" for image in images]
        content = [{"type": "image_url", "image_url": {"url": data}} for data in shown]
        message = {"role": "user", "content": [*content, {"type": "text", "text": question}]}
        body = {"model": self.model, "messages": [message], "temperature": 0, **options}
        found: Any = self.host.ask("/chat/completions", json.dumps(body).encode())
        try:
            found = json.loads(found)["choices"][0]
            for step in path:
                found = found[step]
        except (ValueError, TypeError, KeyError, IndexError) as error:
            where = ".".join(map(str, ("choices", 0, *path)))
            raise Unreadable(f"its JSON has no {where}") from error
        return found
