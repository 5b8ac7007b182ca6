"""Loads onto an accelerator whose copies are late; and that the stand-in would show what it is there to show."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest
import torch

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import DeviceError
from jupyter_gpu_ext.tensors.copies import StreamCopies
from jupyter_gpu_ext.tensors.holdings import HOLDINGS
from jupyter_gpu_ext.tensors.loader import load_named
from jupyter_gpu_ext.tensors.plan import LEAST_RANGE_BYTES
from tests.contracts.device_loads import DeviceContract, checkpoint
from tests.contracts.into_loads import IntoContract, on_meta
from tests.contracts.resumed_loads import ResumeContract
from tests.tensors.files import torch_bytes

if TYPE_CHECKING:
    from pathlib import Path

# Two ranges, each at most one and a half of the usual length.
SMALLEST_RING_BYTES = 2 * LEAST_RANGE_BYTES * 3 // 2


class TestStandIn(DeviceContract):
    device = "standin:0"

    def held_bytes(self) -> int:
        return torch.accelerator.memory_allocated("standin:0")

    def test_it_is_the_accelerator(self, file: Path) -> None:
        assert jg.load(str(file), keys=["steps"])["steps"].device.type == "standin"

    @pytest.mark.parametrize("room_mib", [0, 1, 40, 80])
    def test_no_room_at_some_tensor(self, file: Path, room_mib: int, standin: Any) -> None:
        held = self.held_now()
        standin.standin_limit(0, held + (room_mib << 20))
        with pytest.raises(DeviceError, match="no room"):
            # The check beforehand is right most of the time; another process may be quicker.
            self.load(file, fit_check=False)
        self.assert_back_to(held)

    def test_refused_beforehand(self, file: Path, standin: Any) -> None:
        standin.standin_limit(0, self.held_now() + (50 << 20))
        with pytest.raises(DeviceError, match=r"needs [\d.]+ MB on standin:0"):
            self.load(file)

    def test_conversion_needs_little_more_than_the_result(self, file: Path, standin: Any) -> None:
        # 50 MB in the end, and the few storages that are on their way; never all 100 MB.
        standin.standin_limit(0, self.held_now() + (75 << 20))
        value = self.load(file, dtype="float16")
        assert value["half"].dtype == torch.float16

    def test_host_memory_is_the_ring(self, file: Path, standin: Any) -> None:
        standin.standin_reset_peaks()
        self.load(file)
        assert 0 < standin.standin_pinned_peak() <= SMALLEST_RING_BYTES


class TestTheOther(DeviceContract):
    device = "standin:1"

    def held_bytes(self) -> int:
        return torch.accelerator.memory_allocated("standin:1")


FAULTS = {
    "a buffer comes back before its copies are done": ("mark", lambda *_: None),
    "nobody waits for the copies": ("join", lambda *_: None),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_load_that_does_not_wait_is_seen(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_GPU_RING_MIB", "16")
    state = checkpoint()
    (tmp_path / "x.pt").write_bytes(torch_bytes(state))
    monkeypatch.setattr(StreamCopies, *FAULTS[fault])
    if "nobody" in fault:
        monkeypatch.setattr(StreamCopies, "close", lambda *_: None)
    value = jg.load(str(tmp_path / "x.pt"), device="standin:0")
    assert not all(torch.equal(one.cpu(), state[name]) for name, one in value.items())


class TestInto(IntoContract):
    device = "standin:0"

    def held_bytes(self) -> int:
        return torch.accelerator.memory_allocated("standin:0")

    @pytest.fixture(autouse=True)
    def _unlimited(self, standin: Any) -> Any:
        self.library = standin

    def tight(self, monkeypatch: pytest.MonkeyPatch) -> None:
        gc.collect()
        # The ring's buffers are the host's: what is left is for the largest tensor, and those that come beside it.
        self.library.standin_limit(0, self.held_bytes() + (16 << 20))

    def test_peak_is_not_a_second_model(self, file: Path, standin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        net = on_meta()
        gc.collect()
        held = self.held_bytes()
        standin.standin_reset_peaks()
        before = standin.standin_pinned_peak()
        report = jg.load_into(net, str(file), device=self.device, dtype="bfloat16")
        peak = torch.accelerator.max_memory_allocated("standin:0") - held
        # 16 MB of it is the model; the rest are the few tensors that were on their way in float32.
        assert report.receipt.size_bytes < peak < report.receipt.size_bytes + (17 << 20)
        assert standin.standin_pinned_peak() - before <= SMALLEST_RING_BYTES


class TestResume(ResumeContract):
    device = "standin:0"

    def held_bytes(self) -> int:
        return torch.accelerator.memory_allocated("standin:0")


def layers() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    state = {"embed.weight": torch.randn(1000, 1000)}
    state |= {f"layers.{at}.{name}": torch.randn(1000, 500) for at in range(12) for name in ("a", "b")}
    return state | {"head.weight": state["embed.weight"]}


@pytest.mark.parametrize(
    ("device", "where"),
    [
        ("fit", "25 tensors, embed, layers 0-4 on standin:0, rest on cpu, 52.0 MB"),
        ("layers.[0-5].*=standin:1,layers.*=cpu,*=standin:0", "rest on cpu"),
        ("layers.*=standin:1", "embed on standin:0, rest on standin:1"),
    ],
)
def test_several_devices(device: str, where: str, tmp_path: Path, standin: Any) -> None:
    gc.collect()
    standin.standin_limit(0, torch.accelerator.memory_allocated("standin:0") + 31_000_000)
    state = layers()
    (tmp_path / "x.pt").write_bytes(torch_bytes(state))
    value, receipt = load_named(str(tmp_path / "x.pt"), device=device, name="several")
    for name, one in value.items():
        assert torch.equal(one.cpu(), state[name]), name
    assert value["head.weight"].data_ptr() == value["embed.weight"].data_ptr()
    assert where.partition("tensors, ")[2] in str(receipt)
    used = {str(one.device) for one in value.values()}
    assert len(used) > 1
    held = {one["device"]: one["bytes"] for one in HOLDINGS.report()["loads"] if one["name"] == "several"}
    assert set(held) == used
    assert sum(held.values()) == receipt.size_bytes


def test_refused_with_the_ways_that_fit(tmp_path: Path, standin: Any) -> None:
    gc.collect()
    held = torch.accelerator.memory_allocated("standin:0")
    (tmp_path / "x.pt").write_bytes(torch_bytes(layers()))
    value = jg.load(str(tmp_path / "x.pt"), device="standin:0", keys=["embed*"])
    standin.standin_limit(0, held + 44_000_000)
    with pytest.raises(DeviceError) as refused:
        jg.load(str(tmp_path / "x.pt"))
    assert "x.pt needs 52.0 MB on standin:0; this notebook can have 40.0 MB of " in refused.value.message
    assert "(this notebook holds " in refused.value.message
    assert "--dtype bfloat16: 26.0 MB · --device fit: embed, layers 0-" in refused.value.hint
    assert "--keys 'layers.[0-" in refused.value.hint
    assert "weights fit; " in str(jg.plan(str(tmp_path / "x.pt"), dtype="bfloat16"))
    del value
