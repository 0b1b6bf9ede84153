"""The published SiT and DiT of ImageNet, from their files (docs/reproduce-imagenet.md)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from noise_search.core.checks import require, require_one_of, require_precision, whole
from noise_search.core.dataset import IMAGENET
from noise_search.core.model import Model, ModelSettings, dit_block
from noise_search.errors import MissingFile
from noise_search.storage.atomic import sha256

KINDS = ("sit", "dit")
SIZES = ("channels", "size", "patch", "width", "depth", "heads", "classes")
DEVICES = ("cpu", "cuda")


@dataclass(frozen=True, kw_only=True)
class Published(ModelSettings):
    """kind: "sit" or "dit"; a file does not say which. net: the sizes that `weights` must have. vae: see `load_vae`.

    rows: kind of device -> network rows at which it is at its best; null: measured. decode_rows: latents that are
    decoded at once; None: as many as suit the device (`rows_at_once`), and fewer where it has no memory for them.
    """

    kind: str
    net: dict[str, int]
    weights: str
    vae: str
    precision: str
    vae_precision: str
    rows: dict[str, int | None]
    decode_rows: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_of("kind", self.kind, KINDS)
        for name in ("precision", "vae_precision"):
            require_precision(name, getattr(self, name))
        for name, keys, more in (("net", SIZES, ""), ("rows", DEVICES, " or null")):
            value = getattr(self, name)
            good = isinstance(value, dict) and set(value) == set(keys)
            good = good and all((more and n is None) or (whole(n) and n >= 1) for n in value.values())
            require(name, value, good, f"whole numbers, at least 1,{more} of {', '.join(keys)}")
        width, heads = self.net["width"], self.net["heads"]
        require("net.width", width, width % heads == 0, f"not shared by {heads} heads")
        count = self.decode_rows
        require("decode_rows", count, count is None or (whole(count) and count >= 1), "at least 1, or null")

    @property
    def class_set(self) -> str | None:  # type: ignore[override]
        return IMAGENET if self.classes == 1000 else None

    @property
    def classes(self) -> int:
        return self.net["classes"]

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.net["channels"], self.net["size"], self.net["size"])

    @property
    def reusable(self) -> int:  # type: ignore[override]
        tokens = (self.net["size"] // self.net["patch"]) ** 2
        return (self.net["depth"] - 1) * dit_block(self.net["width"], tokens)

    def load(self, device: str = "cpu") -> Model:
        from noise_search.core.interpolant import DDPMInterpolant, Interpolant, LinearInterpolant
        from noise_search.networks.block_cache import reusing
        from noise_search.networks.checkpoints import load_transformer, locate
        from noise_search.networks.dit import DiTNetwork
        from noise_search.networks.precision import cast_weights, dtype_of
        from noise_search.networks.sit import SiTNetwork
        from noise_search.networks.vae import load_vae, rows_at_once

        weights = Path(self.weights)
        if not weights.exists():
            raise MissingFile(
                f"model.weights={weights}: there is no such file; `python scripts/fetch_weights.py {self.name}`"
                " fetches it"
            )
        dtype = dtype_of(self.precision)
        transformer = cast_weights(load_transformer(weights, self.kind, self.net), dtype).to(device)
        decode_rows = self.decode_rows or rows_at_once(self.net["size"], device)
        vae = load_vae(self.vae, transformer.channels, self.vae_precision, decode_rows, device)
        decode, reconstruct, vae_digest = vae
        interpolant: Interpolant = LinearInterpolant() if self.kind == "sit" else DDPMInterpolant()
        network = SiTNetwork(transformer, dtype) if self.kind == "sit" else DiTNetwork(transformer, precision=dtype)
        file = locate(weights)
        return self.model(
            network=network,
            interpolant=interpolant,
            decoder=decode,
            reconstruct=reconstruct,
            batch_size=self.rows["cuda" if device.startswith("cuda") else "cpu"],
            weights={file.name: sha256(file)} | vae_digest,
            reusing=partial(reusing, network),
        )
