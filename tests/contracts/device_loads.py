"""What a load promises on any device; a subclass names the device."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import safetensors.torch
import torch

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import GpuExtError, TensorFormatError
from jupyter_gpu_ext.tensors.loader import load_named
from tests.contracts.sampled import sampled
from tests.tensors.files import torch_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def checkpoint() -> dict[str, torch.Tensor]:
    """Return 100 MB in large and small tensors, tied ones and views among them."""
    torch.manual_seed(0)
    state = {f"layer.{at}.weight": torch.randn(1000, 1000) for at in range(22)}
    state |= {f"layer.{at}.bias": torch.randn(100 + at) for at in range(300)}
    state |= {
        "half": torch.randn(700, 700).half(),
        "steps": torch.arange(1000),
        "flags": torch.ones(33, dtype=torch.bool),
    }
    state |= {
        "tied": state["layer.0.weight"].t(),
        "view": state["layer.1.weight"][10:20, ::3],
        "none": torch.empty(0, 5),
    }
    return state


class OnDevice:
    """A device, a ring so small that every buffer is used many times, and what is held."""

    device: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _small_ring(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("JUPYTER_GPU_RING_MIB", "16")

    def held_bytes(self) -> int:
        """Return what torch holds on the device."""
        raise NotImplementedError

    def held_now(self) -> int:
        """Return the same once what nobody refers to any more is gone."""
        gc.collect()
        return self.held_bytes()

    def assert_back_to(self, held: int) -> None:
        """Wait until no more is held: what is under way when a load ends is let go by its own thread."""
        deadline = time.monotonic() + 20
        while self.held_now() > held and time.monotonic() < deadline:
            time.sleep(0.05)
        left = self.held_now()
        assert left <= held, f"{left - held} bytes too many"


class DeviceContract(OnDevice):
    """Loads of checkpoints."""

    @pytest.fixture(scope="class")
    @classmethod
    def state(cls) -> dict[str, torch.Tensor]:
        return checkpoint()

    @pytest.fixture(scope="class")
    @classmethod
    def file(cls, state: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
        path = tmp_path_factory.mktemp("device") / "x.pt"
        path.write_bytes(torch_bytes(state))
        return path

    def load(self, file: Path, **options: Any) -> dict[str, torch.Tensor]:
        value: dict[str, torch.Tensor] = jg.load(str(file), device=self.device, **options)
        return value

    def test_equals_what_was_saved(self, file: Path, state: dict[str, torch.Tensor]) -> None:
        value = self.load(file)
        assert list(value) == list(state)
        for name, one in value.items():
            assert str(one.device) == self.device
            assert one.stride() == state[name].stride()
            assert torch.equal(one.cpu(), state[name]), name
        assert value["tied"].data_ptr() == value["layer.0.weight"].data_ptr()

    def test_safetensors(self, state: dict[str, torch.Tensor], tmp_path: Path) -> None:
        alone = {name: one.contiguous().clone() for name, one in state.items()}
        (tmp_path / "x.safetensors").write_bytes(safetensors.torch.save(alone))
        value = self.load(tmp_path / "x.safetensors")
        assert all(torch.equal(value[name].cpu(), one) for name, one in alone.items())

    def test_one_after_the_other(self, file: Path, state: dict[str, torch.Tensor]) -> None:
        # What was freed is handed out again at once: a copy that is still queued for it would show.
        for _ in range(3):
            value = self.load(file)
            assert all(torch.equal(one.cpu(), state[name]) for name, one in value.items())
            del value

    def test_by_keys(self, file: Path, state: dict[str, torch.Tensor]) -> None:
        value = self.load(file, keys=["layer.1*", "!*.bias", "view"])
        assert "view" in value
        assert all(torch.equal(one.cpu(), state[name]) for name, one in value.items())

    @pytest.mark.parametrize("dtype", sampled(["bfloat16"], ["float64", torch.float16]))
    def test_conversion(self, file: Path, state: dict[str, torch.Tensor], dtype: Any) -> None:
        wanted = dtype if isinstance(dtype, torch.dtype) else getattr(torch, dtype)
        value = self.load(file, dtype=dtype)
        for name, one in value.items():
            floating = state[name].is_floating_point()
            assert torch.equal(one.cpu(), state[name].to(wanted) if floating else state[name]), name
            assert one.stride() == state[name].stride()
        assert value["tied"].data_ptr() == value["layer.0.weight"].data_ptr()

    def test_receipt(self, file: Path, state: dict[str, torch.Tensor]) -> None:
        value, receipt = load_named(str(file), device=self.device)
        # The tied one is no bytes of its own, nor is the view.
        assert receipt.size_bytes == sum(one.nbytes for name, one in state.items() if name not in ("tied", "view"))
        assert receipt.checked_bytes == receipt.size_bytes
        assert "crc ok" in str(receipt)
        assert len(value) == receipt.tensor_count

    @pytest.mark.parametrize("at", sampled([0.6], [0.3, 0.9]))
    def test_changed_bytes_are_refused(self, file: Path, tmp_path: Path, at: float) -> None:
        held = self.held_now()
        data = bytearray(file.read_bytes())
        data[int(len(data) * at)] ^= 1
        (tmp_path / "bad.pt").write_bytes(data)
        with pytest.raises(TensorFormatError, match="checksum"):
            self.load(tmp_path / "bad.pt")
        self.assert_back_to(held)

    @pytest.mark.parametrize("after", sampled([0, 5], [1, 2, 9]))
    def test_interrupt(self, file: Path, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
        held, value = self.held_now(), None
        main = threading.main_thread().ident
        stop = on_range(monkeypatch, after, lambda: signal.pthread_kill(main, signal.SIGINT))
        with stop, pytest.raises(KeyboardInterrupt):
            value = self.load(file)
        assert value is None
        self.assert_back_to(held)

    @pytest.mark.parametrize("after", sampled([1, 10], [0, 5]))
    def test_fault(self, file: Path, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail() -> None:
            raise GpuExtError("a fault")

        held = self.held_now()
        with on_range(monkeypatch, after, fail), pytest.raises(GpuExtError, match="a fault"):
            self.load(file)
        self.assert_back_to(held)


class on_range:
    """Do something as soon as that many ranges have come; the ranges after it wait for the end of the load."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, after: int, act: Callable[[], object]) -> None:
        from jupyter_gpu_ext.storage.reader import Reader
        from jupyter_gpu_ext.tensors import plan

        inner, count = Reader.read_into, 0

        async def read_into(reader: Reader, start: int, out: memoryview) -> None:
            nonlocal count
            await inner(reader, start, out)
            # The header's reads are short.
            if len(out) > 1 << 20:
                count += 1
                if count == after + 1:
                    # Those before it have time to land.
                    await asyncio.sleep(0.2)
                    act()
                if count > after:
                    await asyncio.sleep(20)

        def patch() -> None:
            monkeypatch.setattr(Reader, "read_into", read_into)
            # So that these files have enough of them.
            monkeypatch.setattr(plan, "LEAST_RANGE_BYTES", 2 << 20)

        self._patch = patch
        self._undo = monkeypatch.undo

    def __enter__(self) -> None:
        self._patch()

    def __exit__(self, *_: object) -> None:
        self._undo()
