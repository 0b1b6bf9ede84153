"""Published files of weights: given, in weights/, in a hub's cache or fetched; what is wrong is told by the setting."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from noise_search.core.source import Hub
from noise_search.errors import MissingFile, Refused
from noise_search.storage.weights import told


def loaded(load: Callable[[], Any], path: str, key: str, what: str) -> Any:
    """load(), which reads `path`; what is wrong with the file is told by its key."""
    if not Path(path).is_file():
        raise MissingFile(f"{key}={path}: there is no such file ({what})")
    try:
        return load()
    except Exception as error:  # damaged, of another network, or not weights at all: libraries say it in many ways
        raise Refused(f"{key}={path}: not {what} ({told(error)})") from error


def local(name: str) -> str | None:
    """A file that scripts/fetch_weights.py has put into weights/, if it is there."""
    path = Path("weights") / name
    return str(path) if path.is_file() else None


def fetched(load: Callable[[], Any], key: str, what: str, command: str) -> Any:
    """load(), which may want the network; where there is none, one line says what is missing and how to get it."""
    from huggingface_hub.constants import HF_HOME

    hint = "; without a network that takes a minute, HF_HUB_OFFLINE=1 skips it"
    print(f"{what}: looked for in {HF_HOME} and on the hub{hint}", file=sys.stderr, flush=True)
    try:
        with quiet():  # about the hubs' many retries; what they end with is told below
            return load()
    except Exception as error:  # hubs raise errors of many kinds
        raise MissingFile(
            f"{what}: not in weights/, {HF_HOME} or {torch.hub.get_dir()}, and not to be had from the network"
            f" ({type(error).__name__}). Where there is internet: `{command}`; then give the file as {key}=..."
        ) from error


def hub_file(file: str | None, source: Hub, name: str, key: str) -> Path:
    """The file `name` of a hub's repository: `file` where it is given, else where `noise-search prefetch` puts it, else
    the hub's cache or the hub itself. key: the setting that names the file, for messages."""
    what = f"{name} of {source.repo}"
    if file is not None:
        if not Path(file).is_file():
            raise MissingFile(f"{key}={file}: there is no such file ({what})")
        return Path(file)
    path = Path(source.target) / name
    if path.is_file():
        return path

    def load() -> str:
        from huggingface_hub import hf_hub_download

        return hf_hub_download(source.repo, name, revision=source.revision)

    return Path(fetched(load, key, what, f"hf download {source.repo} {name} --local-dir {source.target}"))


@contextmanager
def quiet() -> Iterator[None]:
    """Libraries log nothing below a critical error."""
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
