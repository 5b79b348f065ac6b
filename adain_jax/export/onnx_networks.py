"""The networks of `adain_jax.nn` in ONNX, layer by layer, and AdaIN between their halves."""

from collections.abc import Callable
from typing import NamedTuple

from adain_jax.export.onnx_graph import HEIGHT, WIDTH, Graph
from adain_jax.models import Model
from adain_jax.nn.fast import SLOPE
from adain_jax.nn.network import STRIDE
from adain_jax.nn.vgg19 import BLOCKS
from adain_jax.style import EPSILON

Layers = Callable[[Graph, str], str]


class Network(NamedTuple):
    """The parts of a `StyleNetwork`; each adds its nodes to a graph.

    Attributes:
        pad_to_stride: pictures, or masks, as the encoder and the pooling of masks take them.
        encode: features of padded pictures, with at least two rows and columns.
        decode: pictures of features; not clipped, and not cut to size.
    """

    pad_to_stride: Layers
    encode: Layers
    decode: Layers


class Statistics(NamedTuple):
    """Means and standard deviations of channels, (r, c, 1, 1), as `adain_jax.style` defines them."""

    mean: str
    std: str


def encode_style(graph: Graph, network: Network, picture: str) -> Statistics:
    """`StyleNetwork.encode_style` of a picture (1, 3, h, w)."""
    return _statistics(graph, encode(graph, network, picture))


def paint(
    graph: Graph, network: Network, content: str, style: Statistics, alpha: str, masks: str | None
) -> str:
    """`StyleNetwork.__call__`: a picture (1, 3, H, W), not clipped, and not cut to size.

    Args:
        graph: gets the nodes.
        network: the parts.
        content: (1, 3, h, w).
        style: one row, or with masks as many rows as there are masks.
        alpha: ().
        masks: (1, r, h, w), or None.
    """
    features = encode(graph, network, content)
    if masks is None:
        own = _statistics(graph, features)
        return paint_features(graph, network, features, own, style, alpha)
    op = graph.op
    target = _adain_regions(graph, features, style, _regions(graph, network, masks))
    kept = op("Mul", op("Sub", graph.number(1), alpha), features)
    return network.decode(graph, op("Add", kept, op("Mul", alpha, target)))


def paint_features(
    graph: Graph, network: Network, features: str, own: Statistics, style: Statistics, alpha: str
) -> str:
    """`StyleNetwork.stylize`: a picture (1, 3, H, W), not clipped.

    Args:
        graph: gets the nodes.
        network: the parts.
        features: (1, c, h, w).
        own: of the whole content.
        style: one row.
        alpha: ().
    """
    op = graph.op
    # AdaIN and the blend with the content are one factor and one summand for each channel.
    ratio = op("Div", style.std, own.std)
    factor = op("Add", op("Sub", graph.number(1), alpha), op("Mul", alpha, ratio))
    summand = op("Mul", alpha, op("Sub", style.mean, op("Mul", ratio, own.mean)))
    return network.decode(graph, op("Add", op("Mul", factor, features), summand))


def encode(graph: Graph, network: Network, picture: str) -> str:
    """`StyleNetwork.encode`: features (1, c, H, W) of a picture (1, 3, h, w)."""
    return network.encode(graph, network.pad_to_stride(graph, picture))


def _statistics(graph: Graph, x: str) -> Statistics:
    axes = graph.integers(HEIGHT, WIDTH)
    mean = graph.op("ReduceMean", x, axes)
    from_mean = graph.op("Sub", x, mean)
    variance = graph.op("ReduceMean", graph.op("Mul", from_mean, from_mean), axes)
    return Statistics(mean, _root(graph, variance))


def _weighted_statistics(graph: Graph, x: str, weights: str) -> Statistics:
    """Of a map (1, c, h, w), for each row of weights (r, 1, h, w)."""
    op, axes = graph.op, graph.integers(HEIGHT, WIDTH)
    total = op("Max", op("ReduceSum", weights, axes), graph.number(1e-12))
    shares = op("Div", weights, total)
    mean = op("ReduceSum", op("Mul", shares, x), axes)
    from_mean = op("Sub", x, mean)
    squares = op("Mul", from_mean, from_mean)
    return Statistics(mean, _root(graph, op("ReduceSum", op("Mul", shares, squares), axes)))


def _root(graph: Graph, variance: str) -> str:
    return graph.op("Sqrt", graph.op("Add", variance, graph.number(EPSILON)))


def _adain(graph: Graph, x: str, style: Statistics, own: Statistics) -> str:
    normalized = graph.op("Div", graph.op("Sub", x, own.mean), own.std)
    return graph.op("Add", graph.op("Mul", style.std, normalized), style.mean)


def _adain_regions(graph: Graph, x: str, styles: Statistics, regions: str) -> str:
    """`adain_regions`, of regions (r, 1, h, w) that sum to at most 1."""
    op, first = graph.op, graph.integers(0)
    stylized = _adain(graph, x, styles, _weighted_statistics(graph, x, regions))
    rest = op("Sub", graph.number(1), op("ReduceSum", regions, first))
    painted = op("ReduceSum", op("Mul", regions, stylized), first)
    return op("Add", op("Mul", rest, x), painted)


def _regions(graph: Graph, network: Network, masks: str) -> str:
    """`StyleNetwork.regions`, as (r, 1, h, w)."""
    op = graph.op
    means = op(
        "AveragePool",
        network.pad_to_stride(graph, masks),
        kernel_shape=[STRIDE] * 2,
        strides=[STRIDE] * 2,
        ceil_mode=1,
    )
    x = op("Transpose", graph.at_least_two(means), perm=[1, 0, 2, 3])
    return op("Div", x, op("Max", op("ReduceSum", x, graph.integers(0)), graph.number(1)))


def _encode_fast(graph: Graph, x: str) -> str:
    for name in ("half", "quarter"):
        x = _activate(graph, graph.reflect_conv(f"encoder.{name}", graph.space_to_depth(x)))
    x = graph.at_least_two(graph.space_to_depth(x))
    x = _activate(graph, graph.reflect_conv("encoder.eighth", x))
    for block in ("eighth_block_1", "eighth_block_2"):
        x = _residual(graph, f"encoder.{block}", x)
    return graph.op("Relu", graph.convolution("encoder.relu4_1", _activate(graph, x)))


def _decode_fast(graph: Graph, x: str) -> str:
    x = _activate(graph, graph.convolution("decoder.relu4_1", x))
    for block in ("eighth_block_1", "eighth_block_2", "eighth_block_3"):
        x = _residual(graph, f"decoder.{block}", x)
    x = _activate(graph, graph.upsample_conv("decoder.quarter", x))
    for block in ("quarter_block_1", "quarter_block_2"):
        x = _residual(graph, f"decoder.{block}", x)
    x = _activate(graph, graph.upsample_conv("decoder.half", x))
    return graph.upsample_conv("decoder.picture", x)


def _residual(graph: Graph, block: str, x: str) -> str:
    y = _activate(graph, graph.reflect_conv(f"{block}.conv_1", x))
    return graph.op("Add", x, graph.reflect_conv(f"{block}.conv_2", y))


def _activate(graph: Graph, x: str) -> str:
    return graph.op("LeakyRelu", x, alpha=SLOPE)


def _encode_vgg19(graph: Graph, x: str) -> str:
    x = graph.at_least_two(x)
    for names in BLOCKS:
        for name in names:
            x = graph.op("Relu", graph.reflect_conv(f"encoder.{name}", x))
        if names != BLOCKS[-1]:
            x = graph.at_least_two(graph.max_pool(x))
    return x


def _decode_vgg19(graph: Graph, x: str) -> str:
    *names, last = (name for block in BLOCKS[::-1] for name in block[::-1])
    before_pooling = [block[-1] for block in BLOCKS[:-1]]
    for name in names:
        layer = graph.upsample_conv if name in before_pooling else graph.reflect_conv
        x = graph.op("Relu", layer(f"decoder.{name}", x))
    return graph.reflect_conv(f"decoder.{last}", x)


NETWORKS: dict[Model, Network] = {
    "fast": Network(Graph.mirror_to_multiple_of_8, _encode_fast, _decode_fast),
    "vgg19": Network(lambda graph, x: x, _encode_vgg19, _decode_vgg19),
}
