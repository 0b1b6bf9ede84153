"""Images as bytes and as numbers."""

import numpy as np
import torch


def images_to_tensor(images: np.ndarray, device: str | torch.device = "cpu") -> torch.Tensor:
    """uint8 [N, H, W, 3] -> float32 [N, 3, H, W] in [-1, 1]."""
    return torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def tensor_to_images(images: torch.Tensor) -> np.ndarray:
    """[N, 3, H, W] in [-1, 1] -> uint8 [N, H, W, 3], by clamp(127.5 x + 128, 0, 255) as the published code does."""
    return (127.5 * images + 128).clamp(0, 255).permute(0, 2, 3, 1).to("cpu", torch.uint8).numpy()
