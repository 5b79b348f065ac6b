"""The training run: from a configuration to trained weights, with interruptions and resumption."""

import dataclasses
import datetime
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import jax
import numpy as np

from adain_jax import weights
from adain_jax.data.pipeline import Batch, Batches, prefetch
from adain_jax.data.sources import Pictures, open_source
from adain_jax.errors import AdainError, UsageError
from adain_jax.files import exclusive
from adain_jax.images import save_picture
from adain_jax.inference.memory import free_memory
from adain_jax.models import MODELS
from adain_jax.progress import progress
from adain_jax.training.checkpoints import CheckpointError, Checkpoints, export
from adain_jax.training.config import Config
from adain_jax.training.devices import pmapped, replicate, shard_steps
from adain_jax.training.pictures_on_device import (
    MAX_PIXELS,
    NumberedBatches,
    estimated_bytes,
    load_all,
)
from adain_jax.training.run_dir import (
    Metrics,
    RunError,
    agree,
    note_styles,
    noted_styles,
    plot,
    recorded,
)
from adain_jax.training.step import Frozen, State, in_sequence, initial_state, make_train_step
from adain_jax.training.validation import Validation, describe
from adain_jax.weights.architecture import style_names

PICTURES_SHARE = 4  # pictures take at most 1 / 4 of a device's free memory
STEPS_PER_DISPATCH = 10


class TrainingError(AdainError):
    """A run that cannot continue; the message says where and why."""


def train(config: Config) -> None:
    """Starts the run in `config.run_dir`, or resumes it.

    Raises:
        UsageError: the configuration is invalid, or an optional package that it needs is missing.
        RunError, DataError, WeightsError, CheckpointError: a run folder, data source, weight file
            or checkpoint cannot be used; the message names it.
        InUseError: another run is at work in the run folder.
        PictureError: a validation picture cannot be read.
        TrainingError: the loss or the norm of its gradient is not finite.
    """
    # --- Options and processes ---
    if problems := config.problems():
        raise UsageError("; ".join(problems))
    _join_processes(config)
    _check_shares(config)
    first = jax.process_index() == 0

    # --- Weights ---
    encoder = weights.read(config.encoder or weights.default_path("vgg19-encoder"), "vgg19-encoder")
    init = weights.read(config.init, MODELS[config.model].kind) if config.init else None
    teacher = None
    if config.teacher_weight:
        teacher_path = config.teacher or weights.default_path("vgg19-decoder")
        teacher = weights.read(teacher_path, "vgg19-decoder")

    # --- Pictures ---
    cache = int(config.cache_gib * 2**30)
    style_source = open_source(config.style, data_dir=config.data_dir)
    content = Pictures(open_source(config.content, data_dir=config.data_dir), config.resize, cache)
    style = Pictures(style_source, config.resize, cache)
    config, reason = _place_pictures(config, content, style)
    validation = None
    if config.val_content and config.val_style and first:
        val_content = open_source(config.val_content, data_dir=config.data_dir)
        val_style = style_source  # the conditional transform knows no other styles
        if config.transform != "conditional":
            val_style = open_source(config.val_style, data_dir=config.data_dir)
        validation = Validation(config, val_content, val_style, len(style))

    with ExitStack() as stack:
        # --- Run folder and checkpoints ---
        if first:
            stack.enter_context(exclusive(config.run_dir))
            agree(config)
            if config.transform == "conditional":
                files = [style_source.read(i).name for i in range(len(style_source))]
                note_styles(config.run_dir, style_names(files))
        checkpoints = Checkpoints(config.run_dir / "checkpoints", config.keep)
        stack.callback(_close, checkpoints)

        # --- State and data, from the newest checkpoint or from the beginning ---
        _say(reason)
        frozen = Frozen(encoder, teacher)
        batches: Batches | NumberedBatches
        if config.pictures == "device":
            (on_device, names), (style_on_device, painting_names) = (
                load_all(content),
                load_all(style),
            )
            frozen = frozen._replace(content=on_device, style=style_on_device)
            batches = NumberedBatches(names, painting_names, **_share_of_batches(config))
        else:
            batches = Batches(
                content,
                style,
                crop=config.crop,
                flip=config.flip,
                **_share_of_batches(config),
            )
        state = initial_state(config, len(style), init)
        trained_seconds = 0.0
        if checkpoints.latest is not None:
            state, data = checkpoints.restore(state)
            batches.set_state({"batches": data["batches"]})
            trained_seconds = data.get("seconds", 0.0)
        elif config.resume:
            raise RunError(f"{config.run_dir}: no checkpoint to go on from; leave --resume out")
        step = int(state.step)
        recorder = Recorder(config, step, checkpoints)
        stack.callback(recorder.close)

        def validate() -> None:
            if validation:
                values, sheet = validation.run(jax.device_get(state), encoder)
                recorder.log(step, values)
                folder = config.run_dir / "samples"
                folder.mkdir(exist_ok=True)
                save_picture(sheet, folder / f"step_{step:07d}.jpg", quality=90)
                keys = ("val_loss", "val_content_loss", "val_style_loss", "val_checker")
                _say(f"step {step}: {describe(values, keys)}")

        # --- Training ---
        out_of_time = bool(config.minutes) and trained_seconds >= 60 * config.minutes
        ended = step >= config.steps or out_of_time
        if ended:
            _say(f"{config.run_dir} has ended at step {step} already")
        elif step:
            _say(f"going on from step {step}")
        else:
            validate()
        reconstruct_steps, train_steps = (
            pmapped(in_sequence(make_train_step(config, len(style), reconstruct=reconstruct)))
            for reconstruct in (True, False)
        )
        state, frozen = replicate(state), replicate(frozen)
        began = saved_at = time.monotonic()
        first_step = step
        data = {**batches.get_state(), "seconds": trained_seconds}

        def elapsed() -> float:
            """The part of --minutes that is over."""
            return (trained_seconds + time.monotonic() - began) / (60 * config.minutes)

        def save(final: bool = False) -> None:
            recorder.flush()  # raises before a state whose losses are not finite is saved
            if first:
                _save(checkpoints, state, data, final=final)

        stopped = stack.enter_context(_signals())
        show = stack.enter_context(_progress(config, step, first))
        for arrays, group, position in prefetch(
            iter(()) if ended else _groups(batches, config, step, elapsed)
        ):
            steps = reconstruct_steps if step < config.reconstruct else train_steps
            state, measured = steps(state, frozen, arrays)
            step += len(group)
            recorder.flush()  # logs the previous dispatch while this one is computed
            recorder.pending = step, measured, group
            seconds = time.monotonic() - began
            data = {**position, "seconds": trained_seconds + seconds}
            show(step, recorder.latest, (step - first_step) / seconds)
            if step % config.val_every == 0 or step == config.steps:
                recorder.flush()
                validate()
            if step % config.save_every == 0 or _minutes_since(saved_at) >= config.save_minutes:
                saved_at = time.monotonic()
                save()
            if _all_agree(bool(stopped), step):
                save(final=True)
                _say(f"stopped at step {step}; the same command goes on from there")
                return
            if config.minutes and data["seconds"] >= 60 * config.minutes:
                break
        save(final=True)

        # --- Results ---
        if first:
            if step < config.steps and step % config.val_every:
                validate()
            _finish(config, state, [content, style], data["seconds"])


class Recorder:
    """Checks and logs measurements, one dispatch behind the device.

    Args:
        config: the configuration of the run.
        step: the step that the run starts or resumes from.
        checkpoints: of the run; the error about a loss that is not finite names the latest.

    Raises:
        UsageError: TensorBoard events are wanted, but tensorboardX is not installed.
    """

    def __init__(self, config: Config, step: int, checkpoints: Checkpoints):
        self.latest: dict[str, float] = {}
        """The latest flushed measurements, by name."""
        self.pending: tuple[int, Mapping[str, Any], Sequence[Batch]] | None = None
        """The step after a dispatch, its measurements (k,) on the device, and its k batches."""
        self._config, self._checkpoints = config, checkpoints
        self._metrics, self._events = None, None
        if jax.process_index() == 0:
            self._metrics = Metrics(config.run_dir / "metrics.jsonl", step)
            self._events = _tensorboard(config) if config.tensorboard else None

    def flush(self) -> None:
        """Checks and logs the pending measurements, if there are any.

        Raises:
            TrainingError: a loss or the norm of its gradient is not finite.
        """
        if self.pending is None:
            return
        last, measured, group = self.pending
        self.pending = None
        host = jax.device_get(measured)
        for i, batch in enumerate(group):
            step = last - len(group) + i + 1
            self.latest = {key: float(values[i]) for key, values in host.items()}
            self._check(step, batch)
            if step % self._config.log_every == 0 or step == self._config.steps:
                self.log(step, self.latest)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Writes the measurements of a step; does nothing except in process 0."""
        if self._metrics:
            self._metrics.write(step, values)
        if self._events:
            for key, value in values.items():
                self._events.add_scalar(key, value, step)

    def close(self) -> None:
        """Closes the files."""
        for file in (self._metrics, self._events):
            if file:
                file.close()

    def _check(self, step: int, batch: Batch) -> None:
        if math.isfinite(self.latest["loss"]) and math.isfinite(self.latest["grad_norm"]):
            return
        last = self._checkpoints.latest
        good = "there is no checkpoint" if last is None else f"the last good checkpoint is {last}"
        raise TrainingError(
            f"the loss is not finite at step {step} ({good}, in {self._checkpoints.folder}); "
            f"the batch was {', '.join(batch.names)}"
        )


def _join_processes(config: Config) -> None:
    if config.num_processes == 1 and config.coordinator is None:
        return
    if config.num_processes == 0:
        jax.distributed.initialize()
    else:
        jax.distributed.initialize(config.coordinator, config.num_processes, config.process_id)


def _check_shares(config: Config) -> None:
    share = jax.local_device_count() * jax.process_count() * config.accumulate
    if config.batch_size % share:
        raise UsageError(
            f"--batch-size {config.batch_size} must be a multiple of {share}, the number of "
            f"devices, processes and parts (--accumulate) that share it"
        )
    if config.pairings > config.batch_size // share:
        raise UsageError(
            f"--pairings {config.pairings} needs as many styles in each of the {share} shares of "
            f"--batch-size {config.batch_size}"
        )


def _share_of_batches(config: Config) -> dict[str, Any]:
    """The arguments of the batches that select the share of this process."""
    return {
        "batch_size": config.batch_size // jax.process_count(),
        "seed": config.seed,
        "process_index": jax.process_index(),
        "process_count": jax.process_count(),
    }


def _place_pictures(config: Config, content: Pictures, style: Pictures) -> tuple[Config, str]:
    """Decides `pictures` and `steps_per_dispatch`; returns the configuration, and the reasons.

    A resumed run keeps the place of its pictures, because its batches depend on it.
    """
    place, reason = config.pictures, "as --pictures says"
    before = recorded(config.run_dir)
    if place == "auto" and before is not None:
        place, reason = before.get("pictures", "stream"), "as this run began"
    accelerated = jax.default_backend() != "cpu"
    if place == "auto" and not accelerated:
        place, reason = "stream", "as a CPU has no memory of its own"
    if place == "auto":
        needed = estimated_bytes(content) + estimated_bytes(style)
        room = min(free_memory() // PICTURES_SHARE, 3 * MAX_PIXELS)
        place = "device" if needed <= room else "stream"
        fit = "fit" if needed <= room else "do not fit"
        reason = f"as their {needed / 1e9:.2f} GB {fit} into {room / 1e9:.2f} GB of its memory"
    if place == "device":
        what = f"{len(content):,} + {len(style):,} pictures are decoded once and live on the device"
    else:
        what = "pictures are streamed from their files"
    per_dispatch = config.steps_per_dispatch
    if not per_dispatch:
        per_dispatch = STEPS_PER_DISPATCH if accelerated and place == "device" else 1
    config = dataclasses.replace(config, pictures=place, steps_per_dispatch=per_dispatch)
    return config, f"{what}, {reason}; {per_dispatch} steps per dispatch"


def _groups(
    batches: Batches | NumberedBatches,
    config: Config,
    step: int,
    elapsed: Callable[[], float],
) -> Iterator[tuple[dict[str, Any], list[Batch], dict[str, Any]]]:
    """Puts the batches of each dispatch on the devices, until the end of the run.

    Yields (arrays (devices, k, n, ...), the k batches, the position in the data after them).
    """
    while step < config.steps:
        group = [next(batches) for _ in range(steps_of_dispatch(config, step))]
        step += len(group)
        arrays = [batch.arrays() for batch in group]
        stacked = {key: np.stack([own[key] for own in arrays]) for key in arrays[0]}
        if config.minutes:
            stacked["elapsed"] = np.full_like(stacked["pair"], elapsed(), np.float32)
        yield shard_steps(stacked), group, batches.get_state()


def steps_of_dispatch(config: Config, step: int) -> int:
    """Returns the number of steps of the dispatch at `step`: `config.steps_per_dispatch` or 1.

    No dispatch spans a step after which the run validates, saves, or changes its phase. The number
    depends on the step alone, so that a resumed run executes the same programs and gives the same
    result to the last bit.
    """
    most = config.steps_per_dispatch
    every = (config.val_every, config.save_every)
    ends = [config.steps, *(step - step % n + n for n in every)]
    if step < config.reconstruct:
        ends.append(config.reconstruct)
    return most if step % most == 0 and min(ends) - step >= most else 1


def _save(checkpoints: Checkpoints, state: State, data: Mapping[str, Any], *, final: bool) -> None:
    try:
        checkpoints.save(state, data)
        if final:
            checkpoints.wait()
    except CheckpointError as error:
        if final:
            raise
        print(f"warning: {error}; the run goes on", file=sys.stderr)


def _close(checkpoints: Checkpoints) -> None:
    try:
        checkpoints.close()
    except CheckpointError as error:
        print(f"warning: {error}", file=sys.stderr)


def _minutes_since(moment: float) -> float:
    return (time.monotonic() - moment) / 60


def _all_agree(wish: bool, step: int) -> bool:
    """Whether to stop. Several processes agree on a step, so that none waits for another."""
    if jax.process_count() == 1:
        return wish
    from jax.experimental import multihost_utils

    return bool(multihost_utils.reached_preemption_sync_point(step))


def _finish(config: Config, state: State, sources: Sequence[Pictures], seconds: float) -> None:
    if skipped := sum(len(source.bad) for source in sources):
        _say(f"unreadable pictures skipped: {skipped}")
    plot([config.run_dir], config.run_dir / "curves.png")
    took = datetime.timedelta(seconds=round(seconds))
    part = MODELS[config.model].trained
    target = config.run_dir / f"{part}.safetensors"
    export(state, target, config, noted_styles(config.run_dir))
    if config.transform == "concat":
        _say(f"done in {took}; weights in {target}")
        return
    style = " --style-index 0" if config.transform == "conditional" else ""
    _say(
        f"done in {took}; use it with adain stylize --model {config.model} --{part} {target}{style}"
    )


def _say(text: str) -> None:
    if jax.process_index() == 0:
        print(text, flush=True)


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collects the first SIGINT or SIGTERM; a second one raises KeyboardInterrupt."""
    caught: list[int] = []

    def catch(number: int, frame: FrameType | None) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

    if jax.process_count() > 1:  # JAX's own service handles them
        yield caught
        return
    before = {number: signal.signal(number, catch) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(config: Config, start: int, first: bool) -> Iterator[Callable[..., None]]:
    """How far the training is: steps, losses, pictures per second and the time left."""
    if not first:  # one process speaks for all
        yield lambda *_: None
        return
    with progress("training", config.steps, done=start) as advance:
        shown = start

        def show(step: int, latest: dict[str, float], pace: float) -> None:
            nonlocal shown
            rate = f"{pace * config.batch_size:.1f} pictures/s"
            losses = describe(latest, ("loss", "pixel_loss", "content_loss", "style_loss"))
            advance(step - shown, note=f"{losses}, {rate}" if losses else rate)
            shown = step

        yield show


def _tensorboard(config: Config) -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise UsageError("--tensorboard needs pip install 'adain-jax[tensorboard]'") from None
    return SummaryWriter(str(Path(config.run_dir, "tensorboard")))
