"""Where storages go is pure: by globs, or as many as fit, layer by layer; and what people are told of it."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_gpu_ext.errors import BadRequestError, DeviceError
from jupyter_gpu_ext.tensors.fit import Question, Room, needs, verdict
from jupyter_gpu_ext.tensors.host import host_memory
from jupyter_gpu_ext.tensors.models import Stored, Tensor, TensorFile
from jupyter_gpu_ext.tensors.placement import Devices, described, parse_devices, placement
from jupyter_gpu_ext.tensors.plan import make_plan
from jupyter_gpu_ext.tensors.precision import conversions

if TYPE_CHECKING:
    from pathlib import Path

GB = 10**9


def file_of(sizes: dict[str, int], tied: dict[str, str] | None = None, dtype: str = "uint8") -> TensorFile:
    """Return a file of tensors by name and bytes, in this order; `tied` ones see another's storage."""
    at, storages, tensors = 0, {}, {}
    item = 4 if dtype == "float32" else 1
    for name, size in sizes.items():
        storages[name] = Stored(at, at + size)
        at += size
        tensors[name] = Tensor(dtype=dtype, shape=(size // item,), stride=(1,), storage=name)
    for name, other in (tied or {}).items():
        tensors[name] = Tensor(dtype=dtype, shape=(1,), stride=(1,), storage=other)
    return TensorFile(
        url="w://llama", kind="torch", size_bytes=at, etag="1", tensors=tensors, storages=storages, tree=None
    )


def llama(layers: int = 32, size: int = GB) -> TensorFile:
    sizes = {"model.embed.weight": size}
    # As safetensors writes them: by name, so that layer 10 stands before layer 2.
    for at in sorted(range(layers), key=str):
        sizes |= {f"model.layers.{at}.attn.weight": size // 2, f"model.layers.{at}.mlp.weight": size - size // 2}
    return file_of(sizes | {"model.norm.weight": size // 10}, {"lm_head.weight": "model.embed.weight"})


FIT = Devices((), fits=True)


@pytest.mark.parametrize(
    ("free", "words"),
    [
        ({"cuda:0": 20 * GB}, "model.embed, layers 0-18 on cuda:0, rest on cpu"),
        ({"cuda:0": 40 * GB}, "cuda:0"),
        ({"cuda:0": GB // 2}, "cpu"),
        ({"cuda:0": GB}, "model.embed on cuda:0, rest on cpu"),
        ({"cuda:0": 5 * GB, "cuda:1": 40 * GB}, "model.embed, layers 0-3 on cuda:0, rest on cuda:1"),
        ({"cuda:0": 5 * GB, "cuda:1": 4 * GB}, "model.embed, layers 0-3 on cuda:0, layers 4-7 on cuda:1, rest on cpu"),
        ({}, "cpu"),
    ],
)
def test_fit_fills_in_order_and_keeps_layers_whole(free: dict[str, int], words: str) -> None:
    plan = make_plan(llama())
    placed = placement(plan, FIT, free)
    assert described(plan, placed) == words
    for at in range(32):
        assert placed[f"model.layers.{at}.attn.weight"] == placed[f"model.layers.{at}.mlp.weight"]


def test_maps_in_words() -> None:
    plan = make_plan(llama())
    devices = parse_devices("model.layers.[02468].*=cuda:1, lm_head*=cuda:0,*=cpu")
    assert described(plan, placement(plan, devices, {})) == "layers 0, 2, 4 … on cuda:1, rest on cpu"


NAMES = st.lists(
    st.lists(st.sampled_from(["a", "b", "layers", "0", "1", "12"]), min_size=1, max_size=4).map(".".join),
    unique=True, min_size=1, max_size=12,
)  # fmt: skip
DEVICES = st.sampled_from(["cpu", "cuda:0", "cuda:1"])


@given(NAMES, st.data())
def test_fit_never_overfills_and_forgets_nothing(names: list[str], data: st.DataObject) -> None:
    sizes = {name: data.draw(st.integers(0, 50)) for name in names}
    free = {f"cuda:{at}": data.draw(st.integers(0, 200)) for at in range(data.draw(st.integers(0, 3)))}
    plan = make_plan(file_of(sizes))
    placed = placement(plan, FIT, free)
    assert set(placed) == set(plan.spans)
    for device, room in free.items():
        assert sum(sizes[key] for key, at in placed.items() if at == device) <= room
    assert set(placed.values()) <= {*free, "cpu"}
    assert described(plan, placed).endswith(tuple(set(placed.values())))


@given(NAMES, st.lists(st.tuples(st.sampled_from(["*", "a*", "*.0.*", "layers.*", "b"]), DEVICES), max_size=3), DEVICES)
def test_the_first_glob_counts_and_tied_tensors_stay_together(
    names: list[str], rules: list[tuple[str, str]], rest: str
) -> None:
    file = file_of(dict.fromkeys(names, 4), {"tied": names[0]})
    devices = parse_devices(",".join(f"{glob}={device}" for glob, device in [*rules, ("*", rest)]))
    placed = placement(make_plan(file), devices, {})
    for name in names:
        assert placed[name] == next(to for glob, to in [*rules, ("*", rest)] if fnmatch.fnmatchcase(name, glob))


@pytest.mark.parametrize(
    ("text", "rules", "fits"),
    [
        ("auto", [("*", "auto")], False),
        ("fit", [("*", "auto")], True),
        ("cuda:1", [("*", "cuda:1")], False),
        ("a.*=cuda:0", [("a.*", "cuda:0"), ("*", "auto")], False),
        (" a=b.*=cpu , *=cuda ", [("a=b.*", "cpu"), ("*", "cuda")], False),
    ],
)
def test_what_device_says(text: str, rules: list[tuple[str, str]], fits: bool) -> None:
    assert parse_devices(text) == Devices(tuple(rules), fits)


@pytest.mark.parametrize("text", ["=cpu", "a=", "a=cpu,", "a=fit", ",", "a=cpu,,b=cpu", "="])
def test_no_map(text: str) -> None:
    if "=" in text:
        with pytest.raises(BadRequestError, match="no map of devices") as refused:
            parse_devices(text)
        assert "GLOB=DEVICE" in refused.value.hint


def question(file: TensorFile, room: Room, dtype: str | None = None) -> Question:
    plan = make_plan(file)
    placed = dict.fromkeys(plan.spans, room.device)
    return Question(file=file, plan=plan, changed=conversions(plan, dtype), placed=placed, rooms={room.device: room})


def test_what_is_left_is_said_beforehand() -> None:
    plan = make_plan(llama(4))
    placed = dict.fromkeys(plan.spans, "cuda:0")
    assert verdict(needs(plan, {}, placed), {"cuda:0": Room("cuda:0", 7_200_000_000, 24 * GB)}) == (
        "weights fit; 2.1 GB left for activations"
    )
    assert verdict(needs(plan, {}, placed), {"cuda:0": Room("cuda:0", 5 * GB, 24 * GB)}) == "does not fit on cuda:0"
    assert verdict(needs(plan, {}, placed), {}) == ""
    on_cpu = dict.fromkeys(plan.spans, "cpu")
    assert "left of the machine's memory" in verdict(needs(plan, {}, on_cpu), {"cpu": Room("cpu", 7 * GB, 24 * GB)})


def test_a_refusal_names_the_ways_that_fit() -> None:
    file = file_of({f"model.layers.{at}.w": 4 * GB for at in range(10)}, dtype="float32")
    with pytest.raises(DeviceError) as refused:
        question(file, Room("cuda:0", 24 * GB, 24 * GB, replaced_bytes=17 * GB)).check()
    assert str(refused.value) == (
        "w://llama needs 40.0 GB on cuda:0; this notebook can have 24.0 GB of 24.0 GB. — "
        "--replace drops the old value first: 17.0 GB · --dtype bfloat16: 20.0 GB · "
        "--device fit: layers 0-4 on cuda:0, rest on cpu · --keys 'model.layers.[0-3].*': 16.0 GB · "
        "`%gpu` shows what is in use"
    )
    with pytest.raises(DeviceError) as refused:
        question(file, Room("cuda:0", GB, 24 * GB, replaced_bytes=GB)).check()
    assert refused.value.hint == "--device fit: all of it on cpu · `%gpu` shows what is in use"
    with pytest.raises(DeviceError) as refused:
        question(file, Room("cpu", GB, 24 * GB), "bfloat16").check()
    assert refused.value.hint == "`%gpu` shows what is in use"


def test_a_container_limits_the_host(tmp_path: Path) -> None:
    free, total = host_memory(tmp_path)
    assert 0 < free <= total
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("5000\n")
    assert host_memory(tmp_path)[1] == total
    (tmp_path / "memory.max").write_text("9000\n")
    assert host_memory(tmp_path) == (4000, 9000)
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 1000\nfile 2000\n")
    assert host_memory(tmp_path) == (5000, 9000)
    (tmp_path / "memory.current").write_text("12000\n")
    assert host_memory(tmp_path) == (0, 9000)
    old = tmp_path / "v1"
    (old / "memory").mkdir(parents=True)
    (old / "memory" / "memory.limit_in_bytes").write_text("7000")
    (old / "memory" / "memory.usage_in_bytes").write_text("6000")
    assert host_memory(old) == (1000, 7000)
