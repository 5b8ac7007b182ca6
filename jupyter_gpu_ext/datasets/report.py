"""What an iteration of a stream took: who waited, what kept it busy, what was read for what was used."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from jupyter_gpu_ext.text import format_bytes, format_count, printable


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a stream's samples lie in its store, and how they are asked for.

    Attributes
    ----------
    chunk_samples : float
        Samples that a chunk holds a part of, of the array with the largest entries.
    block_samples : float
        Samples that are read at a time.
    buffer : int
        Samples that a shuffle draws across; 0 without one.
    prefetch : int
        Items that are made ahead.
    memory_bytes : int
    stored : {'chunks', 'files'}
        What samples are stored in.
    """

    chunk_samples: float = 0.0
    block_samples: float = 0.0
    buffer: int = 0
    prefetch: int = 0
    memory_bytes: int = 0
    stored: Literal["chunks", "files"] = "chunks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One iteration so far, of one process; the shares may sum to more than 1, as its parts work side by side.

    Attributes
    ----------
    url : str
    items, samples : int
        That were handed out; samples include those that were filtered.
    seconds, wait_seconds : float
        Of the iteration, and how much of it the caller waited for items.
    network_seconds, decode_seconds : float
        While at least one request was under way, and while chunks were decoded.
    copy_seconds, function_seconds : float
        Of copies out of blocks and towards the device, and of the functions of the chain, collation included.
    bytes_read, requests : int
        From storage.
    chunk_bytes, decoded_bytes, used_bytes : int
        Of the chunks that were decoded, whole; of what was kept of them; of samples that were taken.
    kept_bytes : int
        Of blocks that an earlier epoch had read.
    most_held_bytes : int
        Of blocks at a time.
    lost_samples : int
    faults : tuple of str
        What `on_error='skip'` left out, and why.
    layout : Layout
    running : bool
        The iteration has not ended.
    """

    url: str = ""
    items: int = 0
    samples: int = 0
    seconds: float = 0.0
    wait_seconds: float = 0.0
    network_seconds: float = 0.0
    decode_seconds: float = 0.0
    copy_seconds: float = 0.0
    function_seconds: float = 0.0
    bytes_read: int = 0
    requests: int = 0
    chunk_bytes: int = 0
    decoded_bytes: int = 0
    used_bytes: int = 0
    kept_bytes: int = 0
    most_held_bytes: int = 0
    lost_samples: int = 0
    faults: tuple[str, ...] = ()
    layout: Layout = Layout()
    running: bool = False

    @property
    def samples_per_second(self) -> float:
        """As they were handed out, what the caller did with them included."""
        return self.samples / self.seconds if self.seconds else 0.0

    @property
    def read_ratio(self) -> float:
        """Bytes of decoded chunks for each byte that was used; 1 where chunks hold nothing else."""
        return self.chunk_bytes / self.used_bytes if self.used_bytes else 0.0

    @property
    def advice(self) -> str:
        """What would make the next epoch faster or better mixed; empty where nothing is certain to."""
        return advise(self)

    def share(self, seconds: float) -> float:
        """Return a part of the iteration's time, 0 to 1."""
        return min(1.0, seconds / self.seconds) if self.seconds else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {**asdict(self), "faults": list(self.faults), "advice": self.advice}

    def row(self) -> dict[str, Any]:
        """Return what a panel shows: shares of the time, 0 to 1."""
        return {
            "url": self.url,
            "samples_per_second": self.samples_per_second,
            "wait_ratio": self.share(self.wait_seconds),
            "network_ratio": self.share(self.network_seconds),
            "decode_ratio": self.share(self.decode_seconds),
            "copy_ratio": self.share(self.copy_seconds),
            "function_ratio": self.share(self.function_seconds),
            "lost_samples": self.lost_samples,
            "advice": self.advice,
        }

    @property
    def line(self) -> str:
        """The report in one line."""
        busy = {
            "network": self.network_seconds,
            "decoding": self.decode_seconds,
            "copies": self.copy_seconds,
            "functions": self.function_seconds,
        }
        parts = [
            printable(self.url),
            f"{self.samples_per_second:,.0f} samples/s",
            f"waited {self.share(self.wait_seconds):.0%} of the time",
            *(f"{name} {self.share(seconds):.0%}" for name, seconds in busy.items() if self.share(seconds) >= _MUCH),
        ]
        return " · ".join(parts)

    def __str__(self) -> str:
        each = self.wait_seconds / self.items * 1000 if self.items else 0.0
        said = [
            f"{format_count(self.items, 'item')} of {format_count(self.samples, 'sample')} in {self.seconds:.1f} s, "
            f"{self.samples_per_second:,.0f} samples/s; {each:.1f} ms waited for each, "
            f"{self.share(self.wait_seconds):.0%} of the time",
            f"network busy {self.share(self.network_seconds):.0%} · decoding {self.share(self.decode_seconds):.0%} · "
            f"copying {self.share(self.copy_seconds):.0%} · functions {self.share(self.function_seconds):.0%}",
            f"{format_bytes(self.bytes_read)} in {format_count(self.requests, 'request')}, "
            f"{self.layout.stored} hold {self.read_ratio:.1f}x what samples use, "
            f"up to {format_bytes(self.most_held_bytes)} held",
        ]
        if self.kept_bytes:
            said.append(f"{format_bytes(self.kept_bytes)} were here from before")
        if self.faults:
            said.append(f"{format_count(self.lost_samples, 'sample')} left out: {printable(self.faults[0])}")
        if self.advice:
            said.append(f"→ {self.advice}")
        return "\n".join(said)


# Below these nothing is certain: a machine's hiccup is longer.
_LEAST_SECONDS, _LEAST_ITEMS = 1.0, 10
# A share of the time that is worth doing something about, and one that leaves room for nothing else.
_MUCH, _MOST = 0.1, 0.7
_SMALL_REQUEST_BYTES = 256 << 10
_WASTEFUL_RATIO = 1.5
# Blocks that a shuffle should draw across, so that neighbours of a block seldom meet in a batch.
_MIXED_BLOCKS = 8


def advise(report: Report) -> str:
    """Return the one change that helps most: of the chain where that is enough, else of the store."""
    if report.seconds < _LEAST_SECONDS or report.items < _LEAST_ITEMS:
        return ""
    if report.share(report.wait_seconds) < _MUCH:
        return _of_the_shuffle(report.layout)
    own = report.share(report.copy_seconds + report.function_seconds)
    if not report.layout.prefetch and own > _MUCH:
        return f".prefetch(2) makes items while a step computes: {own:.0%} of the time goes into them."
    if report.share(report.function_seconds) > _MOST:
        return (
            "The functions of the chain take the time: share them, "
            "DataLoader(stream, batch_size=None, num_workers=2, multiprocessing_context='spawn')."
        )
    return _of_the_store(report)


def _of_the_shuffle(layout: Layout) -> str:
    if not layout.buffer or not layout.block_samples or layout.buffer >= _MIXED_BLOCKS * layout.block_samples / 2:
        return ""
    better = round(_MIXED_BLOCKS * layout.block_samples)
    return (
        f"The shuffle draws across {layout.buffer / layout.block_samples:.1f} blocks: "
        f"buffer={better} mixes better, if memory_bytes holds them."
    )


def _of_the_store(report: Report) -> str:
    layout, each = report.layout, report.bytes_read / max(1, report.requests)
    if report.read_ratio > _WASTEFUL_RATIO:
        return (
            f"Chunks hold {report.read_ratio:.1f}x what samples use: "
            "chunks that end where the selection does are read faster."
        )
    if report.network_seconds >= report.decode_seconds:
        if each < _SMALL_REQUEST_BYTES and layout.stored == "files":
            return f"Requests bring {format_bytes(each)}, a file each: tar shards of many are read faster."
        if each < _SMALL_REQUEST_BYTES:
            return (
                f"Requests bring {format_bytes(each)}, a chunk {layout.chunk_samples:.0f} samples: "
                "larger chunks, or shards, are read faster."
            )
        if report.most_held_bytes > _MOST * layout.memory_bytes:
            return f"memory_bytes={2 * layout.memory_bytes} reads further ahead."
        return "The network is the limit: a nearer copy, or stronger compression."
    if report.share(report.decode_seconds) > _MOST:
        lighter = "smaller images" if layout.stored == "files" else "a lighter codec such as lz4 or zstd at level 1"
        return f"Decoding is the limit: more cores, or {lighter}."
    return ""
