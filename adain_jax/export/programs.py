"""The exported programs: what they are called, take and give, in every format."""

from typing import NamedTuple

from adain_jax.nn.network import CHANNELS

Shape = tuple[int | str, ...]
"""The length of each axis, or the name of one that the caller chooses."""


class Values(NamedTuple):
    """An input or output, float32: its shape, and what it means."""

    shape: Shape
    meaning: str


_PICTURE = (1, "height", "width", 3)
_ALPHA = Values((), "strength: 0 is the content, 1 the full style")
_RESULT = Values(_PICTURE, "RGB, clipped to [0, 1]")


class Program(NamedTuple):
    """A program: what its file is called after the model, what it does, takes and gives.

    Attributes:
        name: part of the file's name.
        purpose: one sentence.
        inputs, outputs: by their names, in order.
    """

    name: str
    purpose: str
    inputs: dict[str, Values]
    outputs: dict[str, Values]


def programs(regions: int) -> tuple[Program, Program]:
    """The style encoder, and the painter for so many masks, or 0 for none."""
    style_encoder = Program(
        name="style",
        purpose="Encodes a style picture of any size as the statistics that the painter takes.",
        inputs={"style": Values(_PICTURE, "RGB in [0, 1]")},
        outputs={
            "mean": Values((1, CHANNELS), "mean of each feature channel"),
            "std": Values((1, CHANNELS), "standard deviation of each feature channel"),
        },
    )
    rows = regions or 1
    masks = {
        "masks": Values(
            (1, "height", "width", regions),
            "how much of each pixel belongs to each region, in [0, 1]; pixels of none keep the content",
        )
    }
    painter = Program(
        name=f"painter-{regions}-regions" if regions else "painter",
        purpose="Paints a content picture of any size in a style, or in a mixture by its statistics.",
        inputs={
            "content": Values(_PICTURE, "RGB in [0, 1]"),
            "mean": Values((rows, CHANNELS), "of the style, one row per region"),
            "std": Values((rows, CHANNELS), "of the style, one row per region"),
            "alpha": _ALPHA,
            **(masks if regions else {}),
        },
        outputs={"result": _RESULT},
    )
    return style_encoder, painter


def halves() -> tuple[Program, Program]:
    """The painter as two programs, between which statistics of the content are taken."""
    features = {
        "features": Values((1, CHANNELS, "rows", "columns"), "one for each block of 8 x 8 pixels")
    }
    encoder = Program(
        name="encoder",
        purpose="Encodes a picture of any size, or a tile of one, as features.",
        inputs={"picture": Values(_PICTURE, "RGB in [0, 1]")},
        outputs=features,
    )
    decoder = Program(
        name="decoder",
        purpose="Paints features of a content picture, or of a tile of one, in a style.",
        inputs={
            **features,
            "content_mean": Values((1, CHANNELS), "of the features of the whole content"),
            "content_std": Values((1, CHANNELS), "of the features of the whole content"),
            "mean": Values((1, CHANNELS), "of the style"),
            "std": Values((1, CHANNELS), "of the style"),
            "alpha": _ALPHA,
        },
        outputs={"result": _RESULT},
    )
    return encoder, decoder
