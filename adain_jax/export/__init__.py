"""Exported models: files that other runtimes run, without this package (ONNX: without Python, too)."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from adain_jax.errors import AdainError
from adain_jax.files import write_atomically

if TYPE_CHECKING:  # so that the command's --help never waits for JAX
    from adain_jax.inference.stylizer import Stylizer

Format = Literal["onnx", "stablehlo"]


def export(
    stylizer: "Stylizer",
    folder: str | Path,
    *,
    format: Format = "onnx",
    half: bool = False,
    regions: int = 0,
    split: bool = False,
) -> list[Path]:
    """Writes a model as two programs, each one file: its style encoder and its painter.

    What they take and give is in `adain_jax.export.programs`. The painter gives what `stylizer` gives
    of a picture in one piece, to rounding.

    Args:
        stylizer: the model.
        folder: where `MODEL-style.FORMAT` and `MODEL-painter.FORMAT` go; made where it is missing.
        format: "onnx", for ONNX Runtime and others, or "stablehlo", as `jax.export` writes and reads
            it.
        half: keep the weights in float16, in half the space; all is computed in float32 still.
        regions: number of masks that the painter takes; without masks 0. With masks it is called
            `MODEL-painter-N-regions.FORMAT`.
        split: write the painter's two halves instead, `MODEL-encoder.FORMAT` and
            `MODEL-decoder.FORMAT`, for pictures in tiles, and for statistics of the content that are
            known already or smoothed.

    Returns:
        The files, the (style) encoder first.

    Raises:
        AdainError: what writes the format is not installed: it comes with the extra `export`; or
            the decoder has other layers than the paper's.
        ValueError: there is no such format, `regions` is negative, or given with `split`.
        OSError: a file cannot be written.
    """
    from adain_jax.export.programs import halves, programs
    from adain_jax.weights.architecture import PLAIN

    if stylizer.architecture != PLAIN:
        raise AdainError(f"{stylizer.architecture} cannot be exported, only the paper's")
    if regions < 0:
        raise ValueError(f"regions must be at least 0, not {regions}")
    if regions and split:
        raise ValueError("a painter that is split takes no regions")
    try:
        if format == "onnx":
            from adain_jax.export.onnx_programs import serialize
        elif format == "stablehlo":
            from adain_jax.export.stablehlo import serialize
        else:
            raise ValueError(f"format must be onnx or stablehlo, not {format}")
    except ModuleNotFoundError as error:
        raise AdainError(
            f"{format} files need {error.name}: pip install 'adain-jax[export]'"
        ) from error
    files = {
        Path(folder) / f"{stylizer.model}-{program.name}.{format}": serialize(
            program, stylizer, half=half
        )
        for program in (halves() if split else programs(regions))
    }
    Path(folder).mkdir(parents=True, exist_ok=True)
    for path, data in files.items():
        write_atomically(path, data)
    return list(files)
