"""What made a stylized data set, so that it can be cited, repeated, and gone on with."""

import json
import platform
from collections.abc import Collection, Iterable
from importlib.metadata import version
from typing import Any

from adain_jax import models, weights
from adain_jax.dataset.recipe import Recipe
from adain_jax.dataset.records import DatasetError, Source
from adain_jax.dataset.storage import Place
from adain_jax.files import digest

NAME = "manifest.json"
PARTS = "_parts"
ATTEMPTS = "_attempts"
FAILED = "failed.jsonl"
PACKAGES = ("adain-jax", "jax", "jaxlib", "numpy", "pillow", "ray", "pyarrow")


def describe(
    source: Source, url: str, recipe: Recipe, styles: list[str], options: dict[str, Any]
) -> dict[str, Any]:
    """The manifest of a run that begins: all that its results depend on, and where it runs."""
    files = models.MODELS[recipe.model].files.values()
    return {
        "identity": {
            "source": url,
            "kind": source.kind,
            "shards": digest("\n".join(source.shards()).encode()),
            "recipe": recipe.as_dict(),
            "styles": styles,
            "weights": {kind: digest(weights.default_path(kind).read_bytes()) for kind in files},
            **options,
        },
        "versions": {name: version(name) for name in PACKAGES}
        | {"python": platform.python_version()},
        "complete": False,
    }


def begin(output: Place, manifest: dict[str, Any]) -> bool:
    """Writes the manifest of a run, or checks that the run that is there is the same.

    Returns:
        Whether it is there and complete.

    Raises:
        DatasetError: the output holds something else, or a run that differs.
    """
    place = output.under(NAME)
    if place.kind() == "missing":
        if any(not name.startswith(("_", ".")) for name in output.files()):
            raise DatasetError("holds other files; choose an empty or a new folder", output.url)
        place.write(_text(manifest))
        return False
    try:
        there = json.loads(place.read())
        before = _flat(there["identity"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError("is no manifest of a stylized data set", place.url) from error
    differing = [
        f"{name} {_short(before.get(name))}, not {_short(value)}"
        for name, value in _flat(manifest["identity"]).items()
        if before.get(name) != value
    ]
    if differing:
        raise DatasetError(
            f"was made with {'; '.join(differing[:3])}; choose another --output", output.url
        )
    return bool(there.get("complete"))


def done_parts(output: Place) -> dict[str, dict[str, Any]]:
    """The summaries of all parts that are there, by name."""
    parts = output.under(PARTS)
    summaries = (json.loads(parts.under(name).read()) for name in parts.files())
    return {summary["part"]: summary for summary in summaries}


def records_of(summary: dict[str, Any]) -> int:
    """How many records of the source a part is made of."""
    return int(summary["records"]) + len(summary["failed"])


def estimate(summaries: Collection[dict[str, Any]], nbytes: int) -> int:
    """How many records there may be in a source of so many bytes, from those of some parts of it."""
    read = sum(summary["read"] for summary in summaries)
    return round(sum(map(records_of, summaries)) * nbytes / max(read, 1))


def complete(output: Place, summaries: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Notes that a run is complete: the table of what failed, and the sums in its manifest.

    What only an interrupted run needs is deleted.
    """
    ordered = sorted(summaries, key=lambda summary: summary["part"])
    failed = [pair for summary in ordered for pair in summary["failed"]]
    lines = [json.dumps({"key": key, "reason": reason}) + "\n" for key, reason in failed]
    output.under(FAILED).write("".join(lines).encode())
    manifest = json.loads(output.under(NAME).read())
    sums = {name: sum(s[name] for s in ordered) for name in ("records", "results", "bytes")}
    manifest |= {"complete": True, **sums, "failed": len(failed)}
    output.under(NAME).write(_text(manifest))
    for name in (PARTS, ATTEMPTS):
        output.under(name).delete()
    return manifest


def _text(manifest: dict[str, Any]) -> bytes:
    return (json.dumps(manifest, indent=1) + "\n").encode()


def _flat(tree: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= {f"{key}.{name}": each for name, each in value.items()}
        else:
            flat[key] = value
    return flat


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
