"""The benchmarks run, on sizes that mean nothing; what they measure is for them to print."""

import pytest

from benchmarks import export, inference, large, training


@pytest.mark.parametrize("model", ["fast", "vgg19"])
def test_inference_case(model):
    case = inference.run_case(model, batch=2, side=40, repeats=1)
    assert case["both_s"] > case["content_s"] / 2 > 0
    assert case["peak_mib"] > 100
    assert case["rate"] > 0


def test_large_case(monkeypatch):
    monkeypatch.setattr(large, "UNIT", 64)
    assert large.run_case("fast", 96, "auto")["ratio"] > 0


def test_exported_case(tmp_path):
    times = export.measure(export.runtimes("fast", tmp_path, threads=2), side=24, repeats=1)
    assert {"Stylizer", "ONNX Runtime"} <= set(times)
    assert all(wall > 0 for wall, _ in times.values())


def test_flop_of_vgg19_by_hand():
    """From the published layers of the encoder (section 6.1), at 8 x 8 pixels."""
    by_hand = 2 * 9 * (
        64 * (3 * 64 + 64 * 64)
        + 16 * (64 * 128 + 128 * 128)
        + 4 * (128 * 256 + 3 * 256 * 256)
        + 256 * 512
    )  # fmt: skip
    assert sum(inference.layer_flop("vgg19-encoder", 8).values()) == by_hand


def test_flop_of_a_training_step_as_documented():
    assert training.flop_per_pair("vgg19", 256) == pytest.approx(219e9, rel=0.01)
