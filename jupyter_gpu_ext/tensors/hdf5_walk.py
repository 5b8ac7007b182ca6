"""What an HDF5 file holds, and a part of one dataset, by h5py; run by `hdf5_child` in a process of its own.

Nothing leads out of the file: soft and external links, external storage and virtual datasets are shown, not followed,
and no filter is loaded from a plugin.
Format: https://support.hdfgroup.org/documentation/hdf5/latest/_s_p_e_c.html
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jupyter_gpu_ext.tensors.hdf5_attributes import AttributeReader, address, is_no_variable
from jupyter_gpu_ext.tensors.hdf5_types import FILTERS, READABLE, type_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import h5py

MOST_NODES = 10_000
_MOST_LINKS = 1000
_DEEPEST = 64
_MOST_NAME_BYTES = 4096
_MOST_NAMES_BYTES = 8 << 20
# All of a chunk is decoded for one of its elements.
_MOST_CHUNK_BYTES = 64 << 20


class RefusedError(Exception):
    """What is asked for is not read; the text says why."""


@dataclass(slots=True)
class Walk:
    """A walk through a file, each object once, in the order of names; it ends early where a bound is reached.

    Parameters
    ----------
    file : h5py.File
    stop_at : float
        `time.process_time()` after which no more is looked at.
    spent : callable
        Tells whether no more bytes are to be had.
    """

    file: h5py.File
    stop_at: float
    spent: Callable[[], bool]
    arrays: list[dict[str, Any]] = field(default_factory=list)
    groups: list[dict[str, Any]] = field(default_factory=list)
    links: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _seen: dict[int, str] = field(default_factory=dict)
    _names_bytes: int = 0

    def run(self) -> dict[str, Any]:
        """Walk, and return plain data.

        Raises
        ------
        Exception
            Any of h5py's, where the file is damaged.
        """
        attributes = AttributeReader(self.file)
        root = self.file["/"]
        self._seen[address(root.id)] = "/"
        about = attributes.of(root)
        try:
            self._groups(attributes)
        except Exception:
            # Out of bytes in the middle of an object: what was seen before stands.
            if not self.spent():
                raise
            self._note("its metadata lies too far apart: what could be read by the limit on bytes is shown")
        attributes.name_dimensions(self.arrays, self._seen)
        found = {"arrays": self.arrays, "groups": self.groups, "links": self.links, "notes": self.notes}
        return {**found, "attributes": about}

    def _groups(self, attributes: AttributeReader) -> None:
        todo: list[tuple[str, Any, int]] = [("", self.file["/"].id, 0)]
        while todo:
            path, group, depth = todo.pop()
            below = []
            for name, one in self._members(group, path):
                if self._is_enough():
                    return
                if (entered := self._object(name, one, attributes)) is not None:
                    below.append((name, entered, depth + 1))
            if below and depth >= _DEEPEST:
                self._note(f"groups below {_DEEPEST} levels are not looked into")
                continue
            todo += reversed(below)

    def _is_enough(self) -> bool:
        count = len(self.arrays) + len(self.groups)
        if count >= MOST_NODES or self._names_bytes > _MOST_NAMES_BYTES:
            self._note(f"it has more than {MOST_NODES:,} groups and datasets: the first are shown")
            return True
        # Asking for the time takes longer than an object does, on some machines.
        if count % 64 == 0 and time.process_time() > self.stop_at:
            self._note("it has more than could be looked at in time: the first are shown")
            return True
        return False

    def _members(self, group: Any, path: str) -> Iterator[tuple[str, Any]]:
        """Yield name and id of what lies directly in a group by a hard link for the first time."""
        from h5py import h5l, h5o

        names: list[bytes] = []

        def take(name: bytes) -> bool | None:
            names.append(name)
            return True if len(names) > MOST_NODES else None

        group.links.iterate(take)
        for raw in sorted(names):
            if len(raw) > _MOST_NAME_BYTES:
                self._note(f"names of more than {_MOST_NAME_BYTES:,} bytes are left out")
                continue
            name = f"{path}/{raw.decode(errors='replace')}".lstrip("/")
            self._names_bytes += len(name)
            link = group.links.get_info(raw)
            if link.type == h5l.TYPE_HARD:
                if (first := self._seen.setdefault(int(link.u), name)) == name:
                    yield name, h5o.open(group, raw)
                else:
                    self._link(name, first)
            else:
                self._link(name, _target(group, raw))

    def _object(self, name: str, one: Any, attributes: AttributeReader) -> Any:
        """Keep what is to be shown of an object; return it where it is a group."""
        import h5py

        if isinstance(one, h5py.h5g.GroupID):
            self.groups.append({"name": name, "attributes": attributes.of(h5py.Group(one)), "unread": False})
            return one
        if isinstance(one, h5py.h5d.DatasetID):
            dataset = h5py.Dataset(one)
            about = {"name": name, "attributes": attributes.of(dataset), "no_variable": is_no_variable(dataset)}
            self.arrays.append(shape_of(dataset) | about)
            attributes.note_dimensions(name, dataset)
        return None

    def _link(self, name: str, target: str) -> None:
        if len(self.links) < _MOST_LINKS:
            self.links.append({"name": name, "target": target if ":" in target else f"/{target.lstrip('/')}"})
        else:
            self._note(f"more than {_MOST_LINKS:,} links are left out")

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def _target(group: Any, name: bytes) -> str:
    from h5py import h5l

    kind = group.links.get_info(name).type
    if kind == h5l.TYPE_SOFT:
        return str(group.links.get_val(name).decode(errors="replace"))[:_MOST_NAME_BYTES]
    if kind == h5l.TYPE_EXTERNAL:
        file, path = group.links.get_val(name)
        return f"{file.decode(errors='replace')}:{path.decode(errors='replace')}"[:_MOST_NAME_BYTES]
    return "a link of another kind:"


def shape_of(dataset: h5py.Dataset) -> dict[str, Any]:
    """Return dtype, shape, bytes, chunks and codecs of a dataset, and why its values are not read."""
    from h5py import h5d

    plan = dataset.id.get_create_plist()
    kind, item_bytes, problem = type_words(dataset.id)
    layout = plan.get_layout()
    filters = [plan.get_filter(at)[0] for at in range(plan.get_nfilters())]
    strange = [FILTERS.get(one, f"filter {one}") for one in filters if one not in READABLE]
    if strange:
        problem = f"its filter {strange[0]!r} is not read"
    if layout == h5d.VIRTUAL:
        problem = "it is put together from other datasets, perhaps of other files"
        # Its own space may open the sources, to learn how long they are by now.
        space = plan.get_virtual_vspace(0) if plan.get_virtual_count() else None
    else:
        space = dataset.id.get_space()
    if layout == h5d.CONTIGUOUS and plan.get_external_count():
        problem = "its values lie in another file"
    shape = _extent(space)
    return {
        "dtype": kind,
        "shape": list(shape or ()),
        "size_bytes": 0 if shape is None else math.prod(shape) * item_bytes,
        "chunks": list(plan.get_chunk()) if layout == h5d.CHUNKED else None,
        "codecs": [FILTERS.get(one, f"filter {one}") for one in filters],
        "dimensions": None,
        "unreadable": problem or ("it holds nothing" if shape is None else ""),
    }


def _extent(space: Any) -> tuple[int, ...] | None:
    from h5py import h5s

    if space is None or space.get_simple_extent_type() == h5s.NULL:
        return None
    return tuple(int(one) for one in space.get_simple_extent_dims())


def values(file: h5py.File, parts: Sequence[Mapping[str, Any]], most_bytes: int) -> tuple[dict[str, Any], bytes]:
    """Return shapes and dtypes, and the bytes one after the other, of parts of datasets; `most_bytes` is for all."""
    abouts, found = list[dict[str, Any]](), list[bytes]()
    for one in parts:
        about, data = part_of(file, one["name"], one["ranges"], most_bytes - sum(map(len, found)))
        abouts.append(about)
        found.append(data)
    return {"parts": abouts}, b"".join(found)


def part_of(
    file: h5py.File, name: str, ranges: Sequence[Mapping[str, int]], most_bytes: int
) -> tuple[dict[str, Any], bytes]:
    """Return shape and dtype, and the bytes, of a part of a dataset.

    Parameters
    ----------
    ranges : sequence of mapping
        'start', 'stop' and 'step' an axis, inside of the dataset, step 1 or more.

    Raises
    ------
    RefusedError
        When there is no such dataset, or its values are not read.
    """
    import h5py

    one = _find(file, name)
    if not isinstance(one, h5py.h5d.DatasetID):
        raise RefusedError("It is no dataset.")
    dataset = h5py.Dataset(one)
    about = shape_of(dataset)
    if about["unreadable"]:
        raise RefusedError(f"Its values are not read: {about['unreadable']}.")
    parts = [range(part["start"], part["stop"], part["step"]) for part in ranges]
    if len(parts) != len(about["shape"]):
        raise RefusedError(f"It has {len(about['shape'])} dimensions, {len(parts)} are chosen.")
    wanted = math.prod(len(part) for part in parts) * dataset.dtype.itemsize
    chunk = math.prod(about["chunks"] or ()) * dataset.dtype.itemsize if about["chunks"] else 0
    if wanted > most_bytes or chunk > _MOST_CHUNK_BYTES:
        raise RefusedError(f"The part has {wanted:,} bytes, in chunks of {chunk:,}; up to {most_bytes:,} are read.")
    found = dataset[tuple(slice(part.start, part.stop, part.step) for part in parts)]
    native = found.astype(found.dtype.newbyteorder("<"), order="C", copy=False)
    return {"dtype": native.dtype.str, "shape": list(native.shape)}, native.tobytes()


def _find(file: h5py.File, name: str) -> Any:
    from h5py import h5l, h5o

    at = file["/"].id
    for part in name.strip("/").encode().split(b"/"):
        if not hasattr(at, "links") or not at.links.exists(part) or at.links.get_info(part).type != h5l.TYPE_HARD:
            raise RefusedError("There is no dataset of that name; links are not followed.")
        at = h5o.open(at, part)
    return at
