"""Raw messages are encrypted under a key of their own, bound to their place."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.errors import SsciError
from app.mappings.intake.inbox import FeedKeys, seal, unseal

KEYS = FeedKeys(b"k" * 32, b"r" * 32)
DIGEST = b"d" * 32


def test_what_is_sealed_opens_to_the_same_bytes() -> None:
    sealed = seal(KEYS, "pumch-lis", DIGEST, b"MSH|secret")
    assert b"secret" not in sealed.ciphertext
    assert unseal(KEYS, "pumch-lis", DIGEST, sealed) == b"MSH|secret"


def test_each_message_has_a_key_of_its_own() -> None:
    one, two = (seal(KEYS, "pumch-lis", DIGEST, b"same") for _ in range(2))
    assert one.ciphertext != two.ciphertext
    with pytest.raises(SsciError):
        unseal(KEYS, "pumch-lis", DIGEST, replace(one, wrapped=two.wrapped))


def test_a_row_that_was_moved_or_altered_does_not_open() -> None:
    sealed = seal(KEYS, "pumch-lis", DIGEST, b"data")
    last = bytes([sealed.ciphertext[-1] ^ 1])
    altered = replace(sealed, ciphertext=sealed.ciphertext[:-1] + last)
    for feed, digest, row in (
        ("pumch-his", DIGEST, sealed),
        ("pumch-lis", b"e" * 32, sealed),
        ("pumch-lis", DIGEST, altered),
    ):
        with pytest.raises(SsciError):
            unseal(KEYS, feed, digest, row)


def test_a_former_key_still_opens_what_it_sealed() -> None:
    sealed = seal(KEYS, "pumch-lis", DIGEST, b"data")
    rotated = FeedKeys(b"n" * 32, b"r" * 32, former=(KEYS.kek,))
    assert unseal(rotated, "pumch-lis", DIGEST, sealed) == b"data"
    with pytest.raises(SsciError):
        unseal(FeedKeys(b"n" * 32, b"r" * 32), "pumch-lis", DIGEST, sealed)


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(SsciError):
        FeedKeys(b"short", b"r" * 32)
