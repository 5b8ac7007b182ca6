"""A cell that runs out of device memory says who has it, below its traceback."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    monkeypatch.setenv("JUPYTER_GPU_SIMULATED", "1")
    shell = InteractiveShell.instance()
    shell.history_manager.enabled = False
    assert shell.run_cell("%load_ext jupyter_gpu_ext\n%load_ext jupyter_gpu_ext").success
    yield shell
    shell.reset()
    InteractiveShell.clear_instance()


CELL = """
import torch
def work():
    mine = torch.empty(20 << 20, dtype=torch.uint8, device="standin:0")
    both = model
    return torch.empty(200 << 20, dtype=torch.uint8, device="standin:0")
work()
"""


def test_the_card(shell: InteractiveShell, standin: Any, capsys: pytest.CaptureFixture[str]) -> None:
    gc.collect()
    held = torch.accelerator.memory_allocated("standin:0")
    standin.standin_limit(0, held + 100 * MIB)
    shell.user_ns["model"] = {"w": torch.empty(30 * MIB, dtype=torch.uint8, device="standin:0")}
    capsys.readouterr()
    assert not shell.run_cell(CELL).success
    out = capsys.readouterr().out
    traceback, _, card = out.partition("Out of memory on standin:0")
    assert "OutOfMemoryError" in traceback
    assert card.count("\n") == 1, "once, on one line"
    assert card.startswith(": wanted 210 MB, 52.4 MB left of ")
    assert ": model 31.5 MB, others 0 B. — The error itself holds 21.0 MB: `%gpu release` frees it." in card
    assert card.endswith("`%gpu who` lists the tensors.\n")


@pytest.mark.parametrize("code", ["1/0", "raise MemoryError('out of memory')", "raise RuntimeError('size')", "x = 1"])
def test_other_errors_have_none(shell: InteractiveShell, code: str, capsys: pytest.CaptureFixture[str]) -> None:
    shell.run_cell(code)
    assert "Out of memory on" not in capsys.readouterr().out


def test_what_torch_says_of_cuda(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    said = "CUDA out of memory. Tried to allocate 1.50 GiB. GPU 1 has a total capacity of 23.64 GiB"
    shell.run_cell(f"import torch\nraise torch.OutOfMemoryError({said!r})")
    assert "Out of memory on standin:1: wanted 1.6 GB, " in capsys.readouterr().out
