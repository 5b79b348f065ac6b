"""The experiments: what their verdicts say, that runs are shared and resumed, and the page."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from conftest import random_layers
from PIL import Image

from adain_jax import weights
from adain_jax.__main__ import main
from adain_jax.convert.activations import mean_activations, normalize_filters
from adain_jax.examples import EXAMPLES
from adain_jax.reproduce import runner
from adain_jax.reproduce.comparison import draw_losses, measured, table, train_variants
from adain_jax.reproduce.experiments import EXPERIMENTS
from adain_jax.reproduce.experiments.torchvision import unnormalized
from adain_jax.reproduce.lab import Experiment, Lab, Outcome
from adain_jax.reproduce.scales import SCALES
from adain_jax.reproduce.verdicts import compare, judge, lower, spread

rng = np.random.default_rng(0)


def test_a_difference_counts_only_beyond_three_standard_errors():
    # The differences deviate by 0.1 over three seeds: their mean's standard error is 0.058.
    a, near, far = [1.0, 1.0, 1.0], [1.1, 1.2, 1.0], [1.3, 1.4, 1.2]
    assert (compare(a, near), compare(a, far), compare(far, a)) == (0, -1, 1)
    assert lower(a, far) == "23 % lower (1 against 1.3 ± 0.1)"
    assert lower(a, near).startswith("not different beyond the seeds")
    # What a seed does to both is no noise of their difference.
    assert compare([1.0, 2.0, 3.0], [1.1, 2.12, 3.11]) == -1
    assert compare([1.0], [2.0]) == 0  # one seed tells nothing
    assert math.isnan(spread([1.0]).std)


@pytest.mark.parametrize(
    ("signs", "verdict"),
    [
        ((-1, -1), "Holds"),
        ((-1, 0), "Holds in part"),
        ((0, 0), "Too small to tell"),
        ((1, 0), "Does not hold here"),
        ((1, -1), "Holds in part"),
    ],
)
def test_a_verdict_is_no_better_than_its_comparisons(signs, verdict):
    assert judge(signs) == verdict


def test_an_unnormalized_encoder_computes_the_same_up_to_scales():
    layers = random_layers("vgg19-encoder")
    other = unnormalized(layers)
    picture = rng.random((24, 24, 3), np.float32)
    means, scaled = (mean_activations(one, [picture]) for one in (layers, other))
    alive = means["conv4_1"] > 0
    ratios = scaled["conv4_1"][alive] / means["conv4_1"][alive]
    assert np.log(ratios).std() == pytest.approx(1, abs=0.1)
    assert np.median(ratios) == pytest.approx(0.75**8, rel=0.1)
    # Both are the same network once they are normalized, but for filters that never respond.
    before, after = (normalize_filters(*pair) for pair in ((layers, means), (other, scaled)))
    alive = np.ix_(range(3), range(3), means["conv3_1"] > 1e-3, means["conv3_2"] > 1e-3)
    kernels = [one["conv3_2"]["kernel"][alive] for one in (before, after)]
    assert kernels[0].size > 9 * 50 * 50
    np.testing.assert_allclose(*kernels, rtol=1e-3, atol=1e-5)


@pytest.fixture
def lab(tmp_path):
    for kind in ("content", "style"):
        (tmp_path / kind).mkdir()
        for i in range(4):
            pixels = rng.integers(0, 256, (30, 34, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / kind / f"{i}.png")
    weights.write(tmp_path / "encoder.st", random_layers("vgg19-encoder"), "vgg19-encoder")
    content, style = str(tmp_path / "content"), str(tmp_path / "style")
    return Lab(
        name="",
        scale=replace(SCALES["smoke"], seeds=1),
        content=content,
        style=style,
        val_content=content,
        val_style=style,
        examples=EXAMPLES,
        encoder=tmp_path / "encoder.st",
        decoders=(),
        runs=tmp_path / "runs",
        output=tmp_path,
    )


@pytest.mark.usefixtures("programs_of_training")
def test_results_are_kept_and_runs_are_shared(lab, tmp_path, monkeypatch, capsys):
    def run(lab):
        runs = train_variants(lab, {"plain": {}})
        numbers = measured(lab, runs)
        picture = draw_losses(lab, runs)
        return Outcome("Holds: as it is.", *table(numbers), numbers, [picture])

    tried = {
        name: Experiment(name, name.title(), "section 6", "It is so.", "It is tried.", run)
        for name in ("one", "two", "three")
    }
    monkeypatch.setattr(runner, "EXPERIMENTS", tried)
    runner.reproduce(["one", "two"], "smoke", lab, tmp_path)
    out = capsys.readouterr().out
    assert out.count("use it with adain stylize") == 1  # the second uses the run of the first
    result = json.loads((tmp_path / "reproduction" / "one.json").read_text())
    assert result["steps"] == 2
    assert result["command"] == "adain reproduce one --scale smoke"
    page = (tmp_path / "reproduction.md").read_text()
    assert "**Verdict.** Holds: as it is." in page
    assert "| [One](#one) | section 6 | Holds |" in page
    assert "| [Three](#three) | section 6 | not run |" in page
    for name in ("one", "two"):
        assert f"(reproduction/{name}.png)" in page
        with Image.open(tmp_path / "reproduction" / f"{name}.png") as figure:
            assert figure.width > 300
    runner.reproduce(["one"], "smoke", lab, tmp_path)
    assert "has a result" in capsys.readouterr().out
    (tmp_path / "reproduction" / "two.json").write_text("[")
    with pytest.raises(runner.ResultError, match=r"two\.json: damaged"):
        runner.write_results(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "no experiment nothing"),
        (["all"], "--content and --style are missing"),
        (["all", "--content=a", "--style=b", "--val-style=c"], "go together"),
    ],
)
def test_bad_usage_is_said_in_one_line(arguments, message, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["reproduce", *arguments])
    error = capsys.readouterr().err
    assert exit_.value.code == 2
    assert message in error
    assert error.count("\n") == 1


def test_every_row_of_the_page_has_an_experiment():
    assert len(EXPERIMENTS) == 9
    for name, experiment in EXPERIMENTS.items():
        assert name == experiment.name
        assert experiment.claim.endswith(".")
