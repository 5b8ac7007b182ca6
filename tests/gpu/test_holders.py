"""What holds memory, by the names that a person would write."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import pytest
import torch

from jupyter_gpu_ext import gpu
from jupyter_gpu_ext.gpu import last_error
from jupyter_gpu_ext.gpu.named import named_tensors

KB = 1000


def kilobytes(count):
    return torch.zeros(count * KB, dtype=torch.uint8)


@dataclass(slots=True)
class Slotted:
    tensor: torch.Tensor


class Trainer:
    def __init__(self):
        self.history = [kilobytes(1)]


class Proxy:
    """Answers for everything, and does work when it is asked."""

    def __getattribute__(self, name):
        raise AssertionError(f"{name} was asked for")


def names(namespace):
    """Return the names of each size in kB; sizes are different in these tests."""
    return {one.size_bytes // KB: list(one.names) for one in gpu.who(namespace).rows if one.names}


def test_variables_containers_and_objects():
    namespace = {
        "x": kilobytes(2),
        "d": {"w": kilobytes(3), 4: (kilobytes(4), kilobytes(5)), ("a", 1): kilobytes(6)},
        "trainer": Trainer(),
        "_own": kilobytes(7),
        "f": lambda: None,
        "torch": torch,
        "proxy": Proxy(),
    }
    assert names(namespace) == {
        1: ["trainer.history[0]"], 2: ["x"], 3: ["d['w']"], 4: ["d[4][0]"], 5: ["d[4][1]"], 6: ["d[…]"], 7: ["_own"],
    }  # fmt: skip


def test_models_gradients_and_optimizers():
    model = torch.nn.Sequential(torch.nn.Linear(250, 4, bias=False), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.Adam(model[0].parameters())
    model(torch.zeros(2, 250)).sum().backward()
    optimizer.step()
    found = {name for row in gpu.who({"net": model, "opt": optimizer}).rows for name in row.names}
    assert {
        "net.0.weight", "net.0.weight.grad", "net.1.running_mean", "opt.state[0]['exp_avg']",
        "opt.state[0]['exp_avg_sq']",
    } <= found  # fmt: skip
    assert not any("param_groups" in name for name in found)


def test_outputs_are_named_once_and_inputs_never():
    shown = kilobytes(9)
    outputs = {3: shown}
    namespace = {"Out": outputs, "_oh": outputs, "_3": shown, "_": shown, "In": [kilobytes(1)], "_i3": "shown"}
    assert names(namespace) == {9: ["Out[3]", "_"]}


def test_shared_memory_counts_once_under_all_its_names():
    base = kilobytes(8)
    (row,) = [one for one in gpu.who({"base": base, "view": base[10:20]}).rows if one.names]
    assert (row.size_bytes, row.names, row.shape, row.dtype) == (8 * KB, ("base", "view"), (8 * KB,), "uint8")


def test_frames_of_the_last_error():
    def train():
        batch = kilobytes(11)
        raise ValueError(len(batch))

    try:
        train()
    except ValueError as error:
        sys.last_value = error
    assert names({})[11] == ["batch in train()"]
    last_error.forget()


def test_what_nothing_with_a_name_holds_is_listed_too():
    def generator():
        hidden = torch.zeros(12_345, dtype=torch.uint8)
        yield hidden.shape

    running = generator()
    next(running)
    slotted = Slotted(torch.zeros(23_456, dtype=torch.uint8))
    found = {one.size_bytes: one.names for one in gpu.who({"slotted": slotted}).rows}
    assert found[12_345] == found[23_456] == ()
    assert "nothing with a name" in repr(gpu.who({}))


@pytest.mark.parametrize(
    "value",
    [torch.zeros(0), torch.zeros(3, device="meta"), torch.zeros(3, 3).to_sparse(), torch.nn.Buffer(torch.zeros(0))],
    ids=["empty", "meta", "sparse", "empty buffer"],
)
def test_what_has_no_memory_of_its_own_is_no_row(value):
    assert names({"x": value}) == {}


def test_values_in_circles_end():
    circle = {"tensor": kilobytes(1)}
    circle["again"] = [circle]
    assert [name for name, _ in named_tensors([("c", circle)])] == ["c['tensor']"]


def test_a_namespace_that_changes_meanwhile():
    def changing():
        for number in range(3):
            yield f"x{number}", kilobytes(1)
            namespace[f"more{number}"] = kilobytes(1)

    namespace = {}
    assert len(list(named_tensors(changing()))) == 3


def test_the_table_has_the_largest_and_the_sum_of_the_rest():
    many = {f"x{number}": kilobytes(1000 + number) for number in range(25)}
    lines = repr(gpu.who(many)).splitlines()
    assert lines[0].split() == ["bytes", "device", "dtype", "shape", "held", "by"]
    assert lines[1].split()[-1] == "x24"
    assert any(line.startswith("and ") and " more, " in line for line in lines)


def test_plain_data():
    rows = gpu.who({"a b": kilobytes(77)}).to_json()["rows"]
    row = next(one for one in rows if one["names"])
    assert row == {"names": ["a b"], "device": "cpu", "dtype": "uint8", "shape": [77 * KB], "size_bytes": 77 * KB}


def test_without_torch_it_says_so_and_does_not_import_it():
    code = "import sys, jupyter_gpu_ext as jg; print(jg.gpu.who()); jg.gpu.release(); assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("No tensors: torch is not imported in this process.")
