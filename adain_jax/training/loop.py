"""The run: from a configuration to a trained decoder, through whatever happens in between."""

import math
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import jax

from adain_jax import weights
from adain_jax.data.pipeline import Batch, Batches, one_ahead
from adain_jax.data.sources import Pictures, open_source
from adain_jax.errors import AdainError, UsageError
from adain_jax.images import save_picture
from adain_jax.training.checkpoints import CheckpointError, Checkpoints, export
from adain_jax.training.config import Config
from adain_jax.training.run_dir import Metrics, RunError, agree, plot
from adain_jax.training.step import (
    KINDS,
    State,
    initial_state,
    make_train_step,
    pmapped,
    replicate,
    shard,
)
from adain_jax.training.validation import Validation, describe


class TrainingError(AdainError):
    """A run that cannot go on; the message says where and why."""


def train(config: Config) -> None:
    """Trains, or goes on with, the run in `config.run_dir`.

    Raises:
        UsageError: the configuration makes no sense.
        RunError, DataError, WeightsError, CheckpointError: something it names cannot be used.
        TrainingError: the loss is not finite.
    """
    problems = config.problems()
    if problems:
        raise UsageError("; ".join(problems))
    _join_processes(config)
    run = _Run(config)
    try:
        run.go_on()
    finally:
        run.close()


def _join_processes(config: Config) -> None:
    if config.num_processes == 1 and config.coordinator is None:
        return
    if config.num_processes == 0:
        jax.distributed.initialize()
    else:
        jax.distributed.initialize(config.coordinator, config.num_processes, config.process_id)


class _Run:
    def __init__(self, config: Config):
        self.config = config
        self.first = jax.process_index() == 0
        devices, processes = jax.local_device_count(), jax.process_count()
        share = devices * processes * config.accumulate
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
        path = config.encoder or weights.default_path("vgg19-encoder")
        encoder = weights.read(path, "vgg19-encoder")
        _, kind = KINDS[config.model]
        init = weights.read(config.init, kind) if config.init else None
        style_source = open_source(config.style, data_dir=config.data_dir)
        cache = int(config.cache_gib * 2**30)
        content = Pictures(
            open_source(config.content, data_dir=config.data_dir), config.resize, cache
        )
        style = Pictures(style_source, config.resize, cache)
        self.validation = None
        if config.val_content and config.val_style and self.first:
            val_style = style_source
            if config.transform != "conditional":
                val_style = open_source(config.val_style, data_dir=config.data_dir)
            val_content = open_source(config.val_content, data_dir=config.data_dir)
            self.validation = Validation(config, val_content, val_style, len(style))
        if self.first:
            agree(config)
        self.checkpoints = Checkpoints(config.run_dir / "checkpoints", config.keep)
        self.sources = content, style
        self.batches = Batches(
            content,
            style,
            batch_size=config.batch_size // processes,
            crop=config.crop,
            seed=config.seed,
            flip=config.flip,
            process_index=jax.process_index(),
            process_count=processes,
        )
        state = initial_state(config, len(style), init)
        if self.checkpoints.latest is not None:
            state, data = self.checkpoints.restore(state)
            self.batches.set_state(dict(data))
        elif config.resume:
            raise RunError(f"{config.run_dir}: no checkpoint to go on from; leave --resume out")
        self.state: State = replicate(state)
        self.encoder = encoder
        self.encoder_params = replicate(encoder)
        self.reconstruct_step, self.train_step = (
            pmapped(make_train_step(config, len(style), reconstruct=reconstruct))
            for reconstruct in (True, False)
        )
        self.step = int(state.step)
        self.data: Mapping[str, Any] = self.batches.get_state()
        self.saved_at = time.monotonic()
        self.pending: tuple[int, Any, Batch] | None = None
        self.metrics = None
        if self.first:
            self.metrics = Metrics(config.run_dir / "metrics.jsonl", self.step)
        self.events = _tensorboard(config) if config.tensorboard and self.first else None

    def go_on(self) -> None:
        """Trains from the current step to the last one, or until a signal."""
        config = self.config
        if self.step >= config.steps:
            self._say(f"{config.run_dir} is at step {self.step} already")
        elif self.step:
            self._say(f"going on from step {self.step}")
        else:
            self._validate()
        began, first_step = time.perf_counter(), self.step
        with _signals() as stopped, _progress(config, self.step, self.first) as show:
            batches = one_ahead(self.batches, self._to_device)
            while self.step < config.steps:
                on_device, batch, self.data = next(batches)
                step = self.reconstruct_step if self.step < config.reconstruct else self.train_step
                self.state, measured = step(self.state, self.encoder_params, on_device)
                self.step += 1
                values = self._record()  # of the step before, while this one is computed
                self.pending = self.step, measured, batch
                pace = (self.step - first_step) / (time.perf_counter() - began)
                show(self.step, values, pace)
                if self.step % config.val_every == 0 or self.step == config.steps:
                    self._record()
                    self._validate()
                if self._is_time_to_save():
                    self._save()
                if self._should_stop(stopped):
                    self._record()
                    self._save(final=True)
                    self._say(f"stopped at step {self.step}; the same command goes on from there")
                    return
            self._record()
            self._save(final=True)
        self._finish()

    def close(self) -> None:
        """Lets go of files and threads."""
        try:
            self.checkpoints.close()
        except CheckpointError as error:
            print(f"warning: {error}", file=sys.stderr)
        if self.metrics:
            self.metrics.close()
        if self.events:
            self.events.close()

    def _to_device(self, batch: Batch) -> dict[str, Any]:
        return shard({key: getattr(batch, key) for key in ("content", "style", "style_index")})

    def _record(self) -> dict[str, float] | None:
        """Checks and logs the measurements that are pending.

        Raises:
            TrainingError: the loss is not finite.
        """
        if self.pending is None:
            return None
        step, measured, batch = self.pending
        self.pending = None
        values = {key: float(value) for key, value in jax.device_get(measured).items()}
        if not math.isfinite(values["loss"]) or not math.isfinite(values["grad_norm"]):
            last = self.checkpoints.latest
            good = (
                "there is no checkpoint" if last is None else f"the last good checkpoint is {last}"
            )
            raise TrainingError(
                f"the loss is not finite at step {step} ({good}, in {self.checkpoints.folder}); "
                f"the batch was {', '.join(batch.names)}"
            )
        if self.metrics and (step % self.config.log_every == 0 or step == self.config.steps):
            self._log(step, values)
        return values

    def _log(self, step: int, values: dict[str, float]) -> None:
        if self.metrics:
            self.metrics.write(step, values)
        if self.events:
            for key, value in values.items():
                self.events.add_scalar(key, value, step)

    def _validate(self) -> None:
        if not self.validation:
            return
        state = jax.device_get(self.state)
        values, sheet = self.validation.run(state, self.encoder)
        self._log(self.step, values)
        folder = self.config.run_dir / "samples"
        folder.mkdir(exist_ok=True)
        save_picture(sheet, folder / f"step_{self.step:07d}.jpg", quality=90)
        keys = ("val_loss", "val_content_loss", "val_style_loss")
        self._say(f"step {self.step}: {describe(values, keys)}")

    def _is_time_to_save(self) -> bool:
        minutes = (time.monotonic() - self.saved_at) / 60
        return self.step % self.config.save_every == 0 or minutes >= self.config.save_minutes

    def _save(self, final: bool = False) -> None:
        """Saves, once the losses so far are known to be finite."""
        self._record()
        self.saved_at = time.monotonic()
        if not self.first:
            return
        try:
            self.checkpoints.save(self.state, self.data)
            if final:
                self.checkpoints.wait()
        except CheckpointError as error:
            if final:
                raise
            print(f"warning: {error}; the run goes on", file=sys.stderr)

    def _should_stop(self, stopped: list[int]) -> bool:
        if jax.process_count() == 1:
            return bool(stopped)
        from jax.experimental import multihost_utils

        # Agreed on by all processes, so that none waits for another in the next step.
        return bool(multihost_utils.reached_preemption_sync_point(self.step))

    def _finish(self) -> None:
        if not self.first:
            return
        config = self.config
        skipped = sum(len(source.bad) for source in self.sources)
        if skipped:
            self._say(f"unreadable pictures skipped: {skipped}")
        plot([config.run_dir], config.run_dir / "curves.png")
        if config.norm == "none" and config.transform == "adain":
            name, _ = KINDS[config.model]
            target = config.run_dir / f"{name}.safetensors"
            export(self.state, target, config)
            self._say(f"done; use it with infer.py --model {config.model} --{name} {target}")
        else:
            self._say(f"done; see {config.run_dir}")

    def _say(self, text: str) -> None:
        if self.first:
            print(text, flush=True)


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collects SIGINT and SIGTERM instead of dying of them; a second one is not collected."""
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
def _progress(config: Config, start: int, first: bool) -> Iterator[Any]:
    """A live line on a terminal: step, losses, pictures per second and the time left."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        *("step", MofNCompleteColumn(), BarColumn(bar_width=20), TextColumn("{task.description}")),
        TimeRemainingColumn(),
    )
    latest = ""
    with Progress(*columns, console=console, disable=not (first and console.is_terminal)) as bar:
        task = bar.add_task("", total=config.steps, completed=start)

        def show(step: int, values: dict[str, float] | None, pace: float) -> None:
            nonlocal latest
            if values:
                latest = describe(values, ("loss", "pixel_loss", "content_loss", "style_loss"))
            rate = f"{pace * config.batch_size:.1f} pictures/s"
            bar.update(task, completed=step, description=f"{latest}, {rate}" if latest else rate)

        yield show


def _tensorboard(config: Config) -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise UsageError("--tensorboard needs pip install 'adain-jax[tensorboard]'") from None
    return SummaryWriter(str(Path(config.run_dir, "tensorboard")))
