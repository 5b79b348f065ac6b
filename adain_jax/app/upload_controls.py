"""The controls that take a user's own pictures."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NoReturn

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from adain_jax.app.gallery import MAX_OWN, Gallery
from adain_jax.app.limiter import BusyError
from adain_jax.app.uploads import Upload, decode_upload
from adain_jax.app.widgets import escape
from adain_jax.images import PictureError

TYPES = "image"

Slot = Callable[[], AbstractContextManager[None]]  # waits for a slot of the limiter


def forget_problems() -> None:
    """Drops the error messages of earlier uploads and picks."""
    for gallery in (st.session_state.photographs, st.session_state.styles):
        gallery.problems = []


def uploader(
    gallery: Gallery,
    what: str,
    slot: Slot,
    together: Callable[[], bool] = lambda: False,
    camera: bool = False,
) -> None:
    """Adds pictures from the user's files or camera to a gallery."""
    # Each upload gives the widgets new keys, and Streamlit then drops the files of the old ones.
    key = f"{what}-{gallery.uploads}"
    files = st.file_uploader(
        f"Your own {what}", TYPES, accept_multiple_files=True, key=key, label_visibility="collapsed"
    )
    if camera and st.toggle("Use the camera", key=f"{key}-camera"):
        shot = st.camera_input("Camera", key=f"{key}-shot", label_visibility="collapsed")
        files = [*files, shot] if shot else files
    if files:
        take_uploads(files, gallery, slot, lambda upload: gallery.add(upload, together()))
    for problem in gallery.problems:
        st.error(escape(problem))


def take_uploads(
    files: Sequence[UploadedFile],
    gallery: Gallery,
    slot: Slot,
    use: Callable[[Upload], None],
    mask: bool = False,
) -> NoReturn:
    """Hands files to `use` once they are checked, and draws the page anew; old errors go."""
    gallery.uploads += 1
    forget_problems()
    for file in files[:MAX_OWN]:
        try:
            with slot():
                use(decode_upload(file.name, file.getvalue(), mask=mask))
        except PictureError as error:
            gallery.problems.append(str(error))
        except BusyError:
            gallery.problems.append("Very many people are painting just now. Please upload again.")
    st.rerun()
