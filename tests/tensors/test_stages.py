"""What a load waits for, and the receipts that a process keeps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.tensors.receipts import RECEIPTS
from jupyter_gpu_ext.tensors.stages import Stages
from tests.tensors.files import torch_bytes

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("stages", "bottleneck"),
    [
        (Stages(), "network"),
        (Stages(network_seconds=9, landing_seconds=5, verify_seconds=1, copy_seconds=1), "network"),
        (Stages(network_seconds=2, landing_seconds=5, verify_seconds=4, copy_seconds=1), "checksums"),
        (Stages(network_seconds=2, landing_seconds=5, verify_seconds=1, copy_seconds=4), "device"),
        (Stages(network_seconds=2, buffer_seconds=5), "device"),
        (Stages(network_seconds=2, landing_seconds=3, verify_seconds=2, copy_seconds=1, buffer_seconds=9), "device"),
    ],
)
def test_the_longest_wait_is_the_bottleneck(stages: Stages, bottleneck: str) -> None:
    assert stages.bottleneck == bottleneck


def test_a_block_is_counted_also_when_it_fails() -> None:
    stages = Stages()
    with pytest.raises(ZeroDivisionError), stages.timed("copy"):
        raise ZeroDivisionError
    assert stages.copy_seconds > 0


def test_receipts_are_kept(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(torch_bytes({"w": torch.randn(1_000_000)}))
    value = jg.load(str(tmp_path / "x.pt"), device="cpu")
    entry = RECEIPTS.all()[-1]
    assert entry.receipt.size_bytes == value["w"].nbytes
    plain = entry.to_json()
    assert plain["url"].endswith("x.pt")
    assert plain["etag"]
    assert plain["text"] == str(entry.receipt)
    longer = replace(entry.receipt, bottleneck="checksums", notes=("a note",))
    assert str(longer).endswith("bound by checksums); a note")


def test_a_plan_says_whether_it_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.pt").write_bytes(torch_bytes({"w": torch.randn(1_000_000), "n": torch.arange(3)}))
    url = str(tmp_path / "x.pt")
    assert "takes 2.0 MB on cpu; weights fit; " in str(jg.plan(url, device="cpu", dtype="bfloat16"))
    monkeypatch.setattr("jupyter_gpu_ext.tensors.device.host_memory", lambda: (3_000_000, 10**9))
    assert "needs 4.0 MB on cpu; this notebook can have 3.0 MB of 1.0 GB" in str(jg.plan(url, device="cpu"))
    assert jg.plan(url, device="cpu", keys=["n"]).to_json()["bytes_on_device"] == 24
    with pytest.raises(BadRequestError, match="--select is for Zarr arrays"):
        jg.plan(url, select="0:1")
