"""No judge: what is told of images are the scores of the verifiers, and what `more_metrics` names."""

from dataclasses import dataclass

import numpy as np

from noise_search.measures.frechet import Gaussian
from noise_search.measures.judge import Judge, JudgeSettings, Space

COLOURS = 3


@dataclass(frozen=True)
class NoJudge(JudgeSettings):
    """For images that no published statistics are of, such as those of prompts: features are the mean colours [N, 3],
    kept to tell images apart, and no metric looks at them."""

    def load(self, device: str = "cpu") -> Judge:
        def features(images: np.ndarray) -> np.ndarray:
            return (images.reshape(len(images), -1, COLOURS).mean(1) / 127.5 - 1).astype(np.float32)

        def probabilities(values: np.ndarray) -> np.ndarray:
            raise AssertionError("no judge, no classes")

        standard = Gaussian(np.zeros(COLOURS), np.eye(COLOURS))
        return Judge("none", "none", features, probabilities, Space(slice(None), standard, "", "mean colours"))
