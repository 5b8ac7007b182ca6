"""Checkpoints in several files: the index decides, and what does not fit together is refused."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import safetensors.torch
import torch

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import BadRequestError, NotFoundError, UnsupportedFormatError
from jupyter_gpu_ext.tensors.folder import decide
from jupyter_gpu_ext.tensors.loader import load_named
from tests.tensors.files import torch_bytes
from tests.tensors.same import assert_same
from tests.tensors.test_bad_torch import assert_told

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Store

SHARDS = 3


def states() -> list[dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    return [
        {f"layers.{shard}.{name}": torch.randn(*shape) for name, shape in (("w", (30, 40)), ("b", (7,)))}
        for shard in range(SHARDS)
    ]


def name_of(shard: int, suffix: str = "safetensors") -> str:
    stem = "model" if suffix == "safetensors" else "pytorch_model"
    return f"{stem}-{shard + 1:05}-of-{SHARDS:05}.{suffix}"


def files(suffix: str = "safetensors") -> dict[str, bytes]:
    """Return a checkpoint as transformers writes it: shards and an index."""
    parts = states()
    places = {name: name_of(shard, suffix) for shard, part in enumerate(parts) for name in part}
    save = safetensors.torch.save if suffix == "safetensors" else torch_bytes
    found = {name_of(shard, suffix): save(part) for shard, part in enumerate(parts)}
    stem = "model" if suffix == "safetensors" else "pytorch_model"
    index = {"metadata": {"total_size": 99}, "weight_map": places}
    return found | {f"{stem}.{suffix}.index.json": json.dumps(index).encode()}


def whole() -> dict[str, torch.Tensor]:
    return {name: value for part in states() for name, value in part.items()}


def put(store: Store, contents: dict[str, bytes], folder: str = "llama/") -> None:
    for name, data in contents.items():
        store.put(folder + name, data)


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
@pytest.mark.parametrize("way", ["", "index", "no slash"])
def test_folder_and_index(store: Store, suffix: str, way: str) -> None:
    put(store, files(suffix) | {"config.json": b"{}"})
    stem = "model" if suffix == "safetensors" else "pytorch_model"
    url = f"{store.name}://llama/" + (f"{stem}.{suffix}.index.json" if way == "index" else "")
    url = url.rstrip("/") if way == "no slash" else url
    value, receipt = load_named(url, device="cpu")
    assert_same(dict(sorted(value.items())), dict(sorted(whole().items())))
    assert f"{stem}.{suffix}.index.json: 3 shards" in str(receipt)
    file = jg.info(url).file
    assert (len(file.tensors), file.metadata) == (6, {"total_size": "99"})
    assert file.requests == 1 + SHARDS + (way != "index")


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_keys_open_only_their_shards(store: Store, suffix: str) -> None:
    put(store, files(suffix))
    url = f"{store.name}://llama/"
    value, receipt = load_named(url, device="cpu", keys=["layers.1.*"])
    assert_same(dict(sorted(value.items())), dict(sorted(states()[1].items())))
    assert "1 of 3 shards" in str(receipt)
    with pytest.raises(BadRequestError, match="No tensor of"):
        jg.load(url, device="cpu", keys=["nothing.*"])


def test_a_shard_that_keys_do_not_need_may_be_missing(local_store: Store) -> None:
    contents = files()
    del contents[name_of(2)]
    put(local_store, contents)
    assert list(jg.load("disk://llama/", device="cpu", keys=["layers.0.b"])) == ["layers.0.b"]


def test_header_costs_little(store: Store) -> None:
    put(store, files())
    file = jg.info(f"{store.name}://llama/").file
    assert file.bytes_read < 3 * 5_000 + 2_000
    assert file.requests == 2 + SHARDS


def test_local_folder_by_its_path(tmp_path: Path) -> None:
    for name, data in files().items():
        (tmp_path / name).write_bytes(data)
    assert len(jg.load(str(tmp_path), device="cpu")) == 6
    assert len(jg.load(str(tmp_path) + "/", device="cpu")) == 6


FOLDERS: dict[str, tuple[list[str], str | None, tuple[str, ...]]] = {
    "index and what is left aside": (
        ["config.json", *(name_of(i) for i in range(3)), "model.safetensors.index.json", name_of(0, "bin"), "x.pt"],
        "model.safetensors.index.json",
        ("pytorch_model-*.bin", "x.pt"),
    ),
    "one file": (["model.safetensors", "pytorch_model.bin"], "model.safetensors", ("pytorch_model.bin",)),
    "file of another name": (["adapter_model.safetensors", "README.md"], "adapter_model.safetensors", ()),
    "bin index": ([name_of(0, "bin"), "pytorch_model.bin.index.json"], "pytorch_model.bin.index.json", ()),
    "distributed": ([".metadata", "__0_0.distcp", "scheduler.pt"], ".metadata", ("scheduler.pt",)),
    "model beside others": (["pytorch_model.bin", "training_args.bin"], "pytorch_model.bin", ("training_args.bin",)),
    "one .pt": (["epoch3.pt"], "epoch3.pt", ()),
    "arrays": (["x.npz"], "x.npz", ()),
    "nothing": (["a.txt", "b.csv"], None, ()),
    "empty": ([], None, ()),
}  # fmt: skip


@pytest.mark.parametrize("case", FOLDERS)
def test_what_a_folder_means(case: str) -> None:
    names, chosen, aside = FOLDERS[case]
    found = decide(names, "x://")
    assert (found and found.name) == chosen
    assert (found.aside if found else ()) == aside


def test_several_files_that_could_be_meant(local_store: Store) -> None:
    for name in ("a.safetensors", "b.safetensors"):
        local_store.put(f"x/{name}", safetensors.torch.save(states()[0]))
    with pytest.raises(UnsupportedFormatError, match=r"2 files that could be meant \(a.safetensors, b.safetensors\)"):
        jg.info("disk://x/")


def test_folder_with_nothing_to_load(store: Store) -> None:
    store.put("x/readme.txt", b"hello")
    for url in (f"{store.name}://x/", f"{store.name}://x"):
        with pytest.raises((NotFoundError, UnsupportedFormatError, BadRequestError)) as caught:
            jg.load(url, device="cpu")
        assert caught.value.hint


def changed(**change: Any) -> dict[str, bytes]:
    contents = files()
    index = json.loads(contents["model.safetensors.index.json"])
    return contents | {"model.safetensors.index.json": json.dumps(index | change).encode()}


def moved(**places: str) -> dict[str, bytes]:
    index = json.loads(files()["model.safetensors.index.json"])
    return changed(weight_map=index["weight_map"] | places)


BAD: dict[str, tuple[Callable[[], dict[str, bytes]], str]] = {
    "missing shard": (lambda: {k: v for k, v in files().items() if k != name_of(1)}, "00002-of-00003.* not there"),
    "empty shard": (lambda: files() | {name_of(1): b""}, "is empty"),
    "shard of another kind": (lambda: files() | {name_of(1): b"<html>"}, "web page"),
    "shard that is cut": (lambda: files() | {name_of(1): files()[name_of(1)][:-1]}, "cut off"),
    "name in two shards": (lambda: files() | {name_of(1): safetensors.torch.save(states()[1] | states()[0])},
                           r"'layers.0.[bw]' is in model-00002.* and in model-00001"),
    "name missing in its shard": (lambda: moved(**{"layers.0.b": name_of(1)}), "'layers.0.b' is"),
    "name that no shard has": (lambda: moved(ghost=name_of(1)), "'ghost' is not in"),
    "parent folder": (lambda: moved(ghost="../secret.safetensors"), "points to '../secret.safetensors'"),
    "parent folder inside": (lambda: moved(ghost="a/../../secret.safetensors"), "points to"),
    "absolute": (lambda: moved(ghost="/etc/x.safetensors"), "points to"),
    "other scheme": (lambda: moved(ghost="https://host/x.safetensors"), "points to"),
    "other connection": (lambda: moved(ghost="az://c/x.safetensors"), "points to"),
    "backslash": (lambda: moved(ghost="..\\x.safetensors"), "points to"),
    "no weights": (lambda: moved(ghost="/etc/passwd"), "points to"),
    "empty place": (lambda: moved(ghost=""), "points to"),
    "place that is no text": (lambda: changed(weight_map={"a": 1}), "no weight_map"),
    "no weight_map": (lambda: changed(weight_map=None), "no weight_map"),
    "a list": (lambda: files() | {"model.safetensors.index.json": b"[]"}, "no JSON object"),
    "no JSON": (lambda: files() | {"model.safetensors.index.json": b"{"}, "not valid JSON"),
    "twins": (lambda: files() | {"model.safetensors.index.json": b'{"weight_map":{"a":"x","a":"y"}}'}, "not valid"),
    "deep": (lambda: files() | {"model.safetensors.index.json": b'{"a":' * 100_000}, "not valid JSON"),
    "too many files": (lambda: changed(weight_map={str(i): f"{i}.bin" for i in range(5000)}), "5,000 files"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_index(local_store: Store, name: str) -> None:
    make, message = BAD[name]
    put(local_store, make())
    for act in (jg.info, lambda url: jg.load(url, device="cpu")):
        with pytest.raises(UnsupportedFormatError) as caught:
            act("disk://llama/")
        assert_told(caught.value)
        assert re.search(message, caught.value.message), caught.value.message


def test_tensors_that_the_index_does_not_name(local_store: Store) -> None:
    put(local_store, files() | {name_of(1): safetensors.torch.save(states()[1] | {"extra": torch.ones(1)})})
    value, receipt = load_named("disk://llama/", device="cpu")
    assert "extra" not in value
    assert "left out, since the index does not name them: 1 tensor" in str(receipt)


def test_index_without_tensors(local_store: Store) -> None:
    put(local_store, {"model.safetensors.index.json": b'{"weight_map":{}}'})
    assert jg.load("disk://llama/", device="cpu") == {}
