"""The toy's judge: pixel values, and the exact class posterior."""

from dataclasses import dataclass

import numpy as np

from noise_search.measures.frechet import Gaussian
from noise_search.measures.judge import Judge, JudgeSettings, Space
from noise_search.measures.usual import usual_metrics


@dataclass(frozen=True)
class Pixels(JudgeSettings):
    """The toy's judge: pixel values as features, the exact class posterior as probe, 1,000 + 1,000 exact samples."""

    class_set = "mixture"
    needing_classes = ("class_accuracy",)

    def load(self, device: str = "cpu") -> Judge:
        import torch

        from noise_search.core.images import tensor_to_images
        from noise_search.networks.mixture import coloured_waves

        mixture = coloured_waves()
        labels = torch.arange(20_000) % mixture.classes
        images = tensor_to_images(mixture.sample(labels, torch.Generator().manual_seed(0)))

        def features(values: np.ndarray) -> np.ndarray:
            return (values.reshape(len(values), -1) / 127.5 - 1).astype(np.float32)

        def probabilities(values: np.ndarray) -> np.ndarray:
            x = torch.from_numpy(values).unflatten(1, (*images.shape[1:],)).permute(0, 3, 1, 2)
            dimensions = mixture.means[0, 0].numel()
            logits = [mixture.log_likelihood(x, torch.full((len(x),), k)) * dimensions for k in range(mixture.classes)]
            return torch.stack(logits, 1).softmax(1).numpy()

        everything, classes = features(images), np.arange(mixture.classes)
        main = Space(slice(None), Gaussian.of(everything[2000:]), "18000 exact samples", "pixels")
        real = everything[:1000]
        return Judge(
            network="pixels",
            probe="exact posterior",
            features=features,
            probabilities=probabilities,
            main=main,
            metrics=usual_metrics(probabilities, "exact posterior", classes, main, lambda: real, "1000 exact samples"),
            heldout=lambda n: (images[1000 : 1000 + n], labels[:n].numpy()) if n <= 1000 else None,
            heldout_name="other exact samples",
            columns_of=classes,
        )
