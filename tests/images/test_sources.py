"""Arguments to images: what is found, what is told, and a real server for addresses."""

import io
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np
import pytest
from PIL import Image

from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.sources import download, read_source, resolve_sources


def image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3), (200, 10, 20)).save(path)
    return path


def test_a_file_a_folder_and_a_pattern(tmp_path):
    file = image(tmp_path / "one.JPG")
    for name in ("b.png", "a.jpg"):
        image(tmp_path / "folder" / name)
    (tmp_path / "folder" / "notes.txt").write_text("x")
    image(tmp_path / "deep" / "er" / "c.png")
    found = resolve_sources([str(file), str(tmp_path / "folder"), str(tmp_path / "deep" / "**" / "*.png")])
    assert [source.name for source in found.images] == ["one.JPG", "a.jpg", "b.png", "c.png"]
    assert [source.stem for source in found.images] == ["one", "a", "b", "c"]
    assert found.images[0].path_or_url == file
    assert found.problems == []
    assert found.notes == []


def test_a_pattern_takes_images_only_and_a_name_with_brackets_is_a_name(tmp_path):
    image(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("x")
    literal = image(tmp_path / "scan[1].png")
    found = resolve_sources([tmp_path / "a*", literal])
    assert [source.name for source in found.images] == ["a.png", "scan[1].png"]


def test_what_is_missing_is_told_and_the_rest_is_kept(tmp_path):
    file = image(tmp_path / "a.png")
    (tmp_path / "texts").mkdir()
    for k in range(2):
        (tmp_path / "texts" / f"{k}.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    gone, lost = tmp_path / "gone.png", tmp_path / "no" / "x.png"
    found = resolve_sources([gone, lost, tmp_path / "texts", tmp_path / "empty", tmp_path / "*.bmp", file])
    assert [source.path_or_url for source in found.images] == [file]
    first, second, third, fourth, fifth = map(str, found.problems)
    assert str(gone) in first
    assert "check the name" in first
    assert f"its folder {tmp_path / 'no'} is missing too" in second
    assert "found 2 .txt files" in third
    assert "found nothing" in fourth
    assert "it matches nothing" in fifth


def test_sub_folders_are_left_out_and_told(tmp_path):
    image(tmp_path / "a.png")
    image(tmp_path / "more" / "b.png")
    found = resolve_sources([tmp_path])
    assert [source.name for source in found.images] == ["a.png"]
    assert found.problems == []
    assert "1 taken, 1 in sub-folders left out" in found.notes[0]
    wider = found.notes[0].split('"')[1]
    assert [source.name for source in resolve_sources([wider]).images] == ["a.png", "b.png"]
    only_below = resolve_sources([tmp_path.parent / tmp_path.name / "more" / ".."])
    assert len(only_below.images) == 1


def test_a_folder_with_images_only_below_names_the_pattern(tmp_path):
    image(tmp_path / "more" / "b.png")
    found = resolve_sources([tmp_path])
    assert found.images == []
    assert "found 1 in its sub-folders" in found.problems[0].what
    wider = found.problems[0].fix.split('"')[1]
    assert len(resolve_sources([wider]).images) == 1


def test_an_image_given_twice_is_listed_once(tmp_path):
    file = image(tmp_path / "a.png")
    assert len(resolve_sources([file, tmp_path, str(tmp_path / "x" / ".." / "*.png"), file]).images) == 1


def test_equal_names_get_their_folders_and_every_stem_is_its_own(tmp_path):
    files = ["a/x.jpg", "b/x.jpg", "b/x.png", "b/X.bmp", "b/x_2.png", "c/y.jpg"]
    found = resolve_sources([image(tmp_path / name) for name in files])
    assert [source.name for source in found.images] == ["a/x.jpg", "b/x.jpg", "x.png", "X.bmp", "x_2.png", "y.jpg"]
    stems = [source.stem for source in found.images]
    assert stems == ["x", "x_3", "x_4", "X_5", "x_2", "y"]
    assert len({stem.casefold() for stem in stems}) == len(stems)


def test_names_differ_when_one_folder_holds_the_other(tmp_path):
    found = resolve_sources([image(tmp_path / "x.jpg"), image(tmp_path / "sub" / "x.jpg")])
    assert [source.name for source in found.images] == ["x.jpg", "sub/x.jpg"]


def test_one_bad_name_costs_no_other(tmp_path):
    file = image(tmp_path / "a.png")
    bad = [
        "http://a:b/x",
        "http://[::1/x",
        "https:///x.png",
        "http://exa mple.org/a.png",
        "http://example.org/a\nb.png",
        "http://example.org/\x1b[31m.png",
        "x" * 300 + ".png",
        "a\0b.png",
        "~nobody-of-this-name/a.png",
    ]
    found = resolve_sources([*bad, file])
    assert [source.path_or_url for source in found.images] == [file]
    assert len(found.problems) == len(bad)
    for name, problem in zip(bad, found.problems, strict=True):
        assert str(problem).startswith(f"{name}: ")


def test_very_long_names_have_short_stems_that_differ(tmp_path):
    long = [image(tmp_path / ("x" * 240 + f"{k}.png")) for k in range(3)]
    wide = image(tmp_path / ("猫" * 82 + ".png"))
    address = "http://example.org/" + "y" * 400 + ".png"
    stems = [source.stem for source in resolve_sources([*long, wide, address]).images]
    assert len(set(stems)) == 5
    for stem in stems:
        image(tmp_path / "out" / f"{stem}.png")
        assert len(stem.encode()) <= 210
    assert stems[3].strip("猫") == ""


def test_what_is_named_as_an_image_and_is_none_is_told(tmp_path):
    image(tmp_path / "a.png")
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "broken.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "circle.png").symlink_to(tmp_path / "circle.png")
    for argument in (tmp_path, str(tmp_path / "*")):
        found = resolve_sources([argument])
        assert [source.name for source in found.images] == ["a.png"]
        assert sorted(Path(str(problem.where)).name for problem in found.problems) == [
            "broken.png", "circle.png", "pipe.png",
        ]  # fmt: skip
    with pytest.raises(MaskRCNNError, match="pipe or device"):
        read_source(tmp_path / "pipe.png")
    with pytest.raises(MaskRCNNError, match="pipe or device"):
        read_source("/dev/zero")


def test_patterns_end_where_links_make_circles(tmp_path):
    image(tmp_path / "deep" / "er" / "a.png")
    for k in range(4):
        (tmp_path / "deep" / f"circle{k}").symlink_to(tmp_path)
    (tmp_path / ".hidden").mkdir()
    image(tmp_path / ".hidden" / "b.png")
    for pattern in ("**/*.png", "**", "deep/**/a*", "**/er/**/*.png", "d*/**/*"):
        assert [source.name for source in resolve_sources([tmp_path / pattern]).images] == ["a.png"], pattern


def test_a_folder_with_brackets_names_a_pattern_that_finds_its_images(tmp_path):
    image(tmp_path / "run [1]" / "more" / "b.png")
    image(tmp_path / "run [1]" / "a.png")
    found = resolve_sources([tmp_path / "run [1]"])
    wider = found.notes[0].split('"')[1]
    assert [source.name for source in resolve_sources([wider]).images] == ["a.png", "b.png"]


def test_addresses_are_taken_as_they_are():
    urls = [
        "https://example.org/p/cat%20one.jpg?size=3",
        "HTTP://example.org/",
        "https://example.org/a/..%2F..%2Fb.png",
    ]
    found = resolve_sources([*urls, urls[0]])
    assert [source.path_or_url for source in found.images] == urls
    assert [source.stem for source in found.images] == ["cat one", "image", ".._.._b"]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/gone.png":
            self.send_error(404, "Not Found")
            return
        if self.path.startswith(("/to/", "/circle")):
            self.send_response(302)
            self.send_header("Location", unquote(self.path.removeprefix("/to/")))
            self.end_headers()
            return
        self.send_response(200)
        body = self.server.bodies[self.path]
        if self.path != "/endless.png":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            for _ in range(1000 if self.path == "/endless.png" else 1):
                self.wfile.write(body)
        except OSError:
            pass

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def server():
    png = io.BytesIO()
    Image.new("RGB", (4, 3), (200, 10, 20)).save(png, format="PNG")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.bodies = {
        "/red.png": png.getvalue(),
        "/r%C3%A9d%201.png?size=3%20m": png.getvalue(),
        "/text.png": b"hello, this is text",
        "/endless.png": b"x" * 10_000,
    }
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_an_image_is_read_from_a_server_as_from_a_file(server, tmp_path):
    pixels = read_source(f"{server}/red.png").pixels
    assert pixels.shape == (3, 4, 3)
    assert pixels[0, 0].tolist() == [200, 10, 20]
    assert np.array_equal(pixels, read_source(image(tmp_path / "red.png")).pixels)


def test_addresses_as_people_paste_them(server):
    for name in ("r%C3%A9d 1.png", "réd 1.png", "r%C3%A9d%201.png"):
        assert read_source(f"{server}/{name}?size=3 m#top").pixels.shape == (3, 4, 3)


def test_what_a_server_may_do_wrong(server):
    with pytest.raises(MaskRCNNError, match=r"gone\.png: the server answered 404 Not Found"):
        read_source(f"{server}/gone.png")
    with pytest.raises(MaskRCNNError, match=rf"^{server}/text\.png: "):
        read_source(f"{server}/text.png")
    with pytest.raises(MaskRCNNError, match="more than the 20 bytes allowed"):
        download(f"{server}/red.png", max_bytes=20)
    with pytest.raises(MaskRCNNError, match="more than the 50,000 bytes allowed"):
        download(f"{server}/endless.png", max_bytes=50_000)
    assert len(download(f"{server}/text.png", max_bytes=19)) == 19


def test_a_redirect_leads_to_another_web_page_only(server):
    assert read_source(f"{server}/to//red.png").pixels.shape == (3, 4, 3)
    assert read_source(f"{server}/to/{quote(f'{server}/red.png', safe='')}").pixels.shape == (3, 4, 3)
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(0.2)
        place = f"127.0.0.1:{other.getsockname()[1]}/a.png"
        targets = f"ftp://{place}", "file:///etc/hostname", "FILE:///etc/hostname", "data:text/plain,a", "gopher://x"
        for target in targets:
            with pytest.raises(MaskRCNNError, match=r"/to/.*(cannot be reached|server answered 302)") as caught:
                download(f"{server}/to/{quote(target, safe='')}")
            assert "\n" not in str(caught.value)
        with pytest.raises(TimeoutError):
            other.accept()  # nobody asked
    with pytest.raises(MaskRCNNError, match="server answered 302") as caught:
        download(f"{server}/circle")
    assert "\n" not in str(caught.value)


def test_offline_is_told(server):
    with pytest.raises(MaskRCNNError, match=r"http://127\.0\.0\.1:1/a\.png: cannot be reached: .*network"):
        download("http://127.0.0.1:1/a.png")
    with pytest.raises(MaskRCNNError, match="cannot be reached"):
        download("http://[bad/a.png")
    with pytest.raises(MaskRCNNError, match="cannot be reached"):
        read_source("http://a:b/x")
