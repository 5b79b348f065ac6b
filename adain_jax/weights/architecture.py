"""How a decoder for VGG19 differs from the paper's, as the metadata of its file records it.

`norm` and `transform` are those of `adain train`. What training can undo, a file does not hold:
batch normalization by running statistics is a part of the convolution before it, see
`adain_jax.training.models`.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import NamedTuple

from adain_jax.errors import printable

MOST_STYLES = 4096
LONGEST_NAME = 100


class Architecture(NamedTuple):
    """Which layers a decoder has beside the paper's.

    Attributes:
        norm: "none", or "instance" for instance normalization after each convolution but the last.
        transform: "adain"; "concat", for a decoder that takes the style's features beside the
            content's; or "conditional", for one that comes with a table of styles.
        styles: of "conditional", the name of each row of the table.
    """

    norm: str = "none"
    transform: str = "adain"
    styles: tuple[str, ...] = ()

    def metadata(self) -> dict[str, str]:
        """What the file records; nothing for the paper's own decoder."""
        if self == PLAIN:
            return {}
        fields = {"norm": self.norm, "transform": self.transform}
        return {**fields, "styles": json.dumps(self.styles)} if self.styles else fields

    def __str__(self) -> str:
        """In words, for messages."""
        norm = {"none": "", "instance": " with instance normalization"}[self.norm]
        transform = {
            "adain": "",
            "concat": " of concatenated features",
            "conditional": f" of {len(self.styles)} styles of its own",
        }[self.transform]
        return f"a decoder{norm}{transform}"


PLAIN = Architecture()
"""The paper's."""


def read_architecture(metadata: Mapping[str, str]) -> Architecture:
    """The architecture that a file's metadata record.

    Raises:
        ValueError: they record none that there is; the message says what is wrong with them.
    """
    norm, transform = metadata.get("norm", "none"), metadata.get("transform", "adain")
    for name, value, known in (
        ("norm", norm, ("none", "instance")),
        ("transform", transform, ("adain", "concat", "conditional")),
    ):
        if value not in known:
            raise ValueError(f"its {name} is none of {', '.join(known)}: {str(value)[:40]}")
    if transform != "conditional":
        return Architecture(norm, transform)
    try:
        styles = json.loads(metadata.get("styles", ""))
    except (TypeError, ValueError, RecursionError):
        styles = None
    if not isinstance(styles, list) or not 1 <= len(styles) <= MOST_STYLES:
        raise ValueError(f"its styles are no list of 1 to {MOST_STYLES} names")
    for style in styles:
        if not isinstance(style, str) or style != style_name(style):
            raise ValueError(f"one of its styles has no usable name: {str(style)[:40]}")
    if len(set(styles)) != len(styles):
        raise ValueError("two of its styles have the same name")
    return Architecture(norm, transform, tuple(styles))


def style_name(text: str) -> str:
    """A name that is no path, no number, and fit to be printed; most names are that already."""
    kept = printable(text).translate(str.maketrans("/\\:", "___"))
    kept = kept.strip(" .")[:LONGEST_NAME].strip(" .")
    return f"style {kept[:80]}".strip() if not kept or kept.isdecimal() else kept


def style_names(paths: Sequence[str]) -> tuple[str, ...]:
    """A name for each style, by its file; equal ones are numbered."""
    names: dict[str, None] = {}
    for path in paths:
        name = first = style_name(PurePath(path).stem)
        number = 1
        while name in names:
            number += 1
            name = f"{first[: LONGEST_NAME - 8]}_{number}"
        names[name] = None
    return tuple(names)
