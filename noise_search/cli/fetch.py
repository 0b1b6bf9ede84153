"""Fetch published weights, where internet is. File names and checksums are the host's own, read when fetching."""

import json
import re
import urllib.request
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from huggingface_hub import HfApi, hf_hub_download

from noise_search.errors import Refused
from noise_search.networks.inception import URL as INCEPTION
from noise_search.storage.atomic import sha256, write_text
from noise_search.verifiers.dino import URL as DINO_HEAD

ADM = (
    "https://openaipublic.blob.core.windows.net/diffusion/jul-2021/ref_batches/imagenet/{0}/VIRTUAL_imagenet{0}{1}.npz"
)
DIT = "https://dl.fbaipublicfiles.com/DiT/models/DiT-XL-2-{0}x{0}.pt"


@dataclass(frozen=True)
class Hub:
    """Files of a hub repository whose names match `pattern`; saved as `name`, or under their own names in `name`/."""

    repo: str
    pattern: str
    name: str


@dataclass(frozen=True)
class Url:
    """A file with an address of its own; its name is the last part of it."""

    url: str
    licence: str


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
    """One file to fetch. sha256: the host's own, None where it tells none. size: in bytes."""

    target: str
    source: str
    revision: str | None
    size: int | None
    sha256: str | None
    licence: str


def listed(source: Hub | Url) -> list[File]:
    """What the host has, asked now."""
    if isinstance(source, Url):
        request = urllib.request.Request(source.url, method="HEAD")
        with urllib.request.urlopen(request, timeout=30) as answer:
            size = answer.headers.get("Content-Length")
        target = source.url.rsplit("/", 1)[1]
        return [File(target, source.url, None, int(size) if size else None, None, source.licence)]
    info = HfApi().model_info(source.repo, files_metadata=True)
    found = [file for file in info.siblings or [] if re.fullmatch(source.pattern, file.rfilename)]
    if not found:
        names = ", ".join(file.rfilename for file in info.siblings or [])
        raise Refused(f"{source.repo} has no file like {source.pattern!r}; it has {names}")
    folder = source.name.endswith("/")
    if not folder and len(found) > 1:
        several = ", ".join(file.rfilename for file in found)
        raise Refused(f"{source.repo} has several files like {source.pattern!r}: {several}")
    licence = str(getattr(info.card_data, "license", None) or "none given")
    return [
        File(
            source.name + file.rfilename if folder else source.name,
            f"{source.repo}:{file.rfilename}",
            info.sha,
            file.size,
            file.lfs.sha256 if file.lfs else None,
            licence,
        )
        for file in found
    ]


def fetch(file: File, into: Path) -> None:
    """Fetch one file, going on from what is there; refuse it if its checksum is not the host's."""
    target = into / file.target
    target.parent.mkdir(parents=True, exist_ok=True)
    if file.revision is None:
        torch.hub.download_url_to_file(file.source, str(target))
    else:
        repo, name = file.source.split(":", 1)
        found = Path(hf_hub_download(repo, name, revision=file.revision, local_dir=into / ".hub" / repo))
        found.replace(target)
    digest = sha256(target)
    if file.sha256 not in (None, digest):
        target.unlink()
        raise Refused(f"{target}: sha256 {digest}, but its host says {file.sha256}; fetch it again")
    record, known = into / "SOURCES.json", {}
    if record.is_file():
        known = json.loads(record.read_text())
    known[file.target] = asdict(file) | {"sha256": digest, "sha256 told by its host": file.sha256 is not None}
    write_text(record, json.dumps(known, indent=2, sort_keys=True) + "\n")


def fetch_named(names: Iterable[str], into: Path, only_list: bool = False) -> None:
    """Print what the sources of `names` are, with sizes and licences; then fetch what is not in `into` yet."""
    sources = dict.fromkeys(source for name in names for source in SOURCES[name])
    try:
        files = [file for source in sources for file in listed(source)]
        for file in files:
            size = f"{file.size / 1e6:,.0f} MB" if file.size else "size unknown"
            there = ", there already" if (into / file.target).is_file() else ""
            print(f"{into / file.target}: {size}, licence {file.licence}, from {file.source}{there}")
        for file in files:
            if not only_list and not (into / file.target).is_file():
                fetch(file, into)
    except ValueError:
        raise
    except Exception as error:  # networks and hubs fail in many ways
        raise Refused(f"not to be had: {' '.join(str(error).split())[:300]}") from error
