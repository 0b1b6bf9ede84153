"""The pictures of a page: each is written into it once, however often it is shown, and small enough for all of them."""

import base64
import io
from collections.abc import Sequence

from PIL import Image

LIMIT = 8_000_000  # bytes of all pictures of a page: beside banks, curves and words it stays under 15 MB
SIDES = (256, 160, 96, 64, 32)


def data_uri(content: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64," + base64.b64encode(content).decode()


def thumbnail(png: bytes, side: int = 256) -> bytes:
    """The picture, at most `side` pixels wide: larger ones become WebP; others stay as they are."""
    picture = Image.open(io.BytesIO(png))
    if picture.width <= side:
        return png
    small, height = io.BytesIO(), max(1, side * picture.height // picture.width)
    picture.resize((side, height), Image.Resampling.LANCZOS).save(small, "webp", quality=82)
    return small.getvalue()


def kind_of(content: bytes) -> str:
    return "webp" if content[:4] == b"RIFF" else "png"


class Pictures:
    """Distinct pictures, numbered in the order in which they came."""

    def __init__(self) -> None:
        self.numbers: dict[bytes, int] = {}

    def add(self, png: bytes) -> int:
        return self.numbers.setdefault(png, len(self.numbers))

    @property
    def width(self) -> int:
        """Of the widest, in pixels."""
        return max((Image.open(io.BytesIO(png)).width for png in self.numbers), default=0)

    def uris(self, limit: int = LIMIT) -> list[str]:
        """All as data URIs, of the largest side with which they are within `limit` bytes; of the smallest otherwise."""
        small: Sequence[bytes] = ()
        for side in SIDES:
            small = [thumbnail(png, side) for png in self.numbers]
            if sum(map(len, small)) <= limit * 3 // 4:  # base64 makes four bytes of three
                break
        return [data_uri(content, kind_of(content)) for content in small]
