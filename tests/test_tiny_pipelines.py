"""The tiny pipelines: they run, survive a folder, are functions of their seed, and listen to noise and prompt."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tiny_pipelines import FAMILIES, SIDE, UNSUPPORTED, WARNINGS, tiny

pytestmark = [pytest.mark.filterwarnings(warning) for warning in WARNINGS]


def made(family: str, pipe: Any, prompt: str = "a red fox", seed: int = 0) -> torch.Tensor:
    """One image [H, W, 3] in two steps."""
    common = {"num_inference_steps": 2, "generator": torch.Generator().manual_seed(seed), "output_type": "np"}
    if family == "dit":
        return torch.from_numpy(pipe(class_labels=[int(prompt.split()[-1])], **common).images[0])
    if family in ("pixart_sigma", "sana"):
        common |= {"use_resolution_binning": False, "clean_caption": False}
    return torch.from_numpy(pipe(prompt, height=SIDE, width=SIDE, **common).images[0])


@pytest.mark.parametrize("family", [*FAMILIES, UNSUPPORTED])
def test_a_tiny_pipeline_is_a_pipeline(family: str, tmp_path: Path) -> None:
    pipe = tiny(family)
    prompt, other = ("class 7", "class 8") if family == "dit" else ("a red fox", "two blue cups")
    image = made(family, pipe, prompt)
    assert image.shape == (SIDE, SIDE, 3) and image.isfinite().all() and image.std() > 0.01
    assert (image - made(family, pipe, prompt, seed=1)).abs().max() > 0.01
    assert (image - made(family, pipe, other)).abs().max() > 1e-4
    torch.testing.assert_close(image, made(family, tiny(family), prompt), rtol=0, atol=1e-5)
    assert (image - made(family, tiny(family, seed=1), prompt)).abs().max() > 0.01
    pipe.save_pretrained(tmp_path)
    again = type(pipe).from_pretrained(tmp_path)
    again.set_progress_bar_config(disable=True)
    torch.testing.assert_close(image, made(family, again, prompt), rtol=0, atol=1e-5)
