"""What a load of Zarr arrays promises on any device; a subclass names the device."""

from __future__ import annotations

import asyncio
import signal
import threading
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import zarr

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import GpuExtError, TensorFormatError
from jupyter_gpu_ext.tensors.loader import load_named
from jupyter_gpu_ext.tensors.objects import Objects
from tests.contracts.device_loads import OnDevice
from tests.contracts.sampled import sampled

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


LAYOUTS: dict[str, dict[str, Any]] = {
    "rows": {"shape": (600, 90, 80), "chunks": (7, 90, 80), "dtype": "f4"},
    "wide": {"shape": (20, 400, 600), "chunks": (10, 100, 100), "dtype": "f4"},
    "large": {"shape": (700, 6000), "chunks": (400, 3000), "dtype": "f4", "compressors": None},
    "sharded": {"shape": (100, 200, 150), "chunks": (5, 50, 30), "shards": (20, 100, 150), "dtype": "f8"},
    "turned": {"shape": (900, 3000), "chunks": (100, 500), "dtype": "i4", "order": "F", "zarr_format": 2},
    "half": {"shape": (3000, 700), "chunks": (100, 700), "dtype": "f2"},
    "small": {"shape": (5,), "chunks": (2,), "dtype": "u1"},
    "scalar": {"shape": (), "chunks": (), "dtype": "i8"},
    "none": {"shape": (0, 4), "chunks": (1, 4), "dtype": "f4"},
}
SELECTIONS = {
    "rows": ["3:400", "::-1", "-5:, 10:20", "5", ":, :, 7", "500:20:-7, ::2"],
    "wide": [":, 50:, 1::3", "11, ::-1", "3:9, 10, :", "..., 0"],
    "large": ["1:, ::-1", "::2, 5:5000"],
    "sharded": ["3:77, 90:110, ::-4", "50"],
    "turned": ["::-3, 100:2900"],
}


def written(folder: Path) -> dict[str, np.ndarray]:
    """Write a group of all layouts, some chunks never, and return its arrays."""
    random = np.random.default_rng(0)
    found = {}
    for version in (2, 3):
        zarr.open_group(folder / f"v{version}", mode="w", zarr_format=version)
    for name, options in LAYOUTS.items():
        version = options.get("zarr_format", 3)
        group = zarr.open_group(folder / f"v{version}", mode="a", zarr_format=version)
        array = group.create_array(name, fill_value=1, **{k: v for k, v in options.items() if k != "zarr_format"})
        # Few bits, so that it packs, and no two places alike for long.
        values = (random.integers(0, 200, options["shape"]) * random.integers(1, 3)).astype(options["dtype"])
        array[...] = values
        found[name] = np.asarray(values)
    for name in ("rows/c/3/0/0", "sharded/c/1/1/0"):
        (folder / "v3" / name).unlink()
    for name in ("rows", "sharded"):
        found[name] = np.asarray(zarr.open_array(folder / "v3" / name)[...])
    return found


def where(folder: Path, name: str) -> str:
    return str(folder / f"v{LAYOUTS[name].get('zarr_format', 3)}" / name)


def index(select: str) -> Any:
    return eval(f"np.s_[{select}]", {"np": np})


class ZarrContract(OnDevice):
    """Loads with a ring so small that every buffer is used many times, and slabs are cut along several axes."""

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return tmp_path_factory.mktemp("zarr")

    @pytest.fixture(scope="class")
    @classmethod
    def arrays(cls, folder: Path) -> dict[str, np.ndarray]:
        return written(folder)

    def array(self, url: str, **options: Any) -> Any:
        return jg.load(url, device=self.device, **options)

    def assert_same(self, found: torch.Tensor, expected: np.ndarray) -> None:
        assert str(found.device) == self.device
        assert found.is_contiguous()
        assert tuple(found.shape) == expected.shape
        assert torch.equal(found.cpu(), torch.from_numpy(np.ascontiguousarray(expected)).reshape(expected.shape))

    @pytest.mark.parametrize("name", LAYOUTS)
    def test_array(self, folder: Path, arrays: dict[str, np.ndarray], name: str) -> None:
        self.assert_same(self.array(where(folder, name)), arrays[name])

    @pytest.mark.parametrize(("name", "select"), [(name, one) for name, some in SELECTIONS.items() for one in some])
    def test_selection(self, folder: Path, arrays: dict[str, np.ndarray], name: str, select: str) -> None:
        self.assert_same(self.array(where(folder, name), select=select), arrays[name][index(select)])

    def test_group(self, folder: Path, arrays: dict[str, np.ndarray]) -> None:
        held = self.held_now()
        for _ in range(2):
            value = self.array(str(folder / "v3"), keys=["!large"])
            assert sorted(value) == sorted(set(arrays) - {"turned", "large"})
            for name, one in value.items():
                self.assert_same(one, arrays[name])
            del value, one
        self.assert_back_to(held)

    @pytest.mark.parametrize("dtype", sampled(["bfloat16"], ["float64", torch.float16]))
    @pytest.mark.parametrize("name", sampled(["rows", "sharded", "none"], ["wide", "half", "turned"]))
    def test_converted(self, folder: Path, arrays: dict[str, np.ndarray], name: str, dtype: Any) -> None:
        found = self.array(where(folder, name), dtype=dtype, select="..., 1:")
        expected = torch.from_numpy(arrays[name][..., 1:].copy())
        wanted = dtype if isinstance(dtype, torch.dtype) else getattr(torch, dtype)
        assert torch.equal(found.cpu(), expected.to(wanted) if expected.is_floating_point() else expected)

    @pytest.mark.parametrize(
        "dtype",
        sampled(["bool", "uint16", "complex64"], ["int8", "uint8", "int16", "uint32", "uint64", "complex128"]),
    )
    def test_type(self, tmp_path: Path, dtype: str) -> None:
        values = (np.arange(7 * 900_000 // np.dtype(dtype).itemsize).reshape(7, -1) % 119 % 2).astype(dtype)
        if dtype.startswith("complex"):
            values *= 1 + 2j
        zarr.create_array(tmp_path / "a", shape=values.shape, chunks=(3, 100_000), dtype=dtype)[...] = values
        self.assert_same(self.array(str(tmp_path / "a")), values)
        self.assert_same(self.array(str(tmp_path / "a"), dtype="float16", select="::-1, 1:"), values[::-1, 1:])

    def test_said_of_zarr(self, folder: Path, arrays: dict[str, np.ndarray]) -> None:
        ticks: list[tuple[int, int]] = []
        value, receipt = load_named(
            where(folder, "rows"),
            device=self.device,
            report=lambda one: ticks.append((one.done_bytes, one.total_bytes)),
        )
        assert receipt.size_bytes == value.nbytes == arrays["rows"].nbytes
        assert str(receipt).startswith(f"tensor 600×90×80 float32 on {self.device}, 17.3 MB (")
        assert all(done <= total for done, total in ticks)

    @pytest.fixture
    @staticmethod
    def pinned() -> Callable[[], int]:
        """Return what tells the most page-locked memory that there was."""
        return lambda: 0

    @pytest.mark.parametrize("options", sampled([{"dtype": "bfloat16"}], [{}, {"select": "::-1, 5:"}]))
    @pytest.mark.parametrize("name", ["rows", "wide", "large", "sharded"])
    def test_host_memory_is_the_ring(
        self, folder: Path, arrays: dict[str, np.ndarray], name: str, options: dict[str, str], pinned: Callable[[], int]
    ) -> None:
        tracemalloc.start()
        try:
            # Results on the cpu are no memory of Python's: they are mapped.
            self.array(where(folder, name), **options)
            decoding = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        # The plan and Python's own are small. A chunk of 4.8 MB is more than a slab of 2 MiB: three buffers of it.
        most = {"large": 25 << 20}.get(name, 17 << 20)
        locked = pinned()
        assert 0 < locked + decoding <= most, f"{locked:,} page-locked, {decoding:,} otherwise"

    def test_a_damaged_chunk_is_named(self, folder: Path, tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
        import shutil

        held = self.held_now()
        shutil.copytree(where(folder, "rows"), tmp_path / "rows")
        chunk = tmp_path / "rows" / "c" / "70" / "0" / "0"
        chunk.write_bytes(chunk.read_bytes()[:-5])
        with pytest.raises(TensorFormatError, match=r"chunk 'c/70/0/0' is damaged"):
            self.array(str(tmp_path / "rows"))
        self.assert_back_to(held)

    @pytest.mark.parametrize("after", sampled([0, 30], [1, 80]))
    def test_interrupted(
        self, folder: Path, arrays: dict[str, np.ndarray], after: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        held, main = self.held_now(), threading.main_thread().ident
        on_chunk(monkeypatch, after, lambda: signal.pthread_kill(main, signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            self.array(where(folder, "rows"))
        self.assert_back_to(held)

    @pytest.mark.parametrize("after", sampled([5], [0, 80]))
    @pytest.mark.parametrize("dtype", [None, "bfloat16"])
    def test_faulty(
        self, folder: Path, arrays: dict[str, np.ndarray], after: int, dtype: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail() -> None:
            raise GpuExtError("a fault")

        held = self.held_now()
        on_chunk(monkeypatch, after, fail)
        with pytest.raises(GpuExtError, match="a fault"):
            self.array(where(folder, "rows"), dtype=dtype)
        self.assert_back_to(held)


def on_chunk(monkeypatch: pytest.MonkeyPatch, after: int, act: Callable[[], object]) -> None:
    """Do something as soon as that many chunks have come; those after it wait for the end of the load."""
    count = 0

    def watched(inner: Callable[..., Any]) -> Callable[..., Any]:
        async def read(store: Objects, below: str, most: int) -> Any:
            nonlocal count
            found = await inner(store, below, most)
            if below.startswith("c/"):
                count += 1
                if count == after + 1:
                    act()
                if count > after:
                    await asyncio.sleep(20)
            return found

        return read

    for name in ("first", "whole"):
        monkeypatch.setattr(Objects, name, watched(getattr(Objects, name)))
