"""An account key reaches the clients' signatures and nothing else that can be printed, pickled or logged."""

from __future__ import annotations

import base64
import contextlib
import logging
import pickle
import sys
import traceback
import urllib.parse
from typing import TYPE_CHECKING, Any

import pytest

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.errors import DeniedError
from jupyter_gpu_ext.storage import connections
from jupyter_gpu_ext.storage.backends import backend
from jupyter_gpu_ext.storage.hushed import hush
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.reader import open_reader
from tests.conftest import AZURITE_KEY, KEY_VARIABLE

if TYPE_CHECKING:
    from tests.conftest import Store

WRONG_KEY = base64.b64encode(bytes(range(64))).decode()


def traces(key: str) -> list[str]:
    """The forms in which a key could show."""
    return [key, key[:24], urllib.parse.quote(key, safe="")[:24], repr(base64.b64decode(key))[2:40]]


def assert_clean(text: str, key: str) -> None:
    for trace in traces(key):
        assert trace not in text


def pickled(thing: object) -> str:
    with contextlib.suppress(TypeError, AttributeError, pickle.PicklingError):
        return repr(pickle.dumps(thing))
    return ""


@pytest.mark.parametrize("key", [AZURITE_KEY, WRONG_KEY], ids=["succeeds", "fails"])
def test_nothing_shows_the_key(
    azure_store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    azure_store.put("a b#c", b"x" * 100)
    azure_store.put("a//b", b"x" * 100)
    monkeypatch.setenv(KEY_VARIABLE, key)
    shown: list[str] = []
    with caplog.at_level(logging.DEBUG):
        for name in ("azure", "urllib3", "aiohttp", "asyncio", "obstore", "jupyter_gpu_ext"):
            caplog.set_level(logging.DEBUG, logger=name)
        for call in (lambda: jg.ls("weights://"), lambda: LOOP.run(open_reader("weights://a b#c")),
                     lambda: LOOP.run(open_reader("weights://a//b"))):  # fmt: skip
            result: Any
            if key == AZURITE_KEY:
                result = call()
            else:
                with pytest.raises(DeniedError) as caught:
                    call()
                error = result = caught.value
                shown += [str(error), repr(error), repr(vars(error)), "".join(traceback.format_exception(error))]
            shown += [repr(result), str(result), pickled(result)]
    opened = backend(connections.load().find("weights"))
    registry = connections.load()
    for thing in (registry, registry.find("weights"), opened, jg.ls()):
        shown += [repr(thing), str(thing), pickled(thing)]
    shown.append(repr(vars(opened)))
    shown += [f"{record.getMessage()} {record.__dict__}" for record in caplog.records]
    assert caplog.records, "the clients log at DEBUG; a test without records shows nothing"
    for text in shown:
        assert_clean(text, key)


def test_what_a_client_logs_is_hushed(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("a-client.auth")
    hush("a-client")
    with caplog.at_level(logging.DEBUG, logger="a-client"):
        logger.debug("headers %s", {"X-Amz-Security-Token": b"E+uc11PwLFCP/0123456789"})
        logger.debug("%d of %s", 1, "plain")
        try:
            raise ValueError(f"AccountKey={AZURITE_KEY}")
        except ValueError:
            logger.exception("failed")
    first, plain, failed = caplog.records
    assert first.getMessage() == "headers {'X-Amz-Security-Token': b'***'}"
    assert (plain.getMessage(), plain.args) == ("1 of plain", (1, "plain"))
    assert "ValueError: AccountKey=***" in str(failed.exc_text)
    assert_clean("".join(repr(vars(record)) for record in caplog.records) + caplog.text, AZURITE_KEY)


def test_a_backend_does_not_pickle(azure_store: Store) -> None:
    azure_store.put("x", b"1")
    LOOP.run(open_reader("weights://x"))
    with pytest.raises(TypeError, match="secret"):
        pickle.dumps(backend(connections.load().find("weights")))


def test_a_new_key_counts_at_once(azure_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    azure_store.put("x", b"1")
    monkeypatch.setenv(KEY_VARIABLE, WRONG_KEY)
    with pytest.raises(DeniedError):
        LOOP.run(open_reader("weights://x"))
    monkeypatch.setenv(KEY_VARIABLE, AZURITE_KEY)
    assert LOOP.run(open_reader("weights://x")).head == b"1"


def test_no_torch_for_storage_alone() -> None:
    import subprocess

    code = "import sys, jupyter_gpu_ext as jg; jg.ls(); sys.exit('torch' in sys.modules or 'obstore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
