"""Recipes: several legs of training, described in one file and run by one command.

A recipe is a TOML file with options of `train.py`: `model`, a table `common`, and one table `legs`
per leg. Each leg starts from the weights of the leg before. The recipes that ship are in
`adain_jax/training/recipes/`. The same command resumes after any interruption.
"""

import dataclasses
import json
import tomllib
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import jax

from adain_jax import evaluation, weights
from adain_jax.data.sources import open_source
from adain_jax.errors import AdainError
from adain_jax.evaluation import read_pairs
from adain_jax.files import safetensors_metadata, write_atomically
from adain_jax.images import Picture, save_picture
from adain_jax.images.contact_sheet import contact_sheet
from adain_jax.inference.stylizer import Stylizer
from adain_jax.models import MODELS, Model
from adain_jax.training.config import Config
from adain_jax.training.loop import train
from adain_jax.training.run_dir import plot

RECIPES = Path(__file__).parent / "recipes"
SHEET_ROWS = 6
SMOKE = {"steps": 3, "crop": 32, "resize": 64, "accumulate": 1, "reconstruct": 0, "ramp": 0}
"""These replace the options of each leg in a trial run, so that nothing takes long."""


class RecipeError(AdainError):
    """A recipe that cannot be used; the message names it."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The legs of training that lead to one file of weights.

    Attributes:
        model: as in `train.py --model`.
        legs: the options of each leg by its name, including the common ones.
    """

    model: Model
    legs: Mapping[str, Mapping[str, Any]]


def read_recipe(path: str | Path) -> Recipe:
    """Reads a recipe.

    Args:
        path: a TOML file, or the name of a recipe that ships.

    Raises:
        RecipeError: the file cannot be read, is not TOML, lacks a known model or legs, or names
            options that do not exist.
    """
    file = Path(path)
    if not file.suffix:
        file = RECIPES / f"{path}.toml"
    try:
        content = tomllib.loads(file.read_text())
    except OSError as error:
        known = ", ".join(sorted(found.stem for found in RECIPES.glob("*.toml")))
        raise RecipeError(f"{path}: {error.strerror}; those that ship are {known}") from None
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{file}: {error}") from None
    if content.get("model") not in MODELS or not content.get("legs"):
        raise RecipeError(f"{file}: needs model = {' or '.join(MODELS)}, and a table of legs")
    known_options = {field.name for field in dataclasses.fields(Config)}
    legs = {}
    for number, leg in enumerate(content["legs"], 1):
        options = {**content.get("common", {}), **leg}
        name = str(options.pop("name", number))
        if unknown := sorted(options.keys() - known_options):
            raise RecipeError(f"{file}: leg {name}: no such option: {', '.join(unknown)}")
        legs[name] = options
    return Recipe(content["model"], legs)


def follow(
    recipe: Recipe, folder: Path, *, init: Path | None, smoke: bool, **options: Any
) -> Path | None:
    """Runs the legs that are not finished yet, then writes and measures the final weights.

    Args:
        recipe: the recipe to follow.
        folder: the folder to write to: a run folder for each leg, the weights in float16,
            `curves.png` and, given validation pictures, `evaluation.json` and `samples.jpg`.
        init: initial weights of the first leg; None for random ones.
        smoke: only run a few small steps of each leg.
        options: fields of `Config` that are the same for all legs, such as the pictures.

    Returns:
        The path of the final weights; None if a signal stopped a leg.

    Raises:
        AdainError: any error that `train`, `plot` or the evaluation raises.
    """
    part, kind = MODELS[recipe.model].trained, MODELS[recipe.model].kind
    trial = {**SMOKE, "batch_size": 2 * jax.device_count()} if smoke else {}
    runs = []
    for name, leg in recipe.legs.items():
        run = folder / name
        done = run / f"{part}.safetensors"
        if not done.exists():
            print(f"leg {name} of {', '.join(recipe.legs)}", flush=True)
            values = {**options, **leg, "model": recipe.model, "run_dir": run, "init": init}
            train(Config(**(values | trial)))
        if not done.exists():
            return None
        runs.append(run)
        init = done
    target = folder / f"{kind}.safetensors"
    last = runs[-1] / f"{part}.safetensors"
    metadata = safetensors_metadata(last.read_bytes())
    weights.write(target, weights.to_half(weights.read(last, kind)), kind, metadata)
    plot(runs, folder / "curves.png")
    if options.get("val_content") and options.get("val_style"):
        _measure(recipe.model, target, folder, options)
    return target


def _measure(model: Model, target: Path, folder: Path, options: Mapping[str, Any]) -> None:
    """Writes `evaluation.json` and `samples.jpg`, and prints a row for the model card."""
    encoder = options["encoder"]
    own: dict[str, Any] = {MODELS[model].trained: target}
    measured = evaluation.evaluate(
        model, options["val_content"], options["val_style"], encoder=encoder, **own
    )
    write_atomically(folder / "evaluation.json", json.dumps(measured, indent=1).encode())
    columns = evaluation.columns(measured)
    print(_row(list(columns)), _row(["---"] * len(columns)), sep="\n")
    print(_row([f"{measured[key]:.3f}" for key in columns.values()]))
    if "encoder" in MODELS[model].files:
        own["encoder"] = encoder
    stylizer = Stylizer.load(model, **own)
    cells: dict[tuple[int, int], Picture] = {}
    contents, styles = (open_source(options[key]) for key in ("val_content", "val_style"))
    for i, (content, style) in enumerate(islice(read_pairs(contents, styles, 256), SHEET_ROWS)):
        cells |= {(i, 0): content, (i, 1): style, (i, 2): stylizer(content, style)}
    rows = [""] * (1 + max(row for row, _ in cells))
    sheet = contact_sheet(cells, rows, ["content", "style", "result"], cell=256)
    save_picture(sheet, folder / "samples.jpg", quality=90)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
