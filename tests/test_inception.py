"""The judge of published numbers, on random weights in the published format: against torch-fidelity itself."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch_fidelity
from PIL import Image

from noise_search.core.verifier import Surroundings
from noise_search.measures.frechet import Gaussian
from noise_search.measures.scores import inception_score
from noise_search.metrics.inception import InceptionJudge, read_label_map
from noise_search.networks.inception import MAIN, SPATIAL, Inception
from noise_search.run.evaluate import judged
from noise_search.verifiers.oracle import OracleIS
from scripts.make_fake_weights import write_dino, write_inception, write_reference

COUNT, SPLITS = 6, 3


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOISE_SEARCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inception") / "weights-inception-2015-12-05-6726825d.pth"
    write_inception(path)
    return path


def pictures(seed: int) -> np.ndarray:
    """uint8 [COUNT, 40, 40, 3]: soft random blots, brighter for a larger seed."""
    rng = np.random.default_rng(seed)
    small = torch.from_numpy(rng.random((COUNT, 3, 5, 5), dtype=np.float32))
    large = torch.nn.functional.interpolate(small, (40, 40), mode="bicubic").clamp(0, 1) * (150 + 40 * seed)
    return large.permute(0, 2, 3, 1).to(torch.uint8).numpy()


def folder(path: Path, images: np.ndarray) -> Path:
    path.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(path / f"{i:03d}.png")
    return path


def test_fid_and_is_are_those_of_torch_fidelity(tmp_path: Path, weights: Path) -> None:
    images = pictures(0)
    ours, real = folder(tmp_path / "ours", images), folder(tmp_path / "real", pictures(1))
    theirs = torch_fidelity.calculate_metrics(
        input1=str(ours), input2=str(real), fid=True, isc=True, isc_splits=SPLITS, kid=True, kid_subset_size=COUNT,
        kid_subsets=1, cuda=False, verbose=False, cache=False, batch_size=8, save_cpu_ram=True,
        feature_extractor_weights_path=str(weights),
    )  # fmt: skip
    judge = InceptionJudge(str(real), str(weights), splits=SPLITS).load()
    values = judged(judge.features(images), np.zeros(COUNT, np.int64), judge)
    assert values["fid"].value == pytest.approx(theirs["frechet_inception_distance"], rel=1e-3)
    assert values["inception_score"].value == pytest.approx(theirs["inception_score_mean"], rel=1e-3)
    assert values["kernel_distance"].value == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-3)
    assert values["fid"].value > 1 and values["sfid"].value > 0 and 0 <= values["recall"].value <= 1
    assert judge.main.reference == f"real ({COUNT} images)" and judge.weights.keys() == {weights.name, "real"}


def test_spatial_features_are_those_of_the_layer_that_adm_names(weights: Path) -> None:
    net, images = Inception(weights, "cpu", batch=2), pictures(0)[:3]
    features = net(images)
    assert features.shape == (3, 2048 + 7 * 17 * 17) and features.dtype == np.float32
    seen: list[torch.Tensor] = []
    net.net.Mixed_6d.branch1x1.register_forward_hook(lambda _m, _i, out: seen.append(out))
    again = net(images[2:])
    assert np.allclose(again[0], features[2], atol=1e-4)
    grid = features[2, SPATIAL].reshape(17, 17, 7)  # TensorFlow's order: rows, columns, channels
    assert np.allclose(grid[3, 5], seen[0][0, :7, 3, 5].numpy(), atol=1e-4)


def test_references_in_every_published_format_agree(tmp_path: Path, weights: Path) -> None:
    images = pictures(1)
    real = folder(tmp_path / "real", images)
    net = Inception(weights, "cpu")
    x = net(images)
    whole = Gaussian.of(x)
    moments = {"mu": whole.mean[MAIN], "sigma": whole.covariance[MAIN, MAIN]}
    adm = moments | {"mu_s": whole.mean[SPATIAL], "sigma_s": whole.covariance[SPATIAL, SPATIAL]}
    np.savez(tmp_path / "adm.npz", **adm, arr_0=images)
    np.savez(tmp_path / "images.npz", images)
    np.savez(tmp_path / "moments.npz", **moments)
    torch.save({k: v.astype(np.float32) for k, v in moments.items()}, tmp_path / "fidelity.pt")
    judges = {
        name: InceptionJudge(str(tmp_path / name), str(weights)).load()
        for name in ("real", "adm.npz", "images.npz", "moments.npz", "fidelity.pt")
    }
    for name, judge in judges.items():
        told = {metric.name for metric in judge.metrics}
        assert np.allclose(judge.main.gaussian.mean, moments["mu"], rtol=1e-5, atol=1e-6)
        assert ("sfid" in told) == (name in ("real", "adm.npz", "images.npz"))
        assert ("recall" not in told) == (name in ("moments.npz", "fidelity.pt"))
        if "recall" in told:  # of the reference's own images
            nearest = [metric for metric in judge.metrics if metric.name in ("precision", "recall")]
            values = judged(x, np.zeros(COUNT, np.int64), replace(judge, metrics=nearest))
            assert values["precision"].value == values["recall"].value == 1
    known = list((tmp_path / "cache").iterdir())
    InceptionJudge(str(real), str(weights)).load()
    assert sorted((tmp_path / "cache").iterdir()) == sorted(known)  # measured once
    assert {metric.name for metric in judges["moments.npz"].metrics} == {"inception_score", "fid"}


def test_a_folder_is_known_by_what_its_images_hold(tmp_path: Path, weights: Path) -> None:
    """Also under other times, or with the same size and other pixels; every usual suffix counts, in any case."""
    images = pictures(1)[:3]
    real = folder(tmp_path / "real", images)
    Image.fromarray(images[0]).save(real / "000.BMP")
    first = InceptionJudge(str(real), str(weights)).load()
    assert first.main.reference == "real (4 images)"
    os.utime(real / "001.png", ns=(1, 1))
    assert InceptionJudge(str(real), str(weights)).load().weights == first.weights
    Image.fromarray(255 - images[0]).save(real / "000.BMP")
    assert InceptionJudge(str(real), str(weights)).load().weights["real"] != first.weights["real"]


def test_the_published_splits_of_the_inception_score() -> None:
    p = np.random.default_rng(0).dirichlet(np.full(5, 0.3), 40)

    def plain(q: np.ndarray) -> float:
        return float(np.exp((q * np.log(q / q.mean(0))).sum(1).mean()))

    assert inception_score(p, 4).value == pytest.approx(np.mean([plain(p[i : i + 10]) for i in range(0, 40, 10)]))
    order = np.random.RandomState(2020).permutation(40)
    assert inception_score(p, 2, shuffle=True).value == pytest.approx((plain(p[order[:20]]) + plain(p[order[20:]])) / 2)


def test_classes_need_the_label_map(tmp_path: Path, weights: Path) -> None:
    write_reference(tmp_path / "reference.npz", images=2, size=32)
    judge = InceptionJudge(str(tmp_path / "reference.npz"), str(weights)).load()
    with pytest.raises(ValueError, match=r"metrics.label_map"):
        OracleIS().load(Surroundings(judge=judge))
    outputs = np.random.default_rng(0).permutation(1008)[:1000]
    ids = [f"n{10_000_000 + 7 * k:08d}" for k in range(1000)]
    entries = [
        f'entry {{\n  target_class: {o}\n  target_class_string: "{i}"\n}}\n' for i, o in zip(ids, outputs, strict=True)
    ]
    path = tmp_path / "imagenet_2012_challenge_label_map_proto.pbtxt"
    path.write_text("".join(reversed(entries)))
    assert np.array_equal(read_label_map(path), outputs)
    judge = InceptionJudge(str(tmp_path / "reference.npz"), str(weights), label_map=str(path)).load()
    features = judge.features(pictures(0)[:2])
    best = judge.probabilities(features).argmax(1)
    right = np.array([int(np.where(outputs == o)[0][0]) if o in outputs else 0 for o in best])
    assert judged(features, right, judge)["class_accuracy"].value == np.isin(best, outputs).mean()
    path.write_text(entries[0])
    wrong = {
        "1 entries, 1 outputs, 1 classes; not 1000 of each": entries[:1],
        "1000 entries, 1000 outputs, 999 classes": [*entries[1:], entries[0].replace(ids[0], ids[1])],
        "1000 entries, 999 outputs, 1000 classes": [
            *entries[1:],
            entries[0].replace(f" {outputs[0]}", f" {outputs[1]}"),
        ],
        "with outputs below 1008": [*entries[1:], entries[0].replace(f" {outputs[0]}", " 1008")],
        "0 entries": [],
    }
    for words, lines in wrong.items():
        path.write_text("".join(lines))
        with pytest.raises(ValueError, match=rf"label_map=.*{words}"):
            read_label_map(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"label_map=.*: 0 entries"):
        read_label_map(path)
    with pytest.raises(FileNotFoundError, match=r"label_map=.*no such file"):
        read_label_map(tmp_path / "nowhere.pbtxt")


def test_wrong_files_are_refused_by_key_and_content(tmp_path: Path, weights: Path) -> None:
    def refused(reference: str, words: str) -> None:
        with pytest.raises((ValueError, FileNotFoundError), match=rf"metrics\.reference.*{words}") as caught:
            InceptionJudge(str(tmp_path / reference), str(weights)).load()
        assert "\n" not in str(caught.value)

    refused("nowhere.npz", "no such file or folder")
    (tmp_path / "empty").mkdir()
    refused("empty", r"a folder with 0 images \(\.png, .*\); at least 2")
    (tmp_path / "text.npz").write_text("text")
    refused("text.npz", "neither an .npz nor")
    np.savez(tmp_path / "other.npz", x=np.ones(2))
    refused("other.npz", "holds x; mu and sigma")
    np.savez(tmp_path / "narrow.npz", mu=np.ones(8), sigma=np.eye(8))
    refused("narrow.npz", "narrow.npz has mu of 8 numbers for fid")
    np.savez(tmp_path / "torn.npz", mu=np.ones(2048), sigma=np.eye(8))
    refused("torn.npz", r"mu float64 \(2048,\) and sigma float64 \(8, 8\) do not belong together")
    np.savez(tmp_path / "float.npz", np.ones((2, 4, 4, 3), np.float32))
    refused("float.npz", "arr_0 is float32")
    flaws = {
        "nan": ({"mu": np.full(2048, np.nan)}, "not finite"),
        "words": ({"mu": np.full(2048, "a")}, "do not belong together: real"),
        "complex": ({"mu": np.ones(2048, complex)}, "do not belong together: real"),
        "negative": ({"sigma": -np.eye(2048)}, "no covariance"),
        "skew": ({"sigma": np.eye(2048) + np.eye(2048, k=1)}, "no covariance"),
    }
    for name, (flaw, words) in flaws.items():
        np.savez(tmp_path / f"{name}.npz", **({"mu": np.ones(2048), "sigma": np.eye(2048)} | flaw))
        refused(f"{name}.npz", words)
    for count in (0, 1):
        np.savez(tmp_path / "few.npz", np.ones((count, 4, 4, 3), np.uint8))
        refused("few.npz", rf"arr_0 is uint8 \({count}, 4, 4, 3\), not .* of at least 2 images")
    cut = folder(tmp_path / "cut", pictures(0)[:2])
    (cut / "000.png").write_bytes((cut / "001.png").read_bytes()[:100])
    with pytest.raises(ValueError, match=r"000\.png"):
        InceptionJudge(str(cut), str(weights)).load().main  # noqa: B018
    refused("VIRTUAL_imagenet512.npz", "fetch_weights.py references_512` fetches")
    np.savez(tmp_path / "coded.npz", mu=np.array([print], dtype=object))
    refused("coded.npz", "neither an .npz nor")
    mixed = folder(tmp_path / "mixed", pictures(0)[:2])
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(mixed / "small.png")
    with pytest.raises(ValueError, match=r"small.png: \(8, 8\) pixels, not \(40, 40\)"):
        InceptionJudge(str(mixed), str(weights)).load()
    torch.save({"fc.weight": torch.ones(2)}, tmp_path / "other.pth")
    write_reference(tmp_path / "good.npz", images=2, size=32)
    with pytest.raises(ValueError, match=r"^splits=0: "):
        InceptionJudge(str(tmp_path / "good.npz"), str(weights), splits=0)
    for bad, words in (("nowhere.pth", "no such file"), ("other.pth", "not torch-fidelity's Inception")):
        with pytest.raises((ValueError, FileNotFoundError), match=rf"metrics\.weights=.*{words}"):
            InceptionJudge(str(tmp_path / "good.npz"), str(tmp_path / bad)).load()


def test_fd_dinov2_beside_fid_where_the_reference_has_images(tmp_path: Path, weights: Path) -> None:
    backbone, file = "vit_small_patch14_dinov2.lvd142m", tmp_path / "dinov2_vits14_pretrain.pth"
    write_dino(file)
    write_reference(tmp_path / "adm.npz", images=6, size=32)
    judge = InceptionJudge(str(tmp_path / "adm.npz"), str(weights), dinov2=backbone, dinov2_file=str(file)).load()
    features = judge.features(pictures(0)[:5])
    assert features.shape == (5, SPATIAL.stop + 384)
    values = judged(features, np.zeros(5, np.int64), judge)
    assert values["fd_dinov2"].value > 0 and set(values) >= {"fid", "sfid", "fd_dinov2", "kernel_distance"}
    (distance,) = (metric for metric in judge.metrics if metric.name == "fd_dinov2")
    assert distance.network == f"DINOv2 {backbone}" and distance.reference == "adm.npz, its 6 images"
    assert (values["precision"].images, values["precision"].real) == (5, 6)  # all of both, as published
    equal = InceptionJudge(str(tmp_path / "adm.npz"), str(weights), equal_counts=True).load()
    recall = judged(features[:, : SPATIAL.stop], np.zeros(5, np.int64), equal)["recall"]
    assert (recall.images, recall.real) == (5, 5)
    for keys, words in (
        ({"dinov2": "vit_none"}, r"^metrics\.dinov2='vit_none': not a network that timm knows"),
        ({"dinov2": backbone, "dinov2_file": "/nowhere.pth"}, r"^metrics\.dinov2_file=/nowhere\.pth: there is no"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=words):
            InceptionJudge(str(tmp_path / "adm.npz"), str(weights), **keys).load()
    np.savez(tmp_path / "moments.npz", mu=np.zeros(2048), sigma=np.eye(2048))
    with pytest.raises(ValueError, match=r"metrics.dinov2=.*holds no images"):
        InceptionJudge(str(tmp_path / "moments.npz"), str(weights), dinov2=backbone, dinov2_file=str(file)).load()
