"""What mkdocs is told of this repository: the README is the first page, and code is named, not linked."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(\w+) .+$", re.MULTILINE)
"""The opening of a block that says more than its language: how it is tested is nothing for the site."""
_LINK = re.compile(r"\[([^\]]+)\]\(((?!https?:)[^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Let the README stand as the first page."""
    files.append(File.generated(config, "index.md", content=(ROOT / "README.md").read_text()))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Turn links for the repository into links for the site, and fences into what its parser knows."""
    source = page.file.src_uri
    folder = "" if source == "index.md" else posixpath.join("docs", posixpath.dirname(source))

    def on_site(link: re.Match[str]) -> str:
        text, target, heading = link[1], posixpath.normpath(posixpath.join(folder, link[2])), link[3] or ""
        if target == "README.md":
            target = "docs/index.md"
        if not target.startswith("docs/") or (ROOT / target).is_dir():
            return f"`{target}`" if text.strip("`") == target else f"{text} (`{target}`)"
        start = posixpath.dirname(source) or "."
        return f"[{text}]({posixpath.relpath(target.removeprefix('docs/'), start)}{heading})"

    return _LINK.sub(on_site, _FENCE.sub(r"```\1", markdown))
