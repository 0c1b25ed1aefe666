"""Models by name: what is known, what is fetched, and what is said when neither works."""

from __future__ import annotations

import dataclasses
import hashlib
import urllib.error
from pathlib import Path

import pytest
import torch
from torchvision.models import WeightsEnum
from torchvision.models.detection import MaskRCNN_ResNet50_FPN_V2_Weights, MaskRCNN_ResNet50_FPN_Weights

from maskrcnn.errors import MaskRCNNError
from maskrcnn.weights import catalog
from maskrcnn.weights.catalog import CATALOG, COCO_NAMES, bundled_names, find_checkpoint


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
    assert find_checkpoint("nuclei") == (folders / "bundled" / "nuclei.safetensors", None)


def test_a_path(folders: Path) -> None:
    path = folders / "mine.pth"
    path.write_bytes(b"")
    assert find_checkpoint(path) == (path, None)
    assert find_checkpoint(str(path)) == (path, None)
    known = folders / CATALOG["coco"].file
    known.write_bytes(b"")
    assert find_checkpoint(known) == (known, CATALOG["coco"])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nuclie", r"unknown model 'nuclie' \(did you mean 'nuclei'\?\)"),
        ("coco-v3", r"unknown model 'coco-v3' \(did you mean 'coco-v2'\?\)"),
        ("zzz", r"unknown model 'zzz' \(known: nuclei, coco, coco-v2, coco-d2-r50-1x,"),
        ("weights/mine", r"weights/mine: no such model file .*nuclei, coco"),
        ("mine.safetensors", r"mine\.safetensors: no such model file .*nuclei, coco"),
    ],
)
def test_what_is_unknown_is_told(folders: Path, source: str, message: str) -> None:
    with pytest.raises(MaskRCNNError, match=message):
        find_checkpoint(source)


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
        find_checkpoint("coco")
    told = str(caught.value)
    assert "'coco' could not be fetched from https://download.pytorch.org" in told
    assert str(folders / "hub" / "checkpoints" / CATALOG["coco"].file) in told
    assert told.endswith("or use a bundled model: nuclei)")
    assert caught.value.__suppress_context__
    assert not (folders / "hub" / "checkpoints" / CATALOG["coco"].file).exists()


def test_a_download_folder_that_cannot_be_made(folders: Path) -> None:
    (folders / "hub").write_text("a file where the folder should be")
    with pytest.raises(MaskRCNNError, match="could not be fetched"):
        find_checkpoint("coco")


def test_a_file_is_fetched_once(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []

    def download(url: str, path: str, hash_prefix: str, progress: bool) -> None:
        fetched.append((url, hash_prefix))
        Path(path).write_bytes(b"weights")

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    expected = folders / "hub" / "checkpoints" / CATALOG["coco-v2"].file
    for _ in range(2):
        assert find_checkpoint("coco-v2") == (expected, CATALOG["coco-v2"])
    assert fetched == [(CATALOG["coco-v2"].url, "73cbd019")]


ZOO = [entry for entry in CATALOG.values() if entry.md5]


def test_the_zoo_is_as_detectron2_publishes_it() -> None:
    """Its MODEL_ZOO.md: runs, file names, box and mask AP on COCO val2017."""
    assert [(entry.url.split("/")[-3:], entry.measured.split(": ")[1]) for entry in ZOO] == [
        (["mask_rcnn_R_50_FPN_1x", "137260431", "model_final_a54504.pkl"], "box AP 38.6, mask AP 35.2 (published)"),
        (["mask_rcnn_R_50_FPN_3x", "137849600", "model_final_f10217.pkl"], "box AP 41.0, mask AP 37.2 (published)"),
        (["mask_rcnn_R_101_FPN_3x", "138205316", "model_final_a3ec72.pkl"], "box AP 42.9, mask AP 38.6 (published)"),
        (
            ["mask_rcnn_X_101_32x8d_FPN_3x", "139653917", "model_final_2d9806.pkl"],
            "box AP 44.3, mask AP 39.5 (published)",
        ),
    ]
    for entry in ZOO:
        assert entry.url.startswith("https://dl.fbaipublicfiles.com/detectron2/COCO-InstanceSegmentation/")
        assert entry.url.endswith(f"/{entry.file}")
        assert entry.licence == "CC BY-SA 3.0"


@pytest.mark.parametrize("good", [True, False])
def test_a_licence_is_shown_before_and_a_checksum_compared_after(
    folders: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, good: bool
) -> None:
    content = b"weights"
    told: list[str] = []

    def download(url: str, path: str, hash_prefix: str | None, progress: bool) -> None:
        assert hash_prefix is None
        told.append(capsys.readouterr().err)
        Path(path).write_bytes(content)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    known = hashlib.md5(content).hexdigest()[:6] if good else "f10217"
    monkeypatch.setitem(CATALOG, "coco-d2-r50-3x", dataclasses.replace(CATALOG["coco-d2-r50-3x"], md5=known))
    path = folders / "hub" / "checkpoints" / "model_final_f10217.pkl"
    if good:
        assert find_checkpoint("coco-d2-r50-3x")[0] == path
        noted = path.with_name("model_final_f10217.pkl.sha256").read_text()
        assert noted == f"{hashlib.sha256(content).hexdigest()}  model_final_f10217.pkl\n"
    else:
        with pytest.raises(MaskRCNNError, match="expected a file whose MD5 begins with f10217"):
            find_checkpoint("coco-d2-r50-3x")
        assert not path.exists()
    assert "CC BY-SA 3.0, https://creativecommons.org/licenses/by-sa/3.0/" in told[0]
