"""Device memory, counted by torch's own allocator: what is said, measured, released."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import torch

from jupyter_gpu_ext import gpu
from jupyter_gpu_ext.gpu import last_error
from jupyter_gpu_ext.gpu.accelerator import ACCELERATOR
from jupyter_gpu_ext.job.measure import measure
from jupyter_gpu_ext.magics.link import reply
from jupyter_gpu_ext.tensors.holdings import HOLDINGS

MIB = 1 << 20


def on_device(mebibytes: int, index: int = 0) -> torch.Tensor:
    return torch.empty(mebibytes * MIB, dtype=torch.uint8, device=f"standin:{index}")


@pytest.fixture(autouse=True)
def empty() -> None:
    last_error.forget()
    gc.collect()
    torch.accelerator.empty_cache()


def reserved(index: int = 0) -> int:
    return torch.accelerator.memory_reserved(index)


def test_the_report_has_what_is_held_cached_and_was_held_at_most(standin: Any) -> None:
    before = reserved(1)
    one, two = on_device(3, 1), on_device(5, 1)
    del two
    row = next(one for one in HOLDINGS.report()["held"] if one["device"] == "standin:1")
    assert (row["bytes"] - before, row["cached_bytes"], row["uuid"]) == (8 * MIB, 5 * MIB, None)
    assert row["peak_bytes"] >= before + 8 * MIB
    del one


def test_the_cache_goes_back_to_the_driver_and_no_tensor_does(standin: Any) -> None:
    kept, gone = on_device(2), on_device(6)
    del gone
    steps = {one["rung"]: one["bytes"] for one in reply({"ask": "rungs"}, {"kept": kept})["rungs"]}
    assert steps["cache"] == 6 * MIB
    assert reply({"ask": "release", "rung": "cache"}, {"kept": kept}) == {"freed_bytes": 6 * MIB}
    assert reserved() >= kept.nbytes
    assert gpu.release("cache", namespace={}).freed_bytes == 0


def test_what_an_error_holds_goes_back_to_the_driver(standin: Any) -> None:
    import sys

    def train() -> None:
        batch = on_device(4)
        raise ValueError(batch.nbytes)

    try:
        train()
    except ValueError as error:
        sys.last_value = error
    released = gpu.release("traceback", namespace={"on the cpu": torch.zeros(MIB)})
    assert released.freed_bytes == 4 * MIB


def test_only_device_memory_is_promised_where_there_is_a_device(standin: Any) -> None:
    namespace = {"Out": {1: torch.zeros(MIB), 2: on_device(1)}}
    steps = {one["rung"]: one["bytes"] for one in reply({"ask": "rungs"}, namespace)["rungs"]}
    assert steps["outputs"] == MIB
    assert gpu.release("outputs", namespace=namespace).freed_bytes == MIB


def test_a_block_has_its_own_peak_and_the_report_keeps_the_process_s(standin: Any) -> None:
    large = on_device(20)
    del large
    most = next(one.peak_bytes for one in ACCELERATOR.in_use() if one.device == "standin:0")
    base = torch.accelerator.memory_allocated(0)
    with measure() as took:
        small = on_device(3)
        del small
    assert took.peak_bytes["standin:0"] == base + 3 * MIB
    assert next(one.peak_bytes for one in ACCELERATOR.in_use() if one.device == "standin:0") >= most
    assert repr(took).startswith("peak ")


def test_who_lists_the_device(standin: Any) -> None:
    held = gpu.who({"w": on_device(7, 1)})
    row = next(one for one in held.rows if one.names == ("w",))
    assert (row.device, row.size_bytes) == ("standin:1", 7 * MIB)
    assert "standin:1: torch has " in repr(held)
