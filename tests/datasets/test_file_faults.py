"""Files that are damaged, hostile, replaced or slow end a stream with a typed error, or are left out and counted."""

from __future__ import annotations

import contextlib
import signal
import struct
import threading
import time
import zlib
from typing import TYPE_CHECKING

import pytest

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import (
    ObjectChangedError,
    TensorFormatError,
    TooLargeError,
)
from tests.conftest import azure_fields, write_connections
from tests.datasets.pictures import png, put_images, urls
from tests.datasets.test_stream import assert_no_threads
from tests.faults.proxy import Fault, Rule, fault_proxy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Azurite, Store
    from tests.faults.proxy import Message


def huge(width: int) -> bytes:
    """Return the beginning of a square image with so many columns."""
    header = struct.pack(">IIBBBBB", width, width, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(9))), (b"IEND", b"")]
    made = b"\x89PNG\r\n\x1a\n"
    for kind, data in chunks:
        made += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return made


def spoil(folder: Path) -> dict[str, str]:
    """Write five files that are no images; return what is said of each."""
    good = png(1, (40, 40))
    bad = {
        "cut.png": (good[: len(good) // 2], "cut.png is no image, or damaged"),
        "empty.png": (b"", "empty.png is empty"),
        "script.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "script.jpg is no image"),
        "bomb.png": (huge(30_000), "bomb.png has more than 89,478,485 pixels"),
        "wide.png": (huge(10_000), "wide.png has more than"),
    }
    for name, (data, _) in bad.items():
        (folder / name).write_bytes(data)
    return {name: said for name, (_, said) in bad.items()}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_damaged_images(local_store: Store, train: Path) -> None:
    bad = spoil(train / "bee")
    for name, said in bad.items():
        stream = jg.files(f"disk://train/bee/{name}")
        with pytest.raises((TensorFormatError, TooLargeError), match=said) as refused:
            list(stream)
        assert refused.value.hint
    stream = jg.files("disk://train/**", on_error="skip").shuffle(seed=3).batch(4)
    assert len(urls(stream)) == 15
    report = stream.report()
    assert report.lost_samples == len(bad)
    assert all(any(said in fault for fault in report.faults) for said in bad.values())


def test_a_file_that_changes(store: Store) -> None:
    put_images(store)
    # So little is held that most is still to be read.
    stream = jg.files(f"{store.name}://train/**", memory_bytes=1)
    reading = iter(stream)
    next(reading)
    store.put("train/cat/4.png", png(77))
    with pytest.raises(ObjectChangedError):
        list(reading)
    # The next one lists anew.
    assert len(urls(stream)) == 15
    assert len(urls(jg.files(f"{store.name}://train/**", on_error="skip", memory_bytes=1))) == 15


def test_interrupt(azurite: Azurite, azure_store: Store, tmp_path: Path) -> None:
    put_images(azure_store)
    sent = []

    def image(request: Message) -> bool:
        return "/bee/3.png" in request.line

    with fault_proxy(azurite.port, Rule(Fault("stall headers"), when=image)) as wire:
        assert azure_store.container is not None
        fields = azure_fields(azurite, azure_store.container.container_name)
        fields["endpoint"] = str(fields["endpoint"]).replace(str(azurite.port), str(wire.port))
        write_connections(tmp_path / "connections.toml", weights=fields)

        def interrupt() -> None:
            assert wire.stalled.wait(20)
            sent.append(time.monotonic())
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        threading.Thread(target=interrupt, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            urls(jg.files("weights://train/**"))
        assert time.monotonic() - sent[0] < 1
    assert_no_threads()


def test_nothing_is_left_behind(train: Path) -> None:
    def interrupted(sample: dict) -> dict:
        raise KeyboardInterrupt

    for stream in (jg.files(f"{train}/**"), jg.files(f"{train}/**").map(interrupted).prefetch(2)):
        reading = iter(stream)
        with contextlib.suppress(KeyboardInterrupt):
            next(reading)
        reading.close()
    assert_no_threads()
