"""The documentation's site builds without a warning, its links lead somewhere, and it loads nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zlib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import typer

import maskrcnn
from maskrcnn.cli.main import app
from maskrcnn.datasets.doctor.checks import CHECKS
from maskrcnn.training.recipe import Recipe

ROOT = Path(__file__).parents[1]
# Attributes by which a page loads something; a link to another page loads nothing.
LOADS = {"src", "srcset", "data", "poster"}
LOADING_LINKS = {"stylesheet", "icon", "preload", "preconnect", "dns-prefetch", "modulepreload", "manifest"}


class PageParts(HTMLParser):
    """What a page of the site refers to: `links` to pages, `loads` of resources, and its own anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.in_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attributes if value}
        self.in_script = tag == "script"
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        self.loads += [values[name] for name in LOADS & values.keys() if tag != "object" or name == "data"]
        if "href" in values:
            loads = tag == "link" and set(values.get("rel", "").split()) & LOADING_LINKS
            (self.loads if loads else self.links).append(values["href"])

    def handle_data(self, data: str) -> None:
        if self.in_script:
            self.loads += re.findall(r"""["'](https?://[^"']+)""", data)


def broken(folder: Path) -> list[str]:
    """Links and resources of a site's pages that are not there, are no address, or are loaded from elsewhere."""
    pages = {path: PageParts(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.html"))}
    found = []
    for path, parts in pages.items():
        for kind, target in [("link", link) for link in parts.links] + [("load", load) for load in parts.loads]:
            scheme, host, name, _, anchor = urlsplit(target)
            if scheme or host:
                well_formed = scheme == "data" or (scheme == "https" and "." in host and " " not in target)
                if not well_formed or (kind == "load" and scheme != "data"):
                    found.append(f"{path.relative_to(folder)}: {kind} {target}")
                continue
            # The page for unknown addresses is shown anywhere, so its links start at the root.
            start = folder if name.startswith("/") else path.parent
            file = (start / unquote(name).lstrip("/")).resolve() if name else path
            file = file / "index.html" if file.is_dir() else file
            lost = not file.is_file() or (anchor and file in pages and unquote(anchor) not in pages[file].anchors)
            if lost:
                found.append(f"{path.relative_to(folder)}: {kind} {target}")
    for sheet in folder.rglob("*.css"):
        urls = re.findall(r"url\(\s*['\"]?([^)'\"]+)", sheet.read_text("utf-8"))
        found += [f"{sheet.relative_to(folder)}: {url}" for url in urls if re.match(r"(https?:)?//", url)]
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_links_and_pictures_are_there_and_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    assert len(list(site.rglob("*.html"))) > 30
    assert broken(site) == []


def test_what_is_broken_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<h1 id="top"></h1><a href="b.html#there"></a><a href="#top"></a><a href="https://example.org/x"></a>'
        '<img src="data:image/png;base64,AA"><a href="mailto"></a><a href="b.html#lost"></a><img src="lost.png">'
        '<script src="https://example.org/x.js"></script><link rel="stylesheet" href="//example.org/x.css">'
        '<a href="http://example.org"></a><script>import("https://example.org/y.js")</script>'
    )
    (tmp_path / "b.html").write_text('<a name="there"></a>')
    (tmp_path / "c.css").write_text("@import url(https://example.org/font.css)")
    assert broken(tmp_path) == [
        "a.html: link mailto",
        "a.html: link b.html#lost",
        "a.html: link http://example.org",
        "a.html: load lost.png",
        "a.html: load https://example.org/x.js",
        "a.html: load //example.org/x.css",
        "a.html: load https://example.org/y.js",
        "c.css: https://example.org/font.css",
    ]


def text_of(page: Path) -> str:
    return re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")).replace("&lt;", "<").replace("&gt;", ">")


def test_the_command_line_is_there_with_every_option(site: Path) -> None:
    root = typer.main.get_command(app)
    verbs = root.commands  # type: ignore[attr-defined]
    for name, verb in verbs.items():
        text = text_of(site / "reference" / "cli" / f"{name}.html")
        assert "Exit code" in text
        for command in (verb, *getattr(verb, "commands", {}).values()):
            for parameter in command.make_context(name, [], resilient_parsing=True).command.params:
                written = parameter.opts if parameter.param_type_name == "option" else [parameter.metavar]
                assert any(word and word in text for word in written), (name, parameter.name)
    assert re.search(
        r"--score <[^>]*>\s*Leave out objects below this score. \(0<=x<=1\)\s*0\.5",
        text_of(site / "reference" / "cli" / "predict.html"),
    )


def test_every_public_name_has_a_place_in_the_reference(site: Path) -> None:
    inventory = zlib.decompress((site / "objects.inv").read_bytes().split(b"\n", 4)[4]).decode()
    known = {line.partition(" ")[0] for line in inventory.splitlines()}
    assert {f"maskrcnn.{name}" for name in maskrcnn.__all__ if not name.startswith("_")} <= known
    assert {"maskrcnn.Result.measure", "maskrcnn.runtime.load", "maskrcnn.Predictor.predict"} <= known


def test_every_setting_and_every_check_is_there(site: Path) -> None:
    settings, checks = (text_of(site / "reference" / f"{page}.html") for page in ("recipe", "checks"))
    assert [name for name in Recipe.model_fields if f"\n{name}\n" not in settings] == []
    assert [check for check in CHECKS if check not in checks] == []
