"""Which part of which arrays a sample has: what was asked for, or the first chunk along each axis."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from jupyter_gpu_ext.errors import BadRequestError, TooLargeError
from jupyter_gpu_ext.tensors.array_plan import check_readable
from jupyter_gpu_ext.tensors.coordinates import place_of
from jupyter_gpu_ext.tensors.plan import choose_of
from jupyter_gpu_ext.tensors.selection import Axis, by_index, count_of, parse_selection
from jupyter_gpu_ext.tensors.zarr_store import axes_of, check_names
from jupyter_gpu_ext.text import format_bytes, format_count, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jupyter_gpu_ext.tensors.formats.zarr import ZarrArray
    from jupyter_gpu_ext.tensors.sample_source import Source
    from jupyter_gpu_ext.tensors.selection import Selection

# Attributes of the CF conventions that name other arrays without which one is not understood.
_NAMING = ("coordinates", "grid_mapping", "bounds")
_SHOWN = 5

# An axis of several arrays: they have its name and its length in common; one without a name is an array's own.
Key = tuple[str, int]
Axes = tuple[Axis, ...]
Region = tuple[slice, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """What a sample has.

    Attributes
    ----------
    axes : mapping of str to tuple of Axis
        One an axis of each array, by the array's name; none is dropped, so that a sample has the original's axes.
    notes : tuple of str
        What was decided and what was left out, for a person.
    """

    axes: Mapping[str, Axes]
    notes: tuple[str, ...] = ()


async def choose_part(source: Source, keys: Sequence[str], select: str, most_bytes: int) -> Part:
    """Return what a sample of a source has.

    Parameters
    ----------
    keys : sequence of str
        Globs over the arrays' names; the coordinates of the chosen ones come along.
    select : str
        By index, of the arrays that are no coordinates; or by label, of each array that has the dimension. Without
        it each axis has its first chunk, or less.
    most_bytes : int
        Refuse a selection that has more values.

    Raises
    ------
    BadRequestError
        When a name or the selection does not fit, or it holds nothing.
    TensorFormatError
        When an array that `keys` chooses is not read.
    TooLargeError
        When the selection has more than `most_bytes`.
    """
    selection = parse_selection(select)
    chosen, leaders, lost = _chosen(source, keys)
    if selection.labels is not None:
        check_names(selection, chosen, source.shown)
        labels = {name: partial(source.labels, one) for name, one in chosen.items()}
        axes = {name: _kept(await axes_of(name, one, selection, labels[name])) for name, one in chosen.items()}
    elif selection:
        axes = _by_index(chosen, leaders, selection)
    else:
        axes = _first_chunks(chosen, leaders, most_bytes)
    _check(source, chosen, axes, most_bytes)
    notes = [] if selection else [_said(chosen, leaders, axes)]
    return Part(axes, tuple(one for one in (*notes, lost) if one))


def _chosen(source: Source, keys: Sequence[str]) -> tuple[dict[str, ZarrArray], list[str], str]:
    """Return the arrays of the sample, which of them a selection by index is for, and what was left out, in words."""
    arrays = source.arrays
    picked = choose_of(arrays, keys, source.shown)
    if keys or len(arrays) == 1:
        for name, one in picked.items():
            check_readable(name, one)
    # By path, as arrays name each other; an array that stands alone has none beside it.
    paths = {one.path: one for one in arrays.values()} if len(arrays) > 1 else {}
    beside = {name: _companions(one, paths) for name, one in picked.items()}
    followers = set().union(*beside.values()) if beside else set()
    wanted = {name: one for name, one in arrays.items() if name in picked or name in followers}
    found = {name: one for name, one in wanted.items() if not one.unreadable}
    if not found:
        raise BadRequestError(f"{source.shown} has no array whose values are read.", hint="`%blob info` says why.")
    lost = [f"{printable(name[:80])} ({printable(one.unreadable)})" for name, one in wanted.items() if one.unreadable]
    more = f" and {len(lost) - _SHOWN:,} more" if len(lost) > _SHOWN else ""
    said = f"left out: {', '.join(lost[:_SHOWN])}{more}" if lost else ""
    return found, [name for name in picked if name in found and name not in followers] or list(found), said


def _companions(array: ZarrArray, arrays: Mapping[str, ZarrArray]) -> set[str]:
    """Return the arrays that have an array's coordinates, and theirs."""
    found: set[str] = set()
    todo = [array]
    while todo:
        one = todo.pop()
        named: list[str | None] = [place_of(name, one.path, arrays) for name in one.dimensions or () if name]
        folder = one.path.rpartition("/")[0]
        for key in _NAMING:
            said = one.attributes.get(key)
            named += [f"{folder}/{name}".lstrip("/") for name in said.split()] if isinstance(said, str) else []
        for path in named:
            if path and path in arrays and path not in found and path != array.path:
                found.add(path)
                todo.append(arrays[path])
    return found


def _keys(name: str, array: ZarrArray) -> list[Key]:
    names = array.dimensions or (None,) * len(array.shape)
    return [(one or f"{name}\0{at}", array.shape[at]) for at, one in enumerate(names)]


def _kept(axes: Axes) -> Axes:
    return tuple(replace(one, dropped=False) for one in axes)


def _by_index(arrays: Mapping[str, ZarrArray], leaders: Sequence[str], selection: Selection) -> dict[str, Axes]:
    """Return what items choose of the leading arrays; the others follow by the names of their axes."""
    chosen: dict[Key, Axis] = {}
    for name in leaders:
        array = arrays[name]
        axes = _kept(by_index(selection.items, array.shape, printable(name)))
        for key, axis in zip(_keys(name, array), axes, strict=True):
            if chosen.setdefault(key, axis) != axis:
                raise BadRequestError(
                    f"{printable(key[0][:80])!r} would be {_range(chosen[key])} of one array and {_range(axis)} of "
                    f"{printable(name[:80])}.",
                    hint="Choose arrays of the same axes with --keys GLOB, or select by label.",
                )
    return {
        name: tuple(chosen.get(key, Axis(0, 1, key[1])) for key in _keys(name, array)) for name, array in arrays.items()
    }


def _first_chunks(arrays: Mapping[str, ZarrArray], leaders: Sequence[str], most_bytes: int) -> dict[str, Axes]:
    """Return the first chunk of each axis, or as much of it as leaves every array its share of the bytes."""
    lengths: dict[Key, int] = {}
    for name in leaders:
        for key, chunk in zip(_keys(name, arrays[name]), arrays[name].chunks, strict=True):
            lengths[key] = max(lengths.get(key, 0), min(chunk, key[1]))
    followed = dict(lengths)
    for name, array in arrays.items():
        for key, chunk in zip(_keys(name, array), array.chunks, strict=True):
            # What leads decides, however long the chunks of a coordinate are.
            if key not in lengths:
                followed[key] = max(followed.get(key, 0), min(chunk, key[1]))
    _shrink(arrays, followed, most_bytes)
    return {name: tuple(Axis(0, 1, followed[key]) for key in _keys(name, array)) for name, array in arrays.items()}


def _shrink(arrays: Mapping[str, ZarrArray], lengths: dict[Key, int], most_bytes: int) -> None:
    """Halve the first axes of the arrays that have more than their share, until all have room."""
    keys = {name: _keys(name, array) for name, array in arrays.items()}

    def size(name: str) -> int:
        return math.prod(lengths[key] for key in keys[name]) * arrays[name].stored.itemsize

    while sum(map(size, arrays)) > most_bytes:
        wide = [name for name in arrays if size(name) > most_bytes // len(arrays)]
        halved = {next((key for key in keys[name] if lengths[key] > 1), None) for name in wide} - {None}
        if not halved:
            return
        for key in halved:
            if key is not None:
                lengths[key] = -(-lengths[key] // 2)


def _check(source: Source, arrays: Mapping[str, ZarrArray], axes: Mapping[str, Axes], most_bytes: int) -> None:
    for name, array in arrays.items():
        for at, (axis, length) in enumerate(zip(axes[name], array.shape, strict=True)):
            if length and not axis.count:
                raise BadRequestError(
                    f"The selection holds nothing of {printable(name[:80])} along axis {at}.",
                    hint=f"It has {length:,} entries there.",
                )
    size = sum(count_of(axes[name]) * array.stored.itemsize for name, array in arrays.items())
    if size > most_bytes:
        much, most = format_bytes(size), format_bytes(most_bytes)
        raise TooLargeError(
            f"{source.shown}: the sample would have {much} of values, {most} at most.",
            hint=f"Select less with --select or --keys, or allow it: --max-bytes {size} (max_bytes={size}).",
        )


def _said(arrays: Mapping[str, ZarrArray], leaders: Sequence[str], axes: Mapping[str, Axes]) -> str:
    """Say which part was taken where nobody chose."""
    found: dict[str, str] = {}
    for name in leaders:
        for at, ((dimension, size), axis) in enumerate(zip(_keys(name, arrays[name]), axes[name], strict=True)):
            shown = f"axis {at}" if "\0" in dimension else printable(dimension[:40])
            if axis.count < size:
                found.setdefault(shown, f"{shown} {_range(axis)} of {size:,}")
    if not found:
        return ""
    more = f", {format_count(len(found) - _SHOWN, 'more axis', 'more axes')}" if len(found) > _SHOWN else ""
    return f"the first chunk, as nothing was selected: {', '.join(list(found.values())[:_SHOWN])}{more}"


def _range(axis: Axis) -> str:
    stop = axis.last + (1 if axis.step > 0 else -1)
    end = "" if stop < 0 else stop
    return f"{axis.start}:{end}" + (f":{axis.step}" if axis.step != 1 else "")


def regions(shape: Sequence[int], cell: Sequence[int], item_bytes: int, most_bytes: int) -> Iterator[Region]:
    """Yield parts of an array that are whole cells of its grid, each of `most_bytes` or one cell."""

    def cut(bounds: tuple[tuple[int, int], ...]) -> Iterator[Region]:
        size = math.prod(high - low for low, high in bounds) * item_bytes
        at = next((at for at, (low, high) in enumerate(bounds) if high - low > cell[at]), None)
        if size <= most_bytes or at is None:
            yield tuple(slice(low, high) for low, high in bounds)
            return
        low, high = bounds[at]
        rows = max(1, most_bytes // (size // (high - low) * cell[at])) * cell[at]
        for begin in range(low, high, rows):
            yield from cut((*bounds[:at], (begin, min(begin + rows, high)), *bounds[at + 1 :]))

    if 0 not in shape:
        yield from cut(tuple((0, size) for size in shape))


def within(axes: Axes, region: Region) -> Axes:
    """Return the axes of a part of a part."""
    return tuple(
        Axis(one.start + one.step * at.start, one.step, at.stop - at.start)
        for one, at in zip(axes, region, strict=True)
    )
