"""The blocks of an upload: how large, how many, and whether they are all there. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadRequestError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Mapping

MIB = 1024 * 1024
USUAL_BYTES = 8 * MIB
# A stream says no size: its blocks are large enough for this one.
_UNKNOWN_BYTES = 256 * 1024 * MIB


def block_size(size_bytes: int | None, *, most_blocks: int) -> int:
    """Return the size of a block in bytes, whole MiB, so that `most_blocks` of them hold the object.

    It follows from the object's size alone, so that a resumed upload cuts the same blocks.
    """
    expected = _UNKNOWN_BYTES if size_bytes is None else size_bytes
    return max(USUAL_BYTES, -(-expected // (most_blocks * MIB)) * MIB)


def check_block(index: int, size_bytes: int, *, block_bytes: int, most_blocks: int) -> None:
    """Refuse a block that no upload can have."""
    if not 0 <= index < most_blocks:
        raise TooLargeError(f"Block {index} is more than the {most_blocks} that one object has.")
    if not 0 < size_bytes <= block_bytes:
        raise BadRequestError(
            f"Block {index} has {size_bytes} bytes.", hint=f"Send {block_bytes} bytes, fewer in the last block only."
        )


def check_whole(sizes: Mapping[int, int], *, block_bytes: int, size_bytes: int | None) -> int:
    """Return the object's size when blocks 0 to the last are there and full.

    Parameters
    ----------
    sizes : mapping of int to int
        Bytes of each block that was received.
    size_bytes : int or None
        What the object must have, when it was said beforehand.

    Raises
    ------
    BadRequestError
        Naming the first block that is missing or short.
    """
    for index in range(len(sizes)):
        if index not in sizes:
            raise BadRequestError(f"Block {index} is missing.", hint="Send it, then commit again.")
        if index < len(sizes) - 1 and sizes[index] != block_bytes:
            raise BadRequestError(
                f"Block {index} has {sizes[index]} bytes instead of {block_bytes}.",
                hint="Send it again, then commit again.",
            )
    total = sum(sizes.values())
    if size_bytes is not None and total != size_bytes:
        raise BadRequestError(f"{total} of {size_bytes} bytes are there.", hint="Send the rest, then commit again.")
    return total
