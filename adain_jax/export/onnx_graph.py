"""The layers of our networks as ONNX nodes.

Maps are (1, c, h, w) here, as ONNX convolves them. Only operators that every runtime has are used.
Each layer gives what that of its name in `adain_jax.nn` gives, where a map has two rows and two
columns: runtimes refuse to mirror a single one, see `at_least_two`.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from adain_jax.nn.layers import phase_kernel

HEIGHT, WIDTH = 2, 3


class Graph:
    """A graph as it grows, and the parameters of its layers.

    Values go by their names in the graph.

    Attributes:
        nodes: in the order of computation.
    """

    def __init__(self, parameters: Mapping[str, np.ndarray], *, half: bool):
        """An empty graph.

        Args:
            parameters: float arrays by their paths, such as `encoder.conv1_1.kernel`.
            half: whether to store them in float16.
        """
        self._parameters = parameters
        self._dtype = np.dtype(np.float16 if half else np.float32)
        self._constants: dict[str, TensorProto] = {}
        self.nodes: list[NodeProto] = []

    @property
    def constants(self) -> list[TensorProto]:
        """The weights, and all other constants of the nodes."""
        return list(self._constants.values())

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """A node of an ONNX operator with one output."""
        output = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def name(self, value: str, name: str) -> None:
        """Gives a value the name of an output of the graph."""
        self.nodes.append(helper.make_node("Identity", [value], [name], name=name))

    def integers(self, *values: int) -> str:
        """A constant, int64 (n,)."""
        return self._constant(f"integers {values}", np.array(values, np.int64))

    def integer(self, value: int) -> str:
        """A constant, int64 ()."""
        return self._constant(f"integer {value}", np.array(value, np.int64))

    def number(self, value: float) -> str:
        """A constant, float32 ()."""
        return self._constant(f"number {value}", np.array(value, np.float32))

    def convolution(self, layer: str, x: str) -> str:
        """The convolution of a layer, without padding."""
        kernel, bias = self._layer(layer)
        return self._convolve(layer, x, kernel, bias)

    def reflect_conv(self, layer: str, x: str) -> str:
        """`ReflectConv`, of a map of at least two rows and columns."""
        return self.convolution(layer, self._pad(x, "reflect"))

    def upsample_conv(self, layer: str, x: str) -> str:
        """`UpsampleConv`, computed on the small map as there.

        Each of the four output phases has a row and a column too many on its own side. Exchanging the
        odd and the even ones puts all of these around the picture, from where they are cut off.
        """
        kernel, bias = self._layer(layer)
        phases = np.split(np.asarray(phase_kernel(jnp.asarray(kernel))), 4, axis=-1)
        kernel = np.concatenate(phases[::-1], axis=-1)
        y = self._convolve(layer, self._pad(x, "edge"), kernel, np.tile(bias, 4))
        y = self.op("DepthToSpace", y, blocksize=2)
        begin, end, axes = self.integers(1, 1), self.integers(-1, -1), self.integers(HEIGHT, WIDTH)
        return self.op("Slice", y, begin, end, axes)

    def max_pool(self, x: str) -> str:
        """`max_pool`: 2x2, in ceil mode."""
        return self.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)

    def space_to_depth(self, x: str) -> str:
        """`space_to_depth`, of a map of even sides."""
        return self.op("SpaceToDepth", x, blocksize=2)

    def at_least_two(self, x: str) -> str:
        """x with a single row or column twice.

        This changes no result of ours: the mirror image of a single row is the row itself, so all
        that follows from one is in all rows alike, and has the same statistics.
        """
        missing = self.op("Sub", self.integers(2, 2), self.op("Shape", x, start=HEIGHT))
        return self._append(x, self.op("Max", missing, self.integers(0, 0)), "edge")

    def mirror_to_multiple_of_8(self, x: str) -> str:
        """`mirror_to_multiple_of_8`; where there is too little to mirror, the edge goes on."""
        size = self.op("Shape", x, start=HEIGHT)
        missing = self.op("Mod", self.op("Neg", size), self.integer(8))
        mirrored = self.op("Min", missing, self.op("Sub", size, self.integer(1)))
        x = self._append(x, mirrored, "reflect")
        return self._append(x, self.op("Sub", missing, mirrored), "edge")

    def _layer(self, layer: str) -> tuple[np.ndarray, np.ndarray]:
        return self._parameters[f"{layer}.kernel"], self._parameters[f"{layer}.bias"]

    def _convolve(self, layer: str, x: str, kernel: np.ndarray, bias: np.ndarray) -> str:
        kernel = kernel.transpose(3, 2, 0, 1)
        weights = self._weight(f"{layer}.kernel", kernel), self._weight(f"{layer}.bias", bias)
        return self.op("Conv", x, *weights, kernel_shape=kernel.shape[2:])

    def _weight(self, name: str, array: np.ndarray) -> str:
        """A weight, float32 for the nodes; runtimes cast stored halves once, as they load them."""
        stored = self._constant(name, array.astype(self._dtype))
        if self._dtype == np.float32:
            return stored
        return self.op("Cast", stored, to=TensorProto.FLOAT)

    def _pad(self, x: str, mode: str) -> str:
        """One more row and column on each side."""
        return self.op("Pad", x, self.integers(0, 0, 1, 1, 0, 0, 1, 1), mode=mode)

    def _append(self, x: str, after: str, mode: str) -> str:
        """More rows and columns, int64 (2,), below and right."""
        pads = self.op("Concat", self.integers(0, 0, 0, 0, 0, 0), after, axis=0)
        return self.op("Pad", x, pads, mode=mode)

    def _constant(self, name: str, array: np.ndarray) -> str:
        self._constants[name] = numpy_helper.from_array(array, name)
        return name
