"""Text that people read: units, tables, and what must never be shown."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")

# Each pattern's group 1 stays, the rest of the match is the secret.
_SECRETS = (
    re.compile(r"(?i)\b(AccountKey=)[^;\s\"'&]+"),
    re.compile(r"(?i)\b(SharedAccessSignature=)[^;\s\"']+"),
    # A signature is long; `f(sig=value)` is somebody's code.
    re.compile(
        r"(?i)((?:\b|%26)(?:sig|x-amz-signature|x-amz-credential|x-amz-security-token|x-goog-signature)(?:=|%3d))[\w%+/=.-]{16,}"
    ),
    # A token has a digit or a dot in it; "bearer authentication" has none.
    re.compile(r"(?i)\b(bearer\s+|sharedkey\s+)(?=\S*[0-9.])[A-Za-z0-9._~+/=:-]{12,}"),
    re.compile(r"(://[^/\s:@]*:)[^/\s@]+(?=@)"),
    # A header or a field as clients log them: `x-amz-security-token:…`, `'X-Amz-Security-Token': b'…'`, JSON.
    re.compile(
        r"(?i)((?:x-amz-security-token|access_token|refresh_token|client_secret|session_token|secret_access_key)"
        # Each text in a text doubles the backslashes before its quotes.
        r"[\\'\":=\s]{1,80}(?:b\\*['\"])?)[\w%+/=.-]{16,}"
    ),
    re.compile(r"(?i)([?&](?:token|api_?key|password|secret|signature)=)[^&\s\"'#]{8,}"),
    re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)(?:\\n|[A-Za-z0-9+/=\s])+"),
    # A storage account key: 64 bytes in base64.
    re.compile(r"()(?<![A-Za-z0-9+])[A-Za-z0-9+/]{86}==(?![A-Za-z0-9+/=])"),
)


def format_bytes(size: float) -> str:
    """Return a size in decimal units with three significant digits at most.

    Parameters
    ----------
    size : float
        Bytes.

    Examples
    --------
    >>> format_bytes(999), format_bytes(14_900_000_000), format_bytes(1_250)
    ('999 B', '14.9 GB', '1.2 kB')
    """
    value, unit = float(size), 0
    while abs(value) >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    digits = 0 if unit == 0 or abs(value) >= 99.95 else 1
    return f"{value:.{digits}f} {_UNITS[unit]}"


def format_duration(seconds: float) -> str:
    """Return a time span in words that fit on a line: '40 ms', '0.4 s', '1 min 20 s', '2 h 5 min'."""
    if seconds < 0.095:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def format_count(count: int, noun: str, plural: str = "") -> str:
    """Return a count with its noun, plural where it is one: '1 tensor', '161 tensors'."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {plural or noun + 's'}"


def redact(text: str) -> str:
    """Return `text` with everything that looks like a storage secret replaced by '***'."""
    for pattern in _SECRETS:
        text = pattern.sub(r"\1***", text)
    return text


def printable(text: str) -> str:
    r"""Return `text` on one line: control, format and bidirectional characters as escapes.

    A name from storage may hold line breaks, or marks that make 'exe.txt' read as 'txt.exe'.
    """
    return "".join(
        char.encode("unicode_escape").decode("ascii")
        if unicodedata.category(char)[0] == "C" or char in "\u2028\u2029"
        else char
        for char in text
    )


def table(rows: Iterable[Sequence[str]], *, align: str) -> str:
    """Lay rows out in columns of equal width.

    Parameters
    ----------
    rows : iterable of sequences of str
        Every row as long as `align`.
    align : str
        A character a column: '<' left, '>' right.
    """
    cells = [list(row) for row in rows]
    widths = [max((len(row[i]) for row in cells), default=0) for i in range(len(align))]
    lines = (
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, align, widths, strict=True))
        for row in cells
    )
    return "\n".join(line.rstrip() for line in lines)
