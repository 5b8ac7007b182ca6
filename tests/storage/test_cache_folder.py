"""The cache on disk: believed where its checksums hold, never above its bound, whatever dies while it is written."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_gpu_ext.errors import BadRequestError, DeniedError, GpuExtError
from jupyter_gpu_ext.storage import cache_folder, cache_guard, cache_segment, cache_settings
from jupyter_gpu_ext.storage.cache_folder import About, CacheFolder, Held, oldest
from jupyter_gpu_ext.storage.cache_segment import BLOCK_BYTES, Segment
from jupyter_gpu_ext.storage.ranges import ByteRange
from tests.storage.cache_filler import data_of, fill, segment

if TYPE_CHECKING:
    from collections.abc import Iterator

ABOUT = About("weights", "x", 1)
MIB = 1 << 20
ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "hot"
    cache_guard.prepare(folder)
    return folder


def put(folder: CacheFolder, one: Segment, data: bytes) -> bool:
    return folder.put(one, ABOUT, memoryview(data), go_on=lambda: True)


def path_of(folder: CacheFolder, one: Segment) -> Path:
    return folder.place(one.version) / one.file_name


def take(path: Path, one: Segment, start: int, stop: int) -> bytes | None:
    out = bytearray(stop - start)
    good = cache_segment.read(path, one, start, memoryview(out), go_on=lambda: True)
    return bytes(out) if good else None


def check_all(folder: CacheFolder) -> int:
    """Read every segment that is held; return how many there are."""
    held = [(kept, one) for kept in folder.versions() for one in kept.segments]
    for kept, one in held:
        known = Segment(bytes.fromhex(kept.path.name), one.range)
        assert take(one.path, known, one.range.start, one.range.stop) == data_of(one.range)
    return len(held)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Segment, bytes]:
    folder = tmp_path_factory.mktemp("cache") / "hot"
    cache_guard.prepare(folder)
    cache = CacheFolder(folder, 64 * MIB)
    one = Segment(bytes(20), ByteRange(1000, 1000 + 2 * BLOCK_BYTES + 77))
    put(cache, one, data_of(one.range))
    return path_of(cache, one), one, data_of(one.range)


SIZE = 2 * BLOCK_BYTES + 77
EDGES = st.sampled_from([0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 2 * BLOCK_BYTES, SIZE - 1, SIZE])
PLACES = st.one_of(EDGES, st.integers(0, SIZE))


@given(PLACES, PLACES)
def test_any_part_of_a_segment_is_read(written: tuple[Path, Segment, bytes], first: int, second: int) -> None:
    path, one, data = written
    a, b = sorted((first, second))
    assert take(path, one, 1000 + a, 1000 + b) == data[a:b]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**9), st.integers(0, 7), PLACES, PLACES)
def test_a_flipped_bit_is_noticed_or_lies_elsewhere(
    written: tuple[Path, Segment, bytes], tmp_path: Path, at: int, bit: int, first: int, second: int
) -> None:
    path, one, data = written
    whole = bytearray(path.read_bytes())
    at %= len(whole)
    whole[at] ^= 1 << bit
    broken = tmp_path / "broken"
    broken.write_bytes(whole)
    a, b = sorted((first, second))
    assert take(broken, one, 1000 + a, 1000 + b) in (None, data[a:b])
    if a <= at < b or at >= SIZE:
        assert take(broken, one, 1000 + a, 1000 + b) is None


@pytest.mark.parametrize("change", ["cut", "longer", "empty", "other version", "other place"])
def test_a_file_that_is_not_the_segment_is_not_believed(
    written: tuple[Path, Segment, bytes], tmp_path: Path, change: str
) -> None:
    path, one, data = written
    whole = path.read_bytes()
    files = {"cut": whole[:-1], "longer": whole + b"\0", "empty": b""}
    other = {"other version": Segment(b"\1" * 20, one.range), "other place": Segment(one.version, ByteRange(0, SIZE))}
    changed = tmp_path / "changed"
    changed.write_bytes(files.get(change, whole))
    asked = other.get(change, one)
    assert take(changed, asked, asked.range.start, asked.range.start + 10) is None
    assert take(path, one, 1000, 1010) == data[:10]


def test_what_may_have_changed_meanwhile_is_not_kept(place: Path) -> None:
    cache = CacheFolder(place, 64 * MIB)
    one, data = segment("x", 0, 5000)
    cache.put(one, ABOUT, memoryview(data), go_on=lambda: False)
    assert cache_folder.ranges(cache.place(one.version)) == set()
    assert put(cache, one, data)
    assert check_all(cache) == 1


def test_files_are_this_users_alone(place: Path) -> None:
    cache = CacheFolder(place, 64 * MIB)
    before = os.umask(0)
    try:
        put(cache, *segment("x", 0, 5000))
    finally:
        os.umask(before)
    modes = {one: one.stat().st_mode & 0o777 for one in place.rglob("*")}
    assert {one for one, mode in modes.items() if mode != (0o700 if one.is_dir() else 0o600)} == set()
    assert len(modes) == 7


def test_the_longest_unused_goes_first(place: Path) -> None:
    cache = CacheFolder(place, 12 * 8192)
    fill(cache, "x", range(4), 8192 - 200)
    old, used = (segment("x", index, 8192 - 200)[0] for index in (1, 0))
    for age, index in enumerate((3, 2, 1, 0)):
        os.utime(path_of(cache, segment("x", index, 8192 - 200)[0]), (1000 - age, 1000 - age))
    assert take(path_of(cache, used), used, used.range.start, used.range.stop) is not None
    fill(cache, "y", range(10), 8192 - 200)
    assert path_of(cache, used).exists()
    assert not path_of(cache, old).exists()
    assert cache.used_bytes() <= 12 * 8192


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 100)), max_size=20), st.integers(0, 300))
def test_no_more_is_removed_than_must_be(sizes: list[tuple[int, int]], goal: int) -> None:
    held = [Held(Path(str(i)), ByteRange(0, 1), size, used) for i, (size, used) in enumerate(sizes)]
    chosen = list(oldest(held, goal))
    assert sum(one.disk_bytes for one in chosen[:-1]) < max(goal, 1)
    assert sum(one.disk_bytes for one in chosen) >= min(goal, sum(one.disk_bytes for one in held))
    kept = [one.used_ns for one in held if one not in chosen]
    assert all(one.used_ns <= min(kept) for one in chosen if kept)


def filler(place: Path, bound: int, name: str, count: int, size: int) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "tests.storage.cache_filler", place, bound, name, count, size]
    return subprocess.Popen([str(word) for word in words], cwd=ROOT)


def test_processes_that_fill_at_once_keep_the_bound(place: Path) -> None:
    bound, cache = 3 * MIB, CacheFolder(place, 3 * MIB)
    processes = [filler(place, bound, name, 40, 100_000) for name in ("a", "b", "same", "same")]
    seen = []
    while any(process.poll() is None for process in processes):
        # Nobody makes room while the lock is held, so that what is counted was there at one moment.
        with cache_guard.locked(place, 60):
            seen.append(disk_bytes(place))
    assert [process.returncode for process in processes] == [0] * 4
    assert max(seen) <= bound
    assert bound // 2 < disk_bytes(place) <= bound
    assert check_all(cache) > 10
    assert int((place / "bytes").read_text()) >= cache.used_bytes()


def disk_bytes(place: Path) -> int:
    while True:
        # A file may get its name while we look: it is counted once, by its inode.
        with contextlib.suppress(FileNotFoundError):
            found = {one.st_ino: one.st_size for one in (path.stat() for path in place.glob("objects/*/*"))}
            return sum(-(-size // 4096) * 4096 for size in found.values())


@pytest.mark.parametrize("moment", ["half a file", "any"])
def test_a_killed_writer_leaves_a_cache_that_works(place: Path, moment: str) -> None:
    cache = CacheFolder(place, 64 * MIB)
    process = filler(place, 64 * MIB, "x", 100_000, 4 * MIB)
    wanted = "objects/*/*.part" if moment == "half a file" else "objects/*/*.seg"
    deadline = time.monotonic() + 60
    while not any(place.glob(wanted)):
        assert time.monotonic() < deadline
        assert process.poll() is None
    process.kill()
    process.wait()
    assert put(cache, *segment("y", 0, MIB))
    assert not any(place.glob("objects/*/*.part"))
    assert check_all(cache) >= 1
    assert int((place / "bytes").read_text()) == cache.used_bytes()


def test_one_that_does_not_let_go_is_not_waited_for(place: Path) -> None:
    cache = CacheFolder(place, 64 * MIB)
    with (place / "lock").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(TimeoutError):
            put(cache, *segment("x", 0, 5000))
    assert put(cache, *segment("x", 0, 5000))


@contextlib.contextmanager
def small_disk(place: Path, size_bytes: int) -> Iterator[None]:
    """Mount a file system in memory, where this user may."""
    words = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=700", "tmpfs", str(place)]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_disk_is_never_filled(tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    with small_disk(place, 8 * MIB):
        cache_guard.prepare(place)
        cache = CacheFolder(place, 1 << 40)
        for index in range(120):
            assert put(cache, *segment("x", index, MIB // 8))
            found = os.statvfs(place)
            assert found.f_bavail * found.f_frsize >= 8 * MIB // 20
        # One removal does not empty it.
        assert check_all(cache) >= 45
        # Somebody else takes the rest: nothing is kept, nothing breaks.
        (place / "other").write_bytes(bytes(os.statvfs(place).f_bavail * 4096))
        cache.remove(lambda _: True)
        (place / "other2").write_bytes(bytes(os.statvfs(place).f_bavail * 4096))
        assert not put(cache, *segment("y", 0, MIB // 2))
        assert check_all(cache) == 0


def test_what_is_larger_than_the_bound_is_not_kept_and_pushes_nothing_out(place: Path) -> None:
    cache = CacheFolder(place, MIB)
    assert put(cache, *segment("x", 0, 100_000))
    assert not put(cache, *segment("y", 0, 2 * MIB))
    assert check_all(cache) == 1


@pytest.mark.parametrize("count", ["", "abc", "-5", "9" * 30], ids=["empty", "words", "negative", "huge"])
def test_a_wrong_count_is_counted_anew(place: Path, count: str) -> None:
    (place / "bytes").write_text(count)
    cache = CacheFolder(place, MIB)
    for index in range(30):
        put(cache, *segment("x", index, 100_000))
    assert 0 < disk_bytes(place) <= MIB


FOREIGN = [
    "notes.txt",
    "objects/notes.txt",
    "objects/{id}/notes.txt",
    "objects/other/0-5.seg",
    "objects/{id}/0-5.seg.bak",
]


@pytest.mark.parametrize("name", FOREIGN)
def test_clearing_leaves_what_others_put_there(place: Path, name: str) -> None:
    cache = CacheFolder(place, MIB)
    one, data = segment("x", 0, 5000)
    put(cache, one, data)
    foreign = place / name.format(id=one.version.hex())
    foreign.parent.mkdir(parents=True, exist_ok=True)
    foreign.write_text("mine")
    assert cache.remove(lambda _: True)[0] == 1
    assert foreign.read_text() == "mine"
    assert check_all(cache) == 0


def test_a_link_leads_nowhere(place: Path, tmp_path: Path) -> None:
    cache = CacheFolder(place, MIB)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "0-5.seg").write_text("mine")
    (place / "objects").mkdir()
    (place / "objects" / ("0" * 40)).symlink_to(elsewhere)
    one, data = segment("x", 0, 5000)
    assert put(cache, one, data)
    path_of(cache, one).unlink()
    path_of(cache, one).symlink_to(elsewhere / "0-5.seg")
    with pytest.raises(OSError, match="symbolic"):
        take(path_of(cache, one), one, 0, 10)
    cache.remove(lambda _: True)
    assert (elsewhere / "0-5.seg").read_text() == "mine"


def others(place: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("giving a folder away needs root")
    place.mkdir()
    os.chown(place, 65534, 65534)


def open_to_all(place: Path) -> None:
    place.mkdir()
    place.chmod(0o777)


def open_to_group(place: Path) -> None:
    place.mkdir()
    place.chmod(0o770)


def below_open(place: Path) -> None:
    place.parent.chmod(0o777)


def linked(place: Path) -> None:
    open_to_all(place.with_name("target"))
    place.symlink_to("target")


def full_of_files(place: Path) -> None:
    place.mkdir()
    (place / "thesis.tex").write_text("mine")


def a_file(place: Path) -> None:
    place.write_text("mine")


REFUSED = [
    (others, DeniedError),
    (open_to_all, DeniedError),
    (open_to_group, DeniedError),
    (below_open, DeniedError),
    (linked, DeniedError),
    (full_of_files, BadRequestError),
    (a_file, OSError),
]


@pytest.mark.parametrize(("make", "error"), REFUSED, ids=lambda one: one.__name__)
def test_a_folder_that_is_not_ours_alone_is_refused(tmp_path: Path, make: object, error: type[Exception]) -> None:
    place = tmp_path / "above" / "hot"
    place.parent.mkdir()
    make(place)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(error) as caught:
        cache_guard.prepare(place)
    assert not isinstance(caught.value, GpuExtError) or caught.value.hint
    if make is not below_open:
        assert sorted(tmp_path.rglob("*")) == before


def test_a_new_folder_below_one_for_all_is_ours(tmp_path: Path) -> None:
    # As in /dev/shm.
    tmp_path.chmod(0o1777)
    place = tmp_path / "a" / "b"
    cache_guard.prepare(place)
    assert place.stat().st_mode & 0o777 == 0o700
    cache_guard.prepare(place)


@pytest.mark.parametrize(
    ("text", "size"),
    [("20GiB", 20 << 30), ("20 GB", 20 * 10**9), ("1.5g", None), ("1.5G", 1.5e9), ("1048576", MIB), ("2TiB", 2 << 40),
     ("512 MiB", 512 * MIB), ("", None), ("GiB", None), ("-1GiB", None), ("1e9", None), ("5", None), ("1MB", None),
     ("20iB", None), ("many", None), ("9" * 16, None), ("20GiB 3", None), ("٣GiB", None)],
)  # fmt: skip
def test_a_size_is_read_or_refused(text: str, size: float | None) -> None:
    if size is not None:
        assert cache_settings.parse_bytes(text) == size
        return
    with pytest.raises(BadRequestError, match="JUPYTER_GPU_CACHE_BYTES") as caught:
        cache_settings.parse_bytes(text)
    assert "20GiB" in caught.value.hint


@pytest.mark.parametrize(
    ("asked", "environ", "folder"),
    [
        (None, {}, None),
        (None, {"JUPYTER_GPU_CACHE": ""}, None),
        (None, {"JUPYTER_GPU_CACHE": "/dev/shm/me"}, "/dev/shm/me"),
        (False, {"JUPYTER_GPU_CACHE": "/dev/shm/me"}, None),
        (True, {"JUPYTER_GPU_CACHE": "/dev/shm/me"}, "/dev/shm/me"),
        (True, {"XDG_CACHE_HOME": "/x"}, "/x/jupyter_gpu_ext/blobs"),
        (True, {"XDG_CACHE_HOME": "relative"}, str(Path.home() / ".cache/jupyter_gpu_ext/blobs")),
    ],
)
def test_it_is_off_unless_asked_for(asked: bool | None, environ: dict[str, str], folder: str | None) -> None:
    found = cache_settings.wanted(asked, environ)
    assert (str(found.folder) if found else None) == folder


@pytest.mark.parametrize("folder", ["hot", "./hot", "~nobody-at-all/x", "/a\0b"])
def test_a_folder_that_is_no_place_is_refused(folder: str) -> None:
    with pytest.raises(BadRequestError, match="absolute"):
        cache_settings.wanted(None, {"JUPYTER_GPU_CACHE": folder})


def test_the_usual_bound_leaves_most_of_the_disk(tmp_path: Path) -> None:
    found = os.statvfs(tmp_path)
    assert cache_settings.Settings(tmp_path).bound() == min(20 << 30, found.f_blocks * found.f_frsize // 4)


def test_a_file_that_is_being_written_is_not_swept_and_counts(place: Path) -> None:
    cache = CacheFolder(place, MIB)
    writing, data = segment("x", 0, 700_000)
    seen: list[bool] = []

    def meanwhile() -> bool:
        # Another process comes, counts anew, and finds no room beside the file that grows.
        other = CacheFolder(place, MIB)
        seen.append(put(other, *segment("y", 0, 400_000)))
        seen.append(put(other, *segment("z", 0, 200_000)))
        return True

    assert cache.put(writing, ABOUT, memoryview(data), go_on=meanwhile)
    assert seen == [False, True]
    assert check_all(cache) == 2
    assert disk_bytes(place) <= MIB
