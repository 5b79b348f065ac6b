"""Pictures to pick from: the examples, and the user's own while the page is open."""

from dataclasses import dataclass, field
from functools import cache

from adain_jax.app.uploads import Upload, decode_upload
from adain_jax.examples import EXAMPLES
from adain_jax.images import find_pictures

MAX_OWN = 6  # number of a user's own pictures that are kept, the newest


@dataclass
class Gallery:
    """Pictures to pick from, and those picked, in the order in which they were picked.

    Attributes:
        examples: pictures that come with the project.
        picked: the picked pictures, at least one.
        own: the user's own, the newest first.
        uploads: how many times the user has uploaded pictures, including failures.
        problems: error messages of the last upload.
    """

    examples: list[Upload]
    picked: list[Upload]
    own: list[Upload] = field(default_factory=list)
    uploads: int = 0
    problems: list[str] = field(default_factory=list)

    @staticmethod
    def of(kind: str, first: str) -> "Gallery":
        """The examples of a kind, "content" or "style", with the one called `first` picked."""
        examples = _examples(kind)
        return Gallery(examples, [one for one in examples if one.stem == first])

    @property
    def pictures(self) -> list[Upload]:
        """All pictures, the user's own first."""
        return [*self.own, *self.examples]

    def add(self, upload: Upload, at_most: int = 1) -> None:
        """Adds a picture of the user and picks it; at most `at_most` pictures stay picked."""
        self.own = [upload, *(one for one in self.own if one != upload)][:MAX_OWN]
        self.picked = [one for one in self.picked if one in self.pictures and one != upload]
        self.picked = [*self.picked, upload][-at_most:]

    def pick(self, digest: str, at_most: int = 1) -> None:
        """Picks one picture or, if several may be picked, adds it to them or removes it."""
        chosen = [one for one in self.pictures if one.digest == digest]
        if at_most == 1:
            self.picked = chosen or self.picked
        elif chosen and chosen[0] not in self.picked:
            self.picked = [*self.picked, *chosen][-at_most:]
        elif len(self.picked) > 1:
            self.picked = [one for one in self.picked if one.digest != digest]
        self.problems = []


@cache
def _examples(kind: str) -> list[Upload]:
    return [
        decode_upload(path.name, path.read_bytes(), example=True)
        for path in find_pictures(EXAMPLES / kind)
    ]
