"""Models by name: what is known, what is fetched, and what is said when neither works."""

from __future__ import annotations

import urllib.error
from pathlib import Path

import pytest
import torch
from torchvision.models import WeightsEnum
from torchvision.models.detection import MaskRCNN_ResNet50_FPN_V2_Weights, MaskRCNN_ResNet50_FPN_Weights

from maskrcnn.errors import MaskRCNNError
from maskrcnn.weights import catalog
from maskrcnn.weights.catalog import CATALOG, COCO_NAMES, bundled_names, find_weights


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One bundled model, an empty download folder, and no network."""
    (tmp_path / "bundled").mkdir()
    (tmp_path / "bundled" / "nuclei.safetensors").write_bytes(b"")
    monkeypatch.setattr(catalog, "BUNDLED", tmp_path / "bundled")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))

    def offline(url: str, *args: object, **kwargs: object) -> None:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    return tmp_path


def test_coco_names_are_torchvisions() -> None:
    theirs = MaskRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
    assert theirs[0] == "__background__"
    ours = ["N/A" if name.startswith("unused ") else name for name in COCO_NAMES]
    assert ours == theirs[1:]
    assert len(set(COCO_NAMES)) == 90


@pytest.mark.parametrize(
    ("name", "weights"),
    [("coco", MaskRCNN_ResNet50_FPN_Weights.COCO_V1), ("coco-v2", MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1)],
)
def test_entries_say_what_torchvision_says(name: str, weights: WeightsEnum) -> None:
    entry = CATALOG[name]
    assert entry.url == weights.url
    assert entry.url.endswith(f"/{entry.file}")
    assert entry.file.endswith(f"-{entry.sha256}.pth")
    measured = weights.meta["_metrics"]["COCO-val2017"]
    assert f"box AP {measured['box_map']}, mask AP {measured['mask_map']}" in entry.measured


def test_a_bundled_name(folders: Path) -> None:
    assert bundled_names() == ["nuclei"]
    assert find_weights("nuclei") == (folders / "bundled" / "nuclei.safetensors", None)


def test_a_path(folders: Path) -> None:
    path = folders / "mine.pth"
    path.write_bytes(b"")
    assert find_weights(path) == (path, None)
    assert find_weights(str(path)) == (path, None)
    known = folders / CATALOG["coco"].file
    known.write_bytes(b"")
    assert find_weights(known) == (known, CATALOG["coco"])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nuclie", r"unknown model 'nuclie' \(did you mean 'nuclei'\?\)"),
        ("coco-v3", r"unknown model 'coco-v3' \(did you mean 'coco-v2'\?\)"),
        ("zzz", r"unknown model 'zzz' \(known: nuclei, coco, coco-v2\)"),
        ("weights/mine", r"weights/mine: no such model file .*nuclei, coco"),
        ("mine.safetensors", r"mine\.safetensors: no such model file .*nuclei, coco"),
    ],
)
def test_what_is_unknown_is_told(folders: Path, source: str, message: str) -> None:
    with pytest.raises(MaskRCNNError, match=message):
        find_weights(source)


@pytest.mark.parametrize(
    "error", [urllib.error.URLError("offline"), RuntimeError("invalid hash value"), TimeoutError()]
)
def test_a_failed_download_names_the_bundled_models(
    folders: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def failing(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(torch.hub, "download_url_to_file", failing)
    with pytest.raises(MaskRCNNError) as caught:
        find_weights("coco")
    told = str(caught.value)
    assert "'coco' could not be fetched from https://download.pytorch.org" in told
    assert str(folders / "hub" / "checkpoints" / CATALOG["coco"].file) in told
    assert told.endswith("or use a bundled model: nuclei)")
    assert caught.value.__suppress_context__
    assert not (folders / "hub" / "checkpoints" / CATALOG["coco"].file).exists()


def test_a_download_folder_that_cannot_be_made(folders: Path) -> None:
    (folders / "hub").write_text("a file where the folder should be")
    with pytest.raises(MaskRCNNError, match="could not be fetched"):
        find_weights("coco")


def test_a_file_is_fetched_once(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []

    def download(url: str, path: str, hash_prefix: str, progress: bool) -> None:
        fetched.append((url, hash_prefix))
        Path(path).write_bytes(b"weights")

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    expected = folders / "hub" / "checkpoints" / CATALOG["coco-v2"].file
    for _ in range(2):
        assert find_weights("coco-v2") == (expected, CATALOG["coco-v2"])
    assert fetched == [(CATALOG["coco-v2"].url, "73cbd019")]
