"""The training step on all devices: `jax.pmap` with a replicated state and a split batch."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

AXIS = "devices"


def pmapped(train_step: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a training step run on all devices.

    Args:
        train_step: a function (state, frozen, batch, axis_name) -> (state, measurements).

    Returns:
        A function (state, frozen, batch) -> (state, measurements). Only the batch has a leading
        device axis, (devices, n, ...). The state is donated: its arrays are invalid afterwards.
    """
    return jax.pmap(
        partial(train_step, axis_name=AXIS),
        axis_name=AXIS,
        in_axes=(None, None, 0),
        out_axes=(None, None),
        donate_argnums=(0,),
    )


def replicate(tree: Any) -> Any:
    """Copies a tree of arrays to every local device. `pmapped` needs it with several processes."""
    return jax.device_put(tree, _local_sharding())


def shard_steps(tree: Any) -> Any:
    """Splits the batches of k steps over the local devices.

    Args:
        tree: arrays (k, n, ...), where n is a multiple of the number of local devices.

    Returns:
        Arrays (devices, k, n / devices, ...), one row on each device.
    """
    devices = jax.local_device_count()
    split = jax.tree.map(
        lambda a: a.reshape(len(a), devices, -1, *a.shape[2:]).swapaxes(0, 1), tree
    )
    return jax.device_put(split, _local_sharding(AXIS))


def _local_sharding(*axes: str) -> jax.sharding.NamedSharding:
    mesh = jax.sharding.Mesh(np.array(jax.local_devices()), (AXIS,))
    return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*axes))
