"""Where a pasted link may lead, in every spelling of an address; a canary counts what was asked."""

from __future__ import annotations

import http.server
import threading
from contextlib import contextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.storage import addresses

if TYPE_CHECKING:
    from collections.abc import Iterator

METADATA = [
    "169.254.169.254", "169.254.0.1", "169.254.170.2", "169.254.169.254.", "168.63.129.16", "100.100.100.200",
    "2852039166", "0xa9fea9fe", "0xA9FEA9FE", "025177524776", "0251.0376.0251.0376", "0xa9.0xfe.0xa9.0xfe",
    "169.254.43518", "169.16689662", "0xa9.254.0251.0xfe", "0000169.254.169.254".replace("0000169", "0251"),
    "2822734096", "0xa83f8110", "0250.077.0201.020",
    "[fe80::1]", "[fe80::1%25eth0]", "[FE80:0:0:0:0:0:0:1]", "[febf::1]", "[fd00:ec2::254]",
    "[fd00:0ec2:0:0:0:0:0:0254]",
    "[fd20:ce::254]", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[0:0:0:0:0:ffff:a9fe:a9fe]",
    "[::169.254.169.254]",
    "[::a9fe:a9fe]", "[64:ff9b::169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]",
    "[::ffff:168.63.129.16]",
    "[2002:a83f:8110::1]",
    "metadata.google.internal", "METADATA.google.internal.", "metadata", "instance-data",
]  # fmt: skip
NO_SERVER = ["0.0.0.0", "0", "255.255.255.255", "224.0.0.1", "240.0.0.1", "[::]", "[ff02::1]"]
NO_HOST = ["%31%36%39.254.169.254", "a..b", "-", "exa mple", "a/b", "169.254.169.254#.example.org", "a,b", "a%00.b"]


@pytest.mark.parametrize("host", [*METADATA, *NO_SERVER, *NO_HOST])
def test_a_host_that_no_link_may_lead_to(host: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        addresses.check_host(host)
    assert refused.value.hint


@pytest.mark.parametrize(
    "host",
    ["10.0.0.5", "192.168.1.4", "172.16.0.9", "100.64.0.1", "127.0.0.1", "2130706433", "0x7f.1", "[::1]", "[fd00::5]",
     "8.8.8.8", "[2001:db8::1]", "localhost", "minio", "minio.lab.example", "a_b.example", "storage.example.org."],
)  # fmt: skip
def test_private_networks_and_this_machine_are_allowed(host: str) -> None:
    addresses.check_host(host)


@pytest.mark.parametrize(("host", "yes"), [
    ("127.0.0.1", True), ("127.9.9.9", True), ("2130706433", True), ("0x7f.1", True), ("[::1]", True),
    ("localhost", True),
    ("a.localhost", True), ("[::ffff:127.0.0.1]", False), ("127.0.0.1.example.org", False), ("10.0.0.1", False),
    ("[fd00::1]", False),
])  # fmt: skip
def test_what_is_this_machine(host: str, yes: bool) -> None:
    assert addresses.is_loopback(host) == yes


@given(st.integers(0, 2**16 - 1), st.sampled_from(["{}", "{:#x}", "0{:o}", "[::ffff:{dotted}]", "{dotted}"]))
def test_all_of_the_link_local_network_in_all_spellings(low: int, form: str) -> None:
    number = (169 << 24) + (254 << 16) + low
    host = form.format(number, dotted=ip_address(number))
    with pytest.raises(BadRequestError):
        addresses.check_host(host)


@pytest.mark.parametrize(
    "found", [["169.254.169.254"], ["10.0.0.5", "169.254.169.254"], ["fe80::1%eth0"], ["::ffff:a9fe:a9fe"]]
)
def test_a_name_that_stands_for_such_an_address(found: list[str]) -> None:
    def resolve(host: str, port: None, **options: object) -> list[tuple[object, ...]]:
        assert (host, port) == ("innocent.example", None)
        return [(2, 1, 6, "", (address, 0)) for address in found]

    with pytest.raises(BadRequestError, match=r"innocent\.example leads to"):
        addresses.check_resolved("innocent.example", resolve)


def test_a_name_of_a_private_network_passes_and_so_does_one_that_only_a_proxy_knows() -> None:
    addresses.check_resolved("minio.lab", lambda *_, **__: [(2, 1, 6, "", ("10.0.0.5", 0))])

    def unknown(*_: object, **__: object) -> list[tuple[object, ...]]:
        raise OSError

    addresses.check_resolved("behind.the.proxy", unknown)
    addresses.check_resolved("localhost")


# Links that ask for another place than they show, besides the addresses above.
OTHERS = [
    "simplecache::http://127.0.0.1:{port}/x", "filecache::s3://b", "zip://x::http://127.0.0.1:{port}/a.zip",
    "reference::x",
    "reference://x", "reference:/x", "dir::file:///etc/passwd", "simplecache:http://127.0.0.1:{port}/x",
    "github://o:r@main/x", "jar:http://127.0.0.1:{port}/x!/y", "blockcache::https://127.0.0.1:{port}", "tar:x",
    "file://127.0.0.1:{port}/x", "gopher://127.0.0.1:{port}/", "ftp://127.0.0.1:{port}/", "//127.0.0.1:{port}/../x",
    "http:/127.0.0.1:{port}/x", "http:127.0.0.1:{port}/x", "HTTP://169.254.169.254:{port}/", "data:text/plain,x",
    "http://169.254.169.254:9000/bucket", "https://169.254.169.254/devstoreaccount1/models", "az::http://127.0.0.1:{port}",
    "http://user@169.254.169.254/", "http://127.0.0.1:{port}@169.254.169.254/", "http://169.254.169.254\\@example.org/",
    "BlobEndpoint=http://169.254.169.254:{port}/x;AccountName=acct;AccountKey=MDEyMzQ1Njc4OTAxMjM0NTY3ODk=",
    "BlobEndpoint=reference::http://127.0.0.1:{port};AccountName=acct;AccountKey=MDEyMzQ1Njc4OTAxMjM0NTY3ODk=",
]  # fmt: skip


@contextmanager
def canary() -> Iterator[tuple[int, list[str]]]:
    """Listen where a proxy would; give the requests that came."""
    hits: list[str] = []

    class Catch(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hits.append(self.path)
            self.send_error(404)

        do_HEAD = do_CONNECT = do_PUT = do_GET

        def log_message(self, *_: object) -> None:
            pass

    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Catch)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    try:
        yield listener.server_port, hits
    finally:
        listener.shutdown()
        listener.server_close()
