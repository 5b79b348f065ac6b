"""Small whole files of every kind that is read, the same on every call."""

import io
import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from fuzz.mutation import unzipped, zipped

Files = dict[str, bytes]

_SUFFIXES = {
    **{"JPEG": ".jpg", "MPO": ".mpo", "PNG": ".png", "WEBP": ".webp", "AVIF": ".avif"},
    **{"GIF": ".gif", "BMP": ".bmp", "TIFF": ".tif", "PPM": ".ppm", "TGA": ".tga"},
    **{"JPEG2000": ".jp2"},
}
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "I", "F")
_HEIGHT, _WIDTH = 18, 24


def pictures() -> Files:
    """Every format and mode that Pillow writes, with metadata, animations and unusual encodings."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 5, 4), np.uint8))
    color = coarse.resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC)
    frames = [color.rotate(angle) for angle in (90, 180)]
    modes = {mode: color.convert("RGB").convert("L").convert(mode) for mode in ("I", "F", "1")}
    for mode in _MODES:
        if mode not in modes:
            modes[mode] = _converted(color, mode)
    modes["I;16"] = Image.fromarray(rng.integers(0, 1 << 16, (_HEIGHT, _WIDTH), np.uint16))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x9286] = 6, "maker", b"ASCII\0\0\0a comment"
    metadata = {
        "exif": exif.tobytes(),
        "icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        "xmp": b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="8"/></x:xmpmeta>',
    }
    variants: list[tuple[str, str, dict[str, Any]]] = [
        *((name, mode, {}) for name in _SUFFIXES for mode in modes),
        *((name, "RGB", metadata) for name in _SUFFIXES),
        *((name, "RGB", {"save_all": True, "append_images": frames}) for name in _SUFFIXES),
        ("JPEG", "RGB", {"progressive": True, "subsampling": 2, "comment": "a comment"}),
        ("PNG", "P", {"transparency": 3}),
        ("WEBP", "RGBA", {"lossless": True}),
        ("TGA", "RGB", {"compression": "tga_rle"}),
        ("JPEG2000", "RGB", {"no_jp2": True}),
        ("JPEG2000", "RGB", {"irreversible": True, "tile_size": (16, 16)}),
        ("TIFF", "RGB", {"big_tiff": True}),
        ("TIFF", "1", {"compression": "group4"}),
        *(("TIFF", mode, {"compression": "jpeg"}) for mode in ("L", "RGB", "CMYK")),
        *(
            ("TIFF", mode, {"compression": way})
            for mode in ("1", "L", "RGB", "CMYK", "I;16")
            for way in ("packbits", "tiff_lzw", "tiff_adobe_deflate", "zstd")
        ),
    ]
    files = {}
    for number, (name, mode, options) in enumerate(variants):
        data = io.BytesIO()
        try:
            modes[mode].save(data, name, **options)
        except Exception:  # Pillow does not write this together
            continue
        kind = "animated" if "save_all" in options else mode.replace(";", "")
        files[f"{kind}{number}{_SUFFIXES[name]}"] = data.getvalue()
    return files


def _converted(image: Image.Image, mode: str) -> Image.Image:
    if mode == "LAB":
        pair = (ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"))
        lab = ImageCms.profileToProfile(image.convert("RGB"), *pair, outputMode="LAB")
        assert lab is not None
        return lab
    if mode == "PA":
        return image.convert("RGB").convert("P").convert("PA")
    return (image if mode in ("RGBA", "LA") else image.convert("RGB")).convert(mode)


def weights() -> Files:
    """All containers of weights, with few values; and our own file as it ships."""
    import h5py
    from safetensors.numpy import save

    from adain_jax.weights import default_path
    from tests import foreign

    rng = np.random.default_rng(0)
    state = {"0.weight": rng.random((2, 3, 3, 3), np.float32), "0.bias": rng.random(2, np.float32)}
    layers = {"conv1_1": {"kernel": rng.random((3, 3, 3, 2), np.float32), "bias": state["0.bias"]}}

    def h5(path: Path) -> None:
        with h5py.File(path, "w") as file:
            file["block1_conv1/kernel:0"] = layers["conv1_1"]["kernel"]
            file["block1_conv1/bias:0"] = layers["conv1_1"]["bias"]
            file.create_dataset("packed", data=np.zeros((40, 40), "f4"), compression="gzip")

    nested = {"epoch": 3, "state_dict": state, "names": ["a", "b"]}
    files = {
        "legacy.pth": _written(lambda path: foreign.write_legacy_pth(path, nested)),
        "zip.pth": zipped(unzipped(_written(lambda path: foreign.write_zip_pth(path, nested)))),
        "a.t7": _written(lambda path: foreign.write_t7(path, state)),
        "flat.t7": _written(lambda path: foreign.write_t7(path, state, flat=True)),
        "v1.caffemodel": _written(lambda path: foreign.write_caffemodel(path, layers, version=1)),
        "v2.caffemodel": _written(lambda path: foreign.write_caffemodel(path, layers, version=2)),
        "a.npz": zipped({f"{name}.npy": _npy(array) for name, array in state.items()}),
        "a.h5": _written(h5),
        "half.safetensors": save({key: value.astype("f2") for key, value in state.items()}),
        "own.safetensors": default_path("fast").read_bytes(),
    }
    return {**files, "a.keras": zipped({"config.json": b"{}", "model.weights.h5": files["a.h5"]})}


def _npy(array: np.ndarray) -> bytes:
    data = io.BytesIO()
    np.save(data, array)
    return data.getvalue()


def clips() -> Files:
    """Short clips with sound in all containers, and animations."""
    kinds = [
        ("a.mp4", "libx264", "aac"),
        ("fragments.mp4", "libx264", "aac"),
        ("old.mov", "mjpeg", "pcm_s16le"),
        ("a.mkv", "libx264", "ac3"),
        ("a.webm", "libvpx-vp9", "libopus"),
        ("a.avi", "mpeg4", "mp2"),
        ("a.ts", "mpeg2video", "mp2"),
        ("a.mpg", "mpeg1video", "mp2"),
        ("a.flv", "flv1", "adpcm_swf"),
        ("a.wmv", "wmv2", "wmav2"),
    ]
    files = {}
    for name, video, sound in kinds:
        files[name] = _written(partial(_write_clip, video, sound), name)
    animations = {name: data for name, data in pictures().items() if "animated" in name}
    return {**files, **animations}


def _write_clip(video: str, sound: str, path: Path) -> None:
    import av
    from av.audio.stream import AudioStream
    from av.codec.context import Flags
    from av.video.stream import VideoStream

    rng = np.random.default_rng(0)
    options = {"fflags": "+bitexact"}
    if path.name.startswith("fragments"):
        options["movflags"] = "frag_keyframe+empty_moov"
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(video, rate=25, options={"threads": "1"})
        track = container.add_stream(sound, rate=44100 if sound == "adpcm_swf" else 48000)
        assert isinstance(stream, VideoStream)
        assert isinstance(track, AudioStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        if video == "mjpeg":
            stream.pix_fmt = "yuvj420p"
        for one in (stream, track):
            one.codec_context.flags |= Flags.bitexact
        track.layout, track.bit_rate = "mono", 64000
        resampler = av.AudioResampler(
            track.format, track.layout, track.rate, track.codec_context.frame_size or 1024
        )
        wave = av.AudioFrame.from_ndarray(np.zeros((1, 9600), np.float32), "fltp", "mono")
        wave.rate = 48000
        for _ in range(5):
            pixels = Image.fromarray(rng.integers(0, 256, (3, 4, 3), np.uint8)).resize((64, 48))
            container.mux(stream.encode(av.VideoFrame.from_image(pixels)))
        container.mux(stream.encode())
        for piece in [*resampler.resample(wave), *resampler.resample(None)]:
            container.mux(track.encode(piece))
        container.mux(track.encode())


def styles() -> Files:
    """Style files of one style and of several, and other safetensors files."""
    from safetensors.numpy import save

    from adain_jax.weights.style_files import write_moments

    rng = np.random.default_rng(0)
    one, several = rng.random(8, np.float32), rng.random((3, 8), np.float32)
    files = {
        "one.safetensors": _written(lambda path: write_moments(one, one, path, "fast")),
        "several.safetensors": _written(lambda path: write_moments(several, several, path, "fast")),
        "other.safetensors": save({"mean": one.astype(np.int32), "std": one}),
    }
    return {name: _in_order(data) for name, data in files.items()}


def _in_order(data: bytes) -> bytes:
    """The same safetensors file with its metadata in order, which its library gives in any."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:end]), sort_keys=True, separators=(",", ":"))
    return data[:8] + header.encode().ljust(end - 8) + data[end:]


def checkpoints() -> Files:
    """The folder of a training run with one checkpoint, as a zip file."""
    from adain_jax.training.checkpoints import Checkpoints
    from adain_jax.training.run_dir import Metrics, agree

    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        agree(run_config(run))
        metrics = Metrics(run / "metrics.jsonl", 0)
        for step in (1, 2):
            metrics.write(step, {"loss": 1.5, "content_loss": 1.0})
        metrics.close()
        checkpoints = Checkpoints(run / "checkpoints")
        checkpoints.save(small_state(), {"content": {"next_index": 3}})
        checkpoints.close()
        files = {
            path.relative_to(run).as_posix(): path.read_bytes()
            for path in sorted(run.rglob("*"))
            if path.is_file()
        }
    return {"run.zip": zipped(files)}


def small_state() -> Any:
    """A training state of few values at step 2."""
    import jax.numpy as jnp

    from adain_jax.training.step import State

    empty: dict[str, Any] = {key: {} for key in State._fields}
    params = {"conv": {"kernel": np.ones((3, 3, 4, 4), np.float32), "bias": np.ones(4, np.float32)}}
    return State(**empty)._replace(step=jnp.array(2), params=params)


def run_config(run_dir: Path) -> Any:
    """The configuration of the run that `checkpoints` makes."""
    from adain_jax.training.config import Config

    return Config(content="content", style="style", run_dir=run_dir)


def _written(write: Callable[[Path], object], name: str = "file") -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        write(path)
        return path.read_bytes()
