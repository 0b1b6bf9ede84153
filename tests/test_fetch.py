"""scripts/fetch_weights.py against a hub of our own: listings, checksums, what is there already."""

import hashlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from noise_search.cli import fetch
from scripts import fetch_weights

CONTENT = b"weights"


class Hub:
    """What the hub says it has; counts the fetches."""

    def __init__(self, names: list[str], digest: str) -> None:
        self.names, self.digest, self.fetched = names, digest, 0

    def repo_info(self, repo: str, repo_type: str, revision: str | None, files_metadata: bool) -> SimpleNamespace:
        assert repo_type == "model" and revision is None
        lfs = SimpleNamespace(sha256=self.digest)
        files = [SimpleNamespace(rfilename=name, size=len(CONTENT), lfs=lfs) for name in self.names]
        return SimpleNamespace(siblings=files, sha="abc", card_data=SimpleNamespace(license="mit"))

    def download(self, repo: str, name: str, repo_type: str, revision: str, local_dir: Path) -> str:
        assert revision == "abc"
        self.fetched += 1
        path = Path(local_dir) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONTENT)
        return str(path)


def run(monkeypatch: pytest.MonkeyPatch, hub: Hub, *arguments: str) -> None:
    monkeypatch.setattr(fetch, "HfApi", lambda: hub)
    monkeypatch.setattr(fetch, "hf_hub_download", hub.download)
    monkeypatch.setattr(sys, "argv", ["fetch_weights.py", *arguments])
    fetch_weights.main()


def test_files_are_listed_fetched_once_and_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = hashlib.sha256(CONTENT).hexdigest()
    hub = Hub(["config.json", "diffusion_pytorch_model.safetensors", "models/SiT-XL-2-256x256.pt", "README.md"], good)
    into = f"--into={tmp_path}"
    run(monkeypatch, hub, "sit_xl_2", into, "--list")
    assert hub.fetched == 0 and "SiT-XL-2-256x256.pt: 0 MB, licence mit" in capsys.readouterr().out
    run(monkeypatch, hub, "sit_xl_2", "vae", into)
    run(monkeypatch, hub, "sit_xl_2", into)
    assert hub.fetched == 3 and capsys.readouterr().out.count("there already") == 3
    assert (tmp_path / "SiT-XL-2-256x256.pt").read_bytes() == CONTENT
    record = json.loads((tmp_path / "SOURCES.json").read_text())
    assert set(record) == {
        "SiT-XL-2-256x256.pt",
        "sd-vae-ft-ema/config.json",
        "sd-vae-ft-ema/diffusion_pytorch_model.safetensors",
    }
    assert record["SiT-XL-2-256x256.pt"]["sha256"] == good and record["SiT-XL-2-256x256.pt"]["revision"] == "abc"


def test_a_wrong_checksum_and_unknown_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    into, name = f"--into={tmp_path}", "SiT-XL-2-256x256.pt"
    with pytest.raises(SystemExit, match="its host says 0000"):
        run(monkeypatch, Hub([name, "config.json"], "0000"), "sit_xl_2", into)
    assert not (tmp_path / name).exists() and not (tmp_path / "SOURCES.json").exists()
    with pytest.raises(SystemExit, match=r"has no file like .*SiT-XL-2-256.*; it has README.md"):
        run(monkeypatch, Hub(["README.md"], ""), "sit_xl_2", into)
    with pytest.raises(SystemExit, match="has several files like"):
        run(monkeypatch, Hub([name, f"old/{name}"], ""), "sit_xl_2", into)

    def offline() -> None:
        raise OSError("no route to host")

    hub = Hub([], "")
    monkeypatch.setattr(hub, "repo_info", lambda *_, **__: offline())
    with pytest.raises(SystemExit, match="error: stabilityai/sd-vae-ft-ema is not to be had: no route to host"):
        run(monkeypatch, hub, "vae", into)
