"""URLs are taken literally."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_gpu_ext.errors import BadRequestError
from jupyter_gpu_ext.storage import url as urls
from tests.conftest import AZURITE_KEY


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200))
def test_key_survives_to_the_character(key: str) -> None:
    parsed = urls.parse(f"weights://{key}")
    assert (parsed.scheme, parsed.key) == ("weights", key)
    assert urls.parse(str(parsed)) == parsed


@pytest.mark.parametrize(
    "text",
    ["", "x.pt", "weights:/x", "://x", "Weights://x", "1w://x", "wei ghts://x", "a\nb://x", "weights://a\0b",
     "weights://" + "x" * 4097, "weights://\ud800", "C:\\x.pt"],
)  # fmt: skip
def test_what_is_no_url(text: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        urls.parse(text)
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    assert "\0" not in str(caught.value)


@pytest.mark.parametrize("text", [f"HTTPS://x/y?sig={AZURITE_KEY}", f"AccountName=x;AccountKey={AZURITE_KEY};"])
def test_pasted_link_is_not_repeated(text: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        urls.parse(text)
    assert AZURITE_KEY[:30] not in str(caught.value)
