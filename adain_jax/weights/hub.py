"""Weights on the Hugging Face Hub: those of a repository, and a folder that can become one.

A repository holds the weights of one model: `fast.safetensors` or `vgg19-decoder.safetensors`, and a
card. Nothing else of it is fetched, and the file is read as every other one, strictly.
"""

import math
import re
import sys
from pathlib import Path
from typing import cast

from adain_jax import weights
from adain_jax.errors import UsageError
from adain_jax.files import safetensors_metadata, write_atomically
from adain_jax.models import HUB, MODELS, Model, entry
from adain_jax.weights import Kind, WeightsError

# Both become folders here, so neither may begin with a dot.
_NAME = re.compile(
    HUB + r"(?P<owner>[A-Za-z0-9][\w.-]{0,95})/(?P<name>[A-Za-z0-9][\w.-]{0,95})", re.A
)
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
_MOST_HEADER_BYTES = 1 << 20

_CARD = """\
---
license: {license}
library_name: adain-jax
pipeline_tag: image-to-image
tags:
- adain
- arbitrary-style-transfer
- flax
- jax
- style-transfer
---

# {title}

Weights of adain-jax for arbitrary style transfer by
[adaptive instance normalization](https://arxiv.org/abs/1703.06868), {about}.

```python
from adain_jax import Stylizer

stylizer = Stylizer.load("hf://OWNER/NAME")
result = stylizer(photograph, painting)  # float (h, w, 3), RGB in [0, 1]
```

Or `adain stylize --model hf://OWNER/NAME` with the usual options. Both need the extra `hub`.
"""
_ABOUT: dict[Model, str] = {
    "fast": "with an encoder and a decoder of their own",
    "vgg19": (
        "the decoder of the paper's network. The VGG19 encoder is not here; `adain convert "
        "--download` fetches it once"
    ),
}


def find(name: str) -> tuple[Model, dict[str, Path]]:
    """The model that a name stands for, and the files that come with the name.

    Args:
        name: "fast" or "vgg19", with which no files come; or hf://OWNER/NAME, whose file is fetched
            unless it is here, see `fetch`.

    Raises:
        UsageError: there is no such model.
        WeightsError: the repository cannot be reached, or holds no such file.
    """
    if name.startswith(HUB):
        model, path = fetch(name)
        return model, {MODELS[model].trained: path}
    entry(name)
    return cast("Model", name), {}


def fetch(name: str) -> tuple[Model, Path]:
    """Fetches the weights of a repository, unless its present ones are here.

    They are kept in the data folder, below `hub/OWNER/NAME`, under the name that their kind has, and
    found there without a network too. The Hub is the one that HF_ENDPOINT names, and private
    repositories are opened by the token of `hf auth login`, as huggingface_hub does it.

    Args:
        name: hf://OWNER/NAME.

    Returns:
        The model, and the safetensors file.

    Raises:
        UsageError: this is no such name.
        WeightsError: huggingface_hub is not installed, the repository cannot be reached, or it holds
            no such file or one that is too large.
    """
    match = _NAME.fullmatch(name)
    if not match:
        raise UsageError(f"{name} is no repository; its name is {HUB}OWNER/NAME")
    try:
        from huggingface_hub import errors
    except ImportError:
        raise WeightsError(
            "repositories need huggingface_hub: pip install 'adain-jax[hub]'", name
        ) from None

    def place(model: Model) -> Path:
        data = weights.converted_path(MODELS[model].kind)
        return data.parent / "hub" / match["owner"] / match["name"] / data.name

    print(f"{name}: looking for its weights", file=sys.stderr)
    # Without a network, what is here is found first.
    for model in sorted(MODELS, key=lambda model: not place(model).exists()):
        try:
            return model, _download(name, MODELS[model].kind, place(model))
        except errors.RemoteEntryNotFoundError:
            continue
        except errors.GatedRepoError as error:
            raise WeightsError("its owner asks you to agree on its page first", name) from error
        except errors.RepositoryNotFoundError as error:
            raise WeightsError(
                "no such repository, or a private one: log in with `hf auth login`", name
            ) from error
        except errors.LocalEntryNotFoundError as error:
            reason = _first_line(error.__cause__ or error)
            raise WeightsError(
                f"cannot be reached, and is not here yet ({reason})", name
            ) from error
        except WeightsError:
            raise
        except Exception as error:  # the library and those it stands on have many kinds
            raise WeightsError(f"cannot be fetched ({_first_line(error)})", name) from error
    files = " nor ".join(place(model).name for model in MODELS)
    raise WeightsError(f"holds neither {files}", name)


def _download(name: str, kind: Kind, path: Path) -> Path:
    """Fetches one file, of this name, to this path.

    Into a folder of our own, and not into the library's cache: in that, the names of files are what
    the server says (`etag`).
    """
    from huggingface_hub import DryRunFileInfo, hf_hub_download

    repository = name.removeprefix(HUB)
    found = hf_hub_download(repository, path.name, local_dir=path.parent, dry_run=True)
    assert isinstance(found, DryRunFileInfo)
    most = 4 * sum(map(math.prod, weights.shapes(kind).values())) + _MOST_HEADER_BYTES
    if (found.file_size or 0) > most:
        raise WeightsError(
            f"its {path.name} has {found.file_size} bytes, more than any such weights", name
        )
    hf_hub_download(repository, path.name, local_dir=path.parent, revision=found.commit_hash)
    return path


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:200]}"


def write_repository(
    folder: str | Path,
    model: Model,
    *,
    license: str,
    file: str | Path | None = None,
    text: str = "",
) -> None:
    """Writes a folder that can be pushed to the Hub as it is: `hf upload OWNER/NAME FOLDER`.

    It holds the weights, a card (`README.md`) and, for pushing with git, `.gitattributes`. Other
    files in it stay.

    Args:
        folder: the folder; it is made where it is missing.
        model: what the weights are of.
        license: the identifier that the Hub knows the license by, such as "mit" or "other".
        file: the safetensors file; by default the one that `Stylizer.load` takes.
        text: more for the card, in Markdown: what the weights were trained on, what they cannot do.

    Raises:
        ValueError: this can be no license's identifier.
        WeightsError: the file is missing or does not hold such weights.
        OSError: the folder cannot be written.
    """
    if not _LICENSE.fullmatch(license):
        raise ValueError(f"license must be an identifier such as mit, not {license!r}")
    kind = MODELS[model].kind
    source = Path(file or weights.default_path(kind))
    weights.read(source, kind)
    data = source.read_bytes()
    trained = safetensors_metadata(data)
    card = _CARD.format(license=license, title=kind, about=_ABOUT[model])
    if "config" in trained:
        card += f"\nTrained for {trained.get('steps')} steps with `{trained['config']}`.\n"
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / f"{kind}.safetensors", data)
    write_atomically(folder / "README.md", (card + (text and f"\n{text.strip()}\n")).encode())
    write_atomically(
        folder / ".gitattributes", b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"
    )
