"""Contrast of the final images: a metric of every image by itself."""

import numpy as np

from noise_search.measures.metric import Metric


def contrast() -> Metric:
    """The standard deviation of an image's pixel values, 0 to 127.5, over places and channels."""

    def of_images(images: np.ndarray, index: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1).std(1, dtype=np.float64)

    title = "contrast: deviation of an image's pixel values"
    return Metric("contrast", title, "contrast", "higher", "pixels", of_images=of_images)
