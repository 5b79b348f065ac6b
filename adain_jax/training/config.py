"""The configuration of a training run; also the options of `adain train`."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from adain_jax.models import Model

_Path = tyro.conf.arg(metavar="PATH")
_Source = tyro.conf.arg(metavar="SRC")


@dataclass(frozen=True)
class Config:
    """Train an AdaIN decoder, or a light network, against the VGG19 encoder (section 6.2).

    The same command resumes an interrupted run. Ctrl-C and SIGTERM save a checkpoint and stop.

    Example: adain train --content coco --style wikiart --run-dir runs/paper
    """

    content: Annotated[str, _Source]
    """Photographs: a folder, or a TFDS data set by name or folder (such as `adain pack`
    writes). To choose a split of a data set, append @ and its name."""
    style: Annotated[str, _Source]
    """Paintings: a folder or a data set."""
    run_dir: Annotated[Path, _Path]
    """The folder for everything that the run writes."""
    model: Model = "vgg19"
    """What to train: the paper's decoder, or the fast network, distilled from VGG19."""
    encoder: Annotated[Path | None, _Path] = None
    """Encoder weights; by default those that `adain convert` wrote."""
    init: Annotated[Path | None, _Path] = None
    """Initial weights; by default random ones."""
    data_dir: Annotated[str | None, _Path] = None
    """The folder in which TFDS looks for data sets by name."""

    steps: int = 160_000
    """Number of training steps."""
    minutes: float = 0.0
    """End the run after this many minutes of training, if that comes first; 0 means never. The cosine
    schedule then follows the clock."""
    batch_size: int = 8
    """Number of pairs per step, over all devices and processes."""
    pairings: int = 1
    """Pair each content with this many styles of its batch: more pairs without more encoding."""
    accumulate: int = 1
    """Split each batch into this many parts to fit it into memory, and average their gradients."""
    resize: int = 512
    """Shorter side of the pictures before the crop, in pixels."""
    crop: int = 256
    """Side of the random crops, in pixels."""
    flip: bool = False
    """Mirror half of the pictures at random."""
    augment_styles: bool = False
    """Change the colors of styles at random before they are encoded: half of them get another
    palette, a few vivid colors, and a few become posters."""
    pictures: Literal["auto", "device", "stream"] = "auto"
    """Where pictures are kept. device: all are decoded once and cropped on the device; stream: they
    are read from files; auto: device on an accelerator with enough free memory, else stream."""
    steps_per_dispatch: int = 0
    """Number of steps in one compiled program; 0 means 10 with pictures on an accelerator, else 1."""
    cache_gib: float = 0.0
    """Keep up to this many GiB of decoded pictures in memory, for each of the two sources."""
    seed: int = 0
    """The random seed for the weights, the order and the crops."""

    optimizer: Literal["adam", "muon"] = "adam"
    """adam is the paper's; muon uses orthogonalized momentum for kernels and Adam for biases."""
    learning_rate: float = 1e-4
    """The initial learning rate."""
    schedule: Literal["inverse", "cosine", "constant"] = "inverse"
    """How the learning rate decays: inverse is lr / (1 + 5e-5 step), as in the original release; cosine
    reaches 0 at the end of the run, after --steps or --minutes."""
    reconstruct: int = 0
    """Train this many steps as an auto-encoder first: each picture in its own style, with the mean
    absolute difference of pixels as the loss."""
    ramp: int = 0
    """After --reconstruct, let the style weight grow geometrically from a tenth of its value over
    this many steps."""
    loss: Literal["original", "pytorch"] = "original"
    """The style loss: original sums over channels, as the original release does; pytorch averages."""
    content_weight: float = 1.0
    """Weight of the content loss."""
    style_weight: float | None = None
    """Weight of the style loss; by default 0.1 for original and 10 for pytorch."""
    tv_weight: float = 0.0
    """Weight of the total variation of the result."""
    as_seen: bool = False
    """Measure the losses on pictures as they are seen: clipped to [0, 1], and cut by up to 7 pixels at
    random, so that neither values out of range nor a pattern on VGG19's pooling grid pays."""
    feature_weight: float = 0.0
    """For fast: weight of the squared difference between its features and VGG19's relu4_1."""
    teacher: Annotated[Path | None, _Path] = None
    """A decoder of vgg19 for --teacher-weight; by default the converted one or the one that ships."""
    teacher_weight: float = 0.0
    """Weight of the mean absolute pixel difference from the teacher's result for the same pair."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of the convolutions; statistics and losses are always float32."""
    remat: bool = False
    """Recompute activations in the backward pass, to save memory."""
    ema: float = 0.0
    """Keep an exponential moving average of the weights with this decay, and export it; 0 means
    none."""

    norm: Literal["none", "instance", "batch"] = "none"
    """Normalization layers in the decoder (section 7.2)."""
    transform: Literal["adain", "concat", "conditional"] = "adain"
    """How the style enters: by AdaIN, by concatenated features (section 7.2), or by conditional
    instance normalization, where the pictures of --style are fixed styles (section 3.3)."""
    content_target: Literal["adain", "content"] = "adain"
    """What the content loss compares with: the output of AdaIN, or the content's features."""
    style_statistic: Literal["moments", "gram"] = "moments"
    """What the style loss compares: means and standard deviations, or Gram matrices."""

    val_content: Annotated[str | None, _Source] = None
    """Photographs to validate on; the i-th of them and the i-th painting, by name, make a pair."""
    val_style: Annotated[str | None, _Source] = None
    """Paintings to validate on."""
    val_size: int = 256
    """Side in pixels of the central squares to validate on."""
    val_every: int = 1000
    """Number of steps between validations, each with a sheet of samples."""
    log_every: int = 10
    """Number of steps between lines in metrics.jsonl."""
    save_every: int = 1000
    """Number of steps between checkpoints."""
    save_minutes: float = 15.0
    """Save a checkpoint after this many minutes, if that comes first."""
    keep: int = 3
    """Number of checkpoints to keep."""
    resume: bool = False
    """Fail if there is no run in --run-dir to resume. Without this option, an existing run is
    resumed too."""
    tensorboard: bool = False
    """Also write TensorBoard events (needs the extra `tensorboard`)."""

    coordinator: str | None = None
    """HOST:PORT of process 0 if several processes train together. On clusters that JAX detects (Slurm,
    TPU pods), give --num-processes 0 instead."""
    num_processes: int = 1
    """Number of processes that train together; 0 detects it."""
    process_id: int = 0
    """The number of this process, from 0."""
    debug: bool = False
    """Show a traceback on failure."""

    @property
    def weight_of_style(self) -> float:
        """The style weight: `style_weight`, or by default the one that goes with `loss`."""
        if self.style_weight is not None:
            return self.style_weight
        return 0.1 if self.loss == "original" else 10.0

    def problems(self) -> list[str]:
        """What is wrong with the configuration: one message each, none if it is valid."""
        found = []
        for name in (
            *("steps", "batch_size", "pairings", "accumulate", "crop", "keep", "val_size"),
            *("val_every", "log_every", "save_every"),
        ):
            if getattr(self, name) < 1:
                found.append(f"{_option(name)} must be at least 1")
        if self.crop % 8:
            found.append(f"--crop {self.crop} must be a multiple of 8")
        if self.resize < self.crop:
            found.append(f"--resize {self.resize} must be at least --crop {self.crop}")
        found += [
            f"{_option(name)} must be at least 0"
            for name in ("seed", "reconstruct", "ramp")
            if getattr(self, name) < 0
        ]
        if self.model != "vgg19" and (self.norm, self.transform) != ("none", "adain"):
            found.append("--norm and --transform change the decoder of --model vgg19 only")
        if self.model != "fast" and self.feature_weight:
            found.append("--feature-weight is for --model fast, which learns VGG19's features")
        if self.teacher and not self.teacher_weight:
            found.append("--teacher needs --teacher-weight")
        if self.minutes and self.num_processes != 1:
            found.append("--minutes is for one process; several end by --steps")
        if self.steps_per_dispatch < 0 or self.minutes < 0:
            found.append("--steps-per-dispatch and --minutes must be at least 0")
        found += [
            f"{_option(name)} must be at least 0"
            for name in (
                *("content_weight", "style_weight", "tv_weight", "feature_weight"),
                *("teacher_weight", "cache_gib", "save_minutes"),
            )
            if (getattr(self, name) or 0) < 0
        ]
        if self.learning_rate <= 0:
            found.append("--learning-rate must be above 0")
        if not 0 <= self.ema < 1:
            found.append("--ema must lie in [0, 1)")
        if (self.val_content is None) != (self.val_style is None):
            found.append("--val-content and --val-style go together")
        return found

    def training_fields(self) -> dict[str, Any]:
        """The fields that affect the numbers of a run; a resumed run must have the same values."""
        free: tuple[str, ...] = (
            *("run_dir", "steps", "val_content", "val_style", "val_every", "val_size", "debug"),
            *(
                "log_every",
                "save_every",
                "save_minutes",
                "keep",
                "tensorboard",
                "cache_gib",
                "resume",
            ),
            *(
                "coordinator",
                "num_processes",
                "process_id",
                "data_dir",
                "encoder",
                "init",
                "teacher",
            ),
            *("minutes", "steps_per_dispatch"),
        )
        if self.schedule == "cosine":  # the learning rate depends on the number of steps
            free = tuple(name for name in free if name != "steps")
        return {key: value for key, value in asdict(self).items() if key not in free}

    def recipe(self) -> dict[str, Any]:
        """How weights were trained, to be stored in their file; contains no paths."""
        recipe = {"steps": self.steps, **self.training_fields()}
        return {key: v for key, v in recipe.items() if key not in ("content", "style")}

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values, with paths as strings."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {key: str(v) if isinstance(v, Path) else v for key, v in values.items()}


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
