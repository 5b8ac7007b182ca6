"""Whose memory it is, from facts alone: each way that drivers count, and what holds for all facts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_gpu_ext.gpu.attribution import (
    How,
    Kernel,
    Machine,
    Process,
    Told,
    Use,
    attribute,
    named_by_driver,
    numbering,
)
from jupyter_gpu_ext.gpu.models import Device, DeviceSample, ProcessMemory

A, B, SLICE = "GPU-aaaa", "GPU-bbbb", "MIG-cccc"
GB = 10**9


def device(uuid, slice_of=None):
    return Device(index=0, uuid=uuid, name="", memory_total_bytes=None, slice_of=slice_of)


def reading(uuid, *rows):
    held = None if rows == (None,) else tuple(ProcessMemory(pid=pid, memory_bytes=size) for pid, size in rows)
    return DeviceSample(uuid=uuid, memory_used_bytes=None, utilization_ratio=None, processes=held)


def table(*processes):
    """Each is (pid, parent), then the numbers that it has in namespaces inside, then what it has open."""
    return {
        pid: Process(pid=pid, parent=parent, numbers=(pid, *(rest[0] if rest else ())), opened=(rest[1:] or (None,))[0])
        for pid, parent, *rest in processes
    }


TWO = (device(A), device(B))


def machine(*readings, processes, means=How.PID, devices=TWO):
    return Machine(devices=devices, readings=readings, processes=processes, numbering=means)


def told(device_name="cuda:0", uuid=A, size=4 * GB, peak=6 * GB, cached=1 * GB):
    return Told(device=device_name, uuid=uuid, bytes=size, peak_bytes=peak, cached_bytes=cached)


TREE = table((10, 1), (11, 10), (12, 11), (20, 1), (99, 1))


@pytest.mark.parametrize("means", [How.PID, How.NAMESPACE_PID])
def test_two_notebooks_on_one_device_are_told_apart_children_included(means):
    seen = machine(reading(A, (10, 3 * GB), (12, GB), (20, 2 * GB), (99, 7 * GB)), processes=TREE, means=means)
    assert attribute({"a": Kernel(pid=10), "b": Kernel(pid=20)}, seen) == {
        "a": (Use(uuid=A, device=None, bytes=4 * GB, how=means),),
        "b": (Use(uuid=A, device=None, bytes=2 * GB, how=means),),
    }


def test_numbers_of_the_host_are_no_numbers_of_this_container():
    seen = machine(reading(A, (10, 3 * GB), (48213, GB)), processes=TREE, means=None)
    assert attribute({"a": Kernel(pid=10)}, seen) == {"a": ()}


INNER = ((10, 1, (7,)), (11, 10, (8,)), (20, 1, (7,)))


@pytest.mark.parametrize(
    ("processes", "rows", "expected"),
    [
        # A container inside, with the numbers of that container.
        (table((10, 1, (7,)), (11, 10, (8,))), [(7, GB), (8, GB)], 2 * GB),
        # Somebody here has the number too, and nothing else speaks for us.
        (table((10, 1, (7,)), (7, 1)), [(7, GB)], None),
        # Somebody here has it, but it is ours that has the device open.
        (table((10, 1, (7,), frozenset({A})), (7, 1)), [(7, GB)], GB),
        (table((10, 1, (7,), frozenset({B})), (7, 1)), [(7, GB)], None),
        # Two containers inside, each with a process of the number.
        (table(*INNER), [(8, GB)], GB),
        (table(*INNER), [(7, GB)], None),
    ],
    ids=["inner", "ambiguous", "open", "another device open", "unique", "twins"],
)
def test_numbers_of_a_container_inside(processes, rows, expected):
    seen = machine(reading(A, *rows), processes=processes)
    uses = attribute({"a": Kernel(pid=10), "b": Kernel(pid=20)}, seen)["a"]
    if expected is None:
        assert [one for one in uses if one.how != How.DESCRIPTORS] == []
    else:
        assert uses == (Use(uuid=A, device=None, bytes=expected, how=How.NSPID),)


MERGED = [
    # Driver and notebook know: the driver's number has the context, and had it at the peak.
    ([(10, 5 * GB)], told(), {"bytes": 5 * GB, "peak_bytes": 7 * GB, "cached_bytes": GB, "how": How.PID}),
    ([(10, 5 * GB), (12, GB)], told(), {"bytes": 6 * GB, "peak_bytes": 8 * GB, "cached_bytes": GB, "how": How.PID}),
    # A driver that names processes and gives no numbers.
    ([(10, None)], told(), {"bytes": 4 * GB, "peak_bytes": 6 * GB, "cached_bytes": GB, "how": How.REPORT}),
    ([(10, 0)], told(), {"bytes": 4 * GB, "peak_bytes": 6 * GB, "cached_bytes": GB, "how": How.REPORT}),
    ([(10, None)], None, {"bytes": None, "peak_bytes": None, "cached_bytes": None, "how": How.PID}),
    ([], told(), {"bytes": 4 * GB, "peak_bytes": 6 * GB, "cached_bytes": GB, "how": How.REPORT}),
    # A shell was started, and the kernel is its child: it must not count twice.
    ([(11, 5 * GB)], told(), {"bytes": 5 * GB, "peak_bytes": 7 * GB, "cached_bytes": GB, "how": How.PID}),
    # The driver's number is a moment older than the notebook's.
    ([(10, GB)], told(cached=2 * GB), {"bytes": GB, "peak_bytes": 3 * GB, "cached_bytes": GB, "how": How.PID}),
    ([(10, 5 * GB)], told(peak=None, cached=None),
     {"bytes": 5 * GB, "peak_bytes": None, "cached_bytes": None, "how": How.PID}),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "said", "expected"), MERGED)
def test_driver_and_notebook_make_one_row(rows, said, expected):
    seen = machine(reading(A, *rows), processes=TREE)
    (use,) = attribute({"a": Kernel(pid=10, told=(said,) if said else ())}, seen)["a"]
    assert use == Use(uuid=A, device="cuda:0" if said else None, **expected)


@pytest.mark.parametrize(
    ("said", "devices", "uuid"),
    [
        ("GPU-aaaa", (device(A), device(B)), A),
        # CUDA gives a slice's identity with a card's prefix.
        ("GPU-cccc", (device(A), device(SLICE, A)), SLICE),
        (None, (device(A),), A),
        (None, (device(A), device(B)), None),
        ("GPU-dddd", (device(A),), "GPU-dddd"),
    ],
)
def test_which_device_a_notebook_means(said, devices, uuid):
    seen = machine(processes=TREE, devices=devices)
    (use,) = attribute({"a": Kernel(pid=10, told=(told(uuid=said),))}, seen)["a"]
    assert (use.uuid, use.device, use.how) == (uuid, "cuda:0", How.REPORT)


def test_devices_that_a_notebook_cannot_name_stay_apart():
    said = (told("cuda:0", None), told("cuda:1", None), Told(device="cpu", uuid=None, bytes=1))
    uses = attribute({"a": Kernel(pid=None, told=said)}, machine(processes={}))["a"]
    assert [(one.device, one.uuid) for one in uses] == [("cuda:0", None), ("cuda:1", None), ("cpu", None)]


def test_a_slice_is_not_counted_on_its_card_again():
    devices = (device(A), device(SLICE, A))
    seen = machine(reading(A, (10, GB)), reading(SLICE, (10, GB)), processes=TREE, devices=devices)
    assert [one.uuid for one in attribute({"a": Kernel(pid=10)}, seen)["a"]] == [SLICE]


def test_open_devices_count_only_where_nothing_better_is_known():
    processes = table((10, 1, (), frozenset()), (11, 10, (), frozenset({A, B})), (20, 1, (), frozenset({A})))
    seen = machine(reading(A, None), reading(B, None), processes=processes, means=None)
    cpu = Told(device="cpu", uuid=None, bytes=1)
    uses = attribute({"a": Kernel(pid=10, told=(cpu,)), "b": Kernel(pid=20, told=(told(),))}, seen)
    assert uses["a"][:2] == tuple(Use(uuid=one, device=None, bytes=None, how=How.DESCRIPTORS) for one in (A, B))
    assert [one.how for one in uses["a"][2:]] == [How.REPORT]
    assert [one.how for one in uses["b"]] == [How.REPORT]


def test_a_kernel_that_another_one_started_has_its_own():
    processes = table((10, 1), (11, 10), (12, 11))
    seen = machine(reading(A, (10, GB), (11, 2 * GB), (12, 4 * GB)), processes=processes)
    uses = attribute({"a": Kernel(pid=10), "b": Kernel(pid=11)}, seen)
    assert [uses[name][0].bytes for name in "ab"] == [GB, 6 * GB]


def test_parents_in_a_circle_end():
    seen = machine(reading(A, (5, GB)), processes=table((5, 6), (6, 5)))
    assert attribute({"a": Kernel(pid=10)}, seen) == {"a": ()}


@pytest.mark.parametrize(
    ("named", "living", "is_host", "means"),
    [
        ({10, 20}, {10}, True, How.PID),
        (set(), set(), True, How.PID),
        ({10, 20}, {10, 20}, False, How.NAMESPACE_PID),
        (set(), set(), False, How.NAMESPACE_PID),
        ({10, 48213}, {10}, False, None),
        ({48213}, set(), False, None),
    ],
)
def test_what_the_drivers_numbers_mean(named, living, is_host, means):
    assert numbering(named, living, is_host=is_host) is means


def test_processes_that_are_hidden_have_no_number():
    assert named_by_driver([reading(A, (0, GB), (7, GB)), reading(B, None)]) == {7}


PIDS = st.integers(1, 12)
SIZES = st.none() | st.integers(0, 8)
ROWS = st.lists(st.tuples(PIDS, SIZES), max_size=8)


@st.composite
def machines(draw):
    parents = draw(st.dictionaries(PIDS, st.integers(0, 12), max_size=12))
    inner = draw(st.dictionaries(PIDS, st.lists(PIDS, max_size=2), max_size=12))
    opened = st.none() | st.frozensets(st.sampled_from([A, B]))
    processes = {
        pid: Process(pid=pid, parent=parent, numbers=(pid, *inner.get(pid, ())), opened=draw(opened))
        for pid, parent in parents.items()
    }
    return Machine(
        devices=(device(A), device(B)),
        readings=(reading(A, *draw(ROWS)), reading(B, *draw(ROWS))),
        processes=processes,
        numbering=draw(st.sampled_from([How.PID, How.NAMESPACE_PID, None])),
    )


KERNELS = st.dictionaries(st.sampled_from("abcd"), PIDS, max_size=4).filter(
    lambda found: len(set(found.values())) == len(found)
)


def by_driver(seen):
    most: dict[str, dict[int, int]] = {A: {}, B: {}}
    for one in seen.readings:
        for row in one.processes:
            most[one.uuid][row.pid] = max(most[one.uuid].get(row.pid, 0), row.memory_bytes or 0)
    return {uuid: sum(rows.values()) for uuid, rows in most.items()}


@given(machines(), KERNELS)
def test_together_the_notebooks_never_hold_more_than_the_driver_says(seen, pids):
    uses = attribute({name: Kernel(pid=pid) for name, pid in pids.items()}, seen)
    for uuid, held in by_driver(seen).items():
        assert sum(one.bytes or 0 for rows in uses.values() for one in rows if one.uuid == uuid) <= held
    for rows in uses.values():
        assert len({one.uuid for one in rows}) == len(rows), "one row a device"
        assert all(one.bytes is None for one in rows if one.how == How.DESCRIPTORS)


@given(machines(), KERNELS)
def test_numbers_that_are_another_systems_prove_nothing(seen, pids):
    uses = attribute({name: Kernel(pid=pid) for name, pid in pids.items()}, seen)
    found = {one.how for rows in uses.values() for one in rows}
    assert found <= {How.NSPID, How.DESCRIPTORS, *([seen.numbering] if seen.numbering else [])}


@given(machines(), KERNELS, st.data())
def test_a_notebook_more_takes_nothing_that_is_not_below_it(seen, pids, data):
    before = attribute({name: Kernel(pid=pid) for name, pid in pids.items()}, seen)
    others = [pid for pid in range(100, 103) if pid not in seen.processes]
    more = {**pids, "z": data.draw(st.sampled_from(others))}
    after = attribute({name: Kernel(pid=pid) for name, pid in more.items()}, seen)
    assert {name: after[name] for name in pids} == before


@given(machines(), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_a_peak_is_no_less_and_a_cache_no_more_than_what_is_held(seen, size, peak, cached):
    said = Told(device="cuda:0", uuid=A, bytes=size, peak_bytes=peak, cached_bytes=cached)
    for use in attribute({"a": Kernel(pid=1, told=(said,))}, seen)["a"]:
        if use.how != How.REPORT and use.device is not None:
            assert use.cached_bytes <= use.bytes <= use.peak_bytes
