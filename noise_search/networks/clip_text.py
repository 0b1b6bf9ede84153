"""Prompts under a CLIP's text tower: each encoded once, and none cut silently."""

import logging
import unicodedata
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from noise_search.networks.vision import Clip

log = logging.getLogger("noise_search")
KEPT = 10_000  # texts


def as_transformers(text: str) -> str:
    """A text as transformers' tokenizer of CLIP cleans it: no mending of Unicode, no HTML, unlike OpenAI's own."""
    return " ".join(unicodedata.normalize("NFC", text).split()).lower()


class TextFeatures:
    """B texts -> unit features [B, D] on the device of the network.

    Each is encoded once, alone, so that its features do not depend on its company; the last 10,000 are kept. scorer:
    who reads them, for messages. prefix: words before each. transformers: clean texts as its tokenizer does, not as
    OpenAI's. What is longer than the network reads is cut, and told.
    """

    def __init__(self, clip: Clip, scorer: str, prefix: str = "", transformers: bool = False) -> None:
        self.clip, self.scorer, self.prefix = clip, scorer, prefix
        self.tokenizer = clip.open_clip.get_tokenizer(clip.name)
        if transformers:
            self.tokenizer.clean_fn = as_transformers
        self.told: set[str] = set()
        self.kept: dict[str, Tensor] = {}

    @property
    def longest(self) -> int:
        """Tokens that the network reads, the first and last of every text among them."""
        return int(self.clip.net.context_length)

    def tell_of_cut(self, texts: Iterable[str]) -> int:
        """Warn of the texts that are too long, once of each; returns how many of them are."""
        texts = list(dict.fromkeys(texts))
        long = [text for text in texts if len(self.tokenizer.encode(self.prefix + text)) + 2 > self.longest]
        if new := [text for text in long if text not in self.told]:
            counted = f"{len(new)} of {len(texts)} texts are longer than the {self.longest} tokens it reads"
            log.warning("%s: %s, and are cut there; the first of them: %r", self.scorer, counted, new[0][:200])
        self.told.update(long)
        return len(long)

    def __call__(self, texts: Sequence[str]) -> Tensor:
        new = [text for text in dict.fromkeys(texts) if text not in self.kept]
        self.tell_of_cut(new)
        for text in new:
            self.kept[text] = self.encode(self.prefix + text)
        out = torch.stack([self.kept[text] for text in texts])
        for text in list(self.kept)[: max(0, len(self.kept) - KEPT)]:
            del self.kept[text]
        return out

    def encode(self, text: str) -> Tensor:
        """[D]; also within inference mode a tensor that a gradient may pass by."""
        device = next(self.clip.net.parameters()).device
        with torch.inference_mode(False), torch.no_grad():
            tokens = self.tokenizer([text], self.longest).to(device)
            return F.normalize(self.clip.net.encode_text(tokens).float(), dim=1)[0]
