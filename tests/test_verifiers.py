"""Feature networks and classifier verifiers on the photographs that come with the package."""

from pathlib import Path

import numpy as np
import pytest
import torch

from noise_search.core.images import images_to_tensor, tensor_to_images
from noise_search.core.verifier import Candidates, Surroundings
from noise_search.datasets.cifar10 import shipped_images
from noise_search.measures.scores import kernel_distance
from noise_search.metrics.lite2 import Lite2
from noise_search.networks.efficientnet import EfficientNetLite
from noise_search.networks.mixture import coloured_waves
from noise_search.verifiers.classifier import Classifier
from noise_search.verifiers.likelihood import Likelihood

IMAGES, LABELS = shipped_images("heads")


@pytest.mark.parametrize(("size", "output"), [(0, "logit"), (0, "probability"), (1, "logit")])
def test_classifiers_know_real_photographs(size: int, output: str) -> None:
    """Score every photograph under all ten classes: the true one must be the best for most."""
    verifier = Classifier(size, resolution=96, output=output).load(Surroundings())
    images = images_to_tensor(IMAGES[:100])
    with torch.inference_mode():
        scores = torch.stack(
            [verifier.score(Candidates(images[:, None], torch.full((100,), k)))[:, 0] for k in range(10)], 1
        )
    assert (scores.argmax(1).numpy() == LABELS[:100]).mean() > 0.7
    if output == "probability":
        assert torch.allclose(scores.sum(1), torch.ones(100), atol=1e-3)


def test_scores_are_laid_out_by_image_and_candidate() -> None:
    verifier = Classifier(0, resolution=96, precision="float32").load(Surroundings())
    images = images_to_tensor(IMAGES[:6]).unflatten(0, (2, 3))
    labels = torch.tensor([3, 7])
    with torch.inference_mode():
        together = verifier.score(Candidates(images, labels))
        for b in range(2):
            for k in range(3):
                alone = verifier.score(Candidates(images[b : b + 1, k : k + 1], labels[b : b + 1]))
                assert torch.allclose(together[b, k], alone[0, 0], atol=1e-3)


def test_a_bad_output_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^output=loud: one of logit, probability"):
        Classifier(0, 96, "loud")


def test_a_head_for_another_resolution_is_refused() -> None:
    with pytest.raises(ValueError, match="trained for Lite0 at 96 px"):
        Classifier(0, 64).load(Surroundings())


def test_feature_networks_give_1280_numbers_and_seven_stages() -> None:
    net = EfficientNetLite(2, 64)
    images = images_to_tensor(IMAGES[:2])
    with torch.inference_mode():
        assert net(images).shape == (2, 1280)
        assert [stage.shape[-1] for stage in net.stages(images)] == [32, 16, 8, 4, 4, 2, 2]
    with pytest.raises(ValueError, match="size=3"):
        EfficientNetLite(3)


def test_the_judge_knows_real_photographs_and_tells_them_from_others() -> None:
    judge = Lite2().load()
    images, labels = shipped_images("reference")
    reference = judge.features(images)
    assert (judge.probabilities(reference).argmax(1) == labels).mean() > 0.75
    assert judge.main.gaussian.covariance.shape == (1280, 1280)
    assert abs(kernel_distance(judge.features(IMAGES[:300]), reference)) < 0.03
    blurred = IMAGES[:300].reshape(300, 8, 4, 8, 4, 3).mean((2, 4)).repeat(4, 1).repeat(4, 2).astype(np.uint8)
    assert kernel_distance(judge.features(blurred), reference) > 0.2
    assert not {image.tobytes() for image in images} & {image.tobytes() for image in IMAGES}


def test_images_survive_the_way_to_bytes_and_back() -> None:
    assert np.array_equal(tensor_to_images(images_to_tensor(IMAGES[:5])), IMAGES[:5])


def test_the_verifier_in_the_readme_works() -> None:
    text = (Path(__file__).parents[1] / "README.md").read_text()
    namespace: dict = {}
    code = text.split("## A verifier of your own")[1].split("```python\n")[1].split("```")[0]
    exec(code, namespace)
    verifier = namespace["Contrast"]()
    flat, busy = torch.zeros(3, 32, 32), torch.randn(3, 32, 32)
    scores = verifier.score(Candidates(torch.stack([flat, busy])[None], torch.tensor([0])))
    assert scores.shape == (1, 2) and scores[0, 1] > scores[0, 0]
    assert verifier.name == "contrast" and verifier.weights == {}


def test_the_toys_verifier_prefers_the_right_class() -> None:
    mixture = coloured_waves()
    labels = torch.arange(10)
    images = mixture.sample(labels, torch.Generator().manual_seed(0))
    right = Likelihood().load(Surroundings()).score(Candidates(images[:, None], labels))
    wrong = Likelihood().load(Surroundings()).score(Candidates(images[:, None], (labels + 1) % 10))
    assert (right > wrong).all()
