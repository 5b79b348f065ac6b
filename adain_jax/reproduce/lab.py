"""What experiments have at hand: pictures, the encoder, training runs, and the losses."""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from adain_jax import weights
from adain_jax.data.sources import DataError, decode, open_source
from adain_jax.evaluation import central_square, read_pairs
from adain_jax.files import write_atomically
from adain_jax.images import Picture, find_pictures, read_picture, save_picture
from adain_jax.images.contact_sheet import contact_sheet
from adain_jax.inference.stylizer import Stylizer
from adain_jax.losses import adain_losses
from adain_jax.nn import bind
from adain_jax.nn.vgg19 import Taps, VGG19Encoder
from adain_jax.reproduce.figures import Curve, save_figure
from adain_jax.reproduce.scales import Scale
from adain_jax.training.config import Config
from adain_jax.training.loop import train
from adain_jax.training.run_dir import read_metrics
from adain_jax.weights import Layers
from adain_jax.weights.architecture import style_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN_CONTENTS = ("astronaut", "cat", "coffee", "rocket")
SHOWN_STYLES = ("mosaic", "waves", "woodcut", "watercolour")
"""The examples that sheets show."""
STYLE_WEIGHT = 10.0
"""The loss of every run is Lc + 10 Ls, averaged over channels, as validation reports it."""


@dataclass
class Outcome:
    """What came of an experiment; all of it is written as JSON.

    Attributes:
        verdict: one sentence from the numbers.
        columns, rows: the table for the page.
        numbers: everything that was measured.
        figures: file names and captions.
    """

    verdict: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: dict[str, Any]
    figures: list[tuple[str, str]] = field(default_factory=list)


class Experiment(NamedTuple):
    """A claim, and how it is tried."""

    name: str
    title: str
    section: str
    claim: str
    how: str
    run: "Callable[[Lab], Outcome]"


@dataclass
class Lab:
    """The place of one experiment.

    Attributes:
        name: of the experiment.
        scale: how large it is.
        content, style: the pictures to train on.
        val_content, val_style: the pictures to measure on.
        examples: the folder with the project's own pictures.
        encoder: file of the encoder.
        decoders: files of other decoders for it, to compare with those that ship.
        runs: the folder of training runs, which experiments share.
        output: the folder for figures.
        steps: of all the runs that were asked for.
        earlier: seconds by `clock` that runs took which were finished before.
    """

    name: str
    scale: Scale
    content: str
    style: str
    val_content: str
    val_style: str
    examples: Path
    encoder: Path
    decoders: Sequence[Path]
    runs: Path
    output: Path
    steps: int = 0
    earlier: float = 0.0

    @property
    def seeds(self) -> range:
        """The seed of each run of a variant."""
        return range(self.scale.seeds)

    @cached_property
    def encoder_layers(self) -> Layers:
        """The encoder that all losses are measured with."""
        return weights.read(self.encoder, "vgg19-encoder")

    # --- Pictures ---

    def small(self, source: str, number: int, side: int, name: str) -> Path:
        """A folder with the first pictures of a source, the shorter side of each of this length.

        Raises:
            DataError: the source has fewer.
        """
        folder = self.runs / f"{name}-{number}-{side}"
        if not folder.exists():
            opened = open_source(source)
            if len(opened) < number:
                raise DataError(f"holds {len(opened)} pictures, and {number} are needed", source)
            making = folder.with_name(f".{folder.name}")
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir(parents=True)
            for i in range(number):
                encoded = opened.read(i)
                stem = style_name(Path(encoded.name).stem)
                picture = np.asarray(decode(encoded, size=side))
                save_picture(picture, making / f"{i:04d} {stem}.png")
            making.rename(folder)
        return folder

    @cached_property
    def pair_folders(self) -> tuple[Path, Path]:
        """Contents and styles to measure on: the i-th of each make a pair."""
        sources = [open_source(source) for source in (self.val_content, self.val_style)]
        number = min(self.scale.pairs, *map(len, sources))
        return (
            self.small(self.val_content, number, self.scale.crop, "val-content"),
            self.small(self.val_style, number, self.scale.crop, "val-style"),
        )

    @cached_property
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """The pairs that curves are measured on: contents and styles, float32 (n, crop, crop, 3)."""
        content, style = (open_source(str(folder)) for folder in self.pair_folders)
        contents, styles = zip(*read_pairs(content, style, self.scale.crop), strict=True)
        return np.stack(contents), np.stack(styles)

    def squares(self, source: str, number: int, side: int, name: str) -> np.ndarray:
        """Central squares of the first pictures of a source, float32 (n, side, side, 3) in [0, 1].

        The pictures are made so small that the squares hold all of their shorter side. The name is that
        of the folder they are kept in, one for each source.

        Raises:
            DataError: the source has fewer.
        """
        folder = open_source(str(self.small(source, number, side, name)))
        return np.stack([central_square(folder, i, side) for i in range(number)])

    def photographs(self, number: int, side: int | None = None) -> np.ndarray:
        """Squares of up to this many contents, by default of the size of the training pictures."""
        number = min(number, len(open_source(self.content)))
        return self.squares(self.content, number, side or self.scale.crop, "crops")

    def example(self, kind: str, names: Sequence[str], side: int | None = None) -> list[Picture]:
        """The project's own pictures of these names, as squares, by default of the figures' size."""
        by_stem = {path.stem: path for path in find_pictures(self.examples / kind)}
        side = side or self.scale.picture
        return [read_picture(by_stem[name], size=side, crop=True) for name in names]

    @cached_property
    def shown(self) -> tuple[np.ndarray, np.ndarray]:
        """The pairs of sheets, as large as training pictures before the crop.

        They are the project's own, as whoever runs an experiment may not publish what is measured.
        """
        side = self.scale.resize
        contents = np.stack(self.example("content", SHOWN_CONTENTS, side))
        return contents, np.stack(self.example("style", SHOWN_STYLES, side))

    # --- Training ---

    def train(self, seed: int, name: str, **options: Any) -> Path:
        """The folder of a finished run of `adain train`; it is run unless it has been.

        Args:
            seed: of the run.
            name: of the variant, equal for equal options: experiments share their runs.
            options: of `Config`, other than this scale's.
        """
        scale, devices = self.scale, jax.device_count()
        run = self.runs / f"{name}-seed{seed}"
        content, style = self.pair_folders
        values: dict[str, Any] = {
            "content": self.content,
            "style": self.style,
            "run_dir": run,
            "encoder": self.encoder,
            "steps": scale.steps,
            "batch_size": -(-scale.batch // devices) * devices,
            "crop": scale.crop,
            "resize": scale.resize,
            "seed": seed,
            "loss": "pytorch",
            "style_weight": STYLE_WEIGHT,
            "learning_rate": scale.learning_rate,
            "schedule": "constant",
            "val_content": str(content),
            "val_style": str(style),
            "val_size": scale.crop,
            "cache_gib": 1.0,
            "log_every": 5,
            "save_minutes": 2.0,
            "keep": 1,
            **options,
        }
        steps = values["steps"]
        values |= {"val_every": max(1, steps // scale.points), "save_every": steps}
        self.steps += steps
        finished, seconds = run / "decoder.safetensors", run / "seconds.json"
        if finished.exists():
            self.earlier += json.loads(seconds.read_text())
            return run
        with _timed(seconds):
            train(Config(**values))
        if not finished.exists():  # it was told to stop, and has saved where it is
            raise KeyboardInterrupt
        shutil.rmtree(run / "checkpoints")
        return run

    def curve(self, runs: Sequence[Path], key: str) -> Curve:
        """A measurement of validation along the runs of a variant, one row for each seed."""
        rows = []
        for run in runs:
            lines = [line for line in read_metrics(run / "metrics.jsonl") if key in line]
            steps = [line["step"] for line in lines]
            rows.append([line[key] for line in lines])
        return steps, rows

    def stylizer(self, run: Path, encoder: Path | None = None) -> Stylizer:
        """With a run's decoder."""
        decoder = run / "decoder.safetensors"
        return Stylizer.load("vgg19", encoder=encoder or self.encoder, decoder=decoder)

    def losses(
        self,
        contents: np.ndarray,
        styles: np.ndarray,
        results: np.ndarray,
        *,
        statistic: str = "moments",
    ) -> dict[str, list[float]]:
        """Lc and Ls of pictures (n, h, w, 3), of each; averaged over channels, always by VGG19."""
        measure = partial(_losses, statistic)
        rows = [
            measure(self.encoder_params, *(x[i : i + 1] for x in (contents, styles, results)))
            for i in range(len(results))
        ]
        return {name: [float(row[name]) for row in rows] for name in ("Lc", "Ls")}

    def encode(self, pictures: np.ndarray) -> Taps:
        """VGG19's features of pictures (n, h, w, 3)."""
        return _encode(self.encoder_params, pictures)

    @cached_property
    def encoder_params(self) -> Any:
        """`encoder_layers`, in the device's memory."""
        return jax.device_put(self.encoder_layers)

    # --- Figures ---

    def figure(self, figure: "Figure", suffix: str = "") -> str:
        """Writes a figure; returns its file's name."""
        name = f"{self.name}{suffix}.png"
        save_figure(figure, self.output / name)
        return name

    def sheet(
        self,
        cells: dict[tuple[int, int], Picture],
        rows: Sequence[str],
        columns: Sequence[str],
        suffix: str = "-sheet",
    ) -> str:
        """Writes a sheet of pictures; returns its file's name."""
        name = f"{self.name}{suffix}.jpg"
        cell = min(128, self.scale.picture)
        save_picture(contact_sheet(cells, rows, columns, cell=cell), self.output / name, quality=85)
        return name


@jax.jit
def _encode(params: Any, pictures: Any) -> Taps:
    return bind(VGG19Encoder, params)(pictures)


@partial(jax.jit, static_argnums=0)
def _losses(statistic: str, params: Any, content: Any, style: Any, result: Any) -> dict[str, Any]:
    encoder = bind(VGG19Encoder, params)
    measured = adain_losses(
        encoder(jnp.asarray(result)),
        encoder(jnp.asarray(content)).relu4_1,
        encoder(jnp.asarray(style)),
        style_statistic=statistic,
        mean_over_channels=True,
    )
    return {"Lc": measured["content_loss"], "Ls": measured["style_loss"]}


def clock() -> float:
    """Seconds: on a CPU those that its cores have computed, which no work beside it changes."""
    return time.process_time() if jax.default_backend() == "cpu" else time.monotonic()


@contextmanager
def _timed(file: Path) -> Iterator[None]:
    """Adds the seconds that the block takes to those in a file, also of one that is interrupted."""
    began = clock()
    before = json.loads(file.read_text()) if file.exists() else 0.0
    try:
        yield
    finally:
        if file.parent.exists():
            write_atomically(file, json.dumps(before + clock() - began).encode())
