"""Credentials that end in the middle: tokens are asked for again, links stop with what was sent kept."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

import jupyter_gpu_ext as jg
from jupyter_gpu_ext import errors
from jupyter_gpu_ext.storage import connections
from jupyter_gpu_ext.storage.backends import close_all
from jupyter_gpu_ext.storage.loop import LOOP
from jupyter_gpu_ext.storage.reader import open_reader
from jupyter_gpu_ext.storage.uploads import Uploads
from jupyter_gpu_ext.storage.writer import open_writer
from tests.conftest import AZURITE_ACCOUNT, Azurite, write_connections
from tests.faults.proxy import Fault, FaultProxy, Message, Rule, fault_proxy
from tests.storage.clouds import gcs_fields, s3_fields
from tests.storage.identities import service_account, token_endpoint
from tests.storage.servers import endpoint
from tests.storage.signed import container_link

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from azure.storage.blob import ContainerClient

    from jupyter_gpu_ext.storage.writer import Writer
    from tests.storage.clouds import GCSStore, S3Store
    from tests.storage.identities import TokenService
    from tests.storage.tls import Certificates

DATA = random.Random(3).randbytes(600_000)
BLOCK = 8 << 20


def azure_refusal(code: str, detail: str) -> bytes:
    """Return the body of a refusal as Azure writes it."""
    return (
        f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>Server failed to authenticate the '
        "request. Make sure the value of Authorization header is formed correctly including the signature.\n"
        f"RequestId:0\nTime:2026-01-01T00:00:00Z</Message><AuthenticationErrorDetail>{detail}"
        "</AuthenticationErrorDetail></Error>"
    ).encode()


NO_MORE = azure_refusal("InvalidAuthenticationInfo", "Lifetime validation failed. The token is expired.")
CHALLENGE = "Bearer authorization_uri=https://login.example/t/oauth2/authorize resource_id=https://storage.azure.com"
XML = ("Content-Type", "application/xml")

# What a service says to a token that has ended.
ENDINGS = {
    "as Azure": Fault("reply", (401, NO_MORE), (XML, ("x-ms-error-code", "InvalidAuthenticationInfo"))),
    "with a challenge": Fault("reply", (401, NO_MORE), (XML, ("WWW-Authenticate", CHALLENGE))),
    "as Azurite": Fault("reply", (403, NO_MORE.replace(b"InvalidAuthenticationInfo", b"AuthenticationFailed")), (XML,)),
    "without a word": Fault("status", 401),
}


class Used:
    """Lets the first token that it sees through so often, and every later one always."""

    def __init__(self, good_for: int) -> None:
        self.counts: Counter[str] = Counter()
        self._good_for = good_for

    def __call__(self, request: Message) -> bool:
        token = request.header("Authorization")
        self.counts[token] += 1
        return token == next(iter(self.counts)) and self.counts[token] > self._good_for


@pytest.fixture
def container(guarded: Azurite, certificates: Certificates) -> ContainerClient:
    """A container of the Azurite that takes tokens."""
    from azure.storage.blob import BlobServiceClient

    from tests.conftest import AZURITE_KEY

    service = BlobServiceClient(guarded.secure, credential=AZURITE_KEY, connection_verify=str(certificates.authority))
    return service.create_container(f"ending-{time.monotonic_ns()}")


def guard(guarded: Azurite, certificates: Certificates, rule: Rule) -> object:
    """Put a proxy that looks at tokens before that Azurite."""
    return fault_proxy(guarded.port, rule, front=certificates.front(), back=certificates.back())


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_token_that_ends_is_asked_for_again_and_the_work_goes_on(
    guarded: Azurite, certificates: Certificates, container: ContainerClient, service: TokenService, tmp_path: Path,
    ending: str,
) -> None:  # fmt: skip
    container.upload_blob("x.bin", DATA)
    container.upload_blob("a//b", DATA)
    name = f"outlived-{ending.replace(' ', '-').lower()}"

    def use(good_for: int, work: object) -> None:
        used = Used(good_for)
        with guard(guarded, certificates, Rule(ENDINGS[ending], when=used)) as wire:
            fields = {
                "root": f"az://{container.container_name}",
                "endpoint": f"https://127.0.0.1:{wire.port}/{AZURITE_ACCOUNT}",
                "credential": "managed-identity",
                "ca_file": str(certificates.authority),
                "read_only": False,
            }
            write_connections(tmp_path / "connections.toml", **{name: fields})
            work()
        first, second = used.counts
        assert used.counts[first] > good_for, "the first token never ended"
        assert used.counts[second] >= 2, "the work did not go on with the second token"

    def read(key: str) -> None:
        reader = LOOP.run(open_reader(f"{name}://{key}"))
        starts = range(0, len(DATA), 50_000)
        assert b"".join(LOOP.run(reader.read(at, at + 50_000)) for at in starts) == DATA

    def write() -> None:
        with jg.open(f"{name}://sent.bin", "wb") as file:
            file.write(DATA * 30)
        assert container.download_blob("sent.bin").readall() == DATA * 30

    before = service.given
    use(4, lambda: read("x.bin"))
    use(4, lambda: read("a//b"))
    use(2, write)
    assert service.given == before + 6, "one question for each ending"


def test_a_token_that_never_counts_ends_after_a_second_one(
    guarded: Azurite, certificates: Certificates, container: ContainerClient, service: TokenService, tmp_path: Path
) -> None:
    with guard(guarded, certificates, Rule(ENDINGS["as Azure"], when=lambda _: True)) as wire:
        fields = {
            "root": f"az://{container.container_name}",
            "endpoint": f"https://127.0.0.1:{wire.port}/{AZURITE_ACCOUNT}",
            "credential": "managed-identity",
            "ca_file": str(certificates.authority),
        }
        write_connections(tmp_path / "connections.toml", never=fields)
        for ask in (lambda: jg.ls("never://"), lambda: LOOP.run(open_reader("never://x.bin"))):
            wire.log.clear()
            with pytest.raises(errors.ExpiredError) as refused:
                ask()
            assert len(wire.log) <= 2
            assert refused.value.hint


NOT_VALID = "Signature not valid in the specified time frame: Start [{0}] - Expiry [{1}] - Current [{2}]"
EARLY, NOON, LATE = (f"Thu, 01 Jan 2026 {hour}:00:00 GMT" for hour in (10, 12, 14))
REFUSALS = [
    (azure_refusal("AuthenticationFailed", NOT_VALID.format(EARLY, NOON, LATE)), "expired", "new link"),
    (azure_refusal("AuthenticationFailed", NOT_VALID.format(LATE, LATE, NOON)), "denied", "Wait"),
    (azure_refusal("AuthenticationFailed", NOT_VALID.format("soon", "x", "y")), "expired", "new link"),
    (azure_refusal("AuthenticationFailed", "Signature did not match."), "denied", "Check that the secret"),
]


@pytest.mark.parametrize(("body", "code", "hint"), REFUSALS)
def test_what_azure_says_of_a_link(
    azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: bytes, code: str, hint: str
) -> None:
    link = container_link(azurite.new_container())
    monkeypatch.setenv("A_LINK", link.partition("?")[2])
    with endpoint(403, body, {"Content-Type": "application/xml"}) as address:
        fields = {"root": "az://models", "account": "acc", "endpoint": address, "credential": "sas"}
        write_connections(tmp_path / "connections.toml", said={**fields, "secret": "env:A_LINK"})
        for ask in (lambda: jg.ls("said://"), lambda: LOOP.run(open_reader("said://x.bin"))):
            with pytest.raises(errors.DeniedError) as refused:
                ask()
            assert refused.value.code == code
            assert hint in refused.value.hint


def test_aws_answers_400_to_a_session_that_ended(s3_store: S3Store, tmp_path: Path) -> None:
    body = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
    with endpoint(400, body, {"Content-Type": "application/xml"}) as address:
        fields = {**s3_fields(s3_store), "endpoint": address}
        write_connections(tmp_path / "connections.toml", session=fields)
        for ask in (lambda: jg.ls("session://"), lambda: LOOP.run(open_reader("session://x.bin"))):
            with pytest.raises(errors.ExpiredError, match="behind session expired") as refused:
                ask()
            assert "env:TEST_S3_KEYS" in refused.value.hint


class Held:
    """Keeps some requests until a moment has passed: they were sent in time and come too late."""

    def __init__(self) -> None:
        self.until: datetime | None = None
        self.hold = threading.Event()

    def __call__(self, request: Message) -> bool:
        if self.hold.is_set() and self.until is not None:
            # The proxy has a thread of its own.
            while datetime.now(UTC) <= self.until:
                time.sleep(0.05)
        return False


@pytest.fixture
def held(azurite: Azurite) -> Iterator[tuple[Held, FaultProxy]]:
    """A proxy before Azurite that holds requests."""
    holder = Held()
    with fault_proxy(azurite.port, Rule(Fault("status", 500), when=holder)) as wire:
        yield holder, wire


def blocks_sent(wire: FaultProxy) -> int:
    return sum(line.startswith("PUT") and "comp=block&" in line for line, _ in wire.log)


def test_a_link_that_ends_keeps_what_was_sent(azurite: Azurite, held: tuple[Held, FaultProxy], tmp_path: Path) -> None:
    holder, wire = held
    made = azurite.new_container()
    made.upload_blob("x.bin", DATA * 10)
    proxied = lambda link: link.replace(f":{azurite.port}/", f":{wire.port}/")  # noqa: E731
    lasts = timedelta(seconds=6)
    jg.connect(proxied(container_link(made, rights="rwcl", lasts=lasts)), "ending", read_only=False)
    holder.until = connections_end("ending") + timedelta(seconds=1)
    sent = DATA * 40
    reader = LOOP.run(open_reader("ending://x.bin"))
    writer = LOOP.run(open_writer("ending://sent.bin"))
    LOOP.run(writer.write(sent[:BLOCK]))
    uploads = Uploads()
    identity, session = LOOP.run(uploads.open("ending", "browser.bin", len(DATA)))
    while not LOOP.run(writer._upload.received()):
        time.sleep(0.02)
    # What is asked now reaches Azurite when the link has ended; its refusal says nothing of the time.
    holder.hold.set()
    with pytest.raises(errors.ExpiredError, match=r"The link behind ending expired at \d\d:\d\d UTC") as refused:
        LOOP.run(reader.read(5_000_000, 5_000_100))
    assert "Ask for a new link, give it to `%blob connect --name ending --renew`" in refused.value.hint
    holder.hold.clear()
    with pytest.raises(errors.ExpiredError) as refused:
        LOOP.run(finish(writer, sent[BLOCK:]))
    assert f"resume_id='{writer.id}'" in refused.value.hint
    with pytest.raises(errors.ExpiredError):
        LOOP.run(uploads.put(identity, 0, DATA))
    assert not made.get_blob_client("sent.bin").exists()
    again = jg.connect(proxied(container_link(made, rights="rwcl")), name="ending", renew=True)
    assert (again.connection.name, again.connection.read_only, again.saved) == ("ending", False, True)
    assert [row["name"] for row in jg.ls().to_json()] == ["ending"]
    wire.log.clear()
    with jg.open("ending://sent.bin", "xb", resume_id=writer.id) as file:
        file.write(sent)
    assert blocks_sent(wire) == len(sent) // BLOCK, "all but the one that was there"
    assert made.download_blob("sent.bin").readall() == sent
    same, session = LOOP.run(uploads.open("ending", "browser.bin", len(DATA), resume_id=identity))
    assert same == identity
    assert LOOP.run(session.upload.received()) == set()
    LOOP.run(uploads.put(identity, 0, DATA))
    LOOP.run(uploads.commit(identity))
    assert made.download_blob("browser.bin").readall() == DATA
    assert LOOP.run(open_reader("ending://x.bin")).head[:10] == DATA[:10]


async def finish(writer: Writer, data: bytes) -> None:
    await writer.write(data)
    await writer.commit()


def connections_end(name: str) -> datetime:
    from jupyter_gpu_ext.storage.credentials import expires_at

    end = expires_at(connections.load().find(name))
    assert end is not None
    return end


def test_another_link_is_another_connection_while_the_old_one_counts(azurite: Azurite) -> None:
    made = azurite.new_container()
    first = jg.connect(container_link(made), "first")
    other = jg.connect(container_link(made, lasts=timedelta(hours=2)))
    assert first.connection.name != other.connection.name
    with pytest.raises(errors.ExistsError):
        jg.connect(container_link(made, lasts=timedelta(hours=3)), "first")


def test_an_aws_session_that_ends_is_looked_for_again(
    s3_store: S3Store, moto: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A profile's keys were written anew, as a sign-in does, while this process goes on."""
    s3_store.put("x.bin", DATA)
    s3_store.put("a//b", DATA)
    file = tmp_path / "AWS_SHARED_CREDENTIALS_FILE"
    ending = Fault("reply", (400, b"<Error><Code>ExpiredToken</Code><Message>Gone.</Message></Error>"), (XML,))
    old = threading.Event()

    def refused(request: Message) -> bool:
        return old.is_set() and request.header("x-amz-security-token") == "first"

    def signed_in(token: str) -> None:
        lines = ["aws_access_key_id=AKIATEST", "aws_secret_access_key=s", f"aws_session_token={token}"]
        file.write_text("\n".join(["[default]", *lines, ""]))

    with fault_proxy(moto, Rule(ending, when=refused)) as wire:
        fields = {**s3_fields(s3_store, wire.port), "credential": "default"}
        del fields["secret"]
        write_connections(tmp_path / "connections.toml", signed=fields)
        for key in ("x.bin", "a//b"):
            old.clear()
            signed_in("first")
            reader = LOOP.run(open_reader(f"signed://{key}"))
            writer = LOOP.run(open_writer(f"signed://sent-{key}"))
            LOOP.run(writer.write(bytes(BLOCK)))
            old.set()
            with pytest.raises(errors.ExpiredError):
                jg.ls("signed://")
            signed_in("second")
            assert LOOP.run(reader.read(500_000, 600_000)) == DATA[500_000:]
            LOOP.run(finish(writer, DATA))
            assert jg.fs("signed").cat(f"sent-{key}") == bytes(BLOCK) + DATA
            # The next round begins with the first session again.
            close_all()


def test_a_google_token_that_ends_is_asked_for_again(
    gcs_store: GCSStore, fake_gcs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gcs_store.put("x.bin", DATA)
    ending = Fault("reply", (401, b'{"error": {"code": 401, "message": "Invalid Credentials"}}'))
    used = Used(3)
    with token_endpoint() as (address, given), fault_proxy(fake_gcs, Rule(ending, when=used)) as wire:
        monkeypatch.setenv("A_SERVICE", service_account(address))
        fields = {**gcs_fields(gcs_store), "endpoint": f"http://127.0.0.1:{wire.port}"}
        write_connections(
            tmp_path / "connections.toml",
            renewed={**fields, "credential": "service-account", "secret": "env:A_SERVICE"},
        )
        reader = LOOP.run(open_reader("renewed://x.bin"))
        for at in range(0, 600_000, 100_000):
            assert LOOP.run(reader.read(at, at + 100_000)) == DATA[at : at + 100_000]
        assert [one.key for one in jg.ls("renewed://").page.entries] == ["x.bin"]
    assert list(used.counts) == ["Bearer token-1", "Bearer token-2"] == [f"Bearer {one}" for one in given]
