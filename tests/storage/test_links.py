"""What a person may paste, and what is refused with the reason and the cure."""

from __future__ import annotations

import base64
import urllib.parse
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.storage import connections, links
from jupyter_gpu_ext.storage.proposal import free, suggest
from jupyter_gpu_ext.storage.sas import Grants
from tests.conftest import AZURITE_KEY

SIGNATURE = base64.b64encode(bytes(range(100, 132))).decode()
SIG = urllib.parse.quote(SIGNATURE, safe="")
TIMES = "st=2025-11-01T00%3A00%3A00Z&se=2030-12-03T14:02:00Z"
BLOB = f"sv=2024-11-04&sr=b&sp=r&{TIMES}&spr=https&sig={SIG}"
CONTAINER = f"sp=racwdl&{TIMES}&sv=2024-11-04&sr=c&sig={SIG}"
ACCOUNT = f"sv=2024-11-04&ss=bf&srt=sco&sp=rl&se=2030-12-03&sig={SIG}"
HOST = "https://mystorage.blob.core.windows.net"
KEYED = f"DefaultEndpointsProtocol=https;AccountName=mystorage;AccountKey={AZURITE_KEY};EndpointSuffix=core.windows.net"
PORTAL = "https://portal.azure.com/#@contoso.com/resource/subscriptions/1/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/mystorage"
BLADE = (
    "https://portal.azure.com/#view/Microsoft_Azure_Storage/ContainerMenuBlade/~/overview/storageAccountId/"
    "%2Fsubscriptions%2F1%2FresourceGroups%2Frg%2Fproviders%2FMicrosoft.Storage%2FstorageAccounts%2Fmystorage/path/models/etag/x"
)
DEFAULT = {"account": "mystorage", "credential": "default"}
SIGNED = {"account": "mystorage", "credential": "sas"}

# What is pasted, the root, the key below it, the other fields.
GOOD = [
    (f"{HOST}/models?{CONTAINER}", "az://models", "", SIGNED),
    (f"{HOST}/models/llama?{CONTAINER}", "az://models/llama", "", SIGNED),
    (f"{HOST}/models/llama/x.pt?{CONTAINER}", "az://models/llama", "x.pt", SIGNED),
    (f"{HOST}/models/a%20b/c%23d.pt?{BLOB}", "az://models/a b", "c#d.pt", SIGNED),
    (f"{HOST}/models/weights?{BLOB}", "az://models", "weights", SIGNED),
    (f"{HOST}/models?restype=container&comp=list&{CONTAINER}", "az://models", "", SIGNED),
    (f"{HOST}/?{ACCOUNT}", "az://", "", SIGNED),
    (f"{HOST}?{ACCOUNT}", "az://", "", SIGNED),
    (f"{HOST.upper().replace('HTTPS', 'https')}/models?{CONTAINER}", "az://models", "", SIGNED),
    (f"{HOST.replace('blob', 'dfs')}/models/llama/?{CONTAINER}", "az://models/llama", "", SIGNED),
    (f"https://mystorage.blob.core.chinacloudapi.cn/models?{CONTAINER}", "az://models", "",
     {**SIGNED, "endpoint": ""}),
    (f"https://data.contoso.com/models?{CONTAINER}", "az://models", "",
     {"account": "data", "credential": "sas", "endpoint": "https://data.contoso.com"}),
    (f"http://127.0.0.1:10000/devstoreaccount1/models/x.pt?{CONTAINER}", "az://models", "x.pt",
     {"account": "devstoreaccount1", "credential": "sas", "endpoint": "http://127.0.0.1:10000/devstoreaccount1"}),
    (f"https://azurite:10000/devstoreaccount1/models?{CONTAINER}", "az://models", "",
     {"account": "devstoreaccount1", "credential": "sas", "endpoint": "https://azurite:10000/devstoreaccount1"}),
    (f"{HOST}/models/llama", "az://models/llama", "", DEFAULT),
    (f"{HOST}/$web/index.html", "az://$web", "index.html", DEFAULT),
    (HOST, "az://", "", DEFAULT),
    (KEYED, "az://", "", {"account": "mystorage", "credential": "account-key"}),
    (f"{KEYED};", "az://", "", {"account": "mystorage", "credential": "account-key"}),
    (f"BlobEndpoint={HOST}/;SharedAccessSignature={ACCOUNT}", "az://", "", {**SIGNED, "endpoint": HOST}),
    (f"AccountName=mystorage;SharedAccessSignature=?{ACCOUNT}", "az://", "", SIGNED),
    ("UseDevelopmentStorage=true", "az://", "",
     {"account": "devstoreaccount1", "credential": "account-key", "endpoint": "http://127.0.0.1:10000/devstoreaccount1"}),
    (f"{PORTAL}/containersList", "az://", "", DEFAULT),
    (f"{PORTAL}/overview", "az://", "", DEFAULT),
    (f"{PORTAL}/blobServices/default/containers/models", "az://models", "", DEFAULT),
    (BLADE, "az://models", "", DEFAULT),
    ("abfss://models@mystorage.dfs.core.windows.net/llama/x.pt", "az://models/llama", "x.pt", DEFAULT),
    ("abfs://models@mystorage.dfs.core.windows.net", "az://models", "", DEFAULT),
    ("wasbs://models@mystorage.blob.core.windows.net/p", "az://models/p", "", DEFAULT),
    ("s3://bucket/run 7/x.pt", "s3://bucket/run 7", "x.pt", {"credential": "default"}),
    ("s3a://bucket", "s3://bucket", "", {"credential": "default"}),
    ("s3://", "s3://", "", {"credential": "default"}),
    ("gs://bucket/p/", "gs://bucket/p", "", {"credential": "default"}),
    ("gcs://bucket", "gs://bucket", "", {"credential": "default"}),
    ("http://10.0.0.5:9000/bucket/a/x.pt", "s3://bucket/a", "x.pt",
     {"credential": "default", "endpoint": "http://10.0.0.5:9000"}),
    ("http://127.0.0.1:9000/bucket", "s3://bucket", "", {"credential": "default", "endpoint": "http://127.0.0.1:9000"}),
    ("http://[::1]:9000/bucket", "s3://bucket", "", {"credential": "default", "endpoint": "http://[::1]:9000"}),
    ("https://minio.lab.example/bucket/p", "s3://bucket/p", "",
     {"credential": "default", "endpoint": "https://minio.lab.example"}),
    ("https://bucket.s3.eu-west-1.amazonaws.com/a/x.pt", "s3://bucket/a", "x.pt",
     {"credential": "default", "region": "eu-west-1"}),
    ("https://s3.us-east-1.amazonaws.com/bucket/a", "s3://bucket/a", "",
     {"credential": "default", "region": "us-east-1"}),
    ("https://storage.googleapis.com/bucket/a/x.pt", "gs://bucket/a", "x.pt", {"credential": "default"}),
    ("/mnt/data", "/mnt/data", "", {}),
    ("file:///mnt/data", "/mnt/data", "", {}),
    ("/mnt/a::b", "/mnt/a::b", "", {}),
    ("https://files.example.org/a/b/model%20x.pt", "https://files.example.org/a/b", "model x.pt", {}),
    ("http://192.168.1.4:8080/x.pt", "http://192.168.1.4:8080", "x.pt", {}),
    ("  `https://files.example.org/x.pt`\u200b\n", "https://files.example.org", "x.pt", {}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "root", "key", "fields"), GOOD, ids=[row[0][:60] for row in GOOD])
def test_a_paste_is_understood(text: str, root: str, key: str, fields: dict[str, str]) -> None:
    found = links.parse(text, {})
    if fields.get("endpoint") == "":
        fields = {**fields, "endpoint": text.partition("/models")[0]}
    assert dict(found.fields) == {"root": root, **fields}
    assert found.key == key
    assert "secret" not in found.fields
    assert (found.secret is not None) == (fields.get("credential") in ("sas", "account-key"))
    assert connections.is_name(found.name)
    for hidden in (SIG, SIGNATURE, AZURITE_KEY):
        assert hidden not in repr(found)


GRANTS = [
    (f"{HOST}/models/x?{BLOB}", Grants(list=False, read=True, write=False, delete=False), "x"),
    (f"{HOST}/models?{CONTAINER}", Grants(list=True, read=True, write=True, delete=True), None),
    (f"{HOST}/?{ACCOUNT}", Grants(list=True, read=True, write=False, delete=False), None),
    (f"{HOST}/?{ACCOUNT.replace('srt=sco', 'srt=c')}", Grants(list=True, read=False, write=False, delete=False), None),
    (f"{HOST}/models?si=policy&sr=c&sv=1&sig={SIG}", Grants(), None),
    (f"{HOST}/models", Grants(), None),
]


@pytest.mark.parametrize(("text", "grants", "one_object"), GRANTS)
def test_what_a_link_grants_is_read_from_it(text: str, grants: Grants, one_object: str | None) -> None:
    found = links.parse(text)
    assert found.grants == grants
    assert found.one_object == one_object


@pytest.mark.parametrize(
    ("se", "expires"),
    [
        ("2030-12-03T14:02:00Z", datetime(2030, 12, 3, 14, 2, tzinfo=UTC)),
        ("2030-12-03T14%3A02%3A00Z", datetime(2030, 12, 3, 14, 2, tzinfo=UTC)),
        ("2030-12-03T14:02:00.0000000Z", datetime(2030, 12, 3, 14, 2, tzinfo=UTC)),
        ("2030-12-03T14:02Z", datetime(2030, 12, 3, 14, 2, tzinfo=UTC)),
        ("2030-12-03T16:02:00%2B02:00", datetime(2030, 12, 3, 14, 2, tzinfo=UTC)),
        ("2030-12-03", datetime(2030, 12, 3, tzinfo=UTC)),
    ],
)
def test_expiry(se: str, expires: datetime) -> None:
    assert links.parse(f"{HOST}/models?sv=1&sr=c&sp=r&se={se}&sig={SIG}").expires_at == expires


def test_the_token_is_sent_as_it_was_signed() -> None:
    found = links.parse(f"{HOST}/models?restype=container&{CONTAINER}")
    assert found.secret is not None
    assert found.secret.reveal() == CONTAINER


# What is pasted, a part of the message, a part of the hint.
BAD = [
    ("", "Nothing was pasted", "SAS link"),
    (" \n", "Nothing was pasted", "SAS link"),
    ("models", "no absolute folder", "SAS link"),
    ("./models", "no absolute folder", "folder that starts with /"),
    ("/mnt/../etc", "not written in full", "whole path"),
    ("a\nb", "line break", "one link"),
    ("/mnt/\0", "control character", "one link"),
    ("x" * 20_000, "longer than", "Paste"),
    (BLOB, "signature without its link", "Blob SAS URL"),
    (f"?{BLOB}", "signature without its link", "Blob SAS URL"),
    (AZURITE_KEY, "key without its account", "connection string"),
    (f"{HOST}/models?sv=1&sr=c&sp=r&sig=abc", "not whole", "whole link"),
    (f"{HOST}/models?sv=1&sp=r&sig={SIG}", "not whole", "whole link"),
    (f"{HOST}/models?sr=c&{CONTAINER}", "comes twice", "whole link"),
    (f"{HOST}/models?{CONTAINER.replace('2030-12-03T14:02:00Z', 'soon')}", "times of this link", "whole link"),
    (f"{HOST}/models?{CONTAINER}&snapshot=2024", "one old version", "own link"),
    (f"{HOST}/?{CONTAINER}", "names no container", "Blob SAS URL"),
    (f"{HOST}/models?{BLOB}", "does not name it", "Blob SAS URL"),
    (f"{HOST}/Models!?{CONTAINER}", "no container of its form", "Blob SAS URL"),
    (f"{HOST}/models?ss=q&{ACCOUNT[14:].replace('ss=bf&', '')}", "not for blobs", "Blob service"),
    (f"{HOST}/models?sr=s&sv=1&sig={SIG}", "not for blobs", "container or a blob"),
    (f"{HOST.replace('blob', 'file')}/models?{CONTAINER}", "Azure Files", "Blob SAS URL"),
    (f"{HOST}/models?x=1", "no signature", "from ? on"),
    (f"{HOST.replace('https', 'http')}/models?{CONTAINER}", "unencrypted", "https://"),
    (f"http://azurite:10000/devstoreaccount1/models?{CONTAINER}", "unencrypted", "https://"),
    ("AccountName=mystorage;EndpointSuffix=core.windows.net", "neither AccountKey", "Access keys"),
    (f"AccountKey={AZURITE_KEY};x", "not whole", "Access keys"),
    (f"AccountKey={AZURITE_KEY}", "names no account", "Access keys"),
    (f"AccountName=evil/#;AccountKey={AZURITE_KEY}", "names no account", "Access keys"),
    (KEYED.replace("=https;", "=http;"), "unencrypted", "Protocol=https"),
    (f"BlobEndpoint=http://169.254.169.254/x;AccountName=acct;AccountKey={AZURITE_KEY}", "metadata", "MinIO"),
    (f"BlobEndpoint={HOST}?{ACCOUNT};AccountName=acct;AccountKey={AZURITE_KEY}", "a query", "from ? or # on"),
    ("https://portal.azure.com/#home", "shows no storage account", "copy that link"),
    ("az://models", "does not say the storage account", "blob.core.windows.net"),
    ("abfss://models@example.org/p", "no storage account of its form", "blob.core.windows.net"),
    ("s3://B!/x", "no bucket", "s3://my-bucket"),
    ("gs://../x", "no bucket", "gs://my-bucket"),
    (f"https://b.s3.amazonaws.com/x.pt?X-Amz-Credential=AKIA&X-Amz-Signature={'0f' * 32}", "presigned", "s3://BUCKET"),
    (f"https://storage.googleapis.com/b/x?X-Goog-Signature={'0f' * 128}", "presigned", "gs://BUCKET"),
    ("https://files.example.org/x.pt?token=s3cr3t-t0ken", "a query", "from ? or # on"),
    ("https://user:pa55word@files.example.org/x.pt", "a user", "address bar"),
    ("https://files.example.org\\@evil.example/x.pt", "a backslash", "address bar"),
    ("https:///x.pt", "no host", "address bar"),
    ("https://files.example.org:99999/x", "no address", "address bar"),
    ("https://[zz]/x", "no address", "address bar"),
    ("http://１６９.254.169.254/x", "no plain http", "address bar"),
    ("ftp://files.example.org/x", "ftp://", "SAS link"),
    ("memory://x", "memory://", "SAS link"),
    ("hf://org/model", "hf://", "SAS link"),
    ("file://host/x", "file://", "folder"),
]


@pytest.mark.parametrize(("text", "message", "hint"), BAD, ids=[row[1] + " " + row[0][:30] for row in BAD])
def test_a_refusal_says_why_and_what_to_paste_instead(text: str, message: str, hint: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        links.parse(text, {})
    assert message in refused.value.message
    assert hint in refused.value.hint
    shown = str(refused.value) + repr(refused.value)
    for hidden in (SIG, SIGNATURE, AZURITE_KEY, "s3cr3t", "pa55word", "AKIA", "0f0f"):
        assert hidden not in shown


@pytest.mark.parametrize(
    ("environ", "fields"),
    [
        ({"AZURE_STORAGE_ACCOUNT": "acct"}, {"account": "acct", "credential": "default"}),
        ({"AZURE_STORAGE_ACCOUNT_NAME": "acct", "AZURE_STORAGE_ACCOUNT_KEY": "k"},
         {"account": "acct", "credential": "account-key", "secret": "env:AZURE_STORAGE_ACCOUNT_KEY"}),
        ({"AZURE_STORAGE_ACCOUNT_NAME": "acct", "AZURE_STORAGE_SAS_TOKEN": "k"},
         {"account": "acct", "credential": "sas", "secret": "env:AZURE_STORAGE_SAS_TOKEN"}),
        ({"AZURE_STORAGE_CONNECTION_STRING": KEYED},
         {"credential": "connection-string", "secret": "env:AZURE_STORAGE_CONNECTION_STRING"}),
    ],
)  # fmt: skip
def test_az_takes_the_account_of_the_environment(environ: dict[str, str], fields: dict[str, str]) -> None:
    assert links.parse("az://models/p", environ).fields == {"root": "az://models/p", **fields}


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"{HOST}/models?{CONTAINER}", True),
        (f"?{BLOB}", True),
        (KEYED, True),
        (AZURITE_KEY, True),
        ("https://user:pa55word@files.example.org/x.pt", True),
        (f"https://b.s3.amazonaws.com/x.pt?X-Amz-Signature={'0f' * 32}", True),
        (f"{HOST}/models", False),
        ("s3://bucket/x", False),
        ("weights://x?a=b&sig=1", False),
        ("/mnt/data", False),
    ],
)
def test_what_holds_a_secret(text: str, secret: bool) -> None:
    assert links.has_secret(text) == secret


PARTS = st.sampled_from([
    "https://", "http://", "az://", "s3://", "abfss://", "mystorage.blob.core.windows.net", "/", "models", "?", "&",
    "=", "#",
    "sig=", SIG, "sv=1", "sr=c", "AccountKey=", AZURITE_KEY, "AccountName=a", ";", "BlobEndpoint=", "@", ":",
    "::", "[", "]",
    "%2F", "%ff", "\\", "..", "portal.azure.com", "127.0.0.1:9000", "é", " ",
])  # fmt: skip


@given(st.one_of(st.text(max_size=60), st.lists(PARTS, max_size=10).map("".join)))
def test_any_text_is_understood_or_refused_in_words(text: str) -> None:
    try:
        found = links.parse(text, {})
    except BadRequestError as refused:
        shown = f"{refused!s}{refused!r}" if refused.hint else AZURITE_KEY
    else:
        assert connections.is_name(found.name)
        # A connection's root and key together are what the clients will be asked for.
        shown = repr(found)
    assert AZURITE_KEY not in shown or AZURITE_KEY in found.key + str(found.fields)


@given(
    st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1).filter(lambda key: "?" not in key)
)
def test_a_blob_s_name_survives_its_link(name: str) -> None:
    path = f"deep/{name.strip('/') or 'x'}"
    found = links.parse(f"{HOST}/models/{urllib.parse.quote(path)}?{BLOB}")
    assert f"{found.fields['root']}/{found.key}" == f"az://models/{path}"


@given(st.lists(st.text(max_size=60), max_size=3))
def test_a_suggested_name_is_one(words: list[str]) -> None:
    assert connections.is_name(suggest(*words))


def test_a_free_name() -> None:
    assert [free("a", taken) for taken in ((), ("a",), ("a", "a-2"))] == ["a", "a-2", "a-3"]
