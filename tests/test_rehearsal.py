"""The dress rehearsal: ImageNet runs from noise to report through random-weight files of every published format."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.make_fake_weights import main, overrides
from tests.test_run import call, curve, logged

SMALL = ("images=4", "batch_size=4", "budget.search_nfe=4", "budget.final_nfe=6", "metrics.splits=1")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What scripts/make_fake_weights.py writes."""
    folder = tmp_path_factory.mktemp("published")
    main([str(folder)])
    return folder


def rehearse(folder: Path, files: Path, *options: str) -> list[dict[str, str]]:
    """A run with these files; checks what every run of them must leave, and returns its curve."""
    cache = str(files / "cache")
    call(folder, *SMALL, *options, "hydra.run.dir=run", figures=True, NOISE_SEARCH_CACHE=cache, HF_HUB_OFFLINE="1")
    rows = curve(folder / "run")
    assert {row["metric"] for row in rows} >= {"fid", "sfid", "inception_score", "kernel_distance", "score_final"}
    assert all(row["value"] for row in rows if row["metric"] in ("fid", "inception_score"))
    assert {row["reference"] for row in rows if row["metric"] == "fid"} == {"VIRTUAL_imagenet256_labeled.npz"}
    for name in ("fid", "inception_score"):
        assert (folder / f"run/figures/{name}.png").stat().st_size > 1000
    assert (folder / "run/report.html").stat().st_size > 10_000
    return rows


def test_sit_from_noise_to_fid_against_nfe(tmp_path: Path, files: Path) -> None:
    options = ("experiment=paper/fig6", "budget.points=[1,2]", "metrics.export_npz=true", "keep_images=true")
    rows = rehearse(tmp_path, files, *options, *overrides(files))
    history = logged(tmp_path / "run", "nfe_paper")
    assert [row["nfe_paper"] for row in history] == [24, 32]  # c N (K + 2)
    assert all(row["fid"] > 0 and row["inception_score"] >= 1 for row in history)
    with np.load(tmp_path / "run/samples/nfe000026.npz", allow_pickle=False) as exported:
        assert exported["arr_0"].shape == (4, 256, 256, 3) and exported["arr_0"].dtype == np.uint8
        sprite = np.asarray(Image.open(tmp_path / "run/images/nfe000026.png"))  # the same images, side by side
        assert np.array_equal(exported["arr_0"][1], sprite[:256, 256:512])
    weights = rows[0]["weights"]
    for name in ("SiT-XL-2-256x256.pt:", "vae:", "weights-inception-2015"):
        assert name in weights
    assert {row["nfe"] for row in rows} == {"18", "26"}


@pytest.mark.parametrize("kind", ["DiT-XL-2-256x256.pt", "DiT-XL-2-256"])
def test_dit_in_both_formats_under_guidance_with_clip(tmp_path: Path, files: Path, kind: str) -> None:
    channels = "all" if kind == "DiT-XL-2-256" else "3"
    options = ("model=dit_xl_2", "budget.points=[1,2]", "cfg_scale=1.5", f"guidance.channels={channels}", "logger=none")
    few = "dataset.classes=[0,1,2,3]"  # 320 prompts instead of 80,000
    rows = rehearse(tmp_path, files, *options, few, *overrides(files, model=kind, verifier="clip"))
    assert {row["network_rows"] for row in rows} == {"12", "28"}  # two rows an evaluation
    assert any("CLIP" in row["network"] for row in rows)
