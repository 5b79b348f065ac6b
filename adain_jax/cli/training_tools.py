"""`adain plot`, `adain export`, `adain mirror` and `adain recipe`: what goes with `adain train`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from adain_jax.cli.command import written
from adain_jax.errors import UsageError
from adain_jax.models import MODELS

_Path = tyro.conf.arg(metavar="PATH")
_Source = Annotated[str, tyro.conf.arg(metavar="SRC")]
_Runs = tyro.conf.arg(metavar="RUN [RUN ...]", help_behavior_hint="(required)")
_Output = Annotated[Path, tyro.conf.arg(metavar="PATH", aliases=["-o"])]
_Run = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]


@dataclass(frozen=True)
class Plot:
    """Plot the curves of one or more runs.

    Example: adain plot runs/a runs/b -o curves.png
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, _Runs]
    """Run folders."""
    output: _Output = Path("curves.png")
    """The picture to write."""
    debug: bool = False
    """Show a traceback on failure."""


@dataclass(frozen=True)
class Export:
    """Write the weights of a checkpoint for stylize --decoder (--network for light networks).

    Example: adain export runs/paper --step 20000 -o decoder.safetensors
    """

    folder: _Run
    """A run folder."""
    step: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """The step of the checkpoint; by default the latest."""
    output: _Output = Path("decoder.safetensors")
    """The file to write."""
    half: bool = False
    """Write float16, as in the weights that ship with the package."""
    debug: bool = False
    """Show a traceback on failure."""


@dataclass(frozen=True)
class Mirror:
    """Write an initial decoder for train --init.

    Each layer is fitted in closed form to invert the encoder's layer that it mirrors. This takes a
    minute and saves about a thousand steps.

    Example: adain mirror --content photos --style paintings -o mirror.safetensors
    """

    content: _Source
    """Photographs: a folder or a data set, as for train."""
    style: _Source
    """Paintings: a folder or a data set."""
    encoder: Annotated[Path | None, _Path] = None
    """Encoder weights; by default those that `adain convert` wrote."""
    pictures: int = 160
    """Number of pictures to fit to, half of each kind; 160 take 6 GiB of memory."""
    seed: int = 0
    """The random seed for the choice of pictures and crops."""
    data_dir: Annotated[str | None, _Path] = None
    """The folder in which TFDS looks for data sets by name."""
    output: _Output = Path("mirror.safetensors")
    """The file to write."""
    debug: bool = False
    """Show a traceback on failure."""


@dataclass(frozen=True)
class FollowRecipe:
    """Train weights leg by leg, like those that ship. The same command resumes an interrupted
    run.

    Example: adain recipe vgg19 --content coco --style wikiart --run-dir runs/f
    """

    recipe: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME|FILE")]
    """A recipe that ships (fast, vgg19), or your own TOML file."""
    content: _Source
    """Photographs: a folder or a data set, as for train."""
    style: _Source
    """Paintings: a folder or a data set."""
    run_dir: Annotated[Path, _Path]
    """The folder for everything that is written: a run folder for each leg, and the weights."""
    val_content: Annotated[str | None, tyro.conf.arg(metavar="SRC")] = None
    """Photographs to validate on and to measure the weights on; the i-th of them and the i-th
    painting, by name, make a pair."""
    val_style: Annotated[str | None, tyro.conf.arg(metavar="SRC")] = None
    """Paintings to validate on and to measure the weights on."""
    encoder: Annotated[Path | None, _Path] = None
    """Encoder weights; by default those that `adain convert` wrote."""
    init: Annotated[Path | None, _Path] = None
    """Initial weights of the first leg, such as those that ship; by default random ones."""
    minutes: float = 0.0
    """End every leg after this many minutes, if that comes before its number of steps; 0 means
    never."""
    smoke: bool = False
    """Only try the recipe: run three small steps of each leg, and everything that follows."""
    debug: bool = False
    """Show a traceback on failure."""


def plot(options: Plot) -> None:
    """Plots.

    Raises:
        UsageError: there is nothing to plot.
    """
    from adain_jax.training import run_dir

    if not options.runs:
        raise UsageError("give one or more run folders to plot")
    run_dir.plot(options.runs, options.output)
    print(f"curves in {options.output}, {written(options.output)}")


def export(options: Export) -> None:
    """Writes the weights.

    Raises:
        RunError: there is no run in the folder.
    """
    from adain_jax.training import checkpoints
    from adain_jax.training.config import Config
    from adain_jax.training.run_dir import RunError, noted_styles, recorded
    from adain_jax.training.step import initial_state

    values = recorded(options.folder)
    if values is None:
        raise RunError("no run in this folder", options.folder)
    try:
        config = Config(**values)
    except TypeError as error:
        raise RunError(f"config.json is not of this version ({error})", options.folder) from error
    if config.model not in MODELS:
        raise RunError(
            f"trained {config.model}, a model that this version does not have; train it again as "
            f"{' or '.join(MODELS)}, or export it with the version that trained it",
            options.folder,
        )
    styles = noted_styles(options.folder)
    state, _ = checkpoints.Checkpoints(options.folder / "checkpoints").restore(
        initial_state(config, max(1, len(styles))), options.step
    )
    checkpoints.export(state, options.output, config, styles, half=options.half)
    print(f"weights of step {int(state.step)} in {options.output}, {written(options.output)}")


def mirror(options: Mirror) -> None:
    """Fits the decoder and writes it."""
    import numpy as np

    from adain_jax import weights
    from adain_jax.data.pipeline import Batches
    from adain_jax.data.sources import Pictures, open_source
    from adain_jax.training import closed_form_init

    if options.pictures < 2:
        raise UsageError("--pictures must be at least 2")
    path = options.encoder or weights.default_path("vgg19-encoder")
    encoder = weights.read(path, "vgg19-encoder")
    content, style = (
        Pictures(open_source(spec, data_dir=options.data_dir), 2 * closed_form_init.CROP)
        for spec in (options.content, options.style)
    )
    crop, half = closed_form_init.CROP, options.pictures // 2
    batch = next(Batches(content, style, batch_size=half, crop=crop, seed=options.seed))
    layers = closed_form_init.mirror(encoder, np.concatenate([batch.content, batch.style]))
    weights.write(options.output, layers, "vgg19-decoder")
    print(
        f"decoder in {options.output}, {written(options.output)}; begin with it: "
        f"adain train --init {options.output}"
    )


def follow_recipe(options: FollowRecipe) -> None:
    """Trains all legs."""
    from adain_jax.training.recipe import follow, read_recipe

    shared = {
        name: getattr(options, name)
        for name in ("content", "style", "val_content", "val_style", "encoder")
    }
    if options.minutes:
        shared["minutes"] = options.minutes
    target = follow(
        read_recipe(options.recipe),
        options.run_dir,
        init=options.init,
        smoke=options.smoke,
        **shared,
    )
    if target:
        print(f"weights in {target}, {written(target)}")
