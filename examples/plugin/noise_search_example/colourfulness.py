"""Colourfulness of the final images: a metric of every image by itself."""

import numpy as np

from noise_search.measures.metric import Metric


def colourfulness() -> Metric:
    """Hasler and Suesstrunk (2003): deviation and mean of the opponent colours red - green and yellow - blue."""

    def of_images(images: np.ndarray, index: np.ndarray) -> np.ndarray:
        red, green, blue = np.moveaxis(images.reshape(len(images), -1, 3).astype(np.float64), 2, 0)  # [N, H * W] each
        opponents = red - green, (red + green) / 2 - blue
        deviation = np.hypot(*(values.std(1) for values in opponents))
        return deviation + 0.3 * np.hypot(*(values.mean(1) for values in opponents))

    return Metric("colourfulness", "colourfulness", "colourfulness", "", "pixels", of_images=of_images)
