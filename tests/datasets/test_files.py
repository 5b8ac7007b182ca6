"""A stream of files gives what Pillow, numpy, torch and safetensors read: each once, in its seed's order, resumed."""

from __future__ import annotations

import asyncio
import glob
import io
import json
import os
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from torch.utils.data import DataLoader, IterableDataset

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.datasets import file_engine
from jupyter_gpu_ext.datasets import pattern as patterns
from jupyter_gpu_ext.errors import (
    BadRequestError,
    NotFoundError,
    UnsupportedFormatError,
)
from jupyter_gpu_ext.storage.local import LocalBackend
from tests.datasets.pictures import CLASSES, pixels, png, put_images, urls

if TYPE_CHECKING:
    from pathlib import Path

    from jupyter_gpu_ext.datasets.files import FileStream
    from jupyter_gpu_ext.storage.models import RawPage
    from tests.conftest import Store


def test_images_are_what_pillow_reads(store: Store) -> None:
    made = put_images(store)
    store.put("train/ant/.hidden.png", b"none")
    store.put("train/_SUCCESS", b"")
    store.put("train/.cache/x/9.png", b"none")
    stream = jg.files(f"{store.name}://train/**")
    assert isinstance(stream, IterableDataset)
    assert stream.classes == CLASSES
    assert len(stream) == 15
    came = list(stream)
    assert [one["url"] for one in came] == sorted(made)
    for one in came:
        assert one["image"].dtype == torch.uint8
        np.testing.assert_array_equal(one["image"].numpy(), pixels(made[one["url"]]))
        assert CLASSES[one["label"]] in one["url"]
    # One request an image: the listing has its size and version.
    assert stream.report().requests == 15
    shuffled = urls(stream.shuffle(seed=1))
    assert sorted(shuffled) == sorted(made)
    assert shuffled != sorted(made)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "CMYK"])
def test_every_image_is_of_three_colours(local_store: Store, mode: str) -> None:
    out = io.BytesIO()
    form = "JPEG" if mode == "CMYK" else "PNG"
    Image.open(io.BytesIO(png(3))).convert(mode).save(out, form)
    local_store.put("flat/one.jpg", out.getvalue())
    (one,) = jg.files("disk://flat/*.jpg")
    np.testing.assert_array_equal(one["image"].numpy(), pixels(out.getvalue()))
    assert one.keys() == {"image", "url"}


def test_tensors_are_what_their_libraries_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = [np.arange(6 * at, dtype="f4").reshape(2, -1) for at in range(1, 4)]
    arrays[1] = np.asfortranarray(arrays[1].astype(">f8"))
    states = [{"w": torch.arange(4.0) * at, "n": {"deep": [1, "x"]}} for at in range(3)]
    states[2]["w"] = states[2]["w"].bfloat16()
    for at, array in enumerate(arrays):
        out = io.BytesIO()
        np.save(out, array)
        store.put(f"d/{at}.npy", out.getvalue())
    for at, state in enumerate(states):
        out = io.BytesIO()
        torch.save(state, out)
        store.put(f"d/{at}.pt", out.getvalue())
        store.put(f"d/{at}.safetensors", safetensors.torch.save({"w": state["w"]}))
    store.put("d/notes.txt", b"left out")
    packed = io.BytesIO()
    np.savez_compressed(packed, a=arrays[0])
    store.put("d/all.npz", packed.getvalue())
    # Some are read in several pieces.
    monkeypatch.setattr(file_engine, "_PIECE_BYTES", 50)
    (one,) = jg.files(f"{store.name}://d/all.npz")
    np.testing.assert_array_equal(one["a"].numpy(), arrays[0])
    for came, array in zip(jg.files(f"{store.name}://d/*.npy"), arrays, strict=True):
        np.testing.assert_array_equal(came.numpy(), array)
    for came, state in zip(jg.files(f"{store.name}://d/", kind="pt"), states, strict=True):
        assert came["n"] == state["n"]
        assert torch.equal(came["w"], state["w"])
        assert came["w"].dtype == state["w"].dtype
    for came, state in zip(jg.files(f"{store.name}://d", kind="safetensors"), states, strict=True):
        assert torch.equal(came["w"], state["w"])


def test_no_code_of_a_file_is_run(local_store: Store) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.system, ("touch /tmp/evil",))

    out = io.BytesIO()
    torch.save({"x": Evil()}, out)
    local_store.put("d/0.pt", out.getvalue())
    with pytest.raises(UnsupportedFormatError, match="system"):
        list(jg.files("disk://d/*.pt"))


GLOBS = [
    "train/**", "train/*/*.png", "train/ant/*", "train/**/3.png", "**/*.png", "train/[ab]*/?.png", "*/bee/**",
    "train/*", "**", "train/**/deep/**", "train/.*/**", "none/**",
]  # fmt: skip


@pytest.mark.parametrize("text", GLOBS)
def test_globs_mean_what_they_mean_to_python(tmp_path: Path, text: str) -> None:
    names = ["train/ant/1.png", "train/ant/3.png", "train/bee/3.png", "train/bee/deep/3.png", "train/bee/deep/x/9.png"]
    for name in (*names, "train/top.png", "other/3.png", "train/.hid/3.png", "train/ant/.3.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    expected = {one for one in glob.glob(text, root_dir=tmp_path, recursive=True) if (tmp_path / one).is_file()}  # noqa: PTH207 -- no hidden ones
    pattern = patterns.parse(text)
    every = [one.relative_to(tmp_path).as_posix() for one in tmp_path.rglob("*") if one.is_file()]
    assert {one for one in every if pattern.matches(one)} == expected
    assert all(one.startswith(pattern.prefix) for one in expected)
    for one in expected:
        folders = one.removeprefix(pattern.prefix).split("/")[:-1]
        for depth in range(1, len(folders) + 1):
            assert pattern.enters(pattern.prefix + "/".join(folders[:depth]) + "/")


@pytest.mark.usefixtures("train")
def test_only_folders_that_may_match_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    listed, inner = [], LocalBackend.list_page

    async def noted(self: LocalBackend, prefix: str, **options: Any) -> RawPage:
        listed.append(prefix)
        return await inner(self, prefix, **options)

    monkeypatch.setattr(LocalBackend, "list_page", noted)
    assert len(jg.files("disk://train/[ac]*/*.png")) == 10
    assert sorted(listed) == ["train/", "train/ant/", "train/cat/"]


@pytest.mark.usefixtures("train")
def test_files_are_asked_for_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    inner, asked, enough = LocalBackend.read_into, [], asyncio.Event()

    async def together(self: LocalBackend, key: str, *more: Any) -> None:
        asked.append(key)
        if len(asked) == 8:
            enough.set()
        await enough.wait()
        await inner(self, key, *more)

    monkeypatch.setattr(LocalBackend, "read_into", together)
    assert len(urls(jg.files("disk://train/**"))) == 15


def test_what_is_refused(local_store: Store) -> None:
    put_images(local_store, 1)
    local_store.put("mixed/a.png", png(1))
    local_store.put("mixed/a.npy", b"")
    local_store.put("text/a.txt", b"")
    local_store.put("beside/top.png", png(1))
    local_store.put("beside/ant/1.png", png(1))
    for make, said in (
        (lambda: jg.files("disk://mixed/*"), "1 .npy files, 1 images"),
        (lambda: jg.files("disk://text/**"), "none of 1 files"),
        (lambda: jg.files("disk://train/**", kind="npy"), "no .npy files"),
        (lambda: jg.files("disk://train/**", kind="jpeg"), "no kind"),
        (lambda: jg.files("disk://beside/**"), "disk://beside/top.png lies in no folder"),
        (lambda: jg.files("disk://train/**", on_error="ignore"), "on_error"),
    ):
        with pytest.raises(BadRequestError, match=said) as refused:
            len(make())
        assert refused.value.hint
    for url in ("disk://none/**", "disk://train/*.png", "disk://none", "nobody://x/**"):
        with pytest.raises(NotFoundError):
            len(jg.files(url))
    assert len(jg.files("disk://mixed/*", kind="images")) == 1
    assert jg.files("disk://beside/*/**").classes == ("ant",)
    assert len(jg.files("disk://mixed/a.npy")) == 1
    assert len(jg.files(local_store.folder / "train" / "*" / "*.png")) == 3
    with pytest.raises(NotFoundError, match="stand for themselves"):
        len(jg.files("disk://train/{000..009}.tar"))


def test_images_of_several_sizes_make_no_batch(local_store: Store) -> None:
    for at, size in enumerate([(6, 9), (7, 9)]):
        local_store.put(f"d/{at}.png", png(at, size))
    stream = jg.files("disk://d/*.png")
    with pytest.raises(BadRequestError, match=r"image is 3 × 6 × 9 and 3 × 7 × 9.* — \.map\(f\) before \.batch"):
        list(stream.batch(2))
    batch = next(iter(stream.map(lambda one: {"image": one["image"][:, :6]}).batch(2)))
    assert batch["image"].shape == (2, 3, 6, 9)


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("after", [0, 1, 3])
def test_resume(train: Path, after: int, prefetch: int) -> None:
    def stream() -> FileStream:
        made = jg.files("disk://train/**").shuffle(seed=2).filter(lambda one: "3.png" not in one["url"])
        return made.batch(4).prefetch(prefetch)

    whole = stream()
    whole.set_epoch(4)
    expected = urls(whole)
    broken = stream()
    broken.set_epoch(4)
    reading = iter(broken)
    came = [url for _ in range(after) for url in next(reading)["url"]]
    state = json.loads(json.dumps(broken.state_dict()))
    reading.close()
    rest = stream()
    rest.load_state_dict(state)
    assert came + urls(rest) == expected
    (train / "ant" / "7.png").write_bytes(png(7))
    other = stream()
    other.load_state_dict(state)
    with pytest.raises(BadRequestError, match="another order"):
        next(iter(other))


def test_ranks_have_equal_shares(train: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for uneven, count in (("drop", 3), ("pad", 4)):
        came = []
        for rank in range(4):
            monkeypatch.setenv("RANK", str(rank))
            monkeypatch.setenv("WORLD_SIZE", "4")
            came.append(urls(jg.files(f"{train}/**", uneven=uneven).shuffle(seed=1)))
        assert {len(one) for one in came} == {count}
        assert len({url for one in came for url in one}) == (12 if uneven == "drop" else 15)


def test_workers_share_one_listing(local_store: Store, train: Path) -> None:
    stream = jg.files("disk://train/**").shuffle(seed=1).batch(4)
    carried = pickle.dumps(stream)
    assert b"Source" not in carried
    (train / "ant" / "7.png").write_bytes(png(7))
    assert len(urls(pickle.loads(carried))) == 15
    loader = DataLoader(stream, batch_size=None, num_workers=2, multiprocessing_context="spawn")
    batches = list(loader)
    assert sorted(url for one in batches for url in one["url"]) == sorted(urls(pickle.loads(carried)))
    assert sorted(len(one["url"]) for one in batches) == [3, 4, 4, 4]


def test_memory_is_bounded(local_store: Store) -> None:
    for at in range(40):
        out = io.BytesIO()
        np.save(out, np.full(2000, at, "f4"))
        local_store.put(f"d/{at:02}.npy", out.getvalue())
    stream = jg.files("disk://d/*.npy", memory_bytes=48_000).shuffle(seed=1)
    assert sorted(int(one[0]) for one in stream) == list(range(40))
    assert stream.report().most_held_bytes <= 48_000


@pytest.mark.usefixtures("local_out")
def test_checkpointer_goes_on_with_the_rest(tmp_path: Path) -> None:
    folder = tmp_path / "flat"
    folder.mkdir()
    for at in range(15):
        (folder / f"{at:02}.png").write_bytes(png(at))

    def stream() -> FileStream:
        return jg.files(f"{folder}/*.png").shuffle(seed=1).batch(4)

    first, came = stream(), []
    with jg.Checkpointer("out://run/") as checkpoints:
        assert checkpoints.restore(data=first) == 0
        for step, batch in enumerate(first):
            came += batch["url"]
            if step == 1:
                checkpoints.save(step)
                break
    second = stream()
    with jg.Checkpointer("out://run/") as checkpoints:
        assert checkpoints.restore(data=second) == 2
    assert came + urls(second) == urls(stream())


WITHOUT = """
import sys
sys.modules["torch"] = None
import numpy as np
import jupyter_gpu_ext as jg
batch = next(iter(jg.files(sys.argv[1] + "/**").batch(4)))
assert type(batch["image"]) is np.ndarray and batch["image"].shape == (4, 3, 6, 9), batch
assert batch["label"].tolist() == [0, 0, 0, 0]
np.save(sys.argv[1] + "/1.npy", np.arange(3))
(one,) = jg.files(sys.argv[1] + "/*.npy")
assert type(one) is np.ndarray and one.tolist() == [0, 1, 2]
sys.modules["PIL"] = None
try:
    len(jg.files(sys.argv[1] + "/*/*"))
except ImportError as error:
    print(error)
"""


def test_without_torch_and_without_pillow(train: Path) -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT, str(train)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "pip install 'jupyter_gpu_ext[images]'" in done.stdout
