"""Models known by name: bundled with the package, or fetched once from where their authors publish them."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maskrcnn.errors import MaskRCNNError
from maskrcnn.json_yaml import shown
from maskrcnn.text import first_line, suggestion

BUNDLED = Path(__file__).parent / "bundled"

# The 91 outputs of COCO models are numbered by COCO's category ids, of which eleven were never used.
_COCO = """person bicycle car motorcycle airplane bus train truck boat traffic_light fire_hydrant - stop_sign
parking_meter bench bird cat dog horse sheep cow elephant bear zebra giraffe - backpack umbrella - - handbag tie
suitcase frisbee skis snowboard sports_ball kite baseball_bat baseball_glove skateboard surfboard tennis_racket bottle -
wine_glass cup fork knife spoon bowl banana apple sandwich orange broccoli carrot hot_dog pizza donut cake chair couch
potted_plant bed - dining_table - - toilet - tv laptop mouse remote keyboard cell_phone microwave oven toaster sink
refrigerator - book clock vase scissors teddy_bear hair_drier toothbrush"""
COCO_NAMES = tuple(
    f"unused {number}" if name == "-" else name.replace("_", " ") for number, name in enumerate(_COCO.split(), start=1)
)


@dataclass(frozen=True)
class CatalogEntry:
    """A published model. AP is in percent on the data named.

    A fetched file is checked against the beginning of its SHA-256 or else its MD5, as its authors publish it.
    """

    name: str
    what: str
    backbone: str
    licence: str
    measured: str
    file: str
    url: str
    sha256: str = ""
    md5: str = ""
    config: dict[str, Any] = field(default_factory=dict)  # settings that cannot be inferred from the parameters

    @property
    def path(self) -> Path:
        """Where the file lies once it is fetched: torch's folder of checkpoints."""
        return fetched_file(self.file)


def _torchvision(name: str, version: int, file: str, box: float, mask: float, **config: Any) -> CatalogEntry:
    """A COCO model of torchvision; the file's name ends in the beginning of its SHA-256."""
    run = "" if version == 1 else f" v{version}"
    return CatalogEntry(
        name,
        f"80 everyday classes, ResNet-50-FPN{run} (torchvision's v{version})",
        "resnet50",
        "BSD-3-Clause",
        f"COCO val2017: box AP {box}, mask AP {mask} (published)",
        file,
        f"https://download.pytorch.org/models/{file}",
        sha256=Path(file).stem.rpartition("-")[2],
        config=config,
    )


def _detectron2(name: str, network: str, epochs: int, run: str, md5: str, box: float, mask: float) -> CatalogEntry:
    """A model of detectron2's zoo, as its MODEL_ZOO.md lists it."""
    file = f"model_final_{md5}.pkl"
    return CatalogEntry(
        name,
        f"80 everyday classes, {network}-FPN, {epochs} epochs (detectron2's zoo)",
        "resnet101" if "101" in network else "resnet50",
        "CC BY-SA 3.0",
        f"COCO val2017: box AP {box}, mask AP {mask} (published)",
        file,
        f"https://dl.fbaipublicfiles.com/detectron2/COCO-InstanceSegmentation/mask_rcnn_{run}/{file}",
        md5=md5,
    )


CATALOG: dict[str, CatalogEntry] = {
    entry.name: entry
    for entry in (
        _torchvision("coco", 1, "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth", 37.9, 34.6, norm_eps=0.0),
        _torchvision("coco-v2", 2, "maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth", 47.4, 41.8),
        _detectron2("coco-d2-r50-1x", "ResNet-50", 12, "R_50_FPN_1x/137260431", "a54504", 38.6, 35.2),
        _detectron2("coco-d2-r50-3x", "ResNet-50", 37, "R_50_FPN_3x/137849600", "f10217", 41.0, 37.2),
        _detectron2("coco-d2-r101-3x", "ResNet-101", 37, "R_101_FPN_3x/138205316", "a3ec72", 42.9, 38.6),
        _detectron2("coco-d2-x101-3x", "ResNeXt-101-32x8d", 37, "X_101_32x8d_FPN_3x/139653917", "2d9806", 44.3, 39.5),
    )
}
_TERMS = {"CC BY-SA 3.0": ", https://creativecommons.org/licenses/by-sa/3.0/: name the authors, share alike"}


def fetched_file(name: str) -> Path:
    """Where torch keeps a file of this name that it has fetched, whether it is there or not."""
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints" / name


def bundled_names() -> list[str]:
    """Names of the models inside the package."""
    return sorted(path.stem for path in BUNDLED.glob("*.safetensors"))


def find_checkpoint(source: str | Path) -> tuple[Path, CatalogEntry | None]:
    """The file of a bundled name, a catalog name or a path; a catalog file is fetched and checked if it is missing.

    Raises `MaskRCNNError` if it is none of these or the download fails.
    """
    if not isinstance(source, str | Path):
        raise MaskRCNNError(f"expected a model's name or path, found {shown(source)}", fix="such as 'coco'")
    name = str(source)
    if name in bundled_names():
        return BUNDLED / f"{name}.safetensors", None
    if name in CATALOG:
        return _fetch(CATALOG[name]), CATALOG[name]
    try:
        path = Path(source).expanduser()
        there = path.is_file()
    except (OSError, RuntimeError, ValueError) as error:  # a name too long, the home of an unknown user
        what = f"no such model file: {first_line(error)}"
        raise MaskRCNNError(what, where=shown(name), fix="check the path") from None
    if there:
        return path, next((entry for entry in CATALOG.values() if entry.file == path.name), None)
    known = [*bundled_names(), *CATALOG]
    if path.suffix or len(path.parts) > 1:
        raise MaskRCNNError("no such model file", where=path, fix=f"check the path, or use one of {', '.join(known)}")
    raise MaskRCNNError(f"unknown model {shown(name)}", fix=suggestion(name, known))


def _fetch(entry: CatalogEntry) -> Path:
    import torch

    path = entry.path
    if path.is_file():
        return path
    print(f"fetching {entry.url}\nlicence: {entry.licence}{_TERMS.get(entry.licence, '')}", file=sys.stderr)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(entry.url, str(path), hash_prefix=entry.sha256 or None, progress=True)
        if entry.md5:
            _check_md5(path, entry.md5)
    except (OSError, RuntimeError) as error:
        raise MaskRCNNError(
            f"model {entry.name!r} could not be fetched from {entry.url}: {error}",
            fix=f"go online once, put the file at {path}, or use a bundled model: {', '.join(bundled_names())}",
        ) from None
    return path


def _check_md5(path: Path, expected: str) -> None:
    """Compare with the beginning in the file's name, and write its SHA-256, which is not published, beside it."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(2**20):
            md5.update(part)
            sha256.update(part)
    if not md5.hexdigest().startswith(expected):
        path.unlink()
        raise RuntimeError(f"expected a file whose MD5 begins with {expected}, found {md5.hexdigest()}")
    path.with_name(f"{path.name}.sha256").write_text(f"{sha256.hexdigest()}  {path.name}\n", encoding="utf-8")
