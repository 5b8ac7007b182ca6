"""What is released and what it gives, on a plain namespace: by the tensors that are gone."""

from __future__ import annotations

import gc
import sys
import weakref

import pytest
import torch

from jupyter_gpu_ext import gpu
from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.gpu import last_error
from jupyter_gpu_ext.gpu.ladder import Released, Rung, Step, would_give
from jupyter_gpu_ext.gpu.spares import SPARES, Spare

MB = 10**6


def megabytes(count):
    return torch.zeros(count * MB, dtype=torch.uint8)


@pytest.fixture(autouse=True)
def alone():
    """No error and no spare of another test."""
    before = dict(SPARES)
    SPARES.clear()
    last_error.forget()
    yield
    last_error.forget()
    SPARES.clear()
    SPARES.update(before)


def failed(size):
    """Leave an error behind as a prompt does, whose frames hold a tensor; return a weak reference to that."""

    def train():
        batch = megabytes(size)
        seen.append(weakref.ref(batch))
        raise ValueError("no")

    seen = []
    try:
        train()
    except ValueError as error:
        sys.last_value = error
        sys.last_traceback = error.__traceback__
        sys.last_type = ValueError
    return seen[0]


def sizes(namespace):
    return {step.rung.value: step.size_bytes for step in would_give(namespace)}


def test_each_rung_says_before_what_it_gives_after():
    shown = megabytes(2)
    namespace = {"model": megabytes(1), "Out": {3: shown}, "_oh": {}, "_": shown, "_3": shown, "x": 7}
    namespace["_oh"] = namespace["Out"]
    kept = failed(4)
    ref = weakref.ref(shown)
    del shown
    assert sizes(namespace) == {"cache": 0, "traceback": 4 * MB, "outputs": 2 * MB}
    released = gpu.release("traceback", namespace=namespace)
    assert (released.freed_bytes, kept()) == (4 * MB, None)
    assert repr(released) == (
        "Freed 4.0 MB (traceback 4.0 MB). "
        "Next: `%gpu release outputs` frees 2.0 MB (Out[n] and _ are forgotten, variables stay)."
    )
    released = gpu.release("outputs", namespace=namespace)
    assert (released.freed_bytes, ref(), released.next) == (2 * MB, None, None)
    assert set(namespace) == {"model", "Out", "_oh", "x"}
    assert namespace["model"].numel() == MB


def test_without_a_word_it_is_the_two_that_cost_least():
    failed(1)
    released = gpu.release(namespace={"Out": {1: megabytes(2)}})
    assert [(one.rung, one.size_bytes) for one in released.steps] == [(Rung.CACHE, 0), (Rung.TRACEBACK, MB)]


def test_what_a_variable_shares_is_not_promised():
    namespace = {"kept": megabytes(1), "Out": {}}
    namespace["Out"][1] = namespace["kept"][:5]
    assert sizes(namespace)["outputs"] == 0
    assert gpu.release("outputs", namespace=namespace).freed_bytes == 0


def test_what_an_error_and_an_output_share_is_given_once_by_the_second():
    ref = failed(3)
    namespace = {"Out": {1: ref()}}
    assert sizes(namespace) == {"cache": 0, "traceback": 0, "outputs": 3 * MB}
    assert gpu.release("traceback", "outputs", namespace=namespace).freed_bytes == 3 * MB


def test_errors_that_led_to_the_last_one_count():
    def inner():
        one = megabytes(1)
        raise KeyError(len(one))

    def outer():
        other = megabytes(2)
        try:
            inner()
        except KeyError as error:
            raise ValueError(len(other)) from error

    try:
        outer()
    except ValueError as error:
        sys.last_value = error
    assert sizes({})["traceback"] == 3 * MB
    assert gpu.release("traceback", namespace={}).freed_bytes == 3 * MB


def test_cycles_are_collected():
    gc.disable()
    try:
        holder = {"tensor": megabytes(1)}
        holder["itself"] = holder
        ref = weakref.ref(holder["tensor"])
        del holder
        assert ref() is not None
        gpu.release("cache", namespace={})
        assert ref() is None
    finally:
        gc.enable()


def test_what_is_kept_for_a_load_to_go_on_goes_with_the_error():
    dropped = []
    SPARES["load"] = Spare(rung="traceback", drop=lambda: dropped.append(1), size_bytes=lambda: 0 if dropped else 5)
    assert sizes({})["traceback"] == 5
    assert (gpu.release("traceback", namespace={}).freed_bytes, dropped) == (5, [1])
    gpu.release("cache", "outputs", namespace={})
    assert dropped == [1]


@pytest.mark.parametrize(
    ("rung", "hint"), [("all", "cache, traceback, outputs"), ("", "cache"), ("restart", "Kernel menu")]
)
def test_what_is_no_rung_of_a_process(rung, hint):
    failed(1)
    with pytest.raises(BadRequestError) as refused:
        gpu.release("traceback", rung, namespace={})
    assert hint in refused.value.hint
    assert sizes({})["traceback"] == MB, "nothing was done"


@pytest.mark.parametrize(
    ("released", "said"),
    [
        (
            Released(steps=(Step(rung=Rung.CACHE, size_bytes=0), Step(rung=Rung.TRACEBACK, size_bytes=0)), next=None),
            "There was nothing to free in cache and traceback.",
        ),
        (
            Released(
                steps=(Step(rung=Rung.CACHE, size_bytes=5 * MB), Step(rung=Rung.TRACEBACK, size_bytes=0)),
                next=Step(rung=Rung.RESTART, size_bytes=7 * MB),
            ),
            "Freed 5.0 MB (cache 5.0 MB). "
            "Next: a restart of the kernel frees 7.0 MB (all variables of the notebook are lost).",
        ),
    ],
)
def test_one_line_says_it(released, said):
    assert repr(released) == said
    assert set(released.to_json()) == {"steps", "freed_bytes", "next"}


def test_a_notebook_is_told_of_a_restart_and_a_script_is_not():
    namespace = {"model": megabytes(1)}
    assert gpu.release("cache", "outputs", "traceback", namespace=namespace).next is None
    released = gpu.release("cache", "outputs", "traceback", namespace={**namespace, "get_ipython": None})
    assert released.next == Step(rung=Rung.RESTART, size_bytes=MB)
