"""Makes the gallery, `docs/gallery/` and `docs/gallery.md`: `python docs/make_gallery.py`.

All example photographs in all example styles, at the photographs' own sizes, by both models; `vgg19`
needs its encoder (`adain convert --download`). Some minutes on two CPU cores.
"""

import io
from pathlib import Path

from PIL import Image

from adain_jax import Stylizer
from adain_jax.images import find_pictures, read_pixels

DOCS = Path(__file__).parent
EXAMPLES = DOCS.parent / "examples"
MODELS = ("fast", "vgg19")
LIMIT = 42_000  # bytes of one picture: pages of twenty are to open on a phone
THUMBNAIL = 200  # pixels

HEAD = """# Gallery

The four example photographs in the ten example styles, at the photographs' own sizes and full strength,
by both models: `fast`, which ships, and `vgg19` with the decoder that ships. These are all results, not
the best ones; only WebP has compressed them. A click shows a picture alone. This page is made by
`python docs/make_gallery.py`; photographs and styles are [free to use](../examples/README.md).
"""


def save(image: Image.Image, path: Path) -> None:
    """Writes a WebP file in the best quality that keeps within the limit."""
    for quality in range(95, 20, -5):
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=quality, method=6)
        if buffer.tell() <= LIMIT:
            break
    path.write_bytes(buffer.getvalue())


def page(contents: list[str], styles: list[str]) -> str:
    """The page: for each photograph a table, with a row for each style."""

    def shown(name: str, text: str) -> str:
        return f"[![{text}](gallery/{name}.webp)](gallery/{name}.webp)"

    parts = [HEAD]
    for content in contents:
        parts.append(
            f"\n## {content.capitalize()}\n\n{shown(content, f'The photograph, {content}')}\n"
        )
        parts.append("\n| style | `fast` | `vgg19` |\n|---|---|---|\n")
        for style in styles:
            label = style.replace("_", " ")
            results = (shown(f"{m}-{content}-{style}", f"{content}, {label}, {m}") for m in MODELS)
            parts.append(f"| {shown(style, label)} {label} | {' | '.join(results)} |\n")
    return "".join(parts)


def main() -> None:
    """Paints everything, and writes the page."""
    folder = DOCS / "gallery"
    folder.mkdir(exist_ok=True)
    contents = {path.stem: path for path in find_pictures(EXAMPLES / "content")}
    styles = {path.stem: path for path in find_pictures(EXAMPLES / "style")}
    photographs = [read_pixels(path) for path in contents.values()]
    for name, photograph in zip(contents, photographs, strict=True):
        save(Image.fromarray(photograph), folder / f"{name}.webp")
    for style, path in styles.items():
        save(Image.fromarray(read_pixels(path, size=THUMBNAIL)), folder / f"{style}.webp")
    for model in MODELS:
        stylizer = Stylizer.load(model)
        for style, path in styles.items():
            results = stylizer(photographs, stylizer.encode_style(read_pixels(path)))
            for content, result in zip(contents, results, strict=True):
                save(Image.fromarray(result), folder / f"{model}-{content}-{style}.webp")
            print(model, style, flush=True)
    (DOCS / "gallery.md").write_text(page(list(contents), list(styles)))


if __name__ == "__main__":
    main()
