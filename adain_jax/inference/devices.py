"""The local devices that share a batch: parameters on each, the pictures split evenly over them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from adain_jax.inference.buckets import power_of_two

AXIS = "devices"

Params = Mapping[str, Any]


class Devices:
    """Several devices as a mesh of one axis, and the first of them as a mesh of its own.

    A batch goes to all of them. A single picture goes to the first: the others would compute copies.

    Attributes:
        params: the parameters, on every device.
        params_of_first: the same arrays, on the first device.
    """

    def __init__(self, devices: Sequence[jax.Device], params: Params):
        self._all = Mesh(np.array(devices), (AXIS,))
        self._first = Mesh(np.array(devices[:1]), (AXIS,))
        self.params = jax.device_put(params, NamedSharding(self._all, PartitionSpec()))
        self.params_of_first = jax.tree.map(lambda x: x.addressable_data(0), self.params)

    def __len__(self) -> int:
        """How many there are."""
        return self._all.size

    def rows(self, pictures: int) -> int:
        """How many rows a batch of so many pictures has: one, or the same power of two on each."""
        if pictures == 1:
            return 1
        return len(self) * power_of_two(-(-pictures // len(self)))

    def of_batch(self, rows: int) -> tuple[Mesh, Params]:
        """The devices that compute a batch of so many rows, and the parameters on them."""
        return (self._first, self.params_of_first) if rows == 1 else (self._all, self.params)


def split(mesh: Mesh, batch: Any) -> Any:
    """Arrays of the host whose rows are put on the devices of a mesh, evenly."""
    return jax.device_put(batch, NamedSharding(mesh, PartitionSpec(AXIS)))


def on_each_device(mesh: Mesh, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function (params, batch) on each device of a mesh, of its own rows of the batch.

    Each device runs the program that it would run alone, so results do not depend on their number,
    and nothing is exchanged.
    """
    batch = PartitionSpec(AXIS)
    return jax.shard_map(
        function,
        mesh=mesh,
        in_specs=(PartitionSpec(), batch),
        out_specs=batch,
        check_vma=False,  # there is nothing to check without communication
    )
