"""Answers as they are kept. What an answer repeats of a header may name a person, if the sender
puts something else there; such an answer is encrypted where it is kept, and told as it was.

AES-256-GCM (NIST SP 800-38D) under a key derived from the installation's, which never rotates.
"""

from __future__ import annotations

import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.errors import Category, error

SEALED = b"\0"
"""How a sealed answer begins; no answer in clear does."""
NONCE_BYTES = 12


def seal_answer(secret: bytes, body: bytes) -> bytes:
    """An answer as it is kept, sealed."""
    nonce = os.urandom(NONCE_BYTES)
    return SEALED + nonce + AESGCM(_key(secret)).encrypt(nonce, body, None)


def open_answer(secret: bytes, kept: bytes) -> bytes:
    """An answer as it was given, kept sealed or in clear. FAULT where the key is not that of its
    sealing."""
    if not kept.startswith(SEALED):
        return kept
    nonce, sealed = kept[1 : 1 + NONCE_BYTES], kept[1 + NONCE_BYTES :]
    try:
        return AESGCM(_key(secret)).decrypt(nonce, sealed, None)
    except (InvalidTag, ValueError):
        raise error(Category.FAULT, "a kept answer: its key does not open") from None


def _key(secret: bytes) -> bytes:
    return hmac.new(secret, b"kept answers", hashlib.sha256).digest()
