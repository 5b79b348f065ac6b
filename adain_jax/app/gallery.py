"""Pictures to pick from: the examples, and the user's own while the page is open."""

from dataclasses import dataclass, field
from functools import cache

from adain_jax.app.request import MAX_STYLES
from adain_jax.app.uploads import Upload, decode_upload
from adain_jax.examples import EXAMPLES
from adain_jax.images import find_pictures

MAX_OWN = 6  # number of a user's own pictures that are kept, the newest
TOO_MANY = f"At most {MAX_STYLES} styles at once: leave one out by clicking it."


@dataclass
class Gallery:
    """Pictures to pick from, and those picked: one by itself, and several together.

    The two are kept apart, so that styles together, and their regions, outlast a look at a single one.

    Attributes:
        examples: pictures that come with the project.
        one: the one that is picked by itself.
        several: those that are picked together, at least one, in the order in which they were picked.
            While there is only one, it is the same as `one`.
        own: the user's own, the newest first.
        uploads: how many times the user has uploaded pictures, including failures.
        problems: error messages of the last upload or pick.
    """

    examples: list[Upload]
    one: Upload
    several: list[Upload]
    own: list[Upload] = field(default_factory=list)
    uploads: int = 0
    problems: list[str] = field(default_factory=list)

    @staticmethod
    def of(kind: str, *names: str) -> "Gallery":
        """The examples of a kind, "content" or "style", with those of these names picked."""
        by_name = {one.stem: one for one in examples(kind)}
        several = [by_name[name] for name in names]
        return Gallery(examples(kind), several[0], several)

    @property
    def pictures(self) -> list[Upload]:
        """All pictures, the user's own first."""
        return [*self.own, *self.examples]

    def picked(self, together: bool = False) -> list[Upload]:
        """The one that is picked by itself, or those that are picked together."""
        return self.several if together else [self.one]

    def add(self, upload: Upload, together: bool = False) -> None:
        """Adds a picture of the user, and picks it."""
        self.own = [upload, *(one for one in self.own if one != upload)][:MAX_OWN]
        self.several = [one for one in self.several if one in self.pictures] or [upload]
        if self.one not in self.pictures:
            self.one = upload
        if not (together and upload in self.several):
            self.pick(upload.digest, together)

    def pick(self, digest: str, together: bool = False) -> None:
        """Picks a picture by itself; or adds it to those picked together, or leaves it out of them.

        One too many is refused, with a word among the problems.
        """
        chosen = next((one for one in self.pictures if one.digest == digest), None)
        if chosen is None:
            return
        if not together:
            self.one = chosen
            self.several = self.several if len(self.several) > 1 else [chosen]
        elif chosen not in self.several and len(self.several) >= MAX_STYLES:
            self.problems.append(TOO_MANY)
        elif chosen not in self.several:
            self.several = [*self.several, chosen]
        elif len(self.several) > 1:
            self.several = [one for one in self.several if one != chosen]


@cache
def examples(kind: str) -> list[Upload]:
    """The example pictures of a kind, "content" or "style"."""
    return [
        decode_upload(path.name, path.read_bytes(), example=True)
        for path in find_pictures(EXAMPLES / kind)
    ]
