"""Our file system under fsspec's own tests, and under pandas, forks, spawns and pickles."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import random
from typing import TYPE_CHECKING, Any

import fsspec
import pandas as pd
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.tests.abstract import AbstractFixtures
from fsspec.tests.abstract.copy import AbstractCopyTests
from fsspec.tests.abstract.get import AbstractGetTests
from fsspec.tests.abstract.open import AbstractOpenTests
from fsspec.tests.abstract.pipe import AbstractPipeTests
from fsspec.tests.abstract.put import AbstractPutTests

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import BadRequestError, GpuExtError, NotFoundError, ObjectChangedError
from jupyter_gpu_ext.storage.filesystem import register_all
from tests.conftest import AZURITE_KEY, KEY_VARIABLE, azure_fields, write_connections

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DATA = random.Random(9).randbytes(3_000_000)


def connect(kind: str, request: pytest.FixtureRequest) -> str:
    """Make the connection `files://` of a kind."""
    folder = request.getfixturevalue("tmp_path")
    if kind == "azure":
        azurite = request.getfixturevalue("azurite")
        request.getfixturevalue("monkeypatch").setenv(KEY_VARIABLE, AZURITE_KEY)
        fields = azure_fields(azurite, azurite.new_container().container_name)
    elif kind == "memory":
        fields = {"root": f"memory://{folder.name}-{os.urandom(4).hex()}"}
    else:
        (folder / "below").mkdir()
        fields = {"root": str(folder / "below")}
    write_connections(folder / "connections.toml", files={**fields, "read_only": False})
    return "files"


@pytest.fixture(params=["azure", "local", "memory"])
def files(request: pytest.FixtureRequest) -> Any:
    """The file system of each kind of connection."""
    return jg.fs(connect(request.param, request))


class Fixtures(AbstractFixtures):
    """What fsspec's own tests ask for."""

    kind = ""

    @pytest.fixture
    def fs(self, request: pytest.FixtureRequest) -> Any:
        return jg.fs(connect(self.kind, request))

    @pytest.fixture
    def fs_path(self) -> str:
        return "base"

    @pytest.fixture
    def fs_join(self) -> Callable[..., str]:
        return lambda *parts: "/".join(parts)

    @pytest.fixture
    def local_fs(self) -> LocalFileSystem:
        return LocalFileSystem(auto_mkdir=True)

    @pytest.fixture
    def local_path(self, tmp_path: Path) -> str:
        (tmp_path / "local").mkdir()
        return str(tmp_path / "local")

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        return self.kind == "local"


class Quick(AbstractOpenTests, AbstractPipeTests, Fixtures):
    """Fsspec's tests of single files."""


class Bulk(AbstractCopyTests, AbstractGetTests, AbstractPutTests, Fixtures):
    """Fsspec's tests of trees and globs: 130 times a dozen files."""


class TestAzure(Quick):
    kind = "azure"


@pytest.mark.prove
class TestAzureBulk(Bulk):
    kind = "azure"


class TestLocal(Quick, Bulk):
    kind = "local"


class TestMemory(Quick, Bulk):
    kind = "memory"


@pytest.mark.parametrize(
    ("start", "end"), [(None, None), (0, 5), (5, None), (-5, None), (None, -5), (100_000, 2_000_000), (9, 9), (9, 3),
                       (3_000_000, 4_000_000), (5_000_000, None)],
)  # fmt: skip
def test_cat_file(files: Any, start: int | None, end: int | None) -> None:
    files.pipe_file("x", DATA)
    assert files.cat_file("x", start, end) == DATA[start:end]


def test_cat_ranges(files: Any) -> None:
    files.pipe({"x": DATA, "y": b"0123456789"})
    assert files.cat_ranges(["x", "y", "x"], [5, 2, 2_000_000], [10, 4, 2_000_003]) == [
        DATA[5:10], b"23", DATA[2_000_000:2_000_003],
    ]  # fmt: skip
    found = files.cat_ranges(["y", "none"], 0, 3, on_error="return")
    assert found[0] == b"012"
    assert isinstance(found[1], NotFoundError)
    with pytest.raises(FileNotFoundError):
        files.cat_ranges(["none"], [0], [3], on_error="raise")


def test_names(files: Any) -> None:
    files.pipe({"a/b/x": b"1", "a/b/y": b"22", "a/z": b"3"})
    assert sorted(files.ls("", detail=False)) == ["a"]
    assert sorted(files.ls("a/", detail=False)) == ["a/b", "a/z"]
    assert files.ls("files://a/z", detail=False) == ["a/z"]
    assert files.info("a/b/y")["size"] == 2
    assert (files.isdir("a/b"), files.isfile("a/z"), files.exists("a/none")) == (True, True, False)
    assert sorted(files.find("a")) == ["a/b/x", "a/b/y", "a/z"]
    assert sorted(files.glob("a/**/[xy]")) == ["a/b/x", "a/b/y"]
    assert files.ukey("a/z") == files.info("a/z")["ETag"]
    assert files.modified("a/z").tzinfo is not None
    assert files.du("a") == 4
    with pytest.raises(FileNotFoundError):
        files.info("none")
    with pytest.raises(FileNotFoundError):
        files.ls("none")


def test_move_and_remove(files: Any) -> None:
    files.pipe({"a/b/x": b"1", "a/z": b"3"})
    files.mv("a/z", "c/z")
    assert (files.exists("a/z"), files.cat("c/z")) == (False, b"3")
    files.cp_file("c/z", "c/zz")
    files.rm("c/z")
    assert files.find("") == ["a/b/x", "c/zz"]
    with pytest.raises((GpuExtError, FileNotFoundError)):
        files.rm("a/b")
    files.rm("a", recursive=True)
    assert not files.exists("a")


def test_listings_are_fresh(files: Any) -> None:
    files.pipe_file("a/x", b"1")
    assert len(files.ls("a")) == 1
    files.pipe_file("a/y", b"1")
    assert len(files.ls("a")) == 2


def test_reading_a_file(files: Any) -> None:
    files.pipe_file("x", DATA)
    with files.open("x") as file:
        assert file.read(10) == DATA[:10]
        file.seek(2_000_000)
        assert file.read(10) == DATA[2_000_000:2_000_010]
        file.seek(-4, 2)
        assert file.read() == DATA[-4:]
        assert file.size == len(DATA)
        again = pickle.loads(pickle.dumps(file))
        assert (again.tell(), again.read()) == (len(DATA), b"")


def test_a_replaced_object_is_not_read_half_and_half(files: Any) -> None:
    files.pipe_file("x", DATA)
    with files.open("x", block_size=1000) as file:
        assert file.read(10) == DATA[:10]
        files.pipe_file("x", DATA[::-1])
        file.seek(1_000_000)
        with pytest.raises(ObjectChangedError):
            file.read(10)


def _write_and_fail_in(file: Any, data: bytes | str) -> None:
    file.write(data)
    raise ZeroDivisionError


def _write_and_fail(files: Any, path: str) -> None:
    with files.open(path, "wb") as file:
        file.write(b"1")
    raise ZeroDivisionError


@pytest.mark.parametrize("mode", ["wb", "w"])
def test_an_exception_leaves_what_was_there(files: Any, mode: str) -> None:
    files.pipe_file("x", b"old")
    with pytest.raises(ZeroDivisionError), files.open("x", mode) as file:
        _write_and_fail_in(file, b"new" if "b" in mode else "new")
    assert files.cat("x") == b"old"
    with files.open("x", mode) as file:
        file.write(b"new" if "b" in mode else "new")
    assert files.cat("x") == b"new"


def test_a_file_that_nobody_closes_is_not_written(files: Any) -> None:
    file = files.open("x", "wb")
    file.write(b"half")
    del file
    assert not files.exists("x")


def test_transaction(files: Any) -> None:
    with files.transaction:
        with files.open("x", "wb") as file:
            file.write(b"1")
        assert not files.exists("x")
    assert files.cat("x") == b"1"
    with pytest.raises(ZeroDivisionError), files.transaction:
        _write_and_fail(files, "y")
    assert not files.exists("y")


def test_bad_mode(files: Any) -> None:
    with pytest.raises(BadRequestError, match="'ab'"):
        files.open("x", "ab")


def test_open_by_url(files: Any, tmp_path: Path) -> None:
    with jg.open("files://deep/x#y z", "xb") as file:
        file.write(b"1")
    assert jg.open("files://deep/x#y z").read() == b"1"
    with pytest.raises(FileExistsError):
        jg.open("files://deep/x#y z", "xb")
    with jg.open("files://t", "w", encoding="latin-1") as file:
        file.write("ä\n")
    assert jg.open("files://t", "r", encoding="latin-1").read() == "ä\n"
    with jg.open(tmp_path / "plain", "wb") as file:
        file.write(b"2")
    with jg.open(str(tmp_path / "plain")) as file:
        assert file.read() == b"2"
    with pytest.raises(NotFoundError, match="no connection"):
        jg.open("nobody://x")


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_pandas(files: Any, form: str) -> None:
    frame = pd.DataFrame({"a": range(1000), "b": [f"row {index}" for index in range(1000)]})
    getattr(frame, f"to_{form}")(f"files://table.{form}", index=False)
    found = getattr(pd, f"read_{form}")(f"files://table.{form}")
    pd.testing.assert_frame_equal(found, frame, check_dtype=False)


def test_registered_with_fsspec(files: Any) -> None:
    register_all()
    assert fsspec.filesystem("files") is files
    with fsspec.open("files://x", "wb") as file:
        file.write(b"1")
    assert fsspec.open("files://x").open().read() == b"1"


def test_pickles_its_name_only(files: Any) -> None:
    raw = pickle.dumps(files)
    assert b"files" in raw
    assert AZURITE_KEY[:20].encode() not in raw
    assert len(raw) < 200
    assert pickle.loads(raw) is files


def read_in_child(files: Any, path: str) -> bytes:
    return bytes(files.cat_file(path))


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
@pytest.mark.parametrize("files", ["azure", "local"], indirect=True)
def test_other_processes(files: Any, method: str) -> None:
    files.pipe_file("x", DATA)
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply(read_in_child, (files, "x")) == DATA


@pytest.mark.parametrize("files", ["azure"], indirect=True)
def test_a_fork_is_refused_with_the_cure(files: Any) -> None:
    files.pipe_file("x", b"1")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        # No test framework runs in the child: it says what it found through the pipe.
        try:
            with files.open("x") as file:
                told = repr(file.read())
        except GpuExtError as error:
            told = str(error)
        finally:
            os.write(writing, told.encode())
            os._exit(0)
    os.waitpid(child, 0)
    told = os.read(reading, 10_000).decode()
    assert "spawn or forkserver" in told


@pytest.mark.parametrize("files", ["azure"], indirect=True)
def test_get_is_checked_and_whole_or_not_there(files: Any, tmp_path: Path) -> None:
    files.pipe_file("x", DATA)
    files.get("x", str(tmp_path / "out" / "x"))
    assert (tmp_path / "out" / "x").read_bytes() == DATA
    with pytest.raises(FileNotFoundError):
        files.get("none", str(tmp_path / "out" / "y"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["x"]


def test_missing_connection() -> None:
    with pytest.raises(NotFoundError, match="no connection"):
        jg.fs("nobody")
