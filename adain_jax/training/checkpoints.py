"""Checkpoints with Orbax, written atomically and in the background."""

import json
import logging
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
import tensorstore as ts

from adain_jax import weights
from adain_jax.errors import AdainError
from adain_jax.models import MODELS
from adain_jax.training.config import Config
from adain_jax.training.models import architecture, exported
from adain_jax.training.step import State
from adain_jax.weights import Layers


class CheckpointError(AdainError):
    """A checkpoint that cannot be written or read; the message names it."""


class Restored(NamedTuple):
    """What a checkpoint holds.

    Attributes:
        state: the training state, NumPy arrays.
        data: the JSON values that were saved with it.
    """

    state: State
    data: Mapping[str, Any]


class Checkpoints:
    """The checkpoints of a run, in one folder. Only the first process writes.

    Arrays are saved from the host, without their sharding, so that a run can resume with another
    number of devices.

    Args:
        folder: created if it does not exist.
        keep: how many checkpoints to keep, the newest.
    """

    def __init__(self, folder: Path, keep: int = 3):
        process = jax.process_index()
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            cleanup_tmp_directories=process == 0,
            # Each process has its own manager, without barriers: only the first one saves.
            multiprocessing_options=ocp.options.MultiprocessingOptions(
                primary_host=process,
                active_processes={process},
                barrier_sync_key_prefix=f"process{process}",
            ),
            create=False,
        )
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        logging.getLogger("absl").addFilter(self._is_critical)  # `close` removes it
        self._manager = ocp.CheckpointManager(self.folder, options=options)
        self._damaged: list[int] = []

    @property
    def latest(self) -> int | None:
        """The step of the newest checkpoint that is not known to be damaged, or None."""
        return max(self._steps(), default=None)

    def _steps(self) -> list[int]:
        return [int(step) for step in self._manager.all_steps() if step not in self._damaged]

    def save(self, state: State, data: Mapping[str, Any]) -> None:
        """Starts to save a checkpoint, unless its step is the latest; writes in the background.

        Args:
            state: the training state, arrays on any device.
            data: JSON values to save with it.

        Checkpoints that `restore` found damaged are put aside, as STEP.damaged.

        Raises:
            CheckpointError: the disk is full, or this checkpoint or the previous one could not be
                written.
        """
        host = jax.device_get(state)
        step = int(host.step)
        if step == self.latest:
            return
        needed = 2 * sum(leaf.nbytes for leaf in jax.tree.leaves(host))
        # Checked here because Orbax would fail noisily in several threads.
        if shutil.disk_usage(self.folder).free < needed:
            raise CheckpointError(f"{self.folder}: step {step} not saved (the disk is full)")
        try:
            self._put_damaged_aside()
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(_on_disk(host)), data=ocp.args.JsonSave(dict(data))
                ),
            )
        except Exception as error:  # Orbax passes on any error of the file system
            raise CheckpointError(
                f"{self.folder}: step {step} not saved ({_short(error)})"
            ) from error

    def wait(self) -> None:
        """Waits until all checkpoints are on disk.

        Raises:
            CheckpointError: a checkpoint could not be written.
        """
        try:
            self._manager.wait_until_finished()
        except Exception as error:
            raise CheckpointError(f"{self.folder}: not saved ({_short(error)})") from error

    def restore(self, like: State, step: int | None = None) -> Restored:
        """Reads a checkpoint.

        Newer ones that cannot be read are named in a warning on stderr.

        Args:
            like: a state with the structure, shapes and dtypes to expect.
            step: the step of the checkpoint; by default the newest that can be read.

        Raises:
            CheckpointError: there is no checkpoint, or it is damaged or does not fit `like`.
        """
        steps = sorted(self._steps(), reverse=True) if step is None else [step]
        if not steps:
            raise CheckpointError("no checkpoint in this folder", self.folder)
        template = jax.tree.map(np.empty_like, _on_disk(jax.device_get(like)))
        for number, candidate in enumerate(steps):
            try:
                _read_through(self.folder / str(candidate) / "state")
                restored = self._manager.restore(
                    candidate,
                    args=ocp.args.Composite(
                        state=ocp.args.StandardRestore(template), data=ocp.args.JsonRestore()
                    ),
                )
            except Exception as error:  # Orbax passes on whatever its libraries say, at length
                last_error = error
                continue
            self._damaged += steps[:number]
            if self._damaged and jax.process_index() == 0:
                names = ", ".join(str(self.folder / str(one)) for one in self._damaged)
                print(
                    f"warning: {names}: damaged checkpoint; going on from step {candidate}",
                    file=sys.stderr,
                )
            state = dict(restored.state)
            return Restored(State(batch_stats=state.pop("running"), **state), restored.data)
        raise CheckpointError(
            f"step {', '.join(map(str, steps))} is damaged or does not fit this network; give "
            "another step or --run-dir",
            self.folder,
        ) from last_error

    def _put_damaged_aside(self) -> None:
        """Out of the way of those that follow, which have the same steps again."""
        for step in self._damaged:
            aside = self.folder / f"{step}.damaged"
            shutil.rmtree(aside, ignore_errors=True)
            (self.folder / str(step)).rename(aside)
        if self._damaged:
            self._damaged = []
            self._manager.reload()

    def close(self) -> None:
        """Waits for pending writes and closes the manager.

        Raises:
            CheckpointError: the last checkpoint could not be written.
        """
        try:
            self.wait()
            self._manager.close()
        finally:
            logging.getLogger("absl").removeFilter(self._is_critical)

    def _is_critical(self, record: logging.LogRecord) -> bool:
        """Keeps only critical logs: Orbax logs every step, and tracebacks of errors it raises."""
        return record.levelno >= logging.CRITICAL


def _read_through(folder: Path) -> None:
    """Raises what is wrong with the stored arrays below `folder`, whatever it is.

    Orbax reads all arrays at once; of damaged ones, all but the first would fail with tracebacks on
    stderr from threads of their own.
    """
    store = ts.KvStore.open({"driver": "ocdbt", "base": f"file://{folder}/"}).result()
    for key in store.list().result():
        store.read(key).result()


def export(
    state: State, path: Path, config: Config, styles: Sequence[str] = (), *, half: bool = False
) -> None:
    """Writes the weights (their moving average, if there is one) for `infer.py`.

    Args:
        state: the training state.
        path: the safetensors file to write.
        config: of the run; the file records the network and how its weights were trained.
        styles: the names of the fixed styles of a conditional network.
        half: write float16 instead of float32: half the size, 11 bits of precision.

    Raises:
        WeightsError: the parameters are not finite.
        OSError: the file cannot be written.
    """
    params = state.params if state.ema is None else state.ema
    layers: Layers = exported(config, *jax.device_get((params, state.batch_stats)))
    if half:
        layers = weights.to_half(layers)
    metadata = {"steps": str(int(state.step)), "config": json.dumps(config.recipe())}
    weights.write(path, layers, MODELS[config.model].kind, metadata, architecture(config, styles))


def _on_disk(state: State) -> dict[str, Any]:
    """The state under the names that checkpoints have used since the first release."""
    fields = state._asdict()
    return {"running": fields.pop("batch_stats"), **fields}


def _short(error: Exception) -> str:
    """The first line of an error message of Orbax, at most 200 characters."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]
