"""An account key that is planted in the environment comes out nowhere, in no spelling."""

from __future__ import annotations

import base64
from urllib.parse import quote, quote_plus

import numpy as np
import pytest
import safetensors.numpy

import jupyter_gpu_ext as jg
from jupyter_gpu_ext.storage import backends, connections
from tests.conftest import AZURITE_KEY, KEY_VARIABLE, azure_fields, free_port, write_connections
from tests.server.contract import OPERATIONS, PATHS, check
from tests.server.live import API, logged, wait_until

WRONG_KEY = base64.b64encode(bytes(range(64))).decode()
BROKEN_KEY = "c2VjcmV0-is-no-base64-at-all-c2VjcmV0"
MODEL = safetensors.numpy.save({"w": np.zeros((4, 3), np.float32)})


def spellings(secret):
    """Return a secret as it could be written: raw, URL-encoded, in base64 at each of the three offsets."""
    inner = [base64.b64encode(b"\0" * shift + secret.encode()).decode()[4:-4] for shift in range(3)]
    halves = [secret[:30], secret[-30:]]
    return [
        secret,
        quote(secret, safe=""),
        quote_plus(secret),
        base64.b64encode(secret.encode()).decode(),
        *inner,
        *halves,
    ]


def found(secret, text):
    return [spelling for spelling in spellings(secret) if spelling in text]


def test_each_spelling_would_be_found():
    encoded = base64.b64encode(b"account:" + AZURITE_KEY.encode()).decode()
    for text in (AZURITE_KEY, quote(AZURITE_KEY, safe=""), encoded, f"x{AZURITE_KEY}", AZURITE_KEY[:50]):
        assert found(AZURITE_KEY, text)
    assert not found(AZURITE_KEY, "AccountKey=***")


# The provider's client and obstore, once each: every request to where nobody listens takes seconds.
BOTH_CLIENTS = ["/storage/list", "/tensors/info"]
# The doctor takes seconds, and a kernel knows no more than its server: the sweeps for secrets ask them.
APART = {"/gpu/doctor", "/gpu/kernels/{kernel}/release"}
READS = [path for path, method in OPERATIONS if method == "get" and path not in APART]
# What says something whatever the connection is like.
BYTES = {"/storage/download", "/tensors/value"}
ALWAYS = {"/gpu/status", "/gpu/history", "/storage/connections", "/transfers", "/export/runs", "/export/proofs"}
# A tensor file is no text to preview, and no Zarr array.
FILE_IS_NOT = {"/tensors/preview": {422}, "/tensors/chunks": {404}}
CASES = {
    "all is well": ({}, AZURITE_KEY, {200}, READS),
    "wrong key": ({}, WRONG_KEY, {424}, READS),
    "key that is none": ({}, BROKEN_KEY, {424}, READS),
    "no such container": ({"root": "az://no-such-container"}, AZURITE_KEY, {404}, READS),
    "nobody listens": (
        {"endpoint": f"http://127.0.0.1:{free_port()}/devstoreaccount1"},
        AZURITE_KEY,
        {502, 504},
        BOTH_CLIENTS,
    ),
    "key in the file": ({"secret": AZURITE_KEY}, AZURITE_KEY, {400}, READS),
    "key as the account": ({"account": AZURITE_KEY, "credential": AZURITE_KEY}, AZURITE_KEY, {400}, READS),
    "key as a field": ({"account_key": AZURITE_KEY}, AZURITE_KEY, {400}, READS),
}


@pytest.mark.parametrize(("changed", "key", "statuses", "paths"), CASES.values(), ids=CASES)
def test_the_account_key_is_in_no_reply_and_no_line_of_the_log(
    server, azurite, tmp_path, monkeypatch, changed, key, statuses, paths
):
    container = azurite.new_container()
    container.upload_blob("net.safetensors", MODEL)
    write_connections(tmp_path / "connections.toml", weights=azure_fields(azurite, container.container_name) | changed)
    monkeypatch.setenv(KEY_VARIABLE, key)
    said = ""
    with logged(server.app) as log:
        for path in paths:
            asked = {} if path == "/storage/list" else {"key": "net.safetensors"}
            asked |= {"path": "/w"} if path == "/tensors/value" else {}
            reply = server.get(path, connection="weights", **asked)
            if path not in BYTES or reply.status != 200:
                check(path, reply)
            expected = {200} if path in ALWAYS else statuses | FILE_IS_NOT.get(path, set())
            assert reply.status in expected, path
            said += f"{reply.headers}{reply.body.decode(errors='replace')}"
        # The server logs a request after it answered.
        wait_until(lambda: API + "/tensors/info" in log.text)
    assert found(key, said) == []
    assert found(key, log.text) == []


@pytest.mark.parametrize("path", PATHS)
def test_a_key_that_is_pasted_where_a_name_belongs_is_not_echoed(server, local_store, path):
    reply = server.get(path, connection=AZURITE_KEY, key="x")
    assert found(AZURITE_KEY, reply.body.decode()) == []


def test_the_account_key_is_in_no_repr(azure_store):
    azure_store.put("net.safetensors", MODEL)
    said = [jg.ls(), jg.ls("weights://"), jg.info("weights://net.safetensors"), jg.plan("weights://net.safetensors")]
    registry = connections.load()
    said += [registry, registry.find("weights"), *backends._OPEN.items()]
    said += [vars(one) for one in backends._OPEN.values() if hasattr(one, "__dict__")]
    assert len(backends._OPEN) > 0
    assert found(AZURITE_KEY, "".join(f"{one!r}{one}" for one in said)) == []
