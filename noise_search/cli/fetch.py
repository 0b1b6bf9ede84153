"""Fetch published weights, where internet is. File names and checksums are the host's own, read when fetching."""

import re
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, RepositoryNotFoundError

from noise_search.core.source import Check, Hub, Source, Url
from noise_search.errors import Refused
from noise_search.networks.inception import URL as INCEPTION
from noise_search.storage.atomic import sha256
from noise_search.storage.fetched import download, record
from noise_search.verifiers.dino import URL as DINO_HEAD

ADM = (
    "https://openaipublic.blob.core.windows.net/diffusion/jul-2021/ref_batches/imagenet/{0}/VIRTUAL_imagenet{0}{1}.npz"
)
DIT = "https://dl.fbaipublicfiles.com/DiT/models/DiT-XL-2-{0}x{0}.pt"

VAE = Hub("stabilityai/sd-vae-ft-ema", r"(config\.json|diffusion_pytorch_model\.safetensors)", "sd-vae-ft-ema/")


def sit(size: str, pixels: int) -> Hub:
    name = f"SiT-{size}-2-{pixels}x{pixels}.pt"
    return Hub("nyu-visionx/SiT-collections", rf".*SiT-{size}-2-{pixels}.*\.pt", name)


SOURCES: dict[str, tuple[Hub | Url, ...]] = {
    "sit_xl_2": (sit("XL", 256), VAE),
    "sit_l_2": (sit("L", 256), VAE),
    "sit_b_2": (sit("B", 256), VAE),
    "sit_s_2": (sit("S", 256), VAE),
    "sit_xl_2_512": (sit("XL", 512), VAE),
    "dit_xl_2": (Url(DIT.format(256), "CC-BY-NC-4.0"), VAE),
    "dit_xl_2_512": (Url(DIT.format(512), "CC-BY-NC-4.0"), VAE),
    "dit_xl_2_diffusers": (
        Hub("facebook/DiT-XL-2-256", r"transformer/(config\.json|diffusion_pytorch_model\..*)", "DiT-XL-2-256/"),
        VAE,
    ),
    "vae": (VAE,),
    "references": (Url(ADM.format(256, "_labeled"), "MIT (guided-diffusion); images: ImageNet's terms"),),
    "references_512": (Url(ADM.format(512, ""), "MIT (guided-diffusion); images: ImageNet's terms"),),
    "inception": (Url(INCEPTION, "Apache-2.0"),),
    "dino": (
        Hub("timm/vit_base_patch14_dinov2.lvd142m", r"model\.safetensors", "vit_base_patch14_dinov2.lvd142m/"),
        Url(DINO_HEAD.format("vitb14", "", ""), "Apache-2.0"),
    ),
    "clip": (
        Hub("timm/vit_base_patch32_clip_224.openai", r"open_clip_model\.safetensors", "ViT-B-32-quickgelu-openai/"),
    ),
}


@dataclass(frozen=True)
class File:
    """One file to fetch, as name below folder, where it is recorded. sha256: its host's or its makers' own; None: they
    tell none. size: in bytes."""

    folder: Path
    name: str
    source: str
    revision: str | None
    size: int | None
    sha256: str | None
    licence: str
    kind: str | None = None  # of the hub's repository; None: an address
    check: Check | None = None

    @property
    def path(self) -> Path:
        return self.folder / self.name


def listed(source: Source, root: Path) -> list[File]:
    """What the host has, asked now; of a file with an address only where it is not there yet."""
    if isinstance(source, Url):
        path = root / (source.target or source.url.rsplit("/", 1)[1])
        size = path.stat().st_size if path.is_file() else size_of(source.url)  # what is there asks for no host
        told = (source.url, None, size, source.sha256, source.licence)
        return [File(path.parent, path.name, *told, check=source.check)]
    info: Any = HfApi().repo_info(source.repo, repo_type=source.kind, revision=source.revision, files_metadata=True)
    found = [file for file in info.siblings or [] if re.fullmatch(source.pattern, file.rfilename)]
    if not found:
        names = ", ".join(file.rfilename for file in info.siblings or [])
        raise Refused(f"{source.repo} has no file like {source.pattern!r}; it has {names}")
    folder, path = source.target.endswith("/"), root / source.target
    if not folder and len(found) > 1:
        several = ", ".join(file.rfilename for file in found)
        raise Refused(f"{source.repo} has several files like {source.pattern!r}: {several}")
    licence = str(getattr(getattr(info, "card_data", None), "license", None) or "none given")
    return [
        File(
            path.parent,
            f"{path.name}/{file.rfilename}" if folder else path.name,
            f"{source.repo}:{file.rfilename}",
            info.sha,
            file.size,
            file.lfs.sha256 if file.lfs else None,
            licence,
            source.kind,
            source.check,
        )
        for file in found
    ]


def size_of(url: str) -> int | None:
    """In bytes, if the host tells it."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=30) as answer:
            size = answer.headers.get("Content-Length")
    except HTTPError as error:
        error.close()
        if error.code in (405, 501):  # a host that answers to nothing but GET
            return None
        raise
    return int(size) if size else None


def fetch(file: File) -> None:
    """Fetch one file, a hub's from where it was cut off; what is not whole, or not what its host, its makers or its
    check say, never gets its name. Its sha256 is recorded."""

    def right(path: Path) -> None:
        digest = sha256(path)
        if file.sha256 not in (None, digest):
            raise Refused(f"{file.path}: sha256 {digest}, but its host says {file.sha256}; fetch it again")
        if file.check is not None:
            file.check(path)

    if file.kind is None:
        download(file.source, file.path, right)
    else:
        repo, name = file.source.split(":", 1)
        local = file.folder / ".hub" / repo
        got = hf_hub_download(repo, name, repo_type=file.kind, revision=file.revision, local_dir=local)
        found = Path(got)
        try:
            right(found)
        except Refused:
            found.unlink()
            raise
        file.path.parent.mkdir(parents=True, exist_ok=True)
        found.replace(file.path)
    facts = {"source": file.source, "revision": file.revision, "size": file.path.stat().st_size}
    facts |= {"licence": file.licence, "sha256": sha256(file.path), "sha256 told by its host": file.sha256 is not None}
    record(file.folder, file.name, facts)


def fetch_named(names: Iterable[str], into: Path, only_list: bool = False) -> None:
    """`fetch_all` of the sources of `names`, into a folder."""
    fetch_all([source for name in names for source in SOURCES[name]], into, only_list)


def fetch_all(sources: Iterable[Source], root: Path, only_list: bool = False) -> None:
    """Print what the sources are, with sizes and licences; then fetch what is not there yet. root: of their targets."""
    files = []
    for source in dict.fromkeys(sources):
        try:
            files += listed(source, root)
        except Exception as error:  # networks and hubs fail in many ways
            raise Refused(why(error, source.repo if isinstance(source, Hub) else source.url)) from error
    for file in files:
        size = f"{file.size / 1e6:,.0f} MB" if file.size else "size unknown"
        there = ", there already" if file.path.is_file() else ""
        print(f"{file.path}: {size}, licence {file.licence}, from {file.source}{there}")
    for file in files:
        if not only_list and not file.path.is_file():
            try:
                fetch(file)
            except Exception as error:
                raise Refused(why(error, file.source)) from error


def why(error: Exception, what: str) -> str:
    """In one line: why something cannot be had, and what to do."""
    code = None
    if isinstance(error, HTTPError):  # it holds the connection
        code = error.code
        error.close()
    if isinstance(error, Refused):
        return str(error)
    if isinstance(error, GatedRepoError) or code in (401, 403):
        return f"{what} is gated: accept its terms on its page, then `hf auth login`, and fetch it again"
    if isinstance(error, RepositoryNotFoundError):
        return f"{what}: there is no such repository, or it is private: then `hf auth login`, and fetch it again"
    if isinstance(error, EntryNotFoundError) or code == 404:
        return f"{what} is not there (any more): get the file elsewhere, and put it where the configuration says"
    return f"{what} is not to be had: {' '.join(str(error).split())[:300]}"
