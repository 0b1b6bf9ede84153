"""What a dual encoder of scenes can tell apart: a caption from another that is wrong in one respect."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from noise_search.core.images import images_to_tensor
from noise_search.networks.scene_towers import DualEncoder
from noise_search.scenes.draw import draw
from noise_search.scenes.language import CATEGORIES, COUNTS, TEXTURES, Caption, Object, padded_numbers
from noise_search.scenes.sample import draw_caption, draw_scene, pick

OPPOSITE = {"left": "right", "right": "left", "above": "below", "below": "above"}
Wrong = Callable[[np.random.Generator, Caption], Caption | None]  # None: this caption has nothing of that kind


def another(rng: np.random.Generator, caption: Caption) -> Caption:
    while (other := draw_caption(rng, pick(rng, CATEGORIES))) == caption:
        pass
    return other


def swapped(name: str) -> Wrong:
    """Two groups exchange a colour or a texture."""

    def wrong(rng: np.random.Generator, caption: Caption) -> Caption | None:
        groups = list(caption.groups)
        if len(groups) < 2:
            return None
        a, b = (getattr(group, name) for group in groups[:2])
        if None in (a, b) or a == b or groups[0].shape == groups[1].shape:
            return None
        groups[:2] = replace(groups[0], **{name: b}), replace(groups[1], **{name: a})
        return replace(caption, groups=tuple(groups))

    return wrong


def other_relation(rng: np.random.Generator, caption: Caption) -> Caption | None:
    return replace(caption, relation=OPPOSITE[caption.relation]) if caption.relation else None


def other_texture(rng: np.random.Generator, caption: Caption) -> Caption | None:
    first = caption.groups[0]
    if first.texture is None:
        return None
    texture = pick(rng, [name for name in TEXTURES if name != first.texture])
    return replace(caption, groups=(replace(first, texture=texture), *caption.groups[1:]))


def other_count(rng: np.random.Generator, caption: Caption) -> Caption | None:
    first = caption.groups[0]
    if len(caption.groups) > 1 or first.count == 1:
        return None
    return replace(caption, groups=(replace(first, count=len(COUNTS) + 2 - first.count),))


WRONG: dict[str, Wrong] = {
    "another caption": another,
    "another number": other_count,
    "another texture": other_texture,
    "swapped colours": swapped("colour"),
    "swapped textures": swapped("texture"),
    "opposite relation": other_relation,
}


def cases(wrong: Wrong, count: int, seed: int) -> tuple[np.ndarray, list[str], list[str]]:
    """Pictures uint8 [count, 32, 32, 3] of scenes, held-out ones too, their captions, and wrong ones."""
    rng = np.random.default_rng(seed)
    scenes, right, others = list[tuple[Object, ...]](), list[str](), list[str]()
    while len(scenes) < count:
        caption = draw_caption(rng, pick(rng, CATEGORIES))
        other, scene = wrong(rng, caption), draw_scene(rng, caption)
        if other is not None and scene is not None:
            scenes.append(scene)
            right.append(caption.text)
            others.append(other.text)
    return draw(scenes), right, others


@torch.inference_mode()
def told_apart(net: DualEncoder, count: int, kinds: Sequence[str] = tuple(WRONG), seed: int = 1) -> dict[str, float]:
    """The share of pictures that are nearer to their own caption than to a wrong one, by what is wrong with it."""
    out, net = {}, net.eval()
    for kind in kinds:
        images, *texts = cases(WRONG[kind], count, seed)
        seen = torch.cat([net.see(images_to_tensor(part)) for part in np.array_split(images, -(-count // 500))])
        right, wrong = ((seen * net.hear(torch.from_numpy(padded_numbers(t)).long())).sum(1) for t in texts)
        out[kind] = round(float((right > wrong).float().mean()), 4)
    return out
