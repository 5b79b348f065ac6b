"""The cache of compiled programs, which is kept between runs in the user's cache folder."""

import os
from contextlib import suppress
from pathlib import Path

import jax
from filelock import FileLock
from platformdirs import user_cache_path

MAX_CACHE_BYTES = 1 << 30


def enable_compilation_cache() -> None:
    """Makes JAX keep at most 1 GiB of compiled programs in the user's cache folder.

    JAX runs the programs in the folder as they are. The cache therefore stays off if other users
    can write to the folder, or if it cannot be created. Nothing is changed if the environment
    variable JAX_COMPILATION_CACHE_DIR is set: JAX uses that folder.
    """
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    folder = user_cache_path("adain-jax") / "programs"
    if not _is_private(folder):
        return
    _forget_interrupted(folder)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", MAX_CACHE_BYTES)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _forget_interrupted(folder: Path) -> None:
    """Deletes what a process that was killed left half-written.

    JAX would warn of it at every start, and keep no more programs. It notes the time of the last use
    after it has written a program.
    """
    with suppress(OSError), FileLock(folder / ".lockfile", timeout=1):  # as JAX does
        for program in folder.glob("*-cache"):
            if not program.with_name(f"{program.name.removesuffix('cache')}atime").exists():
                program.unlink()


def _is_private(folder: Path) -> bool:
    """Whether only this user can write to the folder, which is created if necessary."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat(follow_symlinks=False)
    except OSError:
        return False
    if not hasattr(os, "getuid"):  # Windows: the user's folders are private by default
        return True
    return status.st_uid == os.getuid() and not status.st_mode & 0o022
