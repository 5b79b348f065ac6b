"""LPIPS and ArtFID, by their authors' packages: measures by networks other than the losses'.

Both need PyTorch; LPIPS the package `lpips`, and ArtFID also `art_fid`. They fetch the weights of their
networks when they are first used.
"""

import importlib
import io
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

from adain_jax.errors import AdainError
from adain_jax.images import Picture, save_picture

BATCH = 8


class PerceptualError(AdainError):
    """A measure cannot be taken; the message says why."""


class LPIPS:
    """The learned perceptual distance of Zhang et al. (2018), with AlexNet, as ArtFID uses it.

    Raises:
        PerceptualError: the package is missing, or its weights cannot be fetched.
    """

    def __init__(self) -> None:
        self._torch = _load("torch", "--lpips")
        self._network = _quietly(lambda: _load("lpips", "--lpips").LPIPS(net="alex"), "LPIPS")

    def __call__(self, a: Picture, b: Picture) -> float:
        """The distance of two pictures (h, w, 3) in [0, 1] of one size, 0 for equal ones."""
        first, second = (
            self._torch.from_numpy(np.moveaxis(2 * one - 1, -1, 0)[None].copy()) for one in (a, b)
        )
        with self._torch.no_grad():
            return float(self._network(first, second))


class ArtFID:
    """ArtFID of many pictures (Wright and Ommer, 2022): (1 + LPIPS) (1 + FID).

    LPIPS is that of results to contents, FID the Fréchet distance of the results' features to the
    styles'. FID of few pictures is far too large: compare only values of equally many. The package
    reads folders, so pictures are kept in a temporary one until the end of the `with` block.

    Raises:
        PerceptualError: the package is missing.
    """

    def __init__(self) -> None:
        self._package = _load("art_fid.art_fid", "--art-fid")
        self._count = 0

    def __enter__(self) -> "ArtFID":
        self._folder = tempfile.TemporaryDirectory()
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def add(self, content: Picture, style: Picture, result: Picture) -> None:
        """Adds a pair and its result, each (h, w, 3) in [0, 1]."""
        for kind, picture in (("content", content), ("style", style), ("stylized", result)):
            folder = Path(self._folder.name, kind)
            folder.mkdir(exist_ok=True)
            save_picture(picture, folder / f"{self._count:08d}.png")
        self._count += 1

    def value(self) -> float:
        """ArtFID of all that was added, at least two.

        Raises:
            PerceptualError: the networks' weights cannot be fetched, or there are too few pictures.
        """
        if self._count < 2:
            raise PerceptualError("ArtFID needs at least two pairs")
        folders = (str(Path(self._folder.name, kind)) for kind in ("stylized", "style", "content"))
        return _quietly(
            lambda: self._package.compute_art_fid(
                *folders, min(BATCH, self._count), "cuda", mode="art_fid", num_workers=0
            ),
            "ArtFID",
        )


def _load(module: str, option: str) -> Any:
    package = module.split(".")[0]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise PerceptualError(
            f"{option} needs the package {package}, which cannot be imported ({error}); "
            "docs/training.md says how to install it"
        ) from error


def _quietly(measure: Any, name: str) -> Any:
    """What a package gives, without what it prints; its errors become ours."""
    print(f"{name}: its networks' weights are fetched if they are not here yet", file=sys.stderr)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            return measure()
    except Exception as error:  # of any of the packages beneath
        raise PerceptualError(
            f"{name} cannot be measured ({type(error).__name__}: {' '.join(str(error).split())})"
        ) from error
