"""Six connections, each with a secret of its own in use on a real service."""

from __future__ import annotations

import base64
import json
import os
import secrets
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.numpy
from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.conftest import Azurite, running_azurite
from tests.server.live import environment
from tests.storage import tls
from tests.storage.clouds import new_bucket, new_gcs_bucket, running_gcs, running_moto
from tests.storage.identities import ISSUER
from tests.storage.signed import signature

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

FIELD = {
    "zarr_format": 3, "node_type": "array", "shape": [4, 3], "data_type": "float32", "fill_value": 0,
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2, 3]}},
    "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
    "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
}  # fmt: skip
# The last one is read in a process of its own, whatever is in it.
OBJECTS = {
    "net.safetensors": safetensors.numpy.save({"w": np.ones((4, 3), np.float32)}),
    "a//b": b"0123456789",
    "notes.txt": b"hello",
    "broken.safetensors": b"\xff" * 100,
    "field.zarr/zarr.json": json.dumps(FIELD).encode(),
    "field.zarr/c/0/0": np.ones((2, 3), np.float32).tobytes(),
    "grid.h5": b"\x89HDF\r\n\x1a\n" + bytes(1000),
}
CONTAINER = "models"


@dataclass(frozen=True)
class Canary:
    """A connection and its secret.

    Attributes
    ----------
    fields : mapping
        Of the connections file.
    variables : mapping
        The environment that holds the secret, and what holds one that ended or never was.
    secrets : mapping
        From a name to the text that must be nowhere.
    path : str
        What follows the port in the endpoint.
    """

    name: str
    fields: Mapping[str, object]
    variables: Mapping[str, str]
    secrets: Mapping[str, str]
    wrong: Mapping[str, str] = field(default_factory=dict)
    ended: Mapping[str, str] = field(default_factory=dict)
    path: str = ""

    @property
    def over_tls(self) -> bool:
        return str(self.fields["endpoint"]).startswith("https:")

    def at(self, port: int) -> dict[str, object]:
        """Return the fields with another server behind them."""
        return {**self.fields, "endpoint": f"{'https' if self.over_tls else 'http'}://127.0.0.1:{port}{self.path}"}


@dataclass(frozen=True)
class Six:
    canaries: Mapping[str, Canary]
    certificate: Path
    # A link to one container, and other things that a person may paste.
    pasted: Mapping[str, str]

    @property
    def secrets(self) -> dict[str, str]:
        found = {name: text for one in self.canaries.values() for name, text in one.secrets.items()}
        return {**found, "token of a web link": self.pasted["web link"].partition("token=")[2]}


def _text(count: int = 40) -> str:
    # As AWS's own: letters and digits, now and then + and /.
    return base64.b64encode(secrets.token_bytes(count)).decode().replace("=", "")


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(64)).decode()


def token(lasts: float) -> str:
    """Return a web token that Azurite takes, with a signature of its own."""
    now = int(time.time())
    said = {"aud": "https://storage.azure.com", "iss": ISSUER, "nbf": now - 60, "iat": now - 60, "exp": now + lasts}
    parts = [json.dumps(one).encode() for one in ({"alg": "none", "typ": "JWT"}, said)] + [secrets.token_bytes(48)]
    return ".".join(base64.urlsafe_b64encode(one).decode().rstrip("=") for one in parts)


class _Tokens(BaseHTTPRequestHandler):
    """Google's token service: it gives the same token to whoever asks."""

    token = ""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"access_token": self.token, "expires_in": 3600, "token_type": "Bearer"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _google_tokens(text: str) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Tokens,), {"token": text}))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/token"
    finally:
        server.shutdown()
        server.server_close()


def _service_account(token_uri: str) -> tuple[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    said = {
        "type": "service_account", "project_id": "test", "private_key_id": "1", "private_key": pem,
        "client_email": "reader@test.iam.gserviceaccount.com", "client_id": "1", "token_uri": token_uri,
    }  # fmt: skip
    return json.dumps(said), pem.splitlines()[7]


def _signed(account: str, key: str, lasts: timedelta) -> str:
    return generate_container_sas(
        account, CONTAINER, account_key=key, expiry=datetime.now(UTC) + lasts,
        permission=ContainerSasPermissions.from_string("rwdl"),
    )  # fmt: skip


def _azure(azurite: Azurite, certificate: Path, keys: Mapping[str, str]) -> tuple[list[Canary], str]:
    endpoint = azurite.endpoint.replace("http://", "https://").rpartition("/")[0]
    for account, key in keys.items():
        service = BlobServiceClient(f"{endpoint}/{account}", credential=key, connection_verify=str(certificate))
        container = service.create_container(CONTAINER)
        for name, data in OBJECTS.items():
            container.upload_blob(name, data)
    first, second = keys
    sas, ended = _signed(first, keys[first], timedelta(hours=1)), _signed(first, keys[first], timedelta(hours=-1))
    string = "AccountName={};AccountKey={};BlobEndpoint={}/{}"
    bearer, late, other = token(3600), token(-5), _key()

    def canary(name: str, account: str, variable: str, value: str, secret: str, **more: Any) -> Canary:
        fields = {
            "root": f"az://{CONTAINER}", "account": account, "endpoint": f"{endpoint}/{account}", "read_only": False,
            "credential": name, "secret": f"env:{variable}", "ca_file": str(certificate),
        }  # fmt: skip
        return Canary(
            name, fields, {variable: value}, {name: secret, **more.pop("also", {})}, path=f"/{account}", **more
        )

    made = [
        canary("sas", first, "A_SAS", sas, signature("?" + sas), ended={"A_SAS": ended},
               wrong={"A_SAS": sas.replace("sp=rwdl", "sp=rdl")}, also={"ended sas": signature("?" + ended)}),
        canary("account-key", first, "A_KEY", keys[first], keys[first], wrong={"A_KEY": other}, also={"no key": other}),
        canary("connection-string", second, "A_STRING", string.format(second, keys[second], endpoint, second),
               keys[second], wrong={"A_STRING": string.format(second, keys[first], endpoint, second)}),
        canary("bearer", first, "A_TOKEN", bearer, bearer, ended={"A_TOKEN": late},
               wrong={"A_TOKEN": late.rpartition(".")[2]}, also={"ended token": late}),
    ]  # fmt: skip
    return made, f"{endpoint}/{first}/{CONTAINER}?{sas}"


def _s3(port: int) -> Canary:
    store = new_bucket("aws", port)
    for name, data in OBJECTS.items():
        store.put(name, data)
    secret, session = _text(30), _text(120)
    fields = {
        "root": f"s3://{store.bucket}", "endpoint": f"http://127.0.0.1:{port}", "credential": "keys",
        "secret": "env:A_PAIR", "read_only": False,
    }  # fmt: skip
    wrong = _text(30)
    return Canary(
        "aws", fields, {"A_PAIR": f"AKIATESTTESTTESTTEST:{secret}:{session}"},
        {"s3 secret": secret, "s3 session": session, "half a pair": wrong}, wrong={"A_PAIR": wrong},
    )  # fmt: skip


def _gcs(port: int, tokens: str, access: str) -> Canary:
    store = new_gcs_bucket("google", port)
    for name, data in OBJECTS.items():
        store.put(name, data)
    account, line = _service_account(tokens)
    fields = {
        "root": f"gs://{store.bucket}", "endpoint": f"http://127.0.0.1:{port}", "credential": "service-account",
        "secret": "env:A_ACCOUNT",
    }  # fmt: skip
    broken = account.replace("BEGIN PRIVATE", "BEGIN BROKEN")
    return Canary(
        "google", fields, {"A_ACCOUNT": account}, {"google key": line, "google token": access},
        wrong={"A_ACCOUNT": broken},
    )  # fmt: skip


@contextmanager
def running_six(folder: Path) -> Iterator[Six]:
    """Start what holds the objects, and plant the secrets."""
    shown = tls.make(folder)
    certificate = shown.authority
    keys = {"canaryone": _key(), "canarytwo": _key()}
    accounts = ";".join(f"{name}:{key}" for name, key in keys.items())
    secured = ["--oauth", "basic", "--cert", str(shown.server), "--key", str(shown.key)]
    access = "ya29." + _text(60)
    with ExitStack() as open_:
        with environment(AZURITE_ACCOUNTS=accounts):
            azurite = open_.enter_context(running_azurite(*secured))
        moto, gcs = open_.enter_context(running_moto()), open_.enter_context(running_gcs())
        tokens = open_.enter_context(_google_tokens(access))
        made, link = _azure(azurite, certificate, keys)
        made += [_s3(moto), _gcs(gcs, tokens, access)]
        string = (
            f"DefaultEndpointsProtocol=https;AccountName=nobody;AccountKey={keys['canaryone']};EndpointSuffix=x.invalid"
        )
        pasted = {
            "sas link": link,
            "connection string": made[2].variables["A_STRING"],
            "string of another host": string,
            "web link": f"https://127.0.0.1:1/f.pt?token={secrets.token_urlsafe(30)}",
            "presigned link": f"https://b.s3.amazonaws.com/x?X-Amz-Security-Token={made[4].secrets['s3 session']}"
            f"&X-Amz-Signature={secrets.token_hex(32)}",
            "bare signature": made[0].variables["A_SAS"],
            "bare key": keys["canaryone"],
        }
        assert os.environ.get("AZURITE_ACCOUNTS") is None
        yield Six({one.name: one for one in made}, certificate, pasted)
