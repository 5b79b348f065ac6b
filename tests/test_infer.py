"""`infer.py` from the command line to the files, with small pictures and random weights."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import wait_until
from PIL import Image
from test_images import bad_files

from adain_jax import Stylizer
from adain_jax.cli import infer, pictures
from adain_jax.cli.infer_options import Options, stroke_size
from adain_jax.images import read_picture, read_pixels, save_picture
from adain_jax.inference import compilation_cache

ROOT = Path(__file__).parent.parent
rng = np.random.default_rng(0)


def draw(path, size=(24, 32), channels=3):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (*size, channels), np.uint8)).save(path)
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("content/a.png", "content/trip/b.jpg", "style/wave.png", "style/night.png"):
        draw(Path(name))
    return tmp_path


@pytest.fixture
def run(random_weights, capsys):
    """Runs infer.py in this process: (exit code, standard output, standard error)."""

    def command(*arguments):
        weights = [f"--{part}={path}" for part, path in random_weights.items()]
        sizes = ["--content-size", "0", "--style-size", "0", "--no-compilation-cache"]
        with pytest.raises(SystemExit) as exit_:
            infer.main(["--model=vgg19", *weights, *sizes, *map(str, arguments)])
        captured = capsys.readouterr()
        return exit_.value.code, captured.out, captured.err

    return command


def files(folder):
    found = (path.relative_to(folder) for path in Path(folder).rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in found)


@pytest.mark.essential
def test_every_content_in_every_style_with_the_tree_kept(folder, run, random_weights):
    code, out, _ = run("--content", "content", "--style", "style", "--output", "out")
    assert code == 0
    assert out.startswith("out: 4 results in")
    assert ", 32 x 24 pixels, " in out
    assert files("out") == [
        "a_stylized_night.png",
        "a_stylized_wave.png",
        "trip/b_stylized_night.jpg",
        "trip/b_stylized_wave.jpg",
    ]
    stylizer = Stylizer.load("vgg19", **random_weights)
    expected = stylizer(read_picture("content/a.png"), read_picture("style/wave.png"))
    written = read_picture("out/a_stylized_wave.png")
    np.testing.assert_allclose(written, expected, atol=0.51 / 255)


def test_one_result_into_one_file_with_alpha_and_format(folder, run):
    arguments = ("--content", "content/a.png", "--style", "style/wave.png", "--alpha", "0")
    assert run(*arguments, "--output", "deep/result.webp")[0] == 0
    with Image.open("deep/result.webp") as image:
        assert (image.size, image.format) == ((32, 24), "WEBP")
    assert run(*arguments, "--output", "out", "--format", "jpg")[0] == 0
    assert files("out") == ["a_stylized_wave_alpha0.jpg"]


def test_several_strengths_give_results_that_their_names_tell_apart(folder, run):
    arguments = ("-c", "content/a.png", "-s", "style/wave.png", "-o", "out")
    code, _, err = run(*arguments, "--alpha", "0", "1", "1.5", "--grid", "--report", "r.json")
    assert (code, err) == (
        0,
        "note: --alpha 1.5 is more than the full style: it exaggerates\n",
    )
    names = [f"a_stylized_wave{end}.png" for end in ("", "_alpha0", "_alpha1.5")]
    assert files("out") == [*names, "grid.png"]
    full, content, more = (read_picture(Path("out", name)) for name in names)
    inside = (more > 0.01) & (more < 0.99)  # where nothing was clipped
    assert inside.any()
    assert np.abs(more - content)[inside].mean() > np.abs(full - content)[inside].mean()
    outputs = json.loads(Path("r.json").read_text())["outputs"]
    assert sorted(entry["alpha"] for entry in outputs) == [0, 1, 1.5]
    code, _, err = run(*arguments[:-1], "out.png", "--alpha", "0", "1")
    assert (code, err) == (2, "error: --output out.png is one file, but there are 2 results\n")


def test_inputs_and_results_are_counted_apart(folder, run):
    code, out, _ = run("-c", "none.png", "-s", "style/none.png", "-o", "out")
    assert code == 1
    assert out.startswith("0 results in ")
    assert out.endswith(" s, 1 result failed, 2 inputs cannot be used\n")


@pytest.mark.parametrize("name", ["z.pdf", "res.jgp"])
def test_an_output_of_no_known_format_is_no_folder(folder, run, name):
    arguments = ("-c", "content/a.png", "-s", "style/wave.png", "-o", name)
    code, _, err = run(*arguments)
    assert code == 2
    assert f"--output {name}: no such format; pictures end in " in err
    assert ".jpg, " in err
    assert ".mp4, " in err
    assert err.count("\n") == 1
    Path(name).mkdir()
    assert run(*arguments)[0] == 0
    assert files(name) == ["a_stylized_wave.png"]


def test_each_content_is_read_once_for_all_its_styles(folder, run, monkeypatch):
    read, reader = [], pictures.read_pixels
    monkeypatch.setattr(
        pictures, "read_pixels", lambda path, **o: read.append(path) or reader(path, **o)
    )
    assert run("--content", "content", "--style", "style", "--output", "out")[0] == 0
    assert sorted(map(str, read)) == ["content/a.png", "content/trip/b.jpg"]
    assert len(files("out")) == 4


def test_globs_and_content_size(folder, run):
    code, _, _ = run(
        *("--content", "content/**/*.jpg", "--style", "style/w*.png", "--output", "out"),
        *("--content-size", "16", "--crop"),
    )
    assert code == 0
    assert read_picture("out/trip/b_stylized_wave.jpg").shape == (16, 16, 3)


def test_pictures_keep_their_size_and_strokes_have_theirs(folder, run, random_weights):
    draw(Path("large.png"), (64, 90))
    both = (
        "--content",
        "large.png",
        "content/a.png",
        "--style",
        "style/wave.png",
        "--stroke-size",
        "30",
    )
    assert run(*both, "--output", "out")[0] == 0
    stylizer = Stylizer.load("vgg19", **random_weights)
    for name in ("large.png", "content/a.png"):
        photo, painting = read_pixels(name), read_pixels("style/wave.png")
        expected = stylizer(photo, painting, stroke_size=30)
        written = read_pixels(f"out/{Path(name).stem}_stylized_wave.png")
        np.testing.assert_allclose(written, expected, rtol=0, atol=1)


def test_the_size_of_strokes_by_default():
    def chosen(**options):
        return stroke_size(Options(**options))

    assert chosen() == 512
    assert chosen(content_size=1024) is None  # as large as the result asked for
    assert chosen(content_size=1024, stroke_size=512) == 512
    assert chosen(stroke_size=0) is None


def test_globs_in_folders_with_special_characters(folder, run):
    draw(Path("photos [2020]/one*/a.png"))
    draw(Path("photos [2020]/two/b.png"))
    Path("photos [2020]/loop").symlink_to(folder / "photos [2020]")
    Path("photos [2020]/notes.txt").touch()
    both = ("--style", "style/wave.png", "--output")
    assert run("--content", "photos [2020]/**/*", *both, "out")[0] == 0
    assert files("out") == ["one*/a_stylized_wave.png", "two/b_stylized_wave.png"]
    assert run("--content", "photos [2020]/one*/a.png", *both, "one")[0] == 0
    assert files("one") == ["a_stylized_wave.png"]
    _, _, err = run("--content", "photos [2020]/*.txt", *both, "none")
    assert err == "failed: photos [2020]/*.txt: no picture matches\n"


def test_a_name_too_long_costs_that_picture_alone(folder, run):
    draw(Path(f"content/{'l' * 250}.png"))
    Path("out").mkdir()
    arguments = ("--content", "content", "x" * 300, "--style", "style/wave.png", "--output", "out")
    code, _, err = run(*arguments)
    assert code == 1
    assert files("out") == ["a_stylized_wave.png", "trip/b_stylized_wave.jpg"]
    assert err.count("_stylized_wave.png: cannot be written (out: holds no names of over 255") == 2
    assert err.count("\n") == 2


@pytest.mark.parametrize("output", ["content/out", "content"])
def test_results_inside_the_content_folder_are_no_contents(folder, run, output):
    arguments = ("--content", "content", "--style", "style", "--output", output)
    assert run(*arguments)[0] == 0
    before = files("content")
    assert len(before) == 2 + 4
    code, out, _ = run(*arguments, "--skip-existing")
    assert code == 0
    assert "4 skipped" in out
    assert ("1 passed over" in out) == (output != "content")
    assert files("content") == before
    if output != "content":
        assert run("--content", "content/**/*", *arguments[2:], "--skip-existing")[0] == 0
        assert files("content") == before


def test_other_files_are_counted_and_photographs_that_cannot_be_read_are_named(folder, run):
    for name in ("notes.txt", "trip/scene.psd", ".hidden"):
        Path("content", name).touch()
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
    Path("content/phone.HEIC").write_bytes(heic)
    Path("content/renamed.jpg").write_bytes(heic)
    arguments = ("--content", "content", "--style", "style/wave.png", "--output", "out")
    code, out, err = run(*arguments, "--report", "report.json")
    assert code == 1
    assert "2 passed over" in out
    report = json.loads(Path("report.json").read_text())
    assert report["passed_over"] == ["content/notes.txt", "content/trip/scene.psd"]
    for name in ("phone.HEIC", "renamed.jpg"):
        assert f"content/{name}: not a picture that can be read, but a HEIC picture" in err
        assert "HEIC" in report["contents"][f"content/{name}"]
    assert len(files("out")) == 2


def test_what_cannot_be_written_is_said_before_anything_is_computed(folder, run, monkeypatch):
    Image.new("RGB", (1, 16384)).save("long.png")
    Path("file").touch()
    monkeypatch.setattr(Stylizer, "_stylize", None)  # nothing is computed
    style = ("--style", "style/wave.png")
    code, _, err = run("--content", "long.png", *style, "--output", "out", "--format", "webp")
    assert code == 1
    assert "long.png: 1 x 16384 pixels cannot be written as WEBP, which has at most 16383" in err
    code, _, err = run("--content", "content", *style, "--output", "file/out")
    assert code == 1
    for line, name in zip(err.splitlines(), ("a", "trip/b"), strict=True):
        assert line.startswith(f"failed: file/out/{name}_stylized_wave.")
        assert line.endswith(": cannot be written (file: not a folder)")
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(pictures.shutil, "disk_usage", lambda path: usage)
    code, _, err = run("--content", "content", *style, "--output", "out", "--format", "tiff")
    assert code == 1
    assert "out: the results take at least 0 MB, and 0 MB are free" in err
    assert not Path("out").exists()


def test_a_report_that_cannot_be_written_is_said_first(folder, run):
    Path("file").touch()
    arguments = ("--content", "content", "--style", "style", "--output", "out", "--report")
    code, _, err = run(*arguments, "file/report.json")
    assert (code, err) == (1, "error: file: not a folder\n")
    code, _, err = run(*arguments, "content")
    assert (code, err) == (2, "error: --report content is a folder; give a file\n")
    assert not Path("out").exists()


def test_failures_are_one_line_and_debug_shows_where(folder, run):
    name = "a\nb\x1b.png"
    Path("content", name).write_text("no picture")
    arguments = ("--content", f"content/{name}", "--style", "style/wave.png", "--output", "out")
    code, _, err = run(*arguments)
    assert code == 1
    assert err == "failed: content/a\\nb\\x1b.png: not a picture that can be read\n"
    _, _, err = run(*arguments, "--debug")
    assert err.count("Traceback") == 1
    assert err.endswith("failed: content/a\\nb\\x1b.png: not a picture that can be read\n")


def test_pages_that_are_left_out_are_noted(folder, run):
    page = Image.open("content/a.png")
    page.save("pages.tif", save_all=True, append_images=[page] * 2)
    code, _, err = run("--content", "pages.tif", "--style", "style/wave.png", "--output", "out")
    assert code == 0
    assert err == "note: pages.tif: only the first of its 3 pages is read\n"


def test_pair_and_random_styles(folder, run):
    both = ("--content", "content", "--style", "style", "--output")
    assert run(*both, "paired", "--pair")[0] == 0
    assert files("paired") == ["a_stylized_night.png", "trip/b_stylized_wave.jpg"]
    for name in ("one", "two"):
        assert run(*both, name, "--random-styles", "1", "--seed", "3")[0] == 0
    assert files("one") == files("two")
    assert len(files("one")) == 2


def test_one_more_content_changes_no_other_ones_random_styles(folder, run):
    for i in range(6):
        draw(Path(f"content/{i}.png"))
    arguments = ("--content", "content", "--style", "style", "--random-styles", "1", "--output")
    assert run(*arguments, "before")[0] == 0
    draw(Path("content/0a.png"))
    assert run(*arguments, "after")[0] == 0
    assert len(files("after")) == len(files("before")) + 1
    assert set(files("before")) < set(files("after"))
    drawn = {name.split("_")[-1] for name in files("after")}
    assert len(drawn) > 1


@pytest.mark.parametrize("first", [0, 1])
def test_shards_do_every_content_once_with_the_results_of_one_run(folder, run, first):
    for i in range(6):
        draw(Path(f"content/{i}.png"), (20 + 7 * i, 50 - 6 * i))
    arguments = ("--content", "content", "--style", "style", "--random-styles", "1", "--output")
    assert run(*arguments, "whole")[0] == 0
    done = []
    for i in range(3):
        assert run(*arguments, f"part{i}", "--shard", f"{first + i}/3")[0] == 0
        for name in files(f"part{i}"):
            assert Path(f"part{i}", name).read_bytes() == Path("whole", name).read_bytes()
            done.append(name)
    assert sorted(done) == files("whole")


def test_inputs_with_one_name_both_survive(folder, run):
    draw(Path("other/a.png"))
    draw(Path("style2/WAVE.png"))
    code, _, _ = run(
        *("--content", "content/a.png", "other/a.png"),
        *("--style", "style/wave.png", "style2/WAVE.png", "--output", "out"),
    )
    assert code == 0
    assert files("out") == [
        "a_stylized_WAVE_2.png",
        "a_stylized_WAVE_4.png",
        "a_stylized_wave.png",
        "a_stylized_wave_3.png",
    ]


def test_bad_pictures_are_reported_and_the_rest_is_done(folder, run):
    bad = bad_files(folder / "content")
    (folder / "style" / "broken.png").write_text("nothing")
    code, out, err = run(
        *("--content", "content", "content/missing.jpg", "content/folder.jpg"),
        *("content/postscript.eps", "--style", "style", "--output", "out"),
        *("--report", "report.json"),
    )
    assert code == 1
    assert len(files("out")) == 4
    assert "Traceback" not in err
    report = json.loads(Path("report.json").read_text())
    for name, message in bad.items():
        if name != "folder.jpg":  # an empty folder, as an input
            assert message in report["contents"][f"content/{name}"]
            assert err.count(f"content/{name}: ") == 1
    assert "content/folder.jpg: no picture in this folder" in err
    assert report["contents"]["content/a.png"] == "stylized"
    assert "not a picture" in report["styles"]["style/broken.png"]
    outcomes = [entry["outcome"] for entry in report["outputs"]]
    assert outcomes.count("done") == 4
    assert len(outcomes) == 9 * 3
    assert ", 23 results failed, " in out
    assert f", {len(bad) + 1} inputs cannot be used" in out


def test_existing_files_are_left_unless_asked(folder, run):
    arguments = ("--content", "content/a.png", "--style", "style", "--output", "out")
    target = Path("out/a_stylized_wave.png")
    target.parent.mkdir()
    target.write_bytes(b"mine")
    code, _, err = run(*arguments)
    assert code == 1
    assert "a_stylized_wave.png: exists; give --overwrite or --skip-existing" in err
    assert target.read_bytes() == b"mine"
    assert len(files("out")) == 2
    code, out, _ = run(*arguments, "--skip-existing")
    assert code == 0
    assert "2 skipped" in out
    assert target.read_bytes() == b"mine"
    assert run(*arguments, "--overwrite")[0] == 0
    assert read_picture(target).shape == (24, 32, 3)


@pytest.mark.essential
def test_saved_styles_give_the_same_pictures(folder, run):
    code, out, _ = run("--style", "style", "--save-style", "saved")
    assert code == 0
    assert out.startswith("2 styles saved in saved, ")
    assert out.endswith("B\n")
    assert files("saved") == ["night.safetensors", "wave.safetensors"]
    content = ("--content", "content/a.png")
    assert run(*content, "--style", "style/wave.png", "--output", "direct.png")[0] == 0
    saved = ("--style-file", "saved/wave.safetensors")
    assert run(*content, *saved, "--output", "again.png")[0] == 0
    assert Path("again.png").read_bytes() == Path("direct.png").read_bytes()
    Path("saved/wave.safetensors").write_bytes(b"rubbish")
    code, _, err = run(*content, *saved, "--output", "third.png")
    assert code == 1
    assert "saved/wave.safetensors: not a safetensors file" in err


def test_mixing_styles(folder, run, random_weights):
    styles = ("--style", "style/wave.png", "style/night.png")
    content = ("--content", "content/a.png")
    assert run(*content, *styles, "--style-weights", "1", "0", "--output", "out")[0] == 0
    assert files("out") == ["a_stylized_mix_wave1_night0.png"]
    assert run(*content, "--style", "style/wave.png", "--output", "wave.png")[0] == 0
    assert Path("out/a_stylized_mix_wave1_night0.png").read_bytes() == Path("wave.png").read_bytes()


def test_regions(folder, run):
    left = np.zeros((24, 32, 3), np.float32)
    left[:, :16] = 1
    save_picture(left, "left.png")
    save_picture(1 - left, "right.png")
    code, _, _ = run(
        *("--content", "content", "--style", "style/wave.png", "style/night.png"),
        *("--mask", "left.png", "right.png", "--output", "out"),
    )
    assert code == 0
    assert files("out") == [
        "a_stylized_regions_wave_night.png",
        "trip/b_stylized_regions_wave_night.jpg",
    ]


@pytest.mark.parametrize("way", ["coral", "luminance"])
def test_preserving_color(folder, run, way):
    code, _, _ = run(
        *("--content", "content/a.png", "--style", "style/wave.png", "--output", "out.png"),
        *("--preserve-color", way),
    )
    assert code == 0
    content, result = read_picture("content/a.png"), read_picture("out.png")
    if way == "luminance":
        # Where nothing was clipped, red less blue is the content's.
        inside = ((result > 0.01) & (result < 0.99)).all(-1)
        assert inside.any()
        difference = (result - content)[inside]
        np.testing.assert_allclose(difference[:, 0], difference[:, 2], atol=1.1 / 255)


def test_transparency_can_be_kept(folder, run):
    draw(Path("logo.png"), channels=4)
    arguments = ("--content", "logo.png", "--style", "style/wave.png", "--output")
    assert run(*arguments, "kept.png", "--alpha-channel", "keep")[0] == 0
    with Image.open("kept.png") as kept, Image.open("logo.png") as logo:
        assert kept.mode == "RGBA"
        np.testing.assert_array_equal(np.asarray(kept)[..., 3], np.asarray(logo)[..., 3])
    assert run(*arguments, "white.png")[0] == 0
    with Image.open("white.png") as white:
        assert white.mode == "RGB"


def test_grid(folder, run):
    assert run("--content", "content", "--style", "style", "--output", "out", "--grid")[0] == 0
    assert "grid.png" in files("out")
    height, width, _ = read_picture("out/grid.png").shape
    assert (height > 3 * 256, width > 3 * 256) == (True, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--content", "content"), "--style or --style-file is missing"),
        (("--style", "style"), "--content is missing"),
        (("--content", "content", "--style", "style"), "--output is missing"),
        (
            ("--content", "content", "--style", "style", "--output", "out.png"),
            "--output out.png is one file, but there are 4 results",
        ),
        (
            ("--content", "content/a.png", "--style", "style", "--output", "out", "--pair"),
            "--pair needs as many styles as contents, not 2 and 1",
        ),
        (
            ("--content", "content", "--style", "style", "--output", "o", "--random-styles", "3"),
            "--random-styles 3 needs 1 to 2",
        ),
        *(
            (
                ("--content", "content", "--style", "style", "--output", "o", "--shard", shard),
                f"--shard {shard} must be I/N",
            )
            for shard in ("4/3", "0/0", "1", "-1/3")
        ),
        (
            (
                *("--content", "content", "--style", "style", "--output", "o"),
                *("--shard", "1/2", "--grid"),
            ),
            "--grid needs all of it",
        ),
        (
            ("--content", "content", "--style", "style", "--output", "o", "--style-weights", "1"),
            "--style-weights: 1 given for 2 styles",
        ),
        (
            ("--content", "a", "--style", "b", "--output", "o", "--network", "n"),
            "model vgg19 takes no such file as network, only encoder and decoder: n",
        ),
        (
            ("--content", "content", "--style", "style", "--output", "o", "--batch-size", "0"),
            "--batch-size must be at least 1",
        ),
        (
            ("--content", "a", "--style", "b", "--output", "o", "--overwrite", "--skip-existing"),
            "exclude each other",
        ),
    ],
)
def test_bad_usage_is_one_line_and_code_2(folder, run, arguments, message):
    code, _, err = run(*arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert not Path("out").exists()


@pytest.mark.parametrize("option", ["content", "style", "output", "report"])
def test_urls_are_no_local_paths(folder, run, option):
    paths = {"content": "content", "style": "style", "output": "out", "report": "report.json"}
    paths[option] = "gs://bucket/a.png"
    code, _, err = run(*(f"--{name}={path}" for name, path in paths.items()))
    assert code == 2
    assert err.startswith("error: gs://bucket/a.png is a URL; only local files and folders")
    assert err.count("\n") == 1
    assert not Path("gs:").exists()


@pytest.mark.parametrize("name", ["infer", "train", "convert_vgg"])
def test_help_into_a_closed_pipe_is_quiet(name):
    command = [sys.executable, ROOT / f"{name}.py", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_an_unknown_option_is_code_2(run):
    assert run("--stile", "a.png")[0] == 2


def test_help_needs_no_jax():
    code = (
        "import sys\nfrom adain_jax.cli import infer\n"
        "try: infer.main(['--help'])\n"
        "except SystemExit: print('jax' in sys.modules, 'numpy' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.endswith("False False\n")


@pytest.mark.essential
def test_the_script_runs_from_anywhere(folder, random_weights):
    weights = [f"--{part}={path}" for part, path in random_weights.items()]
    pictures = ["--content", "content/none.jpg", "--style", "style/wave.png"]
    result = subprocess.run(
        [
            sys.executable,
            str(ROOT / "infer.py"),
            "--model=vgg19",
            *weights,
            *pictures,
            "--output",
            "out.png",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr == "failed: content/none.jpg: no such file\n"


def test_sigterm_leaves_no_half_file_and_a_report_and_a_closed_pipe_ends_nothing(folder):
    noise = Image.fromarray(rng.integers(0, 256, (300, 300, 3), np.uint8))
    for i in range(200):
        noise.save(f"content/{i:03}.bmp")
    arguments = ["--content", "content/", "missing.png", "--style", "style/wave.png"]
    command = [sys.executable, ROOT / "infer.py", *arguments, "--output", "out", "--format", "png"]
    command += ["--report", "report.json", "--content-size", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        process.stderr.close()  # before the first failure is said
        try:
            wait_until(lambda: len(list(Path().glob("out/*.png"))) >= 3, process, 120)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 128 + signal.SIGTERM
        finally:
            process.kill()
    report = json.loads(Path("report.json").read_text())
    outcomes = {Path(entry["output"]).name: entry["outcome"] for entry in report["outputs"]}
    assert len(outcomes) == 200 + 2 + 1
    written = [name for name, outcome in outcomes.items() if outcome == "done"]
    assert files("out") == sorted(written)
    assert set(outcomes.values()) == {"done", "not done", "failed"}


def test_tiles_change_nothing(tmp_path, capsys):
    content = draw(tmp_path / "a.png", (200, 310))
    style = draw(tmp_path / "s.png", (60, 50))
    results = {}
    for tile in ("off", "128", "auto"):
        output = tmp_path / f"{tile}.png"
        arguments = ["--content", content, "--style", style, "--output", output, "--tile", tile]
        with pytest.raises(SystemExit) as exit_:
            infer.main([*map(str, arguments), "--content-size=0", "--no-compilation-cache"])
        assert exit_.value.code == 0
        results[tile] = np.asarray(Image.open(output)).astype(int)
    assert results["off"].shape == (200, 310, 3)
    assert np.abs(results["128"] - results["off"]).max() <= 1  # of 255, by rounding
    np.testing.assert_array_equal(results["auto"], results["off"])


def test_a_tile_too_small_is_an_error(folder, run):
    code, _, err = run("--content=content", "--style=style", "--output=out", "--tile=64")
    assert code == 2
    assert err == "error: --tile must be auto, off or at least 128, not 64\n"


def test_timing_says_where_the_time_went(folder, run):
    code, _, err = run("--content=content", "--style=style", "--output=out", "--timing")
    assert code == 0
    names = ("start", "imports", "weights and names", "styles", "contents")
    line = next(line for line in err.splitlines() if line.startswith("timing: "))
    seconds = [float(part.split()[-2]) for part in line.split(";")[0].split(", ")]
    assert [name for name in names if f"{name} " in line] == list(names)
    assert min(seconds) >= 0
    assert sum(seconds) == pytest.approx(float(line.split()[-2]), abs=0.05)


def test_timing_begins_with_the_process():
    code = (
        "import time\nbegan = time.perf_counter()\nfrom adain_jax.cli.timing import age_of_process\n"
        "age = age_of_process()\nprint(age - (time.perf_counter() - began))"
    )
    before = time.perf_counter()
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    wall = time.perf_counter() - before
    assert 0 <= float(result.stdout) <= wall + 0.02  # the kernel counts in hundredths


def _cached(tmp_path, *options, mode=None):
    """The files in a fresh cache folder after a run of infer.py in a process of its own."""
    cache = tmp_path / "cache"
    programs = cache / "adain-jax" / "programs"
    if mode:
        programs.mkdir(parents=True)
        programs.chmod(mode)
    content = draw(tmp_path / "a.png")
    command = [sys.executable, str(ROOT / "infer.py"), "--content", content, "--style", content]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "XDG_CACHE_HOME": str(cache)}
    environment["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "True"
    output = tmp_path / "out.png"
    subprocess.run([*command, "--output", output, *options], check=True, env=environment)
    return programs, list(programs.glob("*")) if programs.exists() else []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the cache folder is set the Linux way")
def test_compiled_programs_are_kept_in_a_private_folder(tmp_path):
    programs, kept = _cached(tmp_path / "kept")
    assert len(kept) >= 2
    assert programs.stat().st_mode & 0o077 == 0
    assert _cached(tmp_path / "off", "--no-compilation-cache")[1] == []
    assert _cached(tmp_path / "open", mode=0o777)[1] == []  # others could put programs there


def test_programs_that_a_killed_process_left_half_written_are_forgotten(tmp_path):
    for name in ("whole-cache", "whole-atime", "half-cache"):
        (tmp_path / name).write_bytes(b"contents")
    compilation_cache._forget_interrupted(tmp_path)
    assert files(tmp_path) == [".lockfile", "whole-atime", "whole-cache"]
