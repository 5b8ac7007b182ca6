"""What a load that storage did not finish promises, on any device; a subclass names the device."""

from __future__ import annotations

import gc
import os
import re
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import DeviceError, GpuExtError, TensorFormatError, UnreachableError
from jupyter_gpu_ext.tensors.loader import load_named
from jupyter_gpu_ext.tensors.unfinished import UNFINISHED
from tests.contracts.device_loads import on_range
from tests.tensors.files import torch_bytes

# Of 62 MB.
LESS = 60 * 10**6


def cut() -> None:
    raise UnreachableError("The network is gone.", hint="Try again.")


class ResumeContract:
    device: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _alone(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.setenv("JUPYTER_GPU_RING_MIB", "16")
        UNFINISHED.release()
        yield
        UNFINISHED.release()

    @pytest.fixture(scope="class")
    @classmethod
    def state(cls) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        state = {f"layer.{at}.weight": torch.randn(1300, 1300) for at in range(9)}
        state |= {f"layer.{at}.bias": torch.randn(100 + at) for at in range(50)}
        return state | {"half": torch.randn(700, 700).half(), "tied": state["layer.0.weight"].t()}

    @pytest.fixture(scope="class")
    @classmethod
    def file(cls, state: dict[str, torch.Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
        path = tmp_path_factory.mktemp("resume") / "x.pt"
        path.write_bytes(torch_bytes(state))
        return path

    @pytest.fixture
    def copy(self, file: Path, tmp_path: Path) -> Path:
        """A file to change."""
        return Path(shutil.copy(file, tmp_path / "x.pt"))

    def held_bytes(self) -> int:
        raise NotImplementedError

    def stop(self, file: Path, monkeypatch: pytest.MonkeyPatch, after: int = 4, **options: Any) -> str:
        """Have a load fail once that many ranges have come; return what it says."""
        with (
            monkeypatch.context() as patched,
            on_range(patched, after, cut),
            pytest.raises(UnreachableError) as stopped,
        ):
            jg.load(str(file), device=self.device, **options)
        monkeypatch.setenv("JUPYTER_GPU_RING_MIB", "16")
        return str(stopped.value)

    def test_goes_on_where_it_stopped(
        self, file: Path, state: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        said = self.stop(file, monkeypatch)
        assert said.startswith("The network is gone; stopped at ")
        kept = rf"of [\d.]+ MB, parts kept on {self.device}\. — Try again\. Run the same line with --resume;"
        assert re.search(kept, said)
        value, receipt = load_named(str(file), device=self.device, resume=True)
        for name, one in value.items():
            assert torch.equal(one.cpu(), state[name]), name
            assert str(one.device) == self.device
        assert value["tied"].data_ptr() == value["layer.0.weight"].data_ptr()
        assert receipt.checked_bytes == receipt.size_bytes
        assert receipt.bytes_read < LESS
        assert "were kept from before" in str(receipt)
        assert UNFINISHED.report() == ""

    def test_several_times(self, file: Path, state: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
        for after in (1, 0, 1):
            self.stop(file, monkeypatch, after, resume=True, dtype="float16")
        value = jg.load(str(file), device=self.device, resume=True, dtype="float16")
        for name, one in value.items():
            assert torch.equal(one.cpu(), state[name].half() if state[name].is_floating_point() else state[name]), name

    def test_bytes_that_change_are_still_refused(self, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stop(copy, monkeypatch)
        at = copy.stat()
        with copy.open("r+b") as stream:
            stream.seek(int(at.st_size * 0.9))
            byte = stream.read(1)
            stream.seek(-1, os.SEEK_CUR)
            stream.write(bytes([byte[0] ^ 1]))
        os.utime(copy, ns=(at.st_atime_ns, at.st_mtime_ns))
        with pytest.raises(TensorFormatError, match="checksum"):
            jg.load(str(copy), device=self.device, resume=True)
        assert UNFINISHED.report() == ""

    def test_a_replaced_object_is_read_anew(self, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stop(copy, monkeypatch)
        other = {"w": torch.randn(3_000_000)}
        copy.write_bytes(torch_bytes(other))
        value, receipt = load_named(str(copy), device=self.device, resume=True)
        assert torch.equal(value["w"].cpu(), other["w"])
        assert "the object was replaced since it stopped: " in str(receipt)

    @pytest.mark.parametrize("options", [{"dtype": "float16"}, {"keys": ["layer.*"]}, {"resume": False}])
    def test_another_load_lets_the_parts_go(
        self, file: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.stop(file, monkeypatch)
        held = self.held_bytes()
        with pytest.raises(GpuExtError, match="does not exist"):
            jg.load(str(file) + "no", device=self.device)
        assert UNFINISHED.report(), "a mistake in the line loses nothing"
        value, receipt = load_named(str(file), device=self.device, **{"resume": True, **options})
        assert receipt.bytes_read > LESS
        assert UNFINISHED.report() == ""
        del value
        assert held == 0 or self.settled() < held

    def test_an_interrupt_keeps_only_what_was_asked_for(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        main = threading.main_thread().ident
        for resume in (False, True):
            with monkeypatch.context() as patched:
                stop = on_range(patched, 2, lambda: signal.pthread_kill(main, signal.SIGINT))
                with stop, pytest.raises(KeyboardInterrupt):
                    jg.load(str(file), device=self.device, resume=resume)
            monkeypatch.setenv("JUPYTER_GPU_RING_MIB", "16")
            assert bool(UNFINISHED.report()) is resume
        assert load_named(str(file), device=self.device, resume=True)[1].bytes_read < LESS

    def test_a_fault_of_the_file_keeps_nothing(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def damaged() -> None:
            raise TensorFormatError("damaged")

        with on_range(monkeypatch, 2, damaged), pytest.raises(TensorFormatError, match=r"^damaged$"):
            jg.load(str(file), device=self.device, resume=True)
        assert UNFINISHED.report() == ""

    def test_parts_are_released(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        held = self.settled()
        self.stop(file, monkeypatch)
        assert UNFINISHED.release() > 10**6
        assert UNFINISHED.release() == 0
        deadline = time.monotonic() + 20
        while self.settled() > held and time.monotonic() < deadline:
            time.sleep(0.05)
        assert self.settled() <= held

    def test_without_room_the_parts_stay(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stop(file, monkeypatch)
        monkeypatch.setattr("jupyter_gpu_ext.tensors.prepare.device_memory", lambda _: (-(30 << 20), 1 << 30))
        with pytest.raises(DeviceError):
            jg.load(str(file), device=self.device, resume=True)
        assert UNFINISHED.report()

    def settled(self) -> int:
        gc.collect()
        return self.held_bytes()
