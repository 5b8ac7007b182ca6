"""What people read: sizes, one line, and never a secret."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_gpu_ext.text import format_bytes, format_count, format_duration, printable, redact, table
from tests.conftest import AZURITE_KEY

SAS = "sv=2024-11-04&sr=c&sp=rl&sig=abcDEF%2B123%2F456%2Fabc%3D"


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"), (1, "1 B"), (999, "999 B"), (1000, "1.0 kB"), (1250, "1.2 kB"), (99_940, "99.9 kB"),
        (99_960, "100 kB"), (999_499, "999 kB"), (999_500, "1.0 MB"), (14_900_000_000, "14.9 GB"), (10**12, "1.0 TB"),
        (10**15, "1.0 PB"), (5 * 10**18, "5000 PB"), (-1500, "-1.5 kB"),
    ],
)  # fmt: skip
def test_format_bytes(size: int, shown: str) -> None:
    assert format_bytes(size) == shown


@given(st.integers(0, 10**18))
def test_sizes_have_three_digits_and_the_right_magnitude(size: int) -> None:
    number, unit = format_bytes(size).split()
    factor = 1000 ** ["B", "kB", "MB", "GB", "TB", "PB"].index(unit)
    assert sum(char.isdigit() for char in number) <= 4 - (unit != "PB" and "." in number) or float(number) >= 1000
    assert abs(float(number) * factor - size) <= max(size * 0.06, 0.5)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 ms"), (0.04, "40 ms"), (0.095, "0.1 s"), (0.44, "0.4 s"), (9.94, "9.9 s"), (10, "10 s"),
     (59.4, "59 s"), (59.6, "1 min 0 s"), (80, "1 min 20 s"), (3600, "1 h 0 min"), (7500, "2 h 5 min")],
)  # fmt: skip
def test_format_duration(seconds: float, shown: str) -> None:
    assert format_duration(seconds) == shown


@pytest.mark.parametrize(("count", "shown"), [(0, "0 tensors"), (1, "1 tensor"), (1234, "1,234 tensors")])
def test_format_count(count: int, shown: str) -> None:
    assert format_count(count, "tensor") == shown


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"AccountName=x;AccountKey={AZURITE_KEY};EndpointSuffix=y", AZURITE_KEY),
        (f"the key {AZURITE_KEY} alone", AZURITE_KEY),
        (f'secret = "{AZURITE_KEY}"', AZURITE_KEY),
        (f"https://x.blob.core.windows.net/c/k?{SAS}", "abcDEF"),
        (f"SharedAccessSignature={SAS};Blob=y", "abcDEF"),
        (f"?url=https%3A%2F%2Fx%3F{SAS.replace('=', '%3D').replace('&', '%26')}", "abcDEF"),
        ("Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30.abc", "eyJhbGciOiJIUzI1NiJ9"),
        ("Authorization: SharedKey devstoreaccount1:dGhpcyBpcyBzZWNyZXQ=", "dGhpcyBpcyBzZWNyZXQ="),
        ("http://user:p4ssw0rd@proxy:8080/", "p4ssw0rd"),
        ("X-Amz-Signature=0123456789abcdef&X-Amz-Credential=AKIAXXXX", "0123456789abcdef"),
        ("x-goog-signature=0123456789abcdef", "0123456789abcdef"),
        ("x-amz-security-token:E+uc11PwLFCP/0123456789\nx-amz-date:1", "E+uc11PwLFCP"),
        ("{'X-Amz-Security-Token': b'E+uc11PwLFCP/0123456789'}", "E+uc11PwLFCP"),
        (r"{\'x-amz-security-token\': \'E+uc11PwLFCP/0123456789\'}", "E+uc11PwLFCP"),
        ('{"access_token": "ya29.0123456789abcdef"}', "ya29"),
        ("https://host/f.pt?token=0123456789abcdef", "0123456789abcdef"),
        ("-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADANBg\\n-----END PRIVATE KEY-----", "MIIEvQ"),
    ],
)
def test_redact(text: str, secret: str) -> None:
    cleaned = redact(text)
    assert secret not in cleaned
    assert "***" in cleaned
    assert redact(cleaned) == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "",
        "weights://llama/model.pt",
        "a/b?c=d&e=f",
        "signal=3",
        "layer.0.weight = 1.5",
        "a" * 200,
        "a?key=value",
        "f(token=name_of_a_thing)",
    ],
)
def test_redact_leaves_the_rest(text: str) -> None:
    assert redact(text) == text


@given(st.text())
def test_printable_is_one_harmless_line(text: str) -> None:
    shown = printable(text)
    assert all(unicodedata.category(char)[0] != "C" for char in shown)
    assert len(shown.splitlines()) <= 1
    shown.encode()


@given(st.text(alphabet=st.characters(exclude_categories=["C", "Zl", "Zp"])))
def test_printable_leaves_what_can_be_read(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\nb", r"a\nb"), ("\x1b[31m", r"\x1b[31m"), ("\u202egpj.exe", r"\u202egpj.exe"), ("\ud800", r"\ud800")],
)
def test_printable_escapes(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_table() -> None:
    assert table([("a", "1"), ("long", "200")], align="<>") == "a       1\nlong  200"
    assert table([], align="<>") == ""
    with pytest.raises(ValueError, match="zip"):
        table([("a", "b", "c")], align="<")
