"""What a folder holds that can be loaded: one listing decides, and says what it left aside."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import UnsupportedFormatError
from jupyter_gpu_ext.storage.backends import backend, locate
from jupyter_gpu_ext.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_gpu_ext.storage import url as urls

_MOST_ENTRIES = 1000
_LISTED = 8
_WEIGHTS = (
    ".safetensors",
    ".safetensors.index.json",
    ".bin",
    ".bin.index.json",
    ".pt",
    ".pth",
    ".ckpt",
    ".npz",
    ".npy",
)

# What wins over what below it: the names of a kind, and the one of them that the libraries call the model.
_ORDER: tuple[tuple[str, str], ...] = (
    (r".+\.safetensors\.index\.json", "model.safetensors.index.json"),
    (r".+\.safetensors", "model.safetensors"),
    (r".+\.bin\.index\.json", "pytorch_model.bin.index.json"),
    (r"\.metadata", ".metadata"),
    (r".+\.bin", "pytorch_model.bin"),
    (r".+\.(pt|pth|ckpt)", "model.pt"),
    (r".+\.np[yz]", "model.npz"),
)


@dataclass(frozen=True, slots=True)
class Choice:
    """The one file of a folder to open.

    Attributes
    ----------
    name : str
        Its name in the folder.
    aside : tuple of str
        Other weights beside it, shards in one: 'pytorch_model-*.bin'.
    more : bool
        The folder has more entries than were looked at.
    """

    name: str
    aside: tuple[str, ...] = ()
    more: bool = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about the choice."""
        some = ", ".join(printable(name[:80]) for name in self.aside[:_LISTED])
        found = [f"beside it and not used: {some}{' …' if len(self.aside) > _LISTED else ''}"] if self.aside else []
        if self.more:
            found.append(f"the folder has more than the {_MOST_ENTRIES:,} entries that were looked at")
        return (f"read {printable(self.name)}", *found)


def decide(names: Sequence[str], shown: str) -> Choice | None:
    """Return what a folder with these files means; None when it holds nothing that is known.

    Raises
    ------
    UnsupportedFormatError
        When several files could be meant.
    """
    for pattern, usual in _ORDER:
        found = sorted(name for name in names if re.fullmatch(pattern, name, re.DOTALL))
        if not found:
            continue
        if usual not in found and len(found) > 1:
            some = ", ".join(printable(name[:80]) for name in found[:_LISTED])
            raise UnsupportedFormatError(
                f"{shown} holds {len(found)} files that could be meant ({some}{' …' if len(found) > _LISTED else ''}).",
                hint="Name one of them.",
            )
        name = usual if usual in found else found[0]
        return Choice(name, _aside(name, names))
    return None


def _aside(chosen: str, names: Sequence[str]) -> tuple[str, ...]:
    stem, _, suffix = chosen.removesuffix(".index.json").rpartition(".")
    # What a chosen index names is read through it.
    own = rf"{re.escape(stem)}-\d+-of-\d+\.{suffix}" if chosen.endswith(".index.json") else re.escape(chosen)
    others = [name for name in names if name.endswith(_WEIGHTS) and name != chosen and not re.fullmatch(own, name)]
    folded = {re.sub(r"-\d+-of-\d+(?=\.)", "-*", name) for name in others}
    return tuple(sorted(folded))


async def look_into(url: urls.ObjectURL) -> Choice | None:
    """List a folder once and decide.

    Parameters
    ----------
    url : ObjectURL
        Its key is '' or ends with a slash.
    """
    connection, prefix = locate(url)
    page = await backend(connection).list_page(prefix, marker=None, limit=_MOST_ENTRIES)
    names = [one.name for one in page.entries if one.kind == "object" and one.unreadable is None]
    choice = decide(names, printable(str(url)))
    return choice and dataclasses.replace(choice, more=page.marker is not None)
