"""What the chain of a stream needs of what it reads: where samples lie, and who takes them out of what was fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from jupyter_gpu_ext.datasets.blocks import Blocks
    from jupyter_gpu_ext.datasets.samples import Losses


class Asked(Protocol):
    """What a stream is asked for: plain data, so that workers open it anew."""

    @property
    def url(self) -> str:
        """What is read."""


class Source(Protocol):
    """What a stream reads, opened."""

    @property
    def blocks(self) -> Blocks:
        """The samples, in blocks that are read at a time."""

    @property
    def digest(self) -> str:
        """What tells these samples from others, beside their blocks."""

    @property
    def shown(self) -> str:
        """What is read, for messages."""

    @property
    def bytes_read(self) -> int:
        """Bytes from storage so far."""

    @property
    def requests(self) -> int:
        """Requests so far."""

    @property
    def busy_seconds(self) -> float:
        """While at least one request was under way, so far."""

    @property
    def stored(self) -> Literal["chunks", "files"]:
        """What samples are stored in."""

    @property
    def chunk_samples(self) -> float:
        """Samples that a chunk or a file holds a part of."""


class Samples(Protocol):
    """The samples of one reader in one epoch, in their order, as an engine fetches their parts."""

    done: int
    used_bytes: int
    copy_seconds: float
    losses: Losses

    def one(self) -> Any:
        """Return the next sample as functions see it, None at the end."""

    def many(self, count: int) -> tuple[Any, int] | None:
        """Return the next samples side by side, and how many they are: fewer at the end, where None follows."""
