"""Keys, hashes and ciphertexts of identity: found again in every spelling, opened nowhere else."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.errors import SsciError
from app.trial import IdentityKeys, birth_date_hmac, mrn_hmac, name_hmac
from app.trial.enrolment import decide_repeat
from app.trial.identity import (
    Enrolled,
    NewIdentity,
    decrypt,
    encrypt,
    insert_identity,
    request_hmac,
    subject_number,
)

KEYS = IdentityKeys({"k1": b"1" * 32}, "k1", b"h" * 32)
ROTATED = IdentityKeys({"k1": b"1" * 32, "k2": b"2" * 32}, "k2", b"h" * 32)
OTHERS = IdentityKeys({"k1": b"1" * 32}, "k1", b"i" * 32)


@pytest.mark.parametrize(
    "spelling", ["ab00123", " AB00123 ", "ＡＢ００１２３", "AB 00123", "AB\u200b00123"]
)
def test_an_mrn_is_found_in_every_spelling(spelling: str):
    assert mrn_hmac(KEYS, "PUMCH", spelling) == mrn_hmac(KEYS, "PUMCH", "AB00123")


@pytest.mark.parametrize(
    ("authority", "mrn"), [("PUMCH", "AB123"), ("PUMCH", "AB00124"), ("OTHER", "AB00123")]
)
def test_another_mrn_or_authority_is_another_person(authority: str, mrn: str):
    assert mrn_hmac(KEYS, authority, mrn) != mrn_hmac(KEYS, "PUMCH", "AB00123")


def test_authority_and_mrn_do_not_run_into_each_other():
    assert mrn_hmac(KEYS, "PUMCH1", "23") != mrn_hmac(KEYS, "PUMCH", "123")


def test_a_hash_needs_the_key():
    assert mrn_hmac(OTHERS, "PUMCH", "AB00123") != mrn_hmac(KEYS, "PUMCH", "AB00123")


@pytest.mark.parametrize("spelling", ["WANG^LI", "wang li", "Wang, Li", "ＷＡＮＧ　ＬＩ"])
def test_a_name_is_the_same_in_every_spelling(spelling: str):
    assert name_hmac(KEYS, spelling) == name_hmac(KEYS, "Wang Li")
    assert name_hmac(KEYS, spelling) != name_hmac(KEYS, "Wang Lin")


@pytest.mark.parametrize("spelling", ["1979-05-04", "19790504", "19790504000000+0800"])
def test_a_birth_date_is_the_same_in_fhir_and_hl7(spelling: str):
    assert birth_date_hmac(KEYS, spelling) == birth_date_hmac(KEYS, "1979-05-04")


def test_a_ciphertext_opens_at_its_place_only():
    key_id, sealed = encrypt(KEYS, "row 1", "secret")
    assert decrypt(KEYS, "row 1", key_id, sealed) == "secret"
    with pytest.raises(SsciError, match="row 2 does not open"):
        decrypt(KEYS, "row 2", key_id, sealed)


def test_an_altered_ciphertext_does_not_open():
    key_id, sealed = encrypt(KEYS, "row 1", "secret")
    with pytest.raises(SsciError, match="does not open"):
        decrypt(KEYS, "row 1", key_id, sealed[:-1] + bytes([sealed[-1] ^ 1]))


def test_what_an_older_key_sealed_opens_after_rotation():
    key_id, sealed = encrypt(KEYS, "row 1", "secret")
    assert decrypt(ROTATED, "row 1", key_id, sealed) == "secret"
    assert encrypt(ROTATED, "row 1", "secret")[0] == "k2"


def test_an_absent_key_is_told_by_its_id():
    key_id, sealed = encrypt(ROTATED, "row 1", "secret")
    with pytest.raises(SsciError, match="there is no key k2"):
        decrypt(KEYS, "row 1", key_id, sealed)


@pytest.mark.parametrize(
    ("encryption", "current", "lookup"),
    [
        ({"k1": b"1" * 32}, "k2", b"h" * 32),
        ({"k1": b"1" * 16}, "k1", b"h" * 32),
        ({"k1": b"1" * 32}, "k1", b"h" * 8),
    ],
)
def test_keys_of_the_wrong_length_or_without_a_current_one_are_refused(
    encryption: dict[str, bytes], current: str, lookup: bytes
):
    with pytest.raises(SsciError, match="identity keys"):
        IdentityKeys(encryption, current, lookup)


def test_keys_do_not_show_in_their_repr():
    assert "1111" not in repr(KEYS)
    assert "hhhh" not in repr(KEYS)


def test_the_statements_hold_no_identifier_in_the_clear():
    identity = NewIdentity(
        "SSCI-001",
        1,
        (("PUMCH", "MARK123"),),
        "MARK NAME",
        "1979-05-04",
        {"age": "MARK said so"},
        b"r",
        None,
    )
    statements = list(insert_identity(KEYS, identity, datetime(2020, 1, 1, tzinfo=UTC)))
    stored = repr([(each.sql, each.rows) for each in statements])
    assert "MARK" not in stored
    assert "1979" not in stored
    assert "MARK" not in repr(identity)


def test_the_same_request_has_the_same_hash_whatever_the_order_of_its_fields():
    assert request_hmac(KEYS, {"a": 1, "b": 2}) == request_hmac(KEYS, {"b": 2, "a": 1})
    assert request_hmac(KEYS, {"a": 1, "b": 2}) != request_hmac(KEYS, {"a": 1, "b": 3})


def test_subject_numbers_go_on_after_a_thousand():
    assert [subject_number(n) for n in (1, 999, 1000)] == ["SSCI-001", "SSCI-999", "SSCI-1000"]


def test_a_repeated_request_is_the_same_subject_only_under_its_own_key():
    earlier = [Enrolled("SSCI-001", b"request", b"key")]
    assert decide_repeat(earlier, b"request", b"key") == "SSCI-001"
    for asked, key in [(b"request", None), (b"request", b"other"), (b"another", None)]:
        with pytest.raises(SsciError, match="enrolled already as SSCI-001"):
            decide_repeat(earlier, asked, key)


def test_a_key_that_was_used_for_another_request_is_refused_without_naming_a_subject():
    with pytest.raises(SsciError, match="used for another enrolment") as raised:
        decide_repeat([Enrolled("SSCI-001", b"request", b"key")], b"another", b"key")
    assert "SSCI" not in str(raised.value)
