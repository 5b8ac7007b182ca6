"""A load in the middle of which storage fails: the value that was saved, or one typed error and nothing else."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import torch

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import GpuExtError, TensorFormatError
from jupyter_gpu_ext.storage import backends
from jupyter_gpu_ext.storage.retry import Schedule
from jupyter_gpu_ext.tensors.holdings import HOLDINGS
from jupyter_gpu_ext.tensors.loader import load_named
from tests.faults.proxy import Fault, Message, Rule
from tests.faults.test_reading import READS, broken, fresh_clients
from tests.tensors.files import torch_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Azurite, Store

__all__ = ["fresh_clients"]

NAMES = [f"layer.{at}" for at in range(12)]


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return {**{name: torch.randn(500, 500) for name in NAMES}, "small": torch.arange(100.0)}


@pytest.fixture(scope="module")
def data(state: dict[str, torch.Tensor]) -> bytes:
    return torch_bytes(state)


def of_tensors(request: Message) -> bool:
    """Return whether a request brings tensors: the header's own ranges are short."""
    found = re.search(r"bytes=(\d+)-(\d+)", request.header("Range") or request.header("x-ms-range"))
    return found is not None and int(found[2]) - int(found[1]) > 100_000


@pytest.fixture
def url(azurite: Azurite, azure_store: Store, data: bytes, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(backends, "REMOTE", Schedule(first_seconds=0.02))
    azure_store.put("x.pt", data)
    return "weights://x.pt"


@pytest.mark.parametrize(
    ("fault", "times", "code"), READS, ids=[f"{row[0].kind} {row[0].value or ''} x{row[1]}" for row in READS]
)
def test_load(
    azurite: Azurite, azure_store: Store, tmp_path: Path, url: str, state: dict[str, torch.Tensor],
    fault: Fault, times: int, code: str | tuple[str, ...] | None,
) -> None:  # fmt: skip
    held, value = HOLDINGS.report()["loads"], None
    with broken(azurite, azure_store, tmp_path, Rule(fault, times, of_tensors)) as wire:
        if code is None:
            value, receipt = load_named(url, device="cpu")
            assert all(torch.equal(value[name], one) for name, one in state.items())
            assert wire.broken() == times
            assert receipt.retries >= times
            assert receipt.checked_bytes == receipt.size_bytes
        else:
            with pytest.raises(GpuExtError) as caught:
                value = jg.load(url, device="cpu")
            assert caught.value.code in ((code,) if isinstance(code, str) else code), str(caught.value)
            assert value is None
            assert HOLDINGS.report()["loads"] == held


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=[pytest.mark.prove] if seed > 3 else []) for seed in range(40)]
)
def test_flipped_bits_are_found(azurite: Azurite, azure_store: Store, tmp_path: Path, url: str, seed: int) -> None:
    """HTTP without TLS has no checksum; the archive has."""
    with broken(azurite, azure_store, tmp_path, Rule(Fault("flip"), 1, of_tensors), seed=seed) as wire:
        with pytest.raises(TensorFormatError, match="checksum"):
            jg.load(url, device="cpu")
        assert wire.broken() == 1


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=[pytest.mark.prove] if seed > 5 else []) for seed in range(100)]
)
def test_drawn_faults(
    azurite: Azurite, azure_store: Store, tmp_path: Path, url: str, state: dict[str, torch.Tensor], seed: int
) -> None:
    faults = (Fault("status", 503), Fault("fin"), Fault("rst"), Fault("short"), Fault("lost"), Fault("flip"))
    with broken(azurite, azure_store, tmp_path, drawn=faults, rate=0.3, seed=seed):
        value: dict[str, torch.Tensor] = {}
        with suppress(GpuExtError):
            value = jg.load(url, device="cpu", keys=["layer.[0-8]", "small"] if seed % 2 else [])
        assert all(torch.equal(one, state[name]) for name, one in value.items())
