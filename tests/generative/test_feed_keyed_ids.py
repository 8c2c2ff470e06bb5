"""The ids of resources stay what they were when the first was stored: an HMAC written as a UUID of
version 5. https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-5"""

from __future__ import annotations

import hashlib
import hmac
import uuid

from hypothesis import given
from hypothesis import strategies as st

from app.mappings.result_key import keyed_id, keyed_token

SECRETS = st.binary(min_size=16, max_size=80)
PARTS = st.lists(st.text(max_size=20), min_size=1, max_size=6)


def digest_of(secret: bytes, parts: list[str]) -> bytes:
    told = hmac.new(secret, digestmod=hashlib.sha256)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        told.update(len(encoded).to_bytes(4, "big"))
        told.update(encoded)
    return told.digest()


@given(SECRETS, PARTS)
def test_an_id_is_the_uuid_of_the_first_half_of_the_digest(secret: bytes, parts: list[str]) -> None:
    wanted = uuid.UUID(bytes=digest_of(secret, parts)[:16], version=5)
    assert keyed_id(secret, *parts) == str(wanted)


@given(SECRETS, PARTS)
def test_a_token_is_the_first_half_in_hexadecimal(secret: bytes, parts: list[str]) -> None:
    assert keyed_token(secret, *parts) == digest_of(secret, ["token", *parts]).hex()[:32]
