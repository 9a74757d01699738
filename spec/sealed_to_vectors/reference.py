"""Sealing to a public key: a second implementation, written from `keyring.md` alone."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cached_property

from keyring_vectors.reference import XWing, decode, encode, is_key_name
from seal_vectors import reference as seal
from seal_vectors.reference import Code, Refused, require

MAGIC = b"BLX"
HEAD_LENGTH = 1_132
TEXT_PREFIX = "bulla-seal-to:v1:"
TEXT_LIMIT = 4_096
MLKEM_PRIME = 3_329


@dataclass(frozen=True)
class Recipient:
    """One version of an `xwing` key."""

    project: bytes
    name: str
    id: bytes
    seed: bytes

    @cached_property
    def xwing(self) -> XWing:
        """The private key."""
        return XWing(self.seed)

    @property
    def text(self) -> str:
        """The public key as text."""
        return encode_text([self.project, self.name, self.id, self.xwing.public])

    def message_key(self, encapsulated: bytes) -> seal.KeyVersion:
        """The key of the message that an encapsulation belongs to."""
        info = b"bulla/sealed-to/v1" + self.project + self.id
        shared = self.xwing.decapsulate(encapsulated)
        return seal.KeyVersion(self.id, exported(shared, info, b"bulla/sealed-to/key/v1"))

    def head(self, encapsulated: bytes) -> bytes:
        """What comes before the sealed value."""
        return MAGIC + b"\1" + self.id + encapsulated

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Opens what was sealed to the public key; raises `Refused` with the code of the first step that fails."""
        require(MAGIC.startswith(sealed[:3]), Code.NOT_SEALED)  # step 1
        require(len(sealed) >= 4, Code.TOO_SHORT)
        require(sealed[3] == 1, Code.UNSUPPORTED_VERSION)  # step 2
        require(len(sealed) >= HEAD_LENGTH, Code.TOO_SHORT)  # step 3
        require(sealed[4:12] == self.id, Code.UNKNOWN_VERSION)  # step 4
        key = self.message_key(sealed[12:HEAD_LENGTH])
        value = sealed[HEAD_LENGTH:]
        header = seal.read_header(value)  # step 5
        require(header.suite in (1, 2), Code.UNSUPPORTED_SUITE)  # step 6
        return seal.open_sealed(value, [key], context)  # step 7


def exported(shared: bytes, info: bytes, exporter_context: bytes) -> bytes:
    """32 bytes of `Context.Export` (RFC 9180, §5.1 and §5.3) in base mode, export-only."""
    suite = b"HPKE" + (0x647A).to_bytes(2, "big") + bytes([0, 1]) + b"\xff\xff"

    def extract(salt: bytes, label: bytes, ikm: bytes) -> bytes:
        return seal.hmac_sha256(salt or bytes(32), b"HPKE-v1" + suite + label + ikm)

    def expand(prk: bytes, label: bytes, data: bytes) -> bytes:
        labelled = (32).to_bytes(2, "big") + b"HPKE-v1" + suite + label + data
        return seal.hkdf_expand(prk, labelled, 32)

    schedule = b"\0" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    secret = extract(shared, b"secret", b"")
    return expand(expand(secret, b"exp", schedule), b"sec", exporter_context)


def encode_text(fields: list) -> str:
    """The text of what should be a public key."""
    return TEXT_PREFIX + base64.urlsafe_b64encode(encode(fields)).decode().rstrip("=")


def read_text(text: str) -> list:
    """The fields of a public key as text, refused unless it is exactly the text of a public key."""
    require(text.startswith(TEXT_PREFIX) and len(text) <= TEXT_LIMIT, Code.BAD_TEXT)
    digits = text.removeprefix(TEXT_PREFIX)
    require(seal.TEXT_ALPHABET.issuperset(digits) and len(digits) % 4 != 1, Code.BAD_TEXT)
    try:
        fields = decode(base64.urlsafe_b64decode(digits + "=" * (-len(digits) % 4)))
        project, name, version, public = fields
        lawful = (
            [type(field) for field in fields] == [bytes, str, bytes, bytes]
            and (len(project), len(version), len(public)) == (32, 8, 1_216)
            and is_key_name(name)
            and is_reduced(public[:1_152])
        )
    except (ValueError, UnicodeDecodeError):
        raise Refused(Code.BAD_TEXT) from None
    require(lawful and encode_text(fields) == text, Code.BAD_TEXT)
    return fields


def is_reduced(encoded: bytes) -> bool:
    """Whether each coefficient of 12 bits, little-endian, is below the prime (FIPS 203, §7.2)."""
    number = int.from_bytes(encoded, "little")
    return all((number >> 12 * at & 0xFFF) < MLKEM_PRIME for at in range(len(encoded) * 2 // 3))
