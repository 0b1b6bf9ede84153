"""Measure the embedded text-to-image model for its card: captions satisfied at n = 1, by category.

    python scripts/evaluate_scenes.py [images=300] [scales=[1.0,3.0]] [weights=FILE] [autoencoder=FILE]

Beside it: the reader's own error rate on fresh renders, how often it takes another scene's caption for satisfied, and
the same captions' renders through the autoencoder. Prints JSON, writes `out`, and into `sheet` the first 100 samples of
every scale, those that satisfy their caption framed in green, with the captions in a text file.
"""

import json
import time
from pathlib import Path

import hydra
import numpy as np
import torch
from omegaconf import DictConfig
from PIL import Image

from noise_search.core.dataset import Dataset
from noise_search.core.denoiser import metered_denoiser
from noise_search.core.flow import Flow
from noise_search.core.grid import uniform_grid
from noise_search.core.guidance import Guidance
from noise_search.core.images import images_to_tensor, tensor_to_images
from noise_search.core.model import Model
from noise_search.core.noise import normal
from noise_search.datasets.scenes import scenes
from noise_search.metrics.scenes import showing
from noise_search.models.scenes import Scenes
from noise_search.report.images import sheet
from noise_search.run.tuning import batch_size
from noise_search.scenes.draw import draw
from noise_search.scenes.language import CATEGORIES, parse
from noise_search.scenes.read import read, share_met, shows
from noise_search.scenes.sample import draw_caption, draw_scene, pick


@torch.inference_mode()
def sample(model: Model, dataset: Dataset, cfg: DictConfig, scale: float) -> np.ndarray:
    """uint8 [N, 32, 32, 3]: candidate 0 of images 0, 1, ..., as a run would render it."""
    out, device = [], torch.device(cfg.device)
    for ids in np.array_split(np.arange(cfg.images), -(-cfg.images // 500)):
        index = torch.from_numpy(dataset.index(ids.tolist()))
        condition = model.condition(index.to(device), [dataset.texts[k] for k in index.tolist()])
        size = batch_size(model, cfg.device)
        denoiser = metered_denoiser(model.network, condition, model.null(device), Guidance(scale), size)
        flow = Flow(denoiser, model.interpolant, model.decoder)
        noise = normal(cfg.seed, ids.tolist(), [0] * len(ids), model.shape).to(device)
        out.append(
            tensor_to_images(
                flow.decode(flow.solve(noise, uniform_grid(cfg.nfe, cfg.solver), torch.arange(len(ids))).x)
            )
        )
    return np.concatenate(out)


def judged(images: np.ndarray, dataset: Dataset) -> tuple[dict[str, float], np.ndarray]:
    """The share of captions satisfied and of demands met, over all and by category; and which are satisfied."""
    index = dataset.index(range(len(images)))
    captions, readings = [parse(dataset.texts[k]) for k in index], read(images)
    good = np.array([shows(caption, reading) for caption, reading in zip(captions, readings, strict=True)])
    met = np.mean([share_met(caption, reading) for caption, reading in zip(captions, readings, strict=True)])
    named = np.array([dataset.categories[k] for k in index])
    out = {"satisfied": float(good.mean()), "demands_met": float(met)}
    out["clear"] = float(np.mean([reading.clear for reading in readings]))
    return out | {name: float(good[named == name].mean()) for name in CATEGORIES}, good


def own_errors(count: int) -> dict[str, float]:
    """Of fresh renders of any captions: how often the reader does not find its own satisfied, or another's."""
    rng, pairs = np.random.default_rng(77), []
    while len(pairs) < count:
        caption = draw_caption(rng, pick(rng, CATEGORIES))
        if (scene := draw_scene(rng, caption)) is not None:
            pairs.append((caption, scene))
    started = time.process_time()
    readings = [reading for at in range(0, count, 500) for reading in read(draw([s for _, s in pairs[at : at + 500]]))]
    seconds = time.process_time() - started
    captions = [caption for caption, _ in pairs]
    own, other = (
        np.mean([shows(c, r) for c, r in zip(texts, readings, strict=True)])
        for texts in (captions, [*captions[1:], captions[0]])
    )
    return {"renders": count, "wrong": 1 - float(own), "foreign": float(other), "seconds_each": seconds / count}


def framed(images: np.ndarray, good: np.ndarray) -> Image.Image:
    """The first 100, four times as large, those that are satisfied in a green frame."""
    frames = np.where(good[:100, None], (0, 160, 0), (200, 200, 200)).astype(np.uint8)
    out = np.broadcast_to(frames[:, None, None], (len(frames), 36, 36, 3)).copy()
    out[:, 2:-2, 2:-2] = images[:100]
    whole = sheet(out)
    return whole.resize((whole.width * 3, whole.height * 3), Image.Resampling.NEAREST)


@hydra.main(version_base="1.3", config_path="../configs/train", config_name="evaluate_scenes")
def main(cfg: DictConfig) -> None:
    model = Scenes(name="scenes", weights=cfg.weights, autoencoder=cfg.autoencoder).load(cfg.device)
    dataset, folder = scenes(cfg.each), Path(cfg.sheet)
    report: dict = {key: cfg[key] for key in ("images", "nfe", "solver", "seed")} | {"weights": model.weights}
    report["reader"] = own_errors(cfg.fresh)
    heldout = showing(dataset.texts)(cfg.images)
    assert model.reconstruct is not None and heldout is not None
    with torch.inference_mode():
        coded = tensor_to_images(model.reconstruct(images_to_tensor(heldout[0], cfg.device)))
    report["reconstructed"], good = judged(coded, dataset)
    folder.mkdir(parents=True, exist_ok=True)
    framed(coded, good).save(folder / "scenes_reconstructed.png")
    texts = [dataset.texts[k] for k in dataset.index(range(min(cfg.images, 100)))]
    (folder / "scenes_captions.txt").write_text("\n".join(texts) + "\n")
    for scale in cfg.scales:
        started = time.monotonic()
        images = sample(model, dataset, cfg, scale)
        seconds = time.monotonic() - started
        numbers, good = judged(images, dataset)
        report[f"guidance {scale:g}"] = numbers | {"seconds": seconds}
        framed(images, good).save(folder / f"scenes_cfg{scale:g}.png")
    Path(cfg.out).write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
