"""How every command begins and ends: options, signals, pipes, and one line for each failure."""

import ast
import atexit
import gc
import inspect
import io
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import fields
from functools import cache
from itertools import pairwise
from pathlib import Path
from textwrap import dedent
from typing import Annotated, Any, TypeVar, Union

import tyro

from adain_jax.cli.usage import in_one_line
from adain_jax.errors import AdainError, UsageError, printable
from adain_jax.files import exists
from adain_jax.models import HUB, MODELS

T = TypeVar("T")
ModelName = Annotated[
    str, tyro.conf.arg(metavar="|".join((*MODELS, f"{HUB}OWNER/NAME")), aliases=["-m"])
]
"""The type of an option that takes what `Stylizer.load` takes as its model."""
ModelNames = Annotated[
    tuple[str, ...],
    tyro.conf.arg(metavar="|".join((*MODELS, f"{HUB}OWNER/NAME")) + " ...", aliases=["-m"]),
]
"""The same for several models."""


def parse(options: type[T], program: str, arguments: list[str] | None) -> T:
    """The options of a command, of a dataclass; exits where it prints help or what is wrong."""
    return _parse(_described(options), program, arguments)  # type: ignore[arg-type]


def parse_one_of(
    commands: Mapping[str, type], program: str, arguments: list[str], about: str
) -> Any:
    """The options of the command that is chosen by its name; without any, there is only the help."""

    def summary(options: type) -> str:
        return " ".join((options.__doc__ or "").split("\n\n")[0].split())

    # The list of commands has a sentence for each, and the help of one has its whole text.
    kinds = tuple(
        Annotated[
            _described(options),
            tyro.conf.subcommand(name, description=None if name in arguments else summary(options)),
        ]
        for name, options in commands.items()
    )
    named = " ".join([program, *(name for name in arguments[:1] if name in commands)])
    return _parse(Union[kinds], program, arguments or ["--help"], about, named)  # noqa: UP007


def _parse(
    options: Any,
    program: str,
    arguments: list[str] | None,
    about: str | None = None,
    named: str | None = None,
) -> Any:
    """The options; errors point to the help of what is `named`, by default the program."""
    if sys.stdout is sys.__stdout__ and sys.stderr is sys.__stderr__:  # not where tests listen
        sys.stdout, sys.stderr = (
            _without_broken_pipes(sys.stdout),
            _without_broken_pipes(sys.stderr),
        )
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            return tyro.cli(
                options,
                prog=program,
                description=about,
                args=arguments,
                config=(tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone),
            )
    except SystemExit as ended:
        if ended.code != 2:
            raise
        print(
            f"error: {in_one_line(said.getvalue())}; see {named or program} --help", file=sys.stderr
        )
        raise


@cache
def _described(options: type) -> type:
    """The dataclass of a command's options, prepared for a help that reads well.

    Descriptions flow over the whole width, where tyro keeps the line breaks of the source; and where
    a default is None, empty or False, nothing is said of it: what happens without the option stands
    in its description.
    """
    (definition,) = ast.parse(dedent(inspect.getsource(options))).body
    assert isinstance(definition, ast.ClassDef)
    texts = {
        ast.unparse(option.target): " ".join(ast.literal_eval(text.value).split())
        for option, text in pairwise(definition.body)
        if isinstance(option, ast.AnnAssign) and isinstance(text, ast.Expr)
    }
    for field in fields(options):
        silent = field.default is None or field.default is False or field.default == ()
        words = tyro.conf.arg(help=texts[field.name], help_behavior_hint="" if silent else None)
        options.__annotations__[field.name] = Annotated[field.type, words]
    return options


def written(*paths: Path) -> str:
    """What files or folders take together, for the last line of a command."""
    from rich.filesize import decimal  # not at the top, for the help

    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*"))]
    return decimal(sum(file.stat().st_size for file in files))


def flag(name: str) -> str:
    """The command-line flag of an option."""
    return f"--{name.replace('_', '-')}"


def refuse_urls(options: object) -> None:
    """Checks that no option is a URL, of which a path would make a local folder called `https:`.

    The model may be a repository's name, which is no path.

    Raises:
        UsageError: one is.
    """
    for field in fields(options):  # type: ignore[arg-type]
        if field.name == "model":
            continue
        value = getattr(options, field.name)
        for one in value if isinstance(value, tuple) else (value,):
            url = re.match(r"([a-z][a-z0-9+.-]+):/+", str(one))
            if isinstance(one, str | Path) and url and not exists(one):
                address = f"{url[1]}://{printable(str(one)[url.end() :])}"
                if address.startswith(HUB):
                    raise UsageError(f"{address} is a repository: give it as --model {address}")
                raise UsageError(
                    f"{address} is a URL; only local files and folders are read and written: copy "
                    "or mount it"
                )


def run(command: Callable[[], int | None], *, debug: bool) -> None:
    """Runs a command and exits with its return value, or 0 if that is None.

    The exit code is 1 on failure, 2 on bad usage and 130 after Ctrl-C.
    """
    # Without this, the garbage collection of all imported modules at exit takes half a second.
    atexit.register(gc.freeze)
    try:
        code = command() or 0
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        code = 130
    except Exception as error:
        if debug:
            raise
        print(f"error: {describe(error)}", file=sys.stderr)
        code = 2 if isinstance(error, UsageError) else 1
    sys.exit(code)


def describe(error: Exception) -> str:
    """An error in one line, which names the file that it is about."""
    if isinstance(error, AdainError):
        return str(error)
    if isinstance(error, OSError) and error.filename:
        return f"{printable(error.filename)}: {error.strerror}"
    return f"{type(error).__name__}: {' '.join(str(error).split())} (--debug shows where)"


class _Ended(BaseException):
    """A signal that ends the program; its only argument is the signal's number."""


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP end the program once the block has left nothing half-written behind.

    The exit code is 128 and the signal's number. Further signals are ignored meanwhile.
    """
    before = _handlers()
    heard = list(before)

    def end(number: int, _frame: object) -> None:
        for one in heard:
            signal.signal(one, signal.SIG_IGN)
        raise _Ended(number)

    for number in heard:
        signal.signal(number, end)
    try:
        yield
    except _Ended as ended:
        print("stopped", file=sys.stderr)
        for stream in (sys.stdout, sys.stderr):
            if stream:
                stream.flush()
        # At once: Python crashes where it takes itself down while XLA computes.
        os._exit(128 + ended.args[0])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def signals_held() -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP count at the end of the block, in which packages are imported.

    JAX crashes, with words of its own, where an exception ends its import.
    """
    before, heard = _handlers(), []
    for number in before:
        signal.signal(number, lambda number, _frame: heard.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in heard[:1]:
            signal.raise_signal(number)


def _handlers() -> dict[int, Any]:
    """The handlers of the signals that end a program, where they are not ignored, by the signal."""
    numbers = [getattr(signal, f"SIG{name}", None) for name in ("INT", "TERM", "HUP")]
    handlers = {number: signal.getsignal(number) for number in numbers if number}
    return {number: one for number, one in handlers.items() if one != signal.SIG_IGN}


@contextmanager
def warnings_as_notes(category: type[Warning]) -> Iterator[None]:
    """Warnings of a category become lines on stderr, each once; others stay as they are."""
    with warnings.catch_warnings():
        others = warnings.showwarning

        def show(message: Warning | str, kind: type[Warning], *where: object) -> None:
            if issubclass(kind, category):
                print(f"note: {message}", file=sys.stderr)
            else:
                others(message, kind, *where)  # type: ignore[arg-type]

        warnings.showwarning = show  # type: ignore[assignment]
        warnings.simplefilter("default", category)
        yield


class _PipeEnd(io.FileIO):
    """The writing end of a pipe or a file; what nobody reads any more is dropped."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            return len(data)


def _without_broken_pipes(stream: io.TextIOWrapper | None) -> io.TextIOWrapper | None:
    """A stream that goes on, unheard, where its reader has ended: `| head` ends no work."""
    if stream is None:  # closed by whoever started the program
        return None
    raw = _PipeEnd(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
    )
