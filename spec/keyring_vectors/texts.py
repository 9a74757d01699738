"""What comes as text: requests, and the words of a recovery identity; written from `keyring.md` alone."""

from __future__ import annotations

import base64
import hashlib

from keyring_vectors import reference as ref
from seal_vectors import reference as seal

PREFIX = "bulla-request:v1:"
LIMIT = 4096
LABEL = b"bulla/request/signature/v1\0"
WHITE = " \t\r\n"

# Those words of the list of BIP-39 that the scenarios use, by their places in it.
WORDS = {
    0: "abandon",
    102: "art",
    1019: "legal",
    2015: "winner",
    1790: "thank",
    2039: "year",
    1983: "wave",
    1533: "sausage",
    2031: "worth",
    1919: "useful",
    1815: "title",
    1028: "letter",
    32: "advice",
    257: "cage",
    8: "absurd",
    64: "amount",
    514: "doctor",
    16: "acoustic",
    128: "avoid",
    189: "bless",
    2047: "zoo",
    1967: "vote",
}


def encode_request(body: bytes, signature: bytes) -> str:
    """The text of what should be a request."""
    return PREFIX + base64.urlsafe_b64encode(ref.encode([body, signature])).decode().rstrip("=")


def read_request(text: str) -> list:
    """The fields of a request; raises `ValueError` unless it is one, and signed."""
    text = text.strip(WHITE)
    digits = text.removeprefix(PREFIX)
    if not text.startswith(PREFIX) or len(text) > LIMIT:
        raise ValueError("no request")
    if not seal.TEXT_ALPHABET.issuperset(digits) or len(digits) % 4 == 1:
        raise ValueError("no base64url")
    body, signature = ref.shaped(base64.urlsafe_b64decode(digits + "=" * (-len(digits) % 4)), bytes, 64)
    fields = ref.decode(body)
    ref.check_shape(fields, (1, 32, str, 1216, 32, int))
    if encode_request(body, signature) != text or not ref.is_machine_name(fields[2]) or not ref.is_reduced(fields[3]):
        raise ValueError("not as it is written")
    try:
        ref.Ed25519PublicKey.from_public_bytes(fields[4]).verify(signature, LABEL + body)
    except ref.InvalidSignature:
        raise ValueError("signature") from None
    return fields


def recovery_identity(words: str) -> ref.Identity:
    """The identity that 24 words stand for; raises `ValueError` unless they are such words."""
    places = {word: place for place, word in WORDS.items()}
    named = words.lower().split()
    if len(named) != 24 or not all(word in places for word in named):
        raise ValueError("no such words")
    bits = 0
    for word in named:
        bits = bits << 11 | places[word]
    entropy = (bits >> 8).to_bytes(32, "big")
    if hashlib.sha256(entropy).digest()[0] != bits & 0xFF:
        raise ValueError("checksum")
    encryption = ref.hkdf(entropy, b"bulla/recovery/encryption/v1", b"")
    return ref.Identity(ref.XWing(encryption), ref.hkdf(entropy, b"bulla/recovery/signing/v1", b""))


def words_of(entropy: bytes) -> str:
    """The words of 32 bytes, if we know them."""
    bits = int.from_bytes(entropy + hashlib.sha256(entropy).digest()[:1], "big")
    return " ".join(WORDS[bits >> 11 * at & 0x7FF] for at in reversed(range(24)))
