"""Checkpoints with Orbax: written in the background, whole or not at all."""

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from adain_jax import weights
from adain_jax.errors import AdainError
from adain_jax.training.config import Config
from adain_jax.training.models import REGISTRY
from adain_jax.training.step import State
from adain_jax.weights import Layers


class CheckpointError(AdainError):
    """A checkpoint that cannot be written or read; the message names it."""


class Restored(NamedTuple):
    """What a checkpoint holds."""

    state: State
    data: Mapping[str, Any]


class Checkpoints:
    """The checkpoints of a run, in one folder; only the first process writes.

    Arrays are saved from the host, without their placement, so that a run can go on with another
    number of devices.

    Args:
        folder: made if it does not exist.
        keep: how many to keep.
    """

    def __init__(self, folder: Path, keep: int = 3):
        process = jax.process_index()
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            cleanup_tmp_directories=process == 0,
            # Each process manages on its own: only the first one saves.
            multiprocessing_options=ocp.options.MultiprocessingOptions(
                primary_host=process,
                active_processes={process},
                barrier_sync_key_prefix=f"process{process}",
            ),
            create=False,
        )
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        logging.getLogger("absl").addFilter(self._is_critical)  # until `close`
        self._manager = ocp.CheckpointManager(self.folder, options=options)

    @property
    def latest(self) -> int | None:
        """The step of the newest whole checkpoint."""
        step = self._manager.latest_step()
        return None if step is None else int(step)

    def save(self, state: State, data: Mapping[str, Any]) -> None:
        """Begins to save; the write itself goes on in the background.

        Raises:
            CheckpointError: this one or the one before it could not be written.
        """
        host = jax.device_get(state)
        step = int(host.step)
        if step == self.latest:
            return
        needed = 2 * sum(leaf.nbytes for leaf in jax.tree.leaves(host))
        if shutil.disk_usage(self.folder).free < needed:  # Orbax fails loudly in several threads
            raise CheckpointError(f"{self.folder}: step {step} not saved (the disk is full)")
        try:
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(_on_disk(host)), data=ocp.args.JsonSave(dict(data))
                ),
            )
        except Exception as error:  # Orbax passes on whatever the file system says
            raise CheckpointError(
                f"{self.folder}: step {step} not saved ({_short(error)})"
            ) from error

    def wait(self) -> None:
        """Waits until all is on disk.

        Raises:
            CheckpointError: it could not be written.
        """
        try:
            self._manager.wait_until_finished()
        except Exception as error:
            raise CheckpointError(f"{self.folder}: not saved ({_short(error)})") from error

    def restore(self, like: State, step: int | None = None) -> Restored:
        """Reads a checkpoint, the newest by default, into the shape of `like`.

        Raises:
            CheckpointError: there is none, or it does not fit.
        """
        step = self.latest if step is None else step
        if step is None:
            raise CheckpointError(f"{self.folder}: no checkpoint in this folder")
        template = jax.tree.map(np.empty_like, _on_disk(jax.device_get(like)))
        try:
            restored = self._manager.restore(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardRestore(template), data=ocp.args.JsonRestore()
                ),
            )
        except Exception as error:
            message = f"{self.folder}: step {step} does not fit ({_short(error)})"
            raise CheckpointError(message) from error
        state = dict(restored.state)
        return Restored(State(batch_stats=state.pop("running"), **state), restored.data)

    def close(self) -> None:
        """Waits and lets go of the folder.

        Raises:
            CheckpointError: the last checkpoint could not be written.
        """
        try:
            self.wait()
            self._manager.close()
        finally:
            logging.getLogger("absl").removeFilter(self._is_critical)

    def _is_critical(self, record: logging.LogRecord) -> bool:
        """What absl may log: Orbax logs each of its steps, and with tracebacks what is raised too."""
        return record.levelno >= logging.CRITICAL


def export(state: State, path: Path, config: Config, *, half: bool = False) -> None:
    """Writes the weights (their moving average, if there is one) that `infer.py` reads.

    With `half` as float16: half the size, 11 bits of precision. The file says how they were trained.
    """
    params = state.params if state.ema is None else state.ema
    entry = REGISTRY[config.model]
    layers: Layers = jax.device_get(params[entry.part])
    if half:
        layers = weights.to_half(layers)
    metadata = {"steps": str(int(state.step)), "config": json.dumps(config.recipe())}
    weights.write(path, layers, entry.kind, metadata)


def _on_disk(state: State) -> dict[str, Any]:
    """The state by the names that checkpoints have had since the first release."""
    fields = state._asdict()
    return {"running": fields.pop("batch_stats"), **fields}


def _short(error: Exception) -> str:
    """The first line of what Orbax says, and not all of that."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]
