"""The published SiT and DiT of ImageNet, from their files (docs/reproduce-imagenet.md)."""

from pathlib import Path

from noise_search.core.checks import whole
from noise_search.core.interpolant import DDPMInterpolant, Interpolant, LinearInterpolant
from noise_search.core.model import Model
from noise_search.networks.checkpoints import load_transformer, locate
from noise_search.networks.dit import DiTNetwork
from noise_search.networks.sit import SiTNetwork
from noise_search.networks.vae import load_vae
from noise_search.storage.atomic import sha256
from noise_search.storage.weights import dtype_of


def published(
    name: str,
    kind: str,
    net: dict[str, int],
    weights: str,
    vae: str,
    precision: str,
    vae_precision: str,
    rows: dict[str, int],
    decode_rows: int,
    compile: bool = False,
    device: str = "cpu",
) -> Model:
    """kind: "sit" or "dit"; a file does not say which. net: the sizes that `weights` must have. vae: see `load_vae`.

    rows: kind of device -> network rows at which it is at its best; decode_rows: latents decoded at once.
    compile: let torch.compile fuse the transformer's operations; the first call takes a minute.
    """
    if not isinstance(weights, str) or not Path(weights).exists():
        raise FileNotFoundError(
            f"model.build.weights={weights}: there is no such file; `python scripts/fetch_weights.py {name}` fetches it"
        )
    if not all(whole(count) and count >= 1 for count in rows.values()):
        raise ValueError(f"model.build.rows={rows}: whole numbers, at least 1")
    transformer, dtype = load_transformer(Path(weights), kind, net).to(device), dtype_of(precision)
    decode, reconstruct, vae_digest = load_vae(vae, transformer.channels, vae_precision, decode_rows, device)
    interpolant: Interpolant = LinearInterpolant() if kind == "sit" else DDPMInterpolant()
    network = SiTNetwork(transformer, dtype) if kind == "sit" else DiTNetwork(transformer, precision=dtype)
    if compile:
        network.compile()
    file = locate(Path(weights))
    return Model(
        name=name,
        network=network,
        interpolant=interpolant,
        shape=transformer.shape,
        classes=transformer.classes,
        decoder=decode,
        reconstruct=reconstruct,
        batch_size=rows["cuda" if device.startswith("cuda") else "cpu"],
        weights={file.name: sha256(file)} | vae_digest,
    )
