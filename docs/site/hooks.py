"""What the site has beside the pages in `docs/`, and what becomes of links that lead out of them.

Pages are written to be read in the repository too, so their links are paths of files. Those to other
pages lead there; those to sources, which the site does not show, become plain text.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent.parent
BESIDE = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "adain_jax/weights/fast.md": "models/fast.md",
    "adain_jax/weights/vgg19-decoder.md": "models/vgg19-decoder.md",
    "examples/README.md": "examples.md",
}
"""Pages from elsewhere in the repository, and where they are on the site."""
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])+)\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")
LOADED = re.compile(r"""<(?:script|img|iframe)[^>]+src=["']?https?:|<link[^>]+href=["']?https?:""")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages from elsewhere."""
    for path, uri in BESIDE.items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leads links to where pages are on the site."""
    paths = {uri: path for path, uri in BESIDE.items()}
    path = paths.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def led(match: re.Match[str]) -> str:
        text, link, anchor = match[1], match[2], match[3] or ""
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), link))
        if target.startswith("docs/"):
            uri = target.removeprefix("docs/")
        elif target in BESIDE:
            uri = BESIDE[target]
        elif (ROOT / target).exists():
            return text
        else:
            return match[0]  # a dead link, which MkDocs names
        return f"[{text}]({posixpath.relpath(uri, posixpath.dirname(page.file.src_uri))}{anchor})"

    return LINK.sub(led, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Pictures are loaded as they are scrolled to: the gallery has ninety."""
    return html.replace("<img ", '<img loading="lazy" ')


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> None:
    """Checks that reading a page loads nothing from elsewhere."""
    loaded = LOADED.search(output)
    if loaded:
        raise PluginError(f"{page.file.src_uri} would load something from elsewhere: {loaded[0]}")
