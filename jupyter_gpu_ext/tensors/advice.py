"""What would make a read of a Zarr array cheaper: facts of its layout in, advice in words with its effect out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_gpu_ext.tensors.chunks import count_chunks, grid, read_ratio
from jupyter_gpu_ext.tensors.layout import objects_touched, propose, ratio, snippet
from jupyter_gpu_ext.text import format_bytes, format_count, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jupyter_gpu_ext.tensors.array_plan import ArrayPlan
    from jupyter_gpu_ext.tensors.formats.zarr import ZarrArray
    from jupyter_gpu_ext.tensors.layout import Proposal
    from jupyter_gpu_ext.tensors.selection import Axis

_SMALL_BYTES = 1 << 20
_LARGE_BYTES = 512 << 20
_MUCH = 4.0
_MANY_OBJECTS = 10_000
# Below these nothing is worth a word: a read that takes a moment either way.
_FEW_OBJECTS = 64
_LITTLE_BYTES = 4 << 20
_MOST_ENTRY_BYTES = 64 << 20
_MOST_ADVICE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One thing that could be better.

    Attributes
    ----------
    kind : str
        'reads_too_much', 'batch_across_chunks', 'small_chunks', 'many_objects' or 'large_chunks'.
    array : str
        Its name.
    text, effect : str
        What is so, and what changing it gives.
    snippet : str
        Python that writes the array in the proposed layout.
    """

    kind: str
    array: str
    text: str
    effect: str
    snippet: str

    def __str__(self) -> str:
        return f"{printable(self.array)}: {self.text} {self.effect}"

    def to_json(self) -> dict[str, str]:
        """Return plain data, as the HTTP contract has it."""
        return {
            "kind": self.kind,
            "array": self.array,
            "text": self.text,
            "effect": self.effect,
            "snippet": self.snippet,
        }


def advise(url: str, arrays: Mapping[str, ArrayPlan]) -> tuple[Advice, ...]:
    """Return what would help a read of arrays, the largest array's first; five at most.

    Parameters
    ----------
    url : str
        Of the store, for the snippets.
    arrays : mapping of str to ArrayPlan
        What is read, by name.
    """
    largest = sorted(arrays.items(), key=lambda item: -item[1].chunk_count * item[1].array.chunk_bytes)
    found = [one for name, plan in largest[:_MOST_ADVICE] for one in _advise(url, name, plan)]
    return tuple(found[:_MOST_ADVICE])


def _advise(url: str, name: str, plan: ArrayPlan) -> Iterator[Advice]:
    array, axes = plan.array, plan.axes
    if not plan.objects or array.size_bytes < _LITTLE_BYTES:
        return
    much = read_ratio(array, axes) >= _MUCH and plan.chunk_count * array.chunk_bytes >= _LITTLE_BYTES
    proposal = propose(array, axes, narrow=much)
    code = snippet(url, name, array, proposal)
    if (proposal.chunks, proposal.shards) == (array.chunks, array.shards):
        return
    rules = {
        "reads_too_much": _reads_too_much(array, axes, proposal) if much else None,
        "batch_across_chunks": _batch_across_chunks(array, proposal),
        "small_chunks": _small_chunks(array, axes, proposal),
        "many_objects": _many_objects(array, proposal),
        "large_chunks": _large_chunks(array, proposal),
    }
    for kind, said in rules.items():
        if said is not None:
            yield Advice(kind=kind, array=name, text=said[0], effect=said[1], snippet=code)


def _reads_too_much(array: ZarrArray, axes: Sequence[Axis], new: Proposal) -> tuple[str, str] | None:
    before, after = ratio(array, axes), ratio(new.of(array), axes)
    if after * 1.5 > before:
        return None
    text = (
        f"This selection reads {before:.1f}x what it uses: chunks of {_times(array.chunks)} hold more than is chosen."
    )
    return text, f"With {_layout(new)} it reads {after:.1f}x."


def _batch_across_chunks(array: ZarrArray, new: Proposal) -> tuple[str, str] | None:
    """Tell whether one entry of the first axis, a sample of a batch, lies in several objects."""
    cells = grid(array)
    across, entry_bytes = math.prod(cells[1:]), array.size_bytes // max(array.shape[0], 1)
    after = math.prod(grid(new.of(array))[1:])
    if len(cells) < 2 or across < 2 or after >= across or entry_bytes > _MOST_ENTRY_BYTES:
        return None
    axis = (array.dimensions or (None,))[0]
    entry = f"One entry of {printable(axis[:40])!r}" if axis else "One entry of the first axis"
    text = f"{entry} lies in {across:,} objects: batches along it, shuffled above all, ask for each of them."
    return text, f"With {_layout(new)} it lies in {after:,}."


def _small_chunks(array: ZarrArray, axes: Sequence[Axis], new: Proposal) -> tuple[str, str] | None:
    before, after = objects_touched(array, axes), objects_touched(new.of(array), axes)
    if array.shards or array.chunk_bytes >= _SMALL_BYTES or before < _FEW_OBJECTS or after >= before:
        return None
    total = format_bytes(count_chunks(array, axes) * array.chunk_bytes)
    text = f"Chunks of {format_bytes(array.chunk_bytes)}: {before:,} requests for {total}, each as slow as a large one."
    return text, f"With {_layout(new)} it is {format_count(after, 'object')}."


def _many_objects(array: ZarrArray, new: Proposal) -> tuple[str, str] | None:
    before, after = math.prod(grid(array)), math.prod(grid(new.of(array)))
    if array.shards or before <= _MANY_OBJECTS or after >= before:
        return None
    text = (
        f"The array is {before:,} objects: listing, copying and deleting it take a request for each or for a thousand."
    )
    return text, f"With {_layout(new)} it is {format_count(after, 'object')}."


def _large_chunks(array: ZarrArray, new: Proposal) -> tuple[str, str] | None:
    if array.chunk_bytes <= _LARGE_BYTES:
        return None
    after = format_bytes(new.of(array).chunk_bytes)
    text = (
        f"Chunks of {format_bytes(array.chunk_bytes)}: whatever is read of one, all of it is fetched and decoded first."
    )
    return text, f"With {_layout(new)} a chunk is {after}, and several are decoded at a time."


def _layout(new: Proposal) -> str:
    shards = f" in shards of {_times(new.shards)}" if new.shards else ""
    return f"chunks of {_times(new.chunks)}{shards}"


def _times(lengths: Sequence[int]) -> str:
    return "×".join(map(str, lengths)) or "1"
