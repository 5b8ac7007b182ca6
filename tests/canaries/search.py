"""Find a secret in whatever spelling: raw, encoded for a URL once or twice, base64 at each offset, hex, reversed."""

from __future__ import annotations

import base64
import binascii
import contextlib
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Long enough to be no accident, short enough to find a secret that was cut.
_PIECE = 16


def spellings(piece: bytes) -> set[bytes]:
    """Return what a piece of a secret may look like."""
    once = quote(piece, safe="").encode()
    found = {piece, once, once.lower(), quote(once, safe="").encode(), piece[::-1], repr(piece)[2:-1].encode()}
    found |= {binascii.hexlify(piece), binascii.hexlify(piece).upper()}
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + piece)
        # What depends on the neighbours is cut off.
        inner = encoded[4 if shift else 0 : -4]
        found |= {inner, inner.translate(bytes.maketrans(b"+/", b"-_"))}
    return found


def pieces(secret: str) -> set[bytes]:
    """Return beginning, middle and end of a secret, and of the bytes that it stands for."""
    whole = [secret.encode()]
    with contextlib.suppress(ValueError):
        whole.append(base64.b64decode(secret, validate=True))
    found = set()
    for one in whole:
        middle = len(one) // 2
        found |= {one[:_PIECE], one[middle : middle + _PIECE], one[-_PIECE:]}
    return {one for one in found if len(one) == _PIECE}


class Finder:
    """Knows the planted secrets by name."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._needles = {
            needle: name for name, secret in secrets.items() for piece in pieces(secret) for needle in spellings(piece)
        }

    def hits(self, sinks: Mapping[str, object] | Iterable[tuple[str, object]]) -> list[str]:
        """Return 'secret in sink: …around…' for each sink that holds a secret."""
        found = set()
        for sink, content in sinks.items() if hasattr(sinks, "items") else sinks:
            data = content if isinstance(content, bytes) else str(content).encode(errors="surrogatepass")
            for needle, name in self._needles.items():
                if (at := data.find(needle)) >= 0:
                    found.add(f"{name} in {sink}: …{data[max(0, at - 60) : at + 12]!r}…")
                    break
        return sorted(found)
