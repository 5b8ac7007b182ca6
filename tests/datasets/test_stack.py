"""Batches are torch's own: what samples are made of comes out the same, and what makes no batch says why."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

from jupyter_gpu_ext.datasets.stack import stack
from jupyter_gpu_ext.errors import BadRequestError

Pair = namedtuple("Pair", "a b")

SAMPLES: list[list[Any]] = [
    [torch.arange(6.0).reshape(2, 3) * at for at in range(3)],
    [torch.tensor(at) for at in range(3)],
    [torch.arange(4).bfloat16() * at for at in range(3)],
    [torch.arange(4) > at for at in range(3)],
    [torch.zeros(2, 3).T[:, at] for at in range(2)],
    [torch.zeros(0, 3), torch.zeros(0, 3)],
    [torch.tensor([1, 2]), torch.tensor([0.5, 1])],
    [torch.tensor([1 + 2j]), torch.tensor([3j])],
    [torch.tensor([1 + 2j]).conj().imag, torch.tensor([3j]).conj().imag],
    [{"x": np.arange(3) + at, "label": at, "url": f"a://{at}", "w": 0.5, "raw": b"x"} for at in range(3)],
    [(torch.ones(2), [1, at], {"deep": Pair(torch.tensor([at]), at)}) for at in range(2)],
]


@pytest.mark.parametrize("samples", SAMPLES, ids=range(len(SAMPLES)))
def test_batches_are_what_torch_makes(samples: list[Any]) -> None:
    def same(ours: Any, theirs: Any) -> None:
        assert type(ours) is type(theirs)
        if isinstance(theirs, torch.Tensor):
            assert ours.dtype == theirs.dtype
            assert torch.equal(ours, theirs)
        elif isinstance(theirs, dict):
            assert list(ours) == list(theirs)
            for name in theirs:
                same(ours[name], theirs[name])
        elif isinstance(theirs, list | tuple):
            for one, other in zip(ours, theirs, strict=True):
                same(one, other)
        else:
            assert ours == theirs

    same(stack(samples), default_collate(samples))


def test_a_batch_shares_nothing_with_its_samples_and_keeps_gradients() -> None:
    samples = [torch.zeros(3), torch.zeros(3)]
    stack(samples).fill_(1)
    assert not samples[0].any()
    assert stack([torch.zeros(3, requires_grad=True)] * 2).requires_grad


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        ([torch.zeros(2, 3), torch.zeros(3, 3), torch.zeros(4)], "one is 2 × 3 and 3 × 3 and 4"),
        ([{"a": {"b": torch.zeros(2)}}, {"a": {"b": torch.zeros(())}}], "b is 2 and scalar"),
        ([{"a": 1}, {"b": 1}], "one has the fields a and b"),
        ([{"a": 1}, {"a": "x"}], "a is int and str"),
        ([None, None], "NoneType"),
    ],
)
def test_what_makes_no_batch_says_why(samples: list[Any], said: str) -> None:
    with pytest.raises(BadRequestError, match=said) as refused:
        stack(samples)
    assert ".map(f) before .batch" in refused.value.hint
