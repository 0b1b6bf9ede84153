"""What this machine has: libraries, plug-ins, devices, weights and data."""

import platform
from pathlib import Path

from noise_search import assets
from noise_search.run.assemble import versions
from noise_search.run.plugins import plugins
from noise_search.storage import cache
from noise_search.storage.atomic import sha256

SHIPPED = (
    *("sit_cifar10.safetensors", "sit_cifar10_small.safetensors", "autoencoder.safetensors"),
    "judge_lite2.safetensors",
    *("classifier_lite0.safetensors", "classifier_lite1.safetensors", "cifar10_heads.webp", "cifar10_reference.webp"),
    *("judge_lite2_reference.safetensors", "scenes_flow.safetensors", "scenes_autoencoder.safetensors"),
    *("scenes_clip.safetensors", "scenes_aesthetic.safetensors", "published_curves.csv", "published_tables.csv"),
)


def doctor() -> int:
    """Print which libraries, weights, references and data are here; 1 if a file of the package is missing."""
    print(f"{platform.platform()}, {platform.python_implementation()}")
    for name, version in versions().items():
        print(f"  {name:<24} {version}")
    for plugin in plugins():
        print(f"  {plugin.name:<24} {plugin.version} (plug-in {plugin.module})")
    import torch

    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    print(f"  {'devices':<24} {', '.join(devices) or 'CPU only'}, {torch.get_num_threads()} threads")
    folders = {"package": assets.FOLDER, "weights": Path("weights"), "data": Path("data"), "cache": cache.folder()}
    for name, folder in folders.items():
        files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc"))
        print(f"{name}: {folder.resolve()}" + ("" if files else " (nothing)"))
        for path in files:
            size = path.stat().st_size / 1e6
            print(f"  {path.relative_to(folder)!s:<48} {size:10.2f} MB  {sha256(path)}")
    missing = [name for name in SHIPPED if not (assets.FOLDER / name).is_file()]
    for name in missing:
        print(f"missing: {assets.FOLDER / name}; install the package again")
    return int(bool(missing))
