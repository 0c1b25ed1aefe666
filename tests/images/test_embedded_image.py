import base64
import io
import json
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn.errors import MaskRCNNError
from maskrcnn.images import embedded_image as module
from maskrcnn.images.embedded_image import embedded_image, image_suffix
from maskrcnn.images.image_reader import image_size, read_header, read_image


def encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def write(path: Path, content: bytes) -> Path:
    path.write_text(json.dumps({"imageData": base64.b64encode(content).decode()}), encoding="utf-8")
    return path


@pytest.mark.parametrize(("kind", "suffix"), [("PNG", ".png"), ("JPEG", ".jpg"), ("TIFF", ".tif"), ("WEBP", ".webp")])
def test_a_picture_in_json_reads_as_its_file(tmp_path: Path, kind: str, suffix: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    content = encoded(Image.fromarray(pixels), kind)
    plain = tmp_path / f"a{suffix}"
    plain.write_bytes(content)
    path = write(tmp_path / "a.json", content)
    assert (read_image(path).pixels == read_image(plain).pixels).all()
    assert image_size(path) == (5, 7)
    assert read_header(path)[2:] == read_header(plain)[2:]
    assert read_header(path).size == (5, 7)
    assert embedded_image(path) == content
    assert image_suffix(content) == suffix


@pytest.mark.parametrize("text", ["", "{}", "[]", "7", '{"imageData": null}', '{"imageData": "?"}', '{"imageData": 3}'])
def test_a_json_without_a_picture_is_one_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    for function in (read_image, image_size, read_header):
        with pytest.raises(MaskRCNNError):
            function(path)


def test_its_size_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.json", encoded(Image.new("L", (4, 4)), "PNG"))
    monkeypatch.setattr(module, "MAX_BYTES", 50)
    with pytest.raises(MaskRCNNError, match="at most 50 bytes of JSON"):
        image_size(path)


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    def chunk(name: bytes, content: bytes) -> bytes:
        check = zlib.crc32(name + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + name + content + check

    header = (60_000).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10**6)))
    path = write(tmp_path / "a.json", png)
    tracemalloc.start()
    with pytest.raises(MaskRCNNError, match="pixels"):
        read_image(path)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()
