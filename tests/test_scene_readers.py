"""What looks at pictures of scenes: the exact reader, the verifiers and the judge."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from noise_search.core.images import images_to_tensor
from noise_search.core.verifier import Candidates, Surroundings
from noise_search.measures.judge import load_judge
from noise_search.measures.metric import measures_of
from noise_search.metrics.scenes import ScenesJudge
from noise_search.networks.scene_towers import Critic, DualEncoder
from noise_search.scenes.draw import draw
from noise_search.scenes.language import CATEGORIES, LONGEST, VOCABULARY, Caption, Object, parse, satisfied
from noise_search.scenes.read import Reading, read, share_met, shows
from noise_search.scenes.sample import draw_caption, draw_pair, draw_scene, pick
from noise_search.storage.weights import save_weights
from noise_search.training.scene_damage import DAMAGES
from noise_search.training.scene_tests import told_apart
from noise_search.verifiers.scenes_aesthetic import ScenesAesthetic
from noise_search.verifiers.scenes_clip import ScenesClip
from noise_search.verifiers.scenes_oracle import ScenesOracle
from tests.test_configs import described

CIRCLE, SQUARE = Object("circle", "red", "plain", 8, 8, 5), Object("square", "blue", "striped", 24, 10, 5.5)
Pairs = list[tuple[Caption, tuple[Object, ...]]]


@cache
def pairs(count: int) -> Pairs:
    """Captions with a scene of each: half are of combinations that training shows, half of any."""
    rng, out = np.random.default_rng(3), Pairs()
    while len(out) < count:
        if len(out) % 2:
            out.append(draw_pair(rng))
        else:
            caption = draw_caption(rng, pick(rng, CATEGORIES))
            scene = draw_scene(rng, caption)
            out += [] if scene is None else [(caption, scene)]
    return out


@cache
def readings(count: int) -> list[Reading]:
    return read(draw([scene for _, scene in pairs(count)]))


def test_fresh_renders_are_read_exactly_and_foreign_captions_rarely_fit() -> None:
    n = 400
    found = readings(n)
    for (caption, scene), reading in zip(pairs(n), found, strict=True):
        assert shows(caption, reading) and share_met(caption, reading) == 1
        place = {(round(thing.x), round(thing.y)): thing for thing in scene}
        for thing in reading.objects:
            drawn = min(scene, key=lambda other, thing=thing: abs(other.x - thing.x) + abs(other.y - thing.y))
            assert thing == replace(drawn, x=thing.x, y=thing.y, radius=thing.radius)
            assert max(abs(thing.x - drawn.x), abs(thing.y - drawn.y), abs(thing.radius - drawn.radius)) < 0.1
        assert len(reading.objects) == len(place) and max(reading.left) < 1e-4
    foreign = [shows(pairs(n)[(i + 1) % n][0], reading) for i, reading in enumerate(found)]
    assert np.mean(foreign) < 0.03


def spoilt(how: Callable[[np.ndarray], np.ndarray], n: int = 40) -> float:
    """The share of scenes whose caption is satisfied yet, after `how` was done to their pictures."""
    images = draw([scene for _, scene in pairs(n)]).astype(np.float64)
    found = read(np.clip(how(images) + 0.5, 0, 255).astype(np.uint8))
    return float(np.mean([shows(caption, reading) for (caption, _), reading in zip(pairs(n), found, strict=True)]))


def test_what_is_blurred_ragged_or_dirty_is_not_read() -> None:
    rng = np.random.default_rng(0)

    def blurred(sigma: float) -> float:
        return spoilt(lambda x: gaussian_filter(x, (0, sigma, sigma, 0)))

    assert blurred(0.4) > 0.95 and blurred(1.0) < 0.1 and blurred(1.5) == 0
    assert spoilt(lambda x: x + rng.normal(0, 6, x.shape)) > 0.95
    assert spoilt(lambda x: x + rng.normal(0, 32, x.shape)) == 0
    assert spoilt(lambda x: np.roll(x, 3, 2) / 2 + x / 2) == 0  # every outline twice

    def ragged(x: np.ndarray) -> np.ndarray:  # every second row is moved by two pixels
        return np.stack([np.roll(x[:, i], 2 * (i % 2), 1) for i in range(x.shape[1])], 1)

    assert spoilt(ragged) == 0

    def dirty(x: np.ndarray) -> np.ndarray:
        x[:, 14:18, 14:18] -= 120
        return x

    assert spoilt(dirty) < 0.05
    blank = np.full((1, 32, 32, 3), 240, np.uint8)
    assert read(blank) == [Reading((), True)] and read(255 - blank)[0].clear is False
    assert read(blank[:0]) == []


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("a red circle and a striped blue square", 1),
        ("a red circle and a plain blue square", 4 / 5),
        ("a blue circle and a red square", 2 / 4),
        ("a red circle to the left of a blue square", 1),
        ("a red circle to the right of a blue square", 4 / 5),
        ("a red circle", 2 / 3),  # the square is too much
        ("three circles", 1 / 3),
        ("a green cross", 0),
    ],
)
def test_the_share_of_demands_that_are_met(text: str, share: float) -> None:
    (reading,) = read(draw([(CIRCLE, SQUARE)]))
    assert share_met(parse(text), reading) == pytest.approx(share)
    assert shows(parse(text), reading) == (share == 1) == satisfied(parse(text), (CIRCLE, SQUARE))
    assert share_met(parse(text), reading._replace(clear=False)) < 1


def test_the_oracle_is_one_exactly_where_a_caption_is_satisfied() -> None:
    n, verifier = 24, ScenesOracle().load(Surroundings())
    images = images_to_tensor(draw([scene for _, scene in pairs(n)])).unflatten(0, (n // 2, 2))
    texts = [caption.text for caption, _ in pairs(n)[::2]]
    score = verifier.score(Candidates(images, torch.arange(n // 2), texts=texts))
    assert score.shape == (n // 2, 2) and score.dtype == torch.float32
    assert (score[:, 0] == 1).all() and (score[:, 1] < 1).any() and (score >= 0).all()
    with pytest.raises(ValueError, match="'a red fox' is no caption of a scene"):
        verifier.score(Candidates(images[:1], torch.arange(1), texts=["a red fox"]))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Small networks of random weights in files as the training scripts write them."""
    folder, sizes = tmp_path_factory.mktemp("weights"), {"widths": [8, 16], "text_width": 16, "text_depth": 1}
    torch.manual_seed(0)
    dual = DualEncoder(len(VOCABULARY), LONGEST, **sizes, dimension=8)
    save_weights(folder / "clip.safetensors", dual.state_dict(), {"config": {"net": sizes | {"dimension": 8}}})
    save_weights(folder / "critic.safetensors", Critic([8, 16]).state_dict(), {"config": {"widths": [8, 16]}})
    return {name: str(folder / f"{name}.safetensors") for name in ("clip", "critic")}


@pytest.mark.parametrize("kind", ["clip", "critic"])
def test_scores_of_networks_belong_to_their_image_and_text(kind: str, files: dict[str, str]) -> None:
    verifier = (ScenesClip if kind == "clip" else ScenesAesthetic)(files[kind]).load(Surroundings())
    images = images_to_tensor(draw([scene for _, scene in pairs(6)])).unflatten(0, (3, 2)).requires_grad_()
    texts = [caption.text for caption, _ in pairs(3)]
    score = verifier.score(Candidates(images, torch.arange(3), texts=texts))
    assert score.shape == (3, 2) and list(verifier.weights) == [f"{kind}.safetensors"]
    alone = verifier.score(Candidates(images[1:2, 1:], torch.arange(1), texts=texts[1:2]))
    assert torch.allclose(alone, score[1:2, 1:], atol=1e-5)
    score[1, 1].backward()
    assert images.grad is not None and (images.grad.flatten(2).abs().sum(2) > 0).sum() == 1
    other = verifier.score(Candidates(images, torch.arange(3), texts=texts[::-1]))
    assert torch.allclose(other, score, atol=1e-5) == (kind == "critic")
    if kind == "clip":
        assert (score.abs() <= 1 + 1e-5).all()
        with pytest.raises(ValueError, match="'fox' is not a word of scenes"):
            verifier.score(Candidates(images[:1], torch.arange(1), texts=["a red fox"]))


def test_the_judge_tells_what_is_satisfied_and_what_every_verifier_says(files: dict[str, str]) -> None:
    texts = [caption.text for caption, _ in pairs(30)]
    judge = load_judge(ScenesJudge(files["clip"], files["critic"]), "cpu", texts)
    names = [metric.name for metric in judge.metrics]
    assert names == ["satisfied", "demands_met", "clip", "aesthetic", "kernel_distance"]
    images, index = draw([scene for _, scene in pairs(30)]), np.arange(30)
    right, wrong = (measures_of(judge.metrics, images, order) for order in (index, index[::-1]))
    assert right.shape == (30, 4) and (right[:, :2] == 1).all() and wrong[:, 0].mean() < 0.2 < wrong[:, 1].mean() < 0.9
    verifier = ScenesClip(files["clip"]).load(Surroundings())
    score = verifier.score(Candidates(images_to_tensor(images)[:, None], torch.from_numpy(index), texts=texts))
    assert np.allclose(right[:, 2], score[:, 0].numpy(), atol=1e-5)
    real, labels = judge.heldout(40) or pytest.fail("there are always renders")
    assert labels.tolist() == [k % 30 for k in range(40)] and measures_of(judge.metrics, real, labels)[:, 0].min() == 1
    distances = [metric.of_set for metric in judge.metrics if metric.of_set is not None]
    near, far = (distances[0](judge.features(x), labels).value for x in (real, real // 2))
    assert near is not None and far is not None and near < 0.1 * far
    assert set(judge.weights) == {"clip.safetensors", "critic.safetensors"}


def test_the_shipped_dual_encoder_knows_what_is_there_and_not_what_belongs_to_what() -> None:
    told = told_apart(ScenesClip().load(Surroundings()).net, 300, seed=5)
    assert told["another caption"] > 0.9
    assert 0.35 < told["swapped colours"] < 0.7


def test_the_shipped_critic_ranks_renders_by_how_badly_they_are_spoilt() -> None:
    critic = ScenesAesthetic().load(Surroundings()).net
    x = images_to_tensor(draw([scene for _, scene in pairs(200)]))
    torch.manual_seed(0)
    for damage in DAMAGES:
        with torch.no_grad():
            clean, mild, more, whole = (critic(damage(x, torch.full((200, 1, 1, 1), s))) for s in (0.0, 0.15, 0.3, 1.0))
        assert clean.mean() > mild.mean() > more.mean(), damage.__name__
        assert (clean > whole).float().mean() > 0.95, damage.__name__
        assert (damage(x, torch.zeros(200, 1, 1, 1)) - x).abs().max() < 1e-4, damage.__name__


@pytest.mark.parametrize("name", ["verifiers", "scaling", "categories", "algorithms"])
def test_twins_of_the_paper_plan_their_cost(name: str) -> None:
    twin = described(f"experiment=scenes/{name}")
    assert twin.choices["model"] == twin.choices["metrics"] == twin.dataset.name == "scenes"
    assert [p.nfe for p in twin.plan.purchases][:: len(twin.plan.purchases) - 1] == [10, 160]
    assert twin.columns.keys() >= {"scenes_clip", "scenes_aesthetic", "scenes_oracle"}
