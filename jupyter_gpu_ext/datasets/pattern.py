"""Which keys a glob means: `train/**`, `train/*/*.jpg`, `shards/train-*.tar`."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass

_MAGIC = frozenset("*?[")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A glob over keys: `*`, `?` and `[…]` stay within a folder, `**` is any number of folders.

    Attributes
    ----------
    prefix : str
        The folder that all of them lie below: '' or ending with a slash.
    parts : tuple of str
        What comes below it, a part for each folder.
    """

    prefix: str
    parts: tuple[str, ...]

    def matches(self, key: str) -> bool:
        """Tell whether an object is meant; what begins with a dot is hidden from `*` and `**`."""
        names = self._below(key)
        return names is not None and _match(self.parts, names)

    def enters(self, folder: str) -> bool:
        """Tell whether what is meant may lie below a folder."""
        names = self._below(folder.rstrip("/"))
        return names is not None and _reach(self.parts, names)

    def _below(self, key: str) -> tuple[str, ...] | None:
        return tuple(key.removeprefix(self.prefix).split("/")) if key.startswith(self.prefix) else None


def parse(key: str) -> Pattern:
    """Return the glob that a key is; one that ends with a slash means all that is below the folder."""
    names = key.split("/")
    if not names[-1]:
        names[-1] = "**"
    fixed = next((at for at, name in enumerate(names) if _MAGIC & set(name)), len(names) - 1)
    return Pattern(prefix="".join(f"{name}/" for name in names[:fixed]), parts=tuple(names[fixed:]))


def is_glob(key: str) -> bool:
    """Tell whether a key may mean more than itself."""
    return bool(_MAGIC & set(key))


def _match(parts: tuple[str, ...], names: tuple[str, ...]) -> bool:
    if not parts or not names:
        return not parts and not names
    if parts[0] != "**":
        return _is_name(names[0], parts[0]) and _match(parts[1:], names[1:])
    if _is_name(names[0], "*") and ((parts == ("**",) and len(names) == 1) or _match(parts, names[1:])):
        return True
    return _match(parts[1:], names)


def _reach(parts: tuple[str, ...], names: tuple[str, ...]) -> bool:
    if not names or not parts:
        return bool(parts)
    if parts[0] == "**":
        return (_is_name(names[0], "*") and _reach(parts, names[1:])) or _reach(parts[1:], names)
    return _is_name(names[0], parts[0]) and _reach(parts[1:], names[1:])


def _is_name(name: str, part: str) -> bool:
    return (not name.startswith(".") or part.startswith(".")) and fnmatch.fnmatchcase(name, part)
