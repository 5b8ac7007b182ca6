"""The beginning of an object as text, a table or a picture, by bounded reads; nothing in it is rendered or run."""

from __future__ import annotations

import base64
import codecs
import csv
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from jupyter_gpu_ext.errors import NotInstalledError, TensorFormatError, TooLargeError, UnsupportedFormatError
from jupyter_gpu_ext.storage.reader import open_reader
from jupyter_gpu_ext.text import format_bytes

if TYPE_CHECKING:
    from jupyter_gpu_ext.storage.reader import Reader

MOST_IMAGE_BYTES = 10 << 20
_MOST_FOOTER_BYTES = 4 << 20
_MOST_ROWS, _MOST_COLUMNS, _MOST_CELL = 100, 50, 200

# Formats whose bytes a browser only decodes; SVG is a program and is shown as text.
_IMAGES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What can be shown of an object.

    Attributes
    ----------
    truncated : bool
        The object goes on.
    """

    kind: Literal["text", "csv", "json", "image", "parquet"]
    truncated: bool = False
    text: str | None = None
    columns: tuple[str, ...] | None = None
    rows: tuple[tuple[str, ...], ...] | None = None
    media_type: str | None = None
    image: bytes | None = None
    bytes_read: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as the HTTP contract has it."""
        found: dict[str, Any] = {"kind": self.kind, "truncated": self.truncated, "bytes_read": self.bytes_read}
        if self.image is not None:
            found |= {"media_type": self.media_type, "base64": base64.b64encode(self.image).decode("ascii")}
        if self.text is not None:
            found["text"] = self.text
        if self.rows is not None:
            found |= {"columns": list(self.columns or ()), "rows": [list(row) for row in self.rows]}
        return found


async def read_preview(url: str) -> Preview:
    """Read the beginning of an object and say what it is.

    Raises
    ------
    UnsupportedFormatError
        When it is neither text, a table nor a picture.
    TooLargeError
        For a picture above 10 MB.
    """
    reader = await open_reader(url)
    if media_type := _image_type(reader.head):
        return await _image(reader, media_type)
    if reader.head.startswith(b"PAR1"):
        return await _parquet(reader)
    return _text(reader)


def _image_type(head: bytes) -> str | None:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for mark, kind in _IMAGES if head.startswith(mark)), None)


async def _image(reader: Reader, media_type: str) -> Preview:
    size = reader.version.size_bytes
    if size > MOST_IMAGE_BYTES:
        raise TooLargeError(
            f"{reader.url} is a picture of {format_bytes(size)}.", hint="Pictures up to 10 MB are shown; download it."
        )
    data = await reader.read(0, size)
    return Preview(kind="image", media_type=media_type, image=data, bytes_read=reader.bytes_read)


def _text(reader: Reader) -> Preview:
    truncated = reader.version.size_bytes > len(reader.head)
    try:
        # The last character may be cut in two.
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(reader.head, final=not truncated)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise UnsupportedFormatError(
            f"{reader.url} is neither text, a table nor a picture.", hint="Download it, or open it in a notebook."
        )
    read = reader.bytes_read
    name = reader.url.key.lower()
    if name.endswith((".csv", ".tsv")):
        return _table(text, "\t" if name.endswith(".tsv") else ",", truncated=truncated, bytes_read=read)
    if name.endswith(".json") and not truncated:
        return Preview(kind="json", text=_pretty(text), bytes_read=read)
    return Preview(kind="text", text=text, truncated=truncated, bytes_read=read)


def _table(text: str, delimiter: str, *, truncated: bool, bytes_read: int) -> Preview:
    # The last line of a cut file may be half a line.
    whole = text.rpartition("\n")[0] if truncated else text
    found = csv.reader(io.StringIO(whole), delimiter=delimiter)
    try:
        rows = [_short(row) for _, row in zip(range(_MOST_ROWS + 1), found, strict=False)]
    except csv.Error:
        return Preview(kind="text", text=text, truncated=truncated, bytes_read=bytes_read)
    more = truncated or next(found, None) is not None
    return Preview(
        kind="csv", columns=rows[0] if rows else (), rows=tuple(rows[1:]), truncated=more, bytes_read=bytes_read
    )


def _short(row: list[str]) -> tuple[str, ...]:
    return tuple(cell[:_MOST_CELL] for cell in row[:_MOST_COLUMNS])


def _pretty(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


async def _parquet(reader: Reader) -> Preview:
    """Read the footer alone: its length and the mark are the last eight bytes.

    Format: https://parquet.apache.org/docs/file-format/
    """
    size = reader.version.size_bytes
    end = await reader.read(max(0, size - 8), size)
    length = int.from_bytes(end[:4], "little")
    if end[4:] != b"PAR1" or length + 12 > size:
        raise TensorFormatError(f"{reader.url} is cut off or damaged.", hint="Write or copy the file again.")
    if length > _MOST_FOOTER_BYTES:
        raise TooLargeError(f"{reader.url} has a footer of {format_bytes(length)}.", hint="Open it in a notebook.")
    footer = await reader.read(size - 8 - length, size)
    return _schema(b"PAR1" + footer, str(reader.url), reader.bytes_read)


def _schema(file: bytes, url: str, bytes_read: int) -> Preview:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise NotInstalledError("Parquet is shown with pyarrow.", hint="pip install pyarrow") from None
    try:
        found = ParquetFile(io.BytesIO(file))
        rows = tuple(
            (name, str(kind)) for name, kind in zip(found.schema_arrow.names, found.schema_arrow.types, strict=True)
        )
        text = f"{found.metadata.num_rows:,} rows in {found.metadata.num_row_groups:,} groups"
    except (ArrowException, OSError, ValueError) as error:
        raise TensorFormatError(f"{url} has a footer that is not valid.", hint="Write the file again.") from error
    shown = tuple(_short(list(row)) for row in rows[:1000])
    return Preview(kind="parquet", text=text, columns=("column", "type"), rows=shown, bytes_read=bytes_read)
