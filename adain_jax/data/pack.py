"""Packs a folder of pictures as ArrayRecord through TFDS.

Packed pictures are read faster, and make up only a few files.
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from adain_jax.data.sources import DataError, import_tfds
from adain_jax.files import atomic_path, exclusive, write_atomically
from adain_jax.images import PictureError, find_pictures, load_image, picture_size
from adain_jax.progress import progress, track


def pack(source: Path, target: Path, *, size: int, quality: int = 90) -> dict[str, str]:
    """Writes every picture below `source`, as JPEG, into the TFDS data set `target`.

    After an interruption, the same call resumes: encoded pictures are kept in `target`.partial, and
    `target` appears only once the data set is complete.

    Args:
        source: a folder of pictures, searched recursively.
        target: the data set's folder, to be opened with `open_source` or
            `tfds.builder_from_directory`. Its records have the features `image` and `name`, the
            picture's path relative to `source`.
        size: length of the shorter side in pixels; smaller pictures are not enlarged.
        quality: JPEG quality, 1 to 100.

    Returns:
        The error message of each picture that could not be read, by the picture's path.

    Raises:
        DataError: `target` exists, lies below `source` or cannot be written, no picture below `source`
            can be read, or an interrupted call for the same `target` had other settings.
        PictureError: `source` is not a folder.
        InUseError: another call for the same `target` is at work.
    """
    if source.resolve() in target.resolve().parents:
        raise DataError(f"lies below {source}, and would be packed itself", target)
    paths = find_pictures(source)
    staging = target.with_name(target.name + ".partial")
    with exclusive(staging):
        if target.exists():
            shutil.rmtree(staging)  # of a call that was killed as it ended, or just made
            raise DataError("exists already", target)
        settings = {"source": str(source.resolve()), "size": size, "quality": quality}
        _check_settings(staging, settings)
        return _pack(source, paths, target, staging, size, quality)


def _pack(
    source: Path, paths: Sequence[Path], target: Path, staging: Path, size: int, quality: int
) -> dict[str, str]:
    pictures = staging / "pictures"
    pictures.mkdir(exist_ok=True)

    def stage(path: Path) -> tuple[str, Path] | PictureError:
        name = path.relative_to(source).as_posix()
        staged = pictures / f"{name}.jpg"
        if not staged.exists():
            try:
                image = load_image(path, size=min(size, *picture_size(path)))
            except PictureError as error:
                return error
            staged.parent.mkdir(parents=True, exist_ok=True)
            try:
                with atomic_path(staged) as temporary:
                    image.save(temporary, "JPEG", quality=quality)
            except OSError as error:
                raise DataError(f"cannot be written ({error.strerror or error})", staged) from error
        return name, staged

    records, bad = [], {}
    with ThreadPoolExecutor() as pool:
        staged = zip(paths, pool.map(stage, paths), strict=True)
        for path, result in track("reading and shrinking pictures", staged, len(paths)):
            if isinstance(result, PictureError):
                bad[str(path)] = str(result)
            else:
                records.append(result)
    if not records:
        raise DataError("no picture in this folder can be read", source)
    try:
        written = _write(records, staging / "tfds")
    except Exception as error:  # TFDS passes on whatever its libraries say
        reason = " ".join(str(error).split())
        raise DataError(f"cannot be written ({reason})", target) from error
    written.rename(target)
    shutil.rmtree(staging)
    return bad


def _check_settings(staging: Path, settings: dict[str, Any]) -> None:
    file = staging / "settings.json"
    if file.exists() and json.loads(file.read_text()) != settings:
        raise DataError("begun with other settings; delete it to start anew", staging)
    write_atomically(file, json.dumps(settings).encode())


def _write(records: list[tuple[str, Path]], folder: Path) -> Path:
    """Builds the data set below `folder` and returns the folder that TFDS created for it."""
    tfds = import_tfds()

    class Pictures(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[name-defined,call-arg]
        """A folder of pictures."""

        VERSION = tfds.core.Version("1.0.0")

        def _info(self) -> Any:
            features = {
                "image": tfds.features.Image(encoding_format="jpeg"),
                "name": tfds.features.Text(),
            }
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
            return {"train": self._generate_examples()}

        def _generate_examples(self) -> Iterator[tuple[bytes, dict[str, Any]]]:
            for name, path in records:
                raw = os.fsencode(name)  # file names need not be valid UTF-8, record names must be
                yield raw, {"image": str(path), "name": raw.decode(errors="replace")}
                advance(1)
            advance(0, note="shuffling")

    shutil.rmtree(folder, ignore_errors=True)
    builder = Pictures(data_dir=str(folder), file_format="array_record")
    with progress("writing the data set", len(records)) as advance:
        builder.download_and_prepare()
    return Path(builder.data_dir)
