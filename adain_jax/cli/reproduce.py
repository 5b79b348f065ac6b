"""`adain reproduce`: the paper's claims as experiments, and the page about them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from adain_jax.cli.command import refuse_urls
from adain_jax.errors import UsageError

_Path = tyro.conf.arg(metavar="PATH")
_Source = tyro.conf.arg(metavar="SRC")
_Names = tyro.conf.arg(metavar="NAME [NAME ...]", help_behavior_hint="(required)")


@dataclass(frozen=True)
class Options:
    """Try the paper's claims: run experiments, and write a page with figures, numbers and verdicts.

    The same command goes on with what was interrupted, and repeats nothing that has a result.

    Example: adain reproduce all --content photos --style paintings
    """

    names: Annotated[tuple[str, ...], tyro.conf.Positional, _Names]
    """Experiments, or all. `adain reproduce list` prints their names."""
    content: Annotated[str | None, _Source] = None
    """Photographs to train on: a folder or a data set, as for train."""
    style: Annotated[str | None, _Source] = None
    """Paintings to train on: a folder or a data set."""
    val_content: Annotated[str | None, _Source] = None
    """Photographs to measure on; by default the project's own examples."""
    val_style: Annotated[str | None, _Source] = None
    """Paintings to measure on; by default the project's own examples."""
    scale: Literal["smoke", "laptop", "gpu"] = "laptop"
    """laptop: all in about two hours on two cores; gpu: for one large card; smoke: only tries that all
    of it runs."""
    encoder: Annotated[Path | None, _Path] = None
    """Encoder weights; by default those that `adain convert` wrote."""
    decoder: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="PATH [PATH ...]")] = ()
    """Other decoders to measure beside the one that ships, such as a converted published one."""
    run_dir: Annotated[Path, _Path] = Path("runs/reproduction")
    """The folder for training runs, which experiments share."""
    output: Annotated[Path, tyro.conf.arg(metavar="PATH", aliases=["-o"])] = Path("docs")
    """The folder for reproduction.md, and for the results and figures in reproduction/."""
    debug: bool = False
    """Show a traceback on failure."""


def reproduce(options: Options) -> None:
    """Runs the experiments.

    Raises:
        UsageError: there is no such experiment, or pictures are missing.
    """
    refuse_urls(options)
    from adain_jax.reproduce.experiments import EXPERIMENTS

    if "list" in options.names:
        for experiment in EXPERIMENTS.values():
            print(f"{experiment.name}: {experiment.title} ({experiment.section})")
        return
    names = list(EXPERIMENTS) if "all" in options.names else list(options.names)
    for name in names:
        if name not in EXPERIMENTS:
            raise UsageError(f"no experiment {name}; there are all, {', '.join(EXPERIMENTS)}")
    if not names:
        raise UsageError(f"name one or more experiments: all, {', '.join(EXPERIMENTS)}")
    if not options.content or not options.style:
        raise UsageError("--content and --style are missing: pictures to train on")
    if (options.val_content is None) != (options.val_style is None):
        raise UsageError("--val-content and --val-style go together")
    from adain_jax.examples import EXAMPLES
    from adain_jax.inference.compilation_cache import enable_compilation_cache
    from adain_jax.reproduce.lab import Lab
    from adain_jax.reproduce.runner import reproduce
    from adain_jax.reproduce.scales import SCALES
    from adain_jax.weights import default_path

    enable_compilation_cache()
    lab = Lab(
        name="",
        scale=SCALES[options.scale],
        content=options.content,
        style=options.style,
        val_content=options.val_content or str(EXAMPLES / "content"),
        val_style=options.val_style or str(EXAMPLES / "style"),
        examples=EXAMPLES,
        encoder=options.encoder or default_path("vgg19-encoder"),
        decoders=options.decoder,
        runs=options.run_dir / options.scale,
        output=options.output,
    )
    reproduce(names, options.scale, lab, options.output)
    print(f"page in {options.output / 'reproduction.md'}")
