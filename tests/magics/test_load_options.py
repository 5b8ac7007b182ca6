"""The options of %load_blob in a real kernel."""

from __future__ import annotations

import pytest

from tests.magics.test_magics import names, one_line

NET = """
import torch
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.zeros(4, 3))
        self.b = torch.nn.Parameter(torch.ones(3))
net = Net()
"""


def test_into_a_model(cells):
    assert cells.run(NET).status == "ok"
    before = names(cells)
    outcome = cells.run("%load_blob disk://net.safetensors --into net")
    assert (outcome.status, outcome.result) == ("ok", None), outcome
    assert outcome.said.startswith("Net: 2 tensors on cpu")
    assert cells.value("[float(net.w.sum()), float(net.b.sum())]") == [12.0, 0.0]
    assert names(cells) == before
    assert cells.run("report = %load_blob disk://net.safetensors --into {[net][0]}").status == "ok"
    assert cells.value("report.match.missing") == ()


def test_a_dry_run_says_whether_it_fits_and_binds_nothing(cells):
    before = names(cells)
    outcome = cells.run("%load_blob disk://net.safetensors -o model --dry-run --dtype float16")
    assert outcome.status == "ok"
    assert "2 tensors, 1 request, reads 60 B, takes 30 B on cpu" in outcome.result
    assert "weights fit; " in outcome.result
    assert names(cells) == before


def test_a_type(cells):
    assert cells.run("%load_blob disk://net.safetensors -o model --dtype bf16").status == "ok"
    assert cells.value("str(model['w'].dtype)") == "torch.bfloat16"


def test_the_old_value_goes_first_but_only_once_the_new_one_can_come(cells):
    cells.run("%load_blob disk://net.safetensors -o model")
    cells.run("import weakref\nold = weakref.ref(model['w'])")
    outcome = cells.run("%load_blob disk://none.safetensors -o model --replace")
    assert outcome.ename == "NotFoundError"
    assert cells.value("old() is model['w']")
    assert cells.run("%load_blob disk://net.safetensors -o model --replace").status == "ok"
    assert cells.value("[old() is None, sorted(model)]") == [True, ["b", "w"]]


TIGHT = """
import jupyter_gpu_ext.tensors.device as _device
_room = _device.host_memory
_device.host_memory = lambda: ({free}, 1000)
"""


def test_a_value_that_does_not_fit_beside_the_old_one(cells):
    cells.run("%load_blob disk://net.safetensors -o model")
    cells.run(TIGHT.format(free=20))
    try:
        outcome = cells.run("%load_blob disk://net.safetensors -o model")
        shown = one_line(outcome)
        assert "net.safetensors needs 60 B on cpu; this notebook can have 20 B of 1.0 kB" in shown
        assert "model 60 B" in shown
        assert "--replace drops the old value first: 60 B" in shown
        assert cells.value("sorted(model)") == ["b", "w"]
        assert cells.run("%load_blob disk://net.safetensors -o model --replace").status == "ok"
        assert cells.run("%load_blob disk://net.safetensors -o other --no-fit-check").status == "ok"
    finally:
        cells.run("_device.host_memory = _room")


@pytest.mark.parametrize(
    ("line", "ename", "said"),
    [
        ("%load_blob disk://net.safetensors --into nothing", "UsageError", "{nothing}: name 'nothing' is not defined"),
        ("%load_blob disk://net.safetensors --into x", "BadRequestError", "A int is no model"),
        ("%load_blob disk://net.safetensors --into net -o y", "UsageError", "does not go with --into"),
        ("%load_blob disk://net.safetensors --select 0:9", "BadRequestError", "--select is for Zarr arrays"),
        ("%load_blob disk://net.safetensors --raw", "BadRequestError", "--raw is for Zarr arrays"),
        ("%load_blob disk://net.safetensors --dtype int8", "BadRequestError", "'int8' is no floating point type"),
        ("%load_blob disk://net.safetensors --device 'w=,*=cpu'", "BadRequestError", "is no map of devices"),
        ("%load_blob disk://net.safetensors --device '=cpu'", "BadRequestError", "is no map of devices"),
        ("%load_blob disk://net.safetensors --device w=fit", "BadRequestError", "is no map of devices"),
        ("%load_blob disk://net.safetensors --device w=cuda:7", "DeviceError", "cuda:7 is not here"),
        ("y = %load_blob disk://net.safetensors --replace", "UsageError", "--replace needs the name"),
        ("%blob plan disk://net.safetensors -d tpu9", "BadRequestError", "'tpu9' is no device"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(cells, line, ename, said):
    assert cells.run("x = 1\nnet = 'the old one'").status == "ok"
    before = names(cells)
    outcome = cells.run(line)
    shown = one_line(outcome)
    assert outcome.ename == ename
    assert said in shown
    assert " — " in shown
    assert names(cells) == before
