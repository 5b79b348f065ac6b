"""Weights of every kind in, the same network out; what is wrong or hostile is refused by name."""

import io
import json
import pickle
import re
import zipfile
from pathlib import Path

import foreign
import numpy as np
import pytest
from conftest import random_layers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import save_file

from adain_jax import weights
from adain_jax.cli import convert_vgg
from adain_jax.convert import ConversionError, convert, sources
from adain_jax.convert.activations import (
    is_normalized,
    mean_activations,
    normalize_filters,
    probe_picture,
)
from adain_jax.weights import WeightsError

h5py = pytest.importorskip("h5py")
rng = np.random.default_rng(0)


@pytest.fixture(scope="module")
def encoder():
    return random_layers("vgg19-encoder")


@pytest.fixture(scope="module")
def decoder():
    return random_layers("vgg19-decoder")


@pytest.fixture(scope="module")
def one_by_one():
    """A 1x1 layer like the published one: BGR, times 255, less a mean, with some noise."""
    kernel = 255 * np.eye(3)[::-1] + rng.standard_normal((3, 3))
    return {
        "0.weight": kernel.reshape(3, 3, 1, 1).astype(np.float32),
        "0.bias": np.array([-103.9, -116.8, -123.7], np.float32),
    }


def sequential(encoder, one_by_one):
    later = {f"{n}.weight": np.zeros((512, 512, 3, 3), np.float32) for n in (32, 51)}
    later |= {f"{n}.bias": np.zeros(512, np.float32) for n in (32, 51)}
    return one_by_one | foreign.numbered(encoder, foreign.SEQUENTIAL_ENCODER) | later


def conv1_1(layer, picture):
    """Unpadded conv1_1 in float64."""
    kernel = layer["kernel"].astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(picture, (3, 3), axis=(0, 1))
    return np.einsum("yxihw,hwio->yxo", windows, kernel) + layer["bias"]


def assert_converted(path, layers, preprocess=lambda x: x, convention=None):
    """The file becomes `layers`, its conv1_1 taking RGB in [0, 1] that `preprocess` was part of."""
    converted = convert(path, convention)
    for name in layers.keys() - ({"conv1_1"} if converted.kind == "vgg19-encoder" else set()):
        for part, array in layers[name].items():
            np.testing.assert_array_equal(converted.layers[name][part], array)
    if converted.kind == "vgg19-encoder":
        picture = rng.random((6, 7, 3))
        picture = np.pad(picture, ((1, 1), (1, 1), (0, 0)), mode="reflect")
        expected = conv1_1(layers["conv1_1"], preprocess(picture))
        result = conv1_1(converted.layers["conv1_1"], picture)
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    return converted


def caffe(x):
    return 255 * x[..., ::-1] - np.array([103.939, 116.779, 123.68])


def torchvision(x):
    return (x - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])


@pytest.mark.essential
@pytest.mark.parametrize("kind", ["legacy pth", "zip pth", "t7", "flat t7", "npz", "safetensors"])
def test_the_published_encoder_in_every_container(tmp_path, encoder, one_by_one, kind):
    state = sequential(encoder, one_by_one)
    path = tmp_path / f"vgg.{kind.split()[-1]}"
    {
        "legacy pth": lambda: foreign.write_legacy_pth(path, state),
        "zip pth": lambda: foreign.write_zip_pth(path, state),
        "t7": lambda: foreign.write_t7(path, state),
        "flat t7": lambda: foreign.write_t7(path, state, flat=True),
        "npz": lambda: np.savez(path, **state),
        "safetensors": lambda: save_file(state, path),
    }[kind]()

    def preprocess(x):
        return x @ one_by_one["0.weight"].reshape(3, 3).T + one_by_one["0.bias"]

    converted = assert_converted(path, encoder, preprocess)
    assert converted.left_out == ["32.bias", "32.weight", "51.bias", "51.weight"]
    assert converted.metadata["source"] == path.name
    assert converted.metadata["sha256"] == sources.sha256(path)


@pytest.mark.parametrize("kind", ["legacy pth", "zip pth", "t7", "npz", "safetensors"])
def test_a_decoder_in_every_container(tmp_path, decoder, kind):
    state = foreign.numbered(decoder, foreign.SEQUENTIAL_DECODER)
    path = tmp_path / f"decoder.{kind.split()[-1]}"
    {
        "legacy pth": lambda: foreign.write_legacy_pth(path, state),
        "zip pth": lambda: foreign.write_zip_pth(path, {"state_dict": state, "epoch": 3}),
        "t7": lambda: foreign.write_t7(path, state),
        "npz": lambda: np.savez(path, **state),
        "safetensors": lambda: save_file(state, path),
    }[kind]()
    assert assert_converted(path, decoder).kind == "vgg19-decoder"


@pytest.mark.parametrize("prefix", ["features.", "module.features.", "vgg.features."])
def test_torchvision_names(tmp_path, encoder, prefix):
    state = foreign.numbered(encoder, foreign.TORCHVISION, prefix)
    state[f"{prefix}34.weight"] = np.zeros((512, 512, 3, 3), np.float32)
    state["classifier.0.weight"] = np.zeros((4, 4), np.float32)
    foreign.write_zip_pth(tmp_path / "vgg19.pth", state)
    converted = assert_converted(tmp_path / "vgg19.pth", encoder, torchvision)
    assert converted.left_out == ["classifier.0.weight", f"{prefix}34.weight"]


@pytest.mark.parametrize("names", ["block{b}_conv{c}/block{b}_conv{c}/kernel:0", "old"])
def test_keras_names(tmp_path, encoder, names):
    path = tmp_path / "vgg19.h5"
    with h5py.File(path, "w") as file:
        for name, parts in encoder.items():
            block, conv = name[4], name[6]
            layer = f"block{block}_conv{conv}"
            words = (
                ("kernel:0", "bias:0") if names != "old" else (f"{layer}_W_1:0", f"{layer}_b_1:0")
            )
            group = f"{layer}/{layer}" if names != "old" else layer
            file[f"{group}/{words[0]}"] = parts["kernel"]
            file[f"{group}/{words[1]}"] = parts["bias"]
        file["block4_conv2/block4_conv2/kernel:0"] = np.zeros((3, 3, 512, 512), np.float32)
        file["predictions/predictions/kernel:0"] = np.zeros((4, 4), np.float32)
    converted = assert_converted(path, encoder, caffe)
    assert len(converted.left_out) == 2


@pytest.mark.parametrize("version", [1, 2])
def test_caffemodels(tmp_path, encoder, version):
    layers = encoder | {
        "conv4_2": {"kernel": np.zeros((3, 3, 2, 2), np.float32), "bias": np.zeros(2, np.float32)},
        "fc6": {"kernel": np.zeros((1, 1, 2, 2), np.float32), "bias": np.zeros(2, np.float32)},
    }
    foreign.write_caffemodel(tmp_path / "vgg.caffemodel", layers, version=version)
    converted = assert_converted(tmp_path / "vgg.caffemodel", encoder, caffe)
    assert converted.left_out == ["conv4_2.bias", "conv4_2.weight", "fc6.bias", "fc6.weight"]


@pytest.mark.parametrize("numbers", [(1, 4), (0, 3, 6), ()])
def test_weights_of_caffe_under_torchvisions_names(tmp_path, encoder, numbers, capsys):
    """Where their classifier does not tell, a warning does."""
    state = foreign.numbered(encoder, foreign.TORCHVISION, "features.")
    state |= {f"classifier.{n}.weight": np.zeros((4, 4), np.float32) for n in numbers}
    foreign.write_zip_pth(tmp_path / "vgg.pth", state)
    told = numbers == (1, 4)
    assert_converted(tmp_path / "vgg.pth", encoder, caffe if told else torchvision)
    for options, warned in (((), not told), (("--convention", "torchvision"), False)):
        code, _, err = run(capsys, tmp_path / "vgg.pth", "--output", tmp_path / "out", *options)
        assert code == 0
        assert ("give --convention caffe" in err) is warned


def test_timms_head_is_left_out(tmp_path, encoder):
    state = foreign.numbered(encoder, foreign.TORCHVISION, "features.")
    head = {
        f"{n}.weight": np.zeros((4, 4, 1, 1), np.float32) for n in ("pre_logits.fc1", "head.fc")
    }
    save_file(state | head, tmp_path / "model.safetensors")
    converted = assert_converted(tmp_path / "model.safetensors", encoder, torchvision)
    assert set(converted.left_out) == set(head)


@pytest.mark.parametrize("group", ["layers", "_layer_checkpoint_dependencies"])
def test_keras_3_counts_layers(tmp_path, encoder, decoder, group):
    """By class, from conv2d on; and a .keras file is a zip file of such a one and more."""
    path = tmp_path / "model.weights.h5"
    deeper = {f"conv4_{n}": {"kernel": np.zeros((3, 3, 512, 512), np.float32)} for n in (2, 3)}
    for layers, preprocess in ((encoder | deeper, caffe), (decoder, lambda x: x)):
        with h5py.File(path, "w") as file:
            for number, parts in enumerate(layers.values()):
                name = f"{group}/conv2d{f'_{number}' if number else ''}/vars"
                file[f"{name}/0"] = parts["kernel"]
                file[f"{name}/1"] = parts.get("bias", np.zeros(512, np.float32))
            file[f"{group}/dense/vars/0"] = np.zeros((4, 4), np.float32)
            file["optimizer/vars/1"] = np.zeros((4, 4), np.float32)
        with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
            archive.writestr("config.json", "{}")
            archive.write(path, path.name)
        for source in (path, tmp_path / "model.keras"):
            ours = {name: parts for name, parts in layers.items() if name not in deeper}
            converted = assert_converted(source, ours, preprocess)
            assert f"{group}/dense/vars/0" in converted.left_out


@pytest.mark.parametrize(
    "nest",
    [
        lambda state: {"model_state_dict": state, "epoch": 3},
        lambda state: {"decoder": state, "optimizer": {"state": {0: {"exp_avg": np.ones(3)}}}},
        lambda state: {"state_dict": {f"module.{k}": v for k, v in state.items()}},
        lambda state: {f"net.decoder.{k}": v for k, v in state.items()},
        lambda state: [{"a": {"b": state}}, 5],
        # As the usual training code cuts its encoder in pieces, each numbered anew.
        lambda state: (
            {f"decoder.{k}": v for k, v in state.items()}
            | {f"enc_{n}.0.weight": np.ones((3, 3, 1, 1)) for n in (1, 2)}
        ),
    ],
)
def test_a_network_is_found_wherever_a_checkpoint_keeps_it(tmp_path, decoder, nest):
    state = nest(foreign.numbered(decoder, foreign.SEQUENTIAL_DECODER))
    foreign.write_zip_pth(tmp_path / "a.pth", state)
    assert assert_converted(tmp_path / "a.pth", decoder).kind == "vgg19-decoder"


def test_bfloat16_in_safetensors(tmp_path, decoder):
    state = foreign.numbered(decoder, foreign.SEQUENTIAL_DECODER)
    upper = {key: (array.view(np.uint32) >> 16).astype("<u2") for key, array in state.items()}
    header, data = {}, b""
    for key, array in upper.items():
        place = [len(data), len(data) + array.nbytes]
        header[key] = {"dtype": "BF16", "shape": array.shape, "data_offsets": place}
        data += array.tobytes()
    text = json.dumps(header).encode()
    (tmp_path / "a.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)
    exact = {
        name: {
            part: (array.view(np.uint32) & 0xFFFF0000).view(np.float32)
            for part, array in parts.items()
        }
        for name, parts in decoder.items()
    }
    assert_converted(tmp_path / "a.safetensors", exact)


def test_several_networks_in_a_file_are_named(tmp_path, encoder, decoder):
    states = {
        "vgg": foreign.numbered(encoder, foreign.TORCHVISION),
        "dec": foreign.numbered(decoder, foreign.SEQUENTIAL_DECODER),
    }
    foreign.write_zip_pth(tmp_path / "a.pth", states)
    with pytest.raises(ConversionError) as error:
        convert(tmp_path / "a.pth")
    assert str(error.value) == (
        f"{tmp_path / 'a.pth'}: holds vgg19-encoder under vgg. and vgg19-decoder under dec.; "
        "save one of them in a file of its own"
    )


def test_a_refusal_lists_the_keys_that_were_found_and_nothing_a_terminal_obeys(tmp_path):
    np.savez(tmp_path / "a.npz", **{"odd\n\x1b[2Jkey": np.zeros(1), "b": np.zeros(1)})
    with pytest.raises(ConversionError, match=r"the keys found are odd..\[2Jkey, b$") as error:
        convert(tmp_path / "a.npz")
    assert str(error.value).isprintable() or "\x1b" not in str(error.value)
    foreign.write_zip_pth(tmp_path / "a.pth", {"epoch": 3, "args": {"lr": 0.1}})
    with pytest.raises(ConversionError, match=r"holds no tensors, but epoch, args\.lr$"):
        convert(tmp_path / "a.pth")


def test_batch_normalization_is_refused_by_its_name(tmp_path, encoder):
    state = foreign.numbered(encoder, [0, 3, 7, 10, 14, 17, 20, 23, 27], "features.")
    np.savez(tmp_path / "a.npz", **state, **{"features.1.running_mean": np.zeros(64, np.float32)})
    with pytest.raises(ConversionError) as error:
        convert(tmp_path / "a.npz")
    first, keys = str(error.value).splitlines()
    assert first.endswith("has batch normalization; take the VGG19 without it")
    assert "the keys found are features.0.weight, features.0.bias, " in keys


def test_numbers_among_names_are_not_a_part(tmp_path, encoder):
    foreign.write_caffemodel(
        tmp_path / "vgg.caffemodel", encoder | {"31": encoder["conv1_1"]}, version=2
    )
    with pytest.raises(ConversionError, match=r"31\.weight: not a part of vgg19-encoder"):
        convert(tmp_path / "vgg.caffemodel")


def test_names_that_do_not_tell_the_convention_need_the_flag(tmp_path, encoder, capsys):
    path = tmp_path / "vgg.npz"
    np.savez(path, **{f"{n}_{p}": a for n, ps in encoder.items() for p, a in ps.items()})
    with pytest.raises(
        ConversionError, match="one of unit, torchvision, caffe, caffe-rgb"
    ) as error:
        convert(path)
    assert "--" not in str(error.value)  # the command line adds its option
    code, _, err = run(capsys, path, "--output", tmp_path / "out.safetensors")
    assert code == 1
    assert "give --convention {unit,torchvision,caffe,caffe-rgb}" in err
    assert_converted(path, encoder, caffe, "caffe")
    assert_converted(path, encoder, torchvision, "torchvision")
    assert_converted(path, encoder, lambda x: x, "unit")
    assert_converted(path, encoder, lambda x: caffe(x)[..., ::-1], "caffe-rgb")


def test_our_own_files_convert_to_themselves(tmp_path, encoder, decoder):
    for kind, layers in (("vgg19-encoder", encoder), ("vgg19-decoder", decoder)):
        weights.write(tmp_path / "a.safetensors", layers, kind)
        converted = convert(tmp_path / "a.safetensors")
        converted.write(tmp_path / "b.safetensors")
        again = weights.read(tmp_path / "b.safetensors", kind)
        for name, parts in layers.items():
            for part, array in parts.items():
                np.testing.assert_array_equal(again[name][part], array)


def test_all_problems_are_reported_at_once(tmp_path, encoder, one_by_one):
    state = sequential(encoder, one_by_one)
    del state["5.weight"]
    state["9.bias"] = np.zeros(7, np.float32)
    state["12.weight"] = np.full_like(state["12.weight"], np.nan)
    state["what.is.this"] = np.zeros(1, np.float32)
    np.savez(tmp_path / "vgg.npz", **state)
    with pytest.raises(ConversionError) as error:
        convert(tmp_path / "vgg.npz")
    lines = str(error.value).splitlines()
    assert len(lines) == 5
    assert all("vgg.npz: " in line for line in lines)
    for message in (
        "the keys found are 0.weight, 0.bias, 2.weight, ",
        "conv1_2: no kernel (of module 5)",
        "9.bias: shape (7,) does not fit conv2_1, (128,)",
        "12.weight: holds values that are not finite",
        "what.is.this: not a part of vgg19-encoder",
    ):
        assert message in str(error.value)


# Hostile and damaged files


class Call:
    """Unpickles as a call of function(*arguments)."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def hostile_pickles(sentinel: Path) -> dict[str, bytes]:
    import os

    touch = f"touch {sentinel}"
    stack_global = b"\x80\x04\x8c\x02os\x8c\x06system\x93" + (
        b"X" + len(touch).to_bytes(4, "little") + touch.encode() + b"\x85R."
    )
    return {
        f"{os.system.__module__}.system": pickle.dumps(Call(os.system, touch), 2),
        "os.system": stack_global,
        "builtins.eval": pickle.dumps({"a": [Call(eval, f"open({str(sentinel)!r}, 'w')")]}, 4),
        "builtins.getattr": pickle.dumps(Call(getattr, Call(getattr, "", "join"), "x"), 4),
        "copyreg._reconstructor": b"\x80\x02ccopyreg\n_reconstructor\n.",
        "torch.nn.modules.container.Sequential": b"\x80\x02ctorch.nn.modules.container\n"
        b"Sequential\n)\x81.",
        "torch.load": b"\x80\x02ctorch\nload\n.",
        "collections.defaultdict": b"\x80\x02ccollections\ndefaultdict\n.",
    }


@pytest.mark.parametrize("container", ["legacy", "zip", "plain"])
def test_pickles_that_name_anything_else_are_refused_and_run_nothing(tmp_path, container):
    sentinel = tmp_path / "executed"
    for name, data in hostile_pickles(sentinel).items():
        path = tmp_path / "evil.pth"
        if container == "zip":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("a/data.pkl", data)
        else:
            headers = [0x1950A86A20F9469CFC6C, 1001, {}] if container == "legacy" else []
            path.write_bytes(b"".join(pickle.dumps(h, 2) for h in headers) + data)
        expected = name.replace("__builtin__", "builtins")
        with pytest.raises(ConversionError, match=f"names .*{expected.split('.')[-1]}.* refused"):
            sources.read(path)
        assert not sentinel.exists()


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        *((3, (2, 2), (2, 1)), (0, (2, 3), (3, 1)), (-1, (2, 2), (2, 1)), (0, (2, 2), (-2, 1))),
        *((0, (1 << 40,), (0,)), (0, ("a",), (1,)), (0, (2, 2), (1,))),
    ],
)
def test_tensors_outside_their_storage_are_refused(tmp_path, offset, shape, strides):
    class Lying(foreign._TorchPickler):
        def _save_tensor(self, array):
            self.storages.append(foreign._Storage("0", array))
            self.save(foreign._Global("torch._utils", "_rebuild_tensor_v2"))
            self.save((self.storages[-1], offset, shape, strides, False, {}))
            self.write(b"R")

    buffer = io.BytesIO()
    pickler = Lying(buffer, 2)
    pickler.storages = []
    pickler.dump({"0.weight": np.zeros((2, 2), np.float32)})
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("a/data.pkl", buffer.getvalue())
        archive.writestr("a/data/0", bytes(16))
    with pytest.raises(ConversionError):
        sources.read(tmp_path / "a.pth")


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02]r\xff\xff\xff\x7f.",  # room for two thousand million values
        b"\x80\x02]q\0" + b"(h\0h\0lq\0" * 60 + b".",  # a list of lists of lists ...
        b"\x80\x02}q\0X\x01\0\0\0ah\0s.",  # a dict that holds itself
    ],
)
def test_few_bytes_that_stand_for_endless_values_are_refused(tmp_path, data):
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("a/data.pkl", data)
    with pytest.raises(ConversionError):
        sources.read(tmp_path / "a.pth")


def test_few_bytes_that_unpack_to_much_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_MAX_BYTES", 1 << 20)
    zeros = np.zeros(1 << 20, np.float32)
    np.savez_compressed(tmp_path / "a.npz", zeros)
    with zipfile.ZipFile(tmp_path / "a.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", zeros.tobytes())
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", (1 << 40,), "f4", chunks=True)
    for name in ("a.npz", "a.keras", "a.h5"):
        with pytest.raises(ConversionError, match="unpacks to more than"):
            sources.read(tmp_path / name)


def test_a_t7_file_whose_fields_are_missing_is_named(tmp_path):
    path = tmp_path / "a.t7"
    foreign.write_t7(path, {"0.weight": np.ones((2, 3, 3, 3)), "0.bias": np.ones(2)}, flat=True)
    path.write_bytes(path.read_bytes().replace(b"nInputPlane", b"nOutputPlan"))
    with pytest.raises(ConversionError, match=r"a\.t7: not a readable binary \.t7 file"):
        sources.read(path)


def test_names_in_an_h5_file_may_be_any_bytes(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[b"\xff"] = np.ones(3, np.float32)
    assert list(sources.read(tmp_path / "a.h5")) == ["\xff"]


def test_arrays_that_lie_in_other_files_are_refused(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(400))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", (100,), "f4", external=[(str(tmp_path / "secret"), 0, 400)])
    layout = h5py.VirtualLayout((100,), "f4")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "a", (100,))
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_virtual_dataset("a", layout)
    for name in ("a.h5", "b.h5"):
        with pytest.raises(ConversionError, match="a lies in another file, and is refused"):
            sources.read(tmp_path / name)


def small_files(folder: Path) -> dict[str, bytes]:
    """A small valid file of each kind."""
    state = {"0.weight": rng.random((2, 3, 3, 3), np.float32), "0.bias": rng.random(2, np.float32)}
    layers = {"conv1_1": {"kernel": rng.random((3, 3, 3, 2), np.float32), "bias": state["0.bias"]}}
    foreign.write_legacy_pth(folder / "legacy.pth", state)
    foreign.write_zip_pth(folder / "zip.pth", state)
    foreign.write_t7(folder / "a.t7", state)
    np.savez(folder / "a.npz", **state)
    save_file(state, folder / "a.safetensors")
    foreign.write_caffemodel(folder / "a.caffemodel", layers, version=2)
    with h5py.File(folder / "a.h5", "w") as file:
        file["block1_conv1/kernel:0"] = layers["conv1_1"]["kernel"]
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    return small_files(tmp_path_factory.mktemp("valid"))


def test_small_files_are_valid(tmp_path, valid):
    for name, data in valid.items():
        (tmp_path / name).write_bytes(data)
        assert sources.read(tmp_path / name)


@given(st.data())
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_damaged_files_give_a_conversion_error_or_arrays(tmp_path, valid, data):
    name = data.draw(st.sampled_from(sorted(valid)))
    raw = bytearray(valid[name])
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / name
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    try:
        arrays = sources.read(path)
    except ConversionError as error:
        assert str(path) in str(error)
    else:
        assert all(isinstance(array, np.ndarray) for array in arrays.values())


@pytest.mark.parametrize("name", ["legacy.pth", "zip.pth", "a.t7", "a.npz", "a.safetensors"])
def test_a_file_cut_short_anywhere_is_an_error_that_names_it(tmp_path, valid, name):
    path = tmp_path / name
    for length in range(len(valid[name])):
        path.write_bytes(valid[name][:length])
        with pytest.raises(ConversionError, match=re.escape(str(path))):
            sources.read(path)


def test_what_is_no_array_in_an_npz_is_passed_over(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, a=np.ones(3, np.float32))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("b.npy", b"no array")
    assert list(sources.read(path)) == ["a"]


@pytest.mark.parametrize(
    "name", ["a.pth", "a.t7", "a.npz", "a.h5", "a.safetensors", "a.caffemodel"]
)
@pytest.mark.parametrize("content", [b"", b"rubbish", b"<html>Not found</html>" * 9])
def test_what_is_no_weight_file_is_said_in_one_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConversionError, match=name) as error:
        sources.read(tmp_path / name)
    assert "\n" not in str(error.value)


# Normalization


def rescaled(layers, scale):
    """The same function, each filter's response multiplied by a random factor."""
    result, undo = {}, np.ones(3)
    for name, parts in layers.items():
        factor = scale(len(parts["bias"]))
        kernel = parts["kernel"] / undo[:, None] * factor
        result[name] = {"kernel": kernel, "bias": parts["bias"] * factor}
        undo = factor
    return result


def test_normalising_brings_every_filter_to_1_and_keeps_the_function(encoder):
    pictures = [rng.random((24, 24, 3), np.float32) for _ in range(2)]
    before = mean_activations(encoder, pictures)
    after = normalize_filters(encoder, before)
    for name, mean in mean_activations(after, pictures).items():
        alive = before[name] > 0
        # Of filters that hardly respond, rounding is a larger share.
        loud = np.maximum(before[name], 1e-2 * before[name].max())
        assert (np.abs(mean - 1) * before[name] <= 1e-3 * loud)[alive].all()
        assert (mean[~alive] == 0).all()


def test_a_dead_filter_stays_dead(encoder):
    layers = {name: {k: v.copy() for k, v in parts.items()} for name, parts in encoder.items()}
    layers["conv2_1"]["kernel"][..., 5] = 0
    layers["conv2_1"]["bias"][5] = -1
    pictures = [rng.random((24, 24, 3), np.float32)]
    after = normalize_filters(layers, mean_activations(layers, pictures))
    means = mean_activations(after, pictures)
    assert means["conv2_1"][5] == 0
    assert all(np.isfinite(mean).all() for mean in means.values())


def test_normalizing_without_pictures_is_refused(tmp_path, encoder, capsys):
    with pytest.raises(ValueError, match="at least one picture"):
        mean_activations(encoder, [])
    np.savez(tmp_path / "a.npz", **foreign.numbered(encoder, foreign.TORCHVISION, "features."))
    (tmp_path / "empty").mkdir()
    normalized = ("--normalize", tmp_path / "empty", "--output", tmp_path / "out.safetensors")
    code, _, err = run(capsys, tmp_path / "a.npz", *normalized)
    assert code == 1
    assert err.endswith(f"error: {tmp_path / 'empty'}: no picture in this folder\n")
    assert not (tmp_path / "out.safetensors").exists()


def test_the_published_encoder_is_normalized_and_a_rescaled_one_is_not(reference_weights):
    published = convert(reference_weights / "vgg_normalised.pth").layers
    probe = [probe_picture()]
    assert is_normalized(mean_activations(published, probe))
    wild = rescaled(published, lambda n: rng.lognormal(0, 1.5, n))
    means = mean_activations(wild, probe)
    assert not is_normalized(means)
    assert is_normalized(mean_activations(normalize_filters(wild, means), probe))


# The command


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as exit_:
        convert_vgg.main(list(map(str, arguments)))
    captured = capsys.readouterr()
    return exit_.value.code, captured.out, captured.err


@pytest.mark.essential
def test_the_command_writes_where_infer_looks(tmp_path, decoder, capsys, monkeypatch):
    monkeypatch.setenv("ADAIN_JAX_DATA", str(tmp_path / "data"))
    foreign.write_zip_pth(
        tmp_path / "decoder.pth", foreign.numbered(decoder, foreign.SEQUENTIAL_DECODER)
    )
    code, out, err = run(capsys, tmp_path / "decoder.pth")
    assert (code, err) == (0, "")
    assert "3 x 3 x 512 x 256" in out
    written = weights.read(weights.default_path("vgg19-decoder"), "vgg19-decoder")
    np.testing.assert_array_equal(written["conv1_1"]["kernel"], decoder["conv1_1"]["kernel"])


def test_the_command_warns_of_an_unnormalised_encoder_and_mends_it(tmp_path, encoder, capsys):
    wild = rescaled(encoder, lambda n: rng.lognormal(1, 2, n))
    state = foreign.numbered(wild, foreign.TORCHVISION, "features.")
    np.savez(tmp_path / "vgg.npz", **state)
    output = tmp_path / "out.safetensors"
    code, out, err = run(capsys, tmp_path / "vgg.npz", "--output", output)
    assert code == 0
    assert "convention: torchvision" in out
    assert "not normalized" in err
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray((255 * probe_picture()).astype(np.uint8)).save(folder / "a.png")
    normalized = ("--convention", "torchvision", "--normalize", folder)
    code, _, err = run(capsys, tmp_path / "vgg.npz", "--output", output, *normalized)
    assert (code, err) == (0, "")
    means = mean_activations(weights.read(output, "vgg19-encoder"), [probe_picture()])
    assert is_normalized(means)


def test_the_command_fails_in_one_line(tmp_path, decoder, capsys):
    code, _, err = run(capsys, tmp_path / "none.pth")
    assert (code, err) == (1, f"error: {tmp_path}/none.pth: no such file\n")
    np.savez(tmp_path / "d.npz", **foreign.numbered(decoder, foreign.SEQUENTIAL_DECODER))
    code, _, err = run(capsys, tmp_path / "d.npz", "--normalize", tmp_path)
    assert code == 1
    assert "--normalize is for encoders" in err
    assert run(capsys)[0] == 2
    assert run(capsys, "a.pth", "--convention", "bgr")[0] == 2


# Our own files


def test_reading_our_files_is_strict(tmp_path, decoder):
    path = tmp_path / "a.safetensors"
    weights.write(path, decoder, "vgg19-decoder")
    with pytest.raises(WeightsError, match="holds vgg19-decoder, not vgg19-encoder"):
        weights.read(path, "vgg19-encoder")
    save_file({"conv1_1.kernel": np.zeros((3, 3), np.float32)}, path, {"kind": "vgg19-decoder"})
    with pytest.raises(WeightsError, match=r"conv4_1\.kernel is missing.*shape \(3, 3\), not"):
        weights.read(path, "vgg19-decoder")
    path.write_bytes(b"\x80\x02rubbish")
    with pytest.raises(WeightsError, match="run `adain convert "):
        weights.read(path, "vgg19-decoder")


def test_half_precision_files_are_read_as_float32(tmp_path, decoder):
    half = {n: {k: v.astype(np.float16) for k, v in p.items()} for n, p in decoder.items()}
    weights.write(tmp_path / "a.safetensors", half, "vgg19-decoder")
    layers = weights.read(tmp_path / "a.safetensors", "vgg19-decoder")
    assert layers["conv1_1"]["kernel"].dtype == np.float32
    np.testing.assert_array_equal(layers["conv1_1"]["kernel"], half["conv1_1"]["kernel"])
