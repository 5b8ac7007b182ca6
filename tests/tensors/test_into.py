"""Loads into a model, on the cpu; and the rules of names."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import BadRequestError, GpuExtError
from jupyter_gpu_ext.tensors.holdings import HOLDINGS
from jupyter_gpu_ext.tensors.rename import proposal, renamed
from tests.contracts.into_loads import IntoContract, Net
from tests.tensors.files import torch_bytes


class TestCpu(IntoContract):
    device = "cpu"

    def held_bytes(self) -> int:
        return sum(one["bytes"] for one in HOLDINGS.report()["loads"])

    def tight(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("jupyter_gpu_ext.tensors.device.host_memory", lambda: (8 << 20, 1 << 30))


BAD: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no model": ({"w": 1}, {}, "A dict is no model"),
    "a device that is not": (None, {"device": "tpu9"}, "'tpu9' is no device"),
    "a device that is not here": (None, {"device": "cuda:77"}, "cuda:77 is not here"),
    "a type that is not": (None, {"dtype": "int7"}, "no floating point type"),
    "two stars": (None, {"rename": {"*.*": "*"}}, "is no renaming"),
    "a star on one side": (None, {"rename": {"a.*": "b"}}, "is no renaming"),
    "no text": (None, {"rename": {"a": 3}}, "is no renaming"),
    "two become one": (None, {"rename": {"layers.0.weight": "layers.1.weight"}}, "would both be called"),
    "keys that match nothing": (None, {"keys": ["zzz"]}, "matches zzz"),
    "lazy": (torch.nn.LazyLinear(3), {}, "has no shape yet"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_requests_are_one_sentence(case: str, tmp_path: Any) -> None:
    model, options, words = BAD[case]
    path = tmp_path / "x.pt"
    path.write_bytes(torch_bytes({"layers.0.weight": torch.ones(2), "layers.1.weight": torch.ones(2)}))
    with pytest.raises(GpuExtError, match=re.escape(words)) as refused:
        jg.load_into(model if model is not None else Net(), str(path), **options)
    assert refused.value.hint


def test_nothing_moves_before_the_names_are_right(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from jupyter_gpu_ext.storage.reader import Reader

    path = tmp_path / "x.pt"
    path.write_bytes(torch_bytes({f"w{at}": torch.randn(500_000) for at in range(8)}))
    asked: list[int] = []
    inner = Reader.read_into

    async def read_into(reader: Reader, start: int, out: memoryview) -> None:
        asked.append(len(out))
        await inner(reader, start, out)

    monkeypatch.setattr(Reader, "read_into", read_into)
    with pytest.raises(BadRequestError, match=r"8 unexpected \(w0, w1, w2, w3, w4 …\)"):
        jg.load_into(Net(), str(path))
    assert sum(asked) < 300_000


NAMES = st.lists(st.text("ab.*", min_size=1, max_size=8), unique=True, max_size=8)
SIDE = st.tuples(st.text("ab.", max_size=4), st.text("ab.", max_size=4))


@given(NAMES, SIDE, SIDE)
def test_a_rule_keeps_the_middle(names: list[str], old: tuple[str, str], new: tuple[str, str]) -> None:
    rule = {"*".join(old): "*".join(new)}
    if len({_by_hand(name, old, new) for name in names}) < len(names):
        with pytest.raises(BadRequestError, match="would both be called"):
            renamed(names, rule)
    else:
        assert renamed(names, rule) == {name: _by_hand(name, old, new) for name in names}


def _by_hand(name: str, old: tuple[str, str], new: tuple[str, str]) -> str:
    if len(name) < len("".join(old)) or not name.startswith(old[0]) or not name.endswith(old[1]):
        return name
    return new[0] + name[len(old[0]) : len(name) - len(old[1])] + new[1] or name


@given(st.lists(st.text("abc", min_size=1, max_size=3), unique=True, min_size=1, max_size=8), st.booleans())
def test_a_prefix_is_found_on_either_side(stems: list[str], behind: bool) -> None:
    names = [f"net.{one}" for one in stems]
    for prefix in ("module.", "_orig_mod.", "module._orig_mod.", "state.model."):
        longer = [prefix + name for name in names]
        wanted, found = (names, longer) if behind else (longer, names)
        assert set(renamed(found, proposal(wanted, found)).values()) == set(wanted)


def test_no_prefix_is_made_up() -> None:
    assert proposal(["a.w", "b.w"], ["c.x", "d.y"]) == {}
    assert proposal([], []) == {}
