"""The step on all devices: `jax.pmap` with the state replicated and the batch split."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

AXIS = "devices"


def pmapped(train_step: Callable[..., Any]) -> Callable[..., Any]:
    """A training step over all devices: state and frozen inputs replicated, batch (devices, n, ...).

    The state keeps no device axis, and is donated.
    """
    return jax.pmap(
        partial(train_step, axis_name=AXIS),
        axis_name=AXIS,
        in_axes=(None, None, 0),
        out_axes=(None, None),
        donate_argnums=(0,),
    )


def replicate(tree: Any) -> Any:
    """The tree on every local device, as `pmapped` needs it where several processes train."""
    return jax.device_put(tree, _local_sharding())


def shard_steps(tree: Any) -> Any:
    """Batches (k, n, ...) of k steps, split over the devices: (devices, k, n / devices, ...)."""
    devices = jax.local_device_count()
    split = jax.tree.map(
        lambda a: a.reshape(len(a), devices, -1, *a.shape[2:]).swapaxes(0, 1), tree
    )
    return jax.device_put(split, _local_sharding(AXIS))


def _local_sharding(*axes: str) -> jax.sharding.NamedSharding:
    mesh = jax.sharding.Mesh(np.array(jax.local_devices()), (AXIS,))
    return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*axes))
