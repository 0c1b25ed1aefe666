"""Pages of the site that are no files of docs/: files from elsewhere in the repository, and what the program says of
itself.

A hook of MkDocs. Nothing is copied in git: a page from elsewhere is read where it lies, and its links, which are
relative to that place, are turned into links of the site. A link to source code leads to a page that shows the file.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from pathlib import Path

from command_reference import command_pages
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from record_tables import record_pages

import maskrcnn

ROOT = Path(__file__).resolve().parents[1]
BUNDLED = "src/maskrcnn/weights/bundled"
# Page of the site: file of the repository.
ELSEWHERE = {
    "benchmarks.md": "benchmarks/README.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "security.md": "SECURITY.md",
    "site.css": "website/site.css",
    **{f"models/{card.stem}.md": f"{BUNDLED}/{card.name}" for card in (ROOT / BUNDLED).glob("*.md")},
    **{f"notebooks/{book.name}": f"notebooks/{book.name}" for book in (ROOT / "notebooks").glob("*.ipynb")},
}
_FUNCTIONS = """# Functions

`import maskrcnn` takes no time: each name is imported when it is first used. The verbs of [the command
line](cli/index.md) have the same names and defaults here; [what they return](runs.md).

"""
LANGUAGES = {".py": "python", ".yaml": "yaml", ".toml": "toml"}
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(\]\()(?!https?:|#|mailto:)([^)\s#]+)(#[^)\s]*)?(\))")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The notebooks take a place of their own in the navigation."""
    books = sorted(page for page in ELSEWHERE if page.startswith("notebooks/"))
    assert config.nav is not None
    config.nav.insert(2, {"Notebooks": books})
    return config


@event_priority(100)  # before the plugin that renders notebooks
def on_files(files: Files, config: MkDocsConfig) -> Files:
    for page, origin in ELSEWHERE.items():
        if page == origin:  # the plugin for notebooks asks for a folder
            files.append(File(page, str(ROOT), config.site_dir, config.use_directory_urls))
        else:
            files.append(File.generated(config, page, abs_src_path=str(ROOT / origin)))
    made = {**command_pages(), **record_pages(), "reference/functions.md": _functions()}
    for page, content in made.items():
        files.append(File.generated(config, page, content=content))
    for file in list(files.documentation_pages()):
        if file.src_uri.endswith(".md"):
            for target in _linked_sources(file):
                if files.get_file_from_path(_source_page(target)) is None:
                    files.append(File.generated(config, _source_page(target), content=_source_text(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page, with links between files of the repository as links between pages of the site."""
    return _outside_fences(markdown, lambda text: _LINK.sub(lambda link: _site_link(link, page.file), text))


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """A notebook, with links to other notebooks as links to their pages, and without the drawing of diagrams.

    That is a script of nbconvert which would load a program from elsewhere.
    """
    if not page.file.src_uri.endswith(".ipynb"):
        return html
    html = re.sub(r'<script type="module">(?:(?!</script>).)*mermaid.*?</script>', "", html, flags=re.DOTALL)
    return re.sub(r'href="([\w-]+)\.ipynb"', r'href="\1.html"', html)


def _functions() -> str:
    """The page of the public functions, in the order of the package."""
    names = [name for name in maskrcnn.__all__ if name[0].islower()]
    return _FUNCTIONS + "".join(f"::: maskrcnn.{name}\n" for name in names)


def _origin(page: str) -> str:
    """The repository's file that a page of the site is made of."""
    return ELSEWHERE.get(page, f"docs/{page}")


def _repository_target(link: str, page: str) -> str | None:
    """The repository's file or folder that a link of a page means, if there is such."""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(_origin(page)), link))
    return target if not target.startswith("..") and (ROOT / target).exists() else None


def _site_page(target: str) -> str:
    """The page of the site that shows a file or folder of the repository."""
    for page, origin in ELSEWHERE.items():
        if origin == target:
            return page
    inside = target.removeprefix("docs/")
    shown = inside != target and Path(target).suffix in (".md", ".png", ".jpg", ".svg")
    return inside if shown else _source_page(target)


def _source_page(target: str) -> str:
    return f"source/{target}.md"


def _site_link(link: re.Match[str], file: File) -> str:
    before, path, anchor, after = link.groups(default="")
    target = _repository_target(path, file.src_uri)
    if target is None:
        return link[0]
    where = posixpath.relpath(_site_page(target), posixpath.dirname(file.src_uri) or ".")
    return f"{before}{where}{anchor}{after}"


def _linked_sources(file: File) -> set[str]:
    targets = {
        _repository_target(link[2], file.src_uri) for link in _LINK.finditer(_FENCE.sub("", file.content_string))
    }
    return {target for target in targets if target and _site_page(target) == _source_page(target)}


def _source_text(path: Path) -> str:
    """A page that shows a file, or what is in a folder."""
    head = f"---\nsearch:\n  exclude: true\nhide: [toc]\n---\n\n# `{path.relative_to(ROOT).as_posix()}`\n\n"
    if path.is_dir():
        names = sorted(f"{file.name}{'/' if file.is_dir() else ''}" for file in path.iterdir() if file.name[:2] != "__")
        return head + "".join(f"- `{name}`\n" for name in names)
    return f"{head}````{LANGUAGES.get(path.suffix, 'text')}\n{path.read_text(encoding='utf-8')}````\n"


def _outside_fences(text: str, change: Callable[[str], str]) -> str:
    parts: list[str] = []
    end = 0
    for fence in _FENCE.finditer(text):
        parts += [change(text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, change(text[end:])])
