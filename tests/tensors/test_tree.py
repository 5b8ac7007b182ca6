"""Names for leaves, and copies in which what was shared stays shared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_gpu_ext.errors import TensorFormatError
from jupyter_gpu_ext.tensors.models import Tensor
from jupyter_gpu_ext.tensors.tree import flatten, replace


def leaf() -> Tensor:
    return Tensor(dtype="uint8", shape=(), stride=(), storage="0")


TREES = st.recursive(
    st.one_of(st.builds(leaf), st.integers(), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(st.sampled_from(["a", "b", "a.b", "0", 0, "a#2", "b#2"]), inner, max_size=4),
    ),
    max_leaves=20,
)


@given(TREES)
def test_every_tensor_has_a_name_of_its_own(tree: object) -> None:
    found = flatten(tree)
    order: list[Tensor] = []
    replace(tree, order.append)
    assert list(found.values()) == order


@pytest.mark.parametrize(
    ("tree", "names"),
    [
        (leaf(), ["value"]),
        ({"model": {"w": leaf()}, "list": [leaf(), (1, leaf())]}, ["model.w", "list.0", "list.1.1"]),
        ({"a.b": leaf(), "a": {"b": leaf()}}, ["a.b", "a.b#2"]),
        ({"a.b#2": leaf(), "a.b": leaf(), "a": {"b": leaf()}}, ["a.b#2", "a.b", "a.b#3"]),
        ({0: leaf(), "0": leaf()}, ["0", "0#2"]),
    ],
)
def test_names(tree: object, names: list[str]) -> None:
    assert list(flatten(tree)) == names


def test_many_twins_take_no_square_of_time() -> None:
    found = flatten([{f"{at}.x": leaf(), at: {"x": leaf()}} for at in range(5)] + [{"k": leaf()}])
    assert len(found) == 11
    tree = {f"{'a.' * (at % 60)}{'.'.join('a' * (60 - at % 60))}{at // 60 * ' '}": leaf() for at in range(60)}
    assert len(flatten(tree)) == len(tree)


def test_shared_containers_stay_shared() -> None:
    inner = {"w": leaf()}
    copy = replace({"one": inner, "two": [inner, inner]}, lambda _: object())
    assert copy["one"] is copy["two"][0] is copy["two"][1]
    assert copy["one"] is not inner


def test_a_long_key_above_many_leaves() -> None:
    with pytest.raises(TensorFormatError, match="names too long"):
        flatten({"k" * 1_000_000: [leaf() for _ in range(100)]})
    assert flatten({"k" * 1_000_000: list(range(100_000))}) == {}
