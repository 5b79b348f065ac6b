"""The programs in ONNX, of any height and width: one file each, with its weights and metadata."""

import numpy as np
from onnx import TensorProto, ValueInfoProto, checker, helper

from adain_jax import __version__
from adain_jax.export.onnx_graph import HEIGHT, WIDTH, Graph
from adain_jax.export.onnx_networks import (
    NETWORKS,
    Statistics,
    encode,
    encode_style,
    paint,
    paint_features,
)
from adain_jax.export.programs import Program, Values
from adain_jax.inference.stylizer import Stylizer
from adain_jax.nn.network import STRIDE
from adain_jax.style import EPSILON
from adain_jax.weights import flatten

OPSET = 18
"""The oldest with the operators as they are used; runtimes of 2023 have it."""


def serialize(program: Program, stylizer: Stylizer, *, half: bool) -> bytes:
    """The file's bytes, with the weights in float16 or float32."""
    parameters = {k: np.asarray(v, np.float32) for k, v in flatten(stylizer.params).items()}
    graph = Graph(parameters, half=half)
    if program.name == "style":
        _encode_style(graph, stylizer)
    elif program.name == "encoder":
        _encode(graph, stylizer)
    elif program.name == "decoder":
        _decode(graph, stylizer)
    else:
        _paint(graph, stylizer, masks="masks" in program.inputs)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            f"{stylizer.model}-{program.name}",
            _infos(program.inputs),
            _infos(program.outputs),
            graph.constants,
            doc_string=program.purpose,
        ),
        producer_name="adain-jax",
        producer_version=__version__,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=helper.OP_SET_ID_VERSION_MAP["ai.onnx", OPSET],
        doc_string=program.purpose,
    )
    helper.set_model_props(model, _metadata(stylizer, half=half))
    checker.check_model(model, full_check=True)
    return model.SerializeToString()


def _encode_style(graph: Graph, stylizer: Stylizer) -> None:
    found = encode_style(graph, NETWORKS[stylizer.model], _channels_first(graph, "style"))
    for name, value in found._asdict().items():
        graph.name(graph.op("Flatten", value), name)


def _paint(graph: Graph, stylizer: Stylizer, *, masks: bool) -> None:
    painted = paint(
        graph,
        NETWORKS[stylizer.model],
        content := _channels_first(graph, "content"),
        _statistics(graph, "mean", "std"),
        "alpha",
        _channels_first(graph, "masks") if masks else None,
    )
    size = graph.op("Shape", content, start=HEIGHT)
    axes = graph.integers(HEIGHT, WIDTH)
    _give_result(graph, graph.op("Slice", painted, graph.integers(0, 0), size, axes))


def _encode(graph: Graph, stylizer: Stylizer) -> None:
    features = encode(graph, NETWORKS[stylizer.model], _channels_first(graph, "picture"))
    graph.name(features, "features")


def _decode(graph: Graph, stylizer: Stylizer) -> None:
    own = _statistics(graph, "content_mean", "content_std")
    style = _statistics(graph, "mean", "std")
    _give_result(
        graph, paint_features(graph, NETWORKS[stylizer.model], "features", own, style, "alpha")
    )


def _statistics(graph: Graph, mean: str, std: str) -> Statistics:
    axes = graph.integers(HEIGHT, WIDTH)
    return Statistics(*(graph.op("Unsqueeze", name, axes) for name in (mean, std)))


def _give_result(graph: Graph, painted: str) -> None:
    clipped = graph.op("Clip", painted, graph.number(0), graph.number(1))
    graph.name(graph.op("Transpose", clipped, perm=[0, 2, 3, 1]), "result")


def _channels_first(graph: Graph, picture: str) -> str:
    return graph.op("Transpose", picture, perm=[0, 3, 1, 2])


def _infos(values: dict[str, Values]) -> list[ValueInfoProto]:
    return [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, one.shape, one.meaning)
        for name, one in values.items()
    ]


def _metadata(stylizer: Stylizer, *, half: bool) -> dict[str, str]:
    """What a program that runs the file may want to know of the model; see docs/export.md."""
    return {
        "model": stylizer.model,
        "encoder_id": stylizer.encoder_id,
        "weights": "float16" if half else "float32",
        "stride": str(STRIDE),
        "encoder_radius": str(stylizer.network.encoder_radius),
        "decoder_radius": str(stylizer.network.decoder_radius),
        "epsilon": str(EPSILON),
    }
