"""The judge of drawn scenes: the exact reader; and every verifier's score of every image, so that what one verifier's
search does to another's can be told."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from noise_search.assets import asset
from noise_search.measures.frechet import Gaussian
from noise_search.measures.judge import Judge, JudgeSettings, Space
from noise_search.measures.metric import Metric, once
from noise_search.measures.usual import Comparison, kernel_metric
from noise_search.scenes.draw import draw
from noise_search.scenes.language import LONGEST, VOCABULARY, Caption, padded_numbers, parse
from noise_search.scenes.read import read, share_met, shows
from noise_search.scenes.sample import draw_scene, kept_captions
from noise_search.storage.atomic import sha256

READER, COARSE = "scenes reader", 4  # pixels a side that are one in the judge's features
Heldout = Callable[[int], tuple[np.ndarray, np.ndarray] | None]


def features(images: np.ndarray) -> np.ndarray:
    """Mean colours of patches of COARSE x COARSE pixels, -1 to 1: uint8 [N, 32, 32, 3] -> float32 [N, 192]."""
    n, h, w, _ = images.shape
    patches = images.reshape(n, h // COARSE, COARSE, w // COARSE, COARSE, 3).mean((2, 4), dtype=np.float32)
    return (patches / 127.5 - 1).reshape(n, -1)


def no_classes(values: np.ndarray) -> np.ndarray:
    raise AssertionError("scenes have no classes")


def rendered(captions: Sequence[Caption], seed: int) -> np.ndarray:
    """uint8 [N, 32, 32, 3]: a scene of each caption; the first of a caption is always the same."""
    rng, scenes = np.random.default_rng(seed), []
    for caption in captions:
        while (scene := draw_scene(rng, caption)) is None:
            pass
        scenes.append(scene)
    return draw(scenes)


def showing(texts: Sequence[str]) -> Heldout:
    """Drawn scenes of these captions, which take turns."""

    def heldout(n: int) -> tuple[np.ndarray, np.ndarray]:
        index = np.arange(n) % len(texts)
        return rendered([parse(texts[k]) for k in index.tolist()], seed=1), index

    return heldout


def reader_metrics() -> list[Metric]:
    """What the exact reader says: is a caption satisfied, 0 or 1, and which share of its demands is met."""
    reading = once(read)

    def satisfied(images: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        return np.array([shows(parse(text), r) for text, r in zip(texts, reading(images), strict=True)], np.float64)

    def met(images: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        return np.array([share_met(parse(text), r) for text, r in zip(texts, reading(images), strict=True)])

    return [
        Metric("satisfied", "captions satisfied", "share", "higher", READER, of_texts=satisfied),
        Metric("demands_met", "demands of a caption met", "share", "higher", READER, of_texts=met),
    ]


def verifier_metrics(clip: Path, aesthetic: Path, device: str) -> list[Metric]:
    """What the verifiers with networks say, as columns; no judges of what they have chosen."""
    import torch

    from noise_search.core.images import images_to_tensor
    from noise_search.networks.scene_towers import load_critic, load_dual_encoder

    dual, critic = load_dual_encoder(clip, len(VOCABULARY), LONGEST).to(device), load_critic(aesthetic).to(device)

    @torch.inference_mode()
    def likeness(images: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        words = torch.from_numpy(padded_numbers(texts)).long().to(device)
        return (dual.see(images_to_tensor(images, device)) * dual.hear(words)).sum(1).cpu().numpy()

    @torch.inference_mode()
    def looks(images: np.ndarray, index: np.ndarray) -> np.ndarray:
        return critic(images_to_tensor(images, device)).cpu().numpy()

    return [
        Metric("clip", "cosine of image and caption", "cosine", "higher", "scenes dual encoder", of_texts=likeness),
        Metric("aesthetic", "log-odds of a clean drawing", "log-odds", "higher", "scenes critic", of_images=looks),
    ]


@dataclass(frozen=True)
class ScenesJudge(JudgeSettings):
    """clip, aesthetic: files of weights; null: the shipped ones. The kernel distance is one of coarse pixels, between
    the images and drawn scenes of other captions: what is where, in which colours, over the whole set."""

    clip: str | None = None
    aesthetic: str | None = None

    def load(self, device: str = "cpu") -> Judge:
        @cache
        def real() -> np.ndarray:
            return features(rendered([c for each in kept_captions(100, seed=1).values() for c in each], seed=2))

        name = "600 drawn scenes"
        main = Space(slice(None), Gaussian.of(real()), name, "coarse pixels")
        given = {"scenes_clip.safetensors": self.clip, "scenes_aesthetic.safetensors": self.aesthetic}
        clip, aesthetic = (Path(file) if file else asset(shipped) for shipped, file in given.items())
        return Judge(
            network="coarse pixels",
            probe="none",
            features=features,
            probabilities=no_classes,
            main=main,
            metrics=[
                *reader_metrics(),
                *verifier_metrics(clip, aesthetic, device),
                kernel_metric(Comparison(main, real), name),
            ],
            showing=showing,
            heldout_name="drawn scenes of these captions",
            weights={path.name: sha256(path) for path in (clip, aesthetic)},
        )
