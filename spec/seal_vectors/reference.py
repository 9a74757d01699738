"""Sealed value, version 1: a second implementation, written from `seal.md` alone.

It exists to be compared with, not to be used: it keeps whole messages in memory and wipes
nothing. Function by function it follows the sections of the specification; only AES-256-GCM and
ChaCha20-Poly1305 come from a library.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from functools import cached_property

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

MAGIC = b"BLA"
VERSION = 1
CHUNK_LOG2 = range(12, 25)
HEADER_LENGTH = 72
TAG_LENGTH = 16
MATERIAL_LENGTH = range(16, 1025)
CONTEXT_LIMIT = 65_536
MESSAGE_LIMIT = 1 << 48
TEXT_PREFIX = "bulla:v1:"
TEXT_ALPHABET = frozenset(string.ascii_letters + string.digits + "-_")


class Suite(IntEnum):
    """How the chunks of a value are protected."""

    AES256_GCM = 1
    CHACHA20_POLY1305 = 2
    AUTHENTICATED = 3
    AES256_DET = 4


class Code(str, Enum):
    """Outcome of opening a sealed value."""

    OK = "ok"
    NOT_SEALED = "not_sealed"
    TOO_SHORT = "too_short"
    UNSUPPORTED_VERSION = "unsupported_version"
    UNSUPPORTED_SUITE = "unsupported_suite"
    BAD_CHUNK_SIZE = "bad_chunk_size"
    UNKNOWN_FLAGS = "unknown_flags"
    UNKNOWN_VERSION = "unknown_version"
    CANNOT_OPEN = "cannot_open"
    DAMAGED = "damaged"
    BAD_TEXT = "bad_text"


class Refused(Exception):
    """Opening failed at the step that `code` names."""

    def __init__(self, code: Code) -> None:
        super().__init__(code.value)
        self.code = code


def require(condition: bool, code: Code) -> None:
    """Stops the opening with `code` unless `condition` holds."""
    if not condition:
        raise Refused(code)


# Context


Scalar = str | bytes | int | bool


@dataclass(frozen=True)
class Context:
    """What a sealed value is bound to."""

    domain: str
    project: bytes
    entries: Mapping[str, Scalar]

    @cached_property
    def encoded(self) -> bytes:
        """The array `[domain, project, map]` in deterministic CBOR."""
        if not 1 <= len(self.domain.encode()) <= 255 or len(self.project) != 32:
            raise ValueError("domain or project outside its bounds")
        parts = [cbor(self.domain), cbor(self.project), cbor_map(self.entries)]
        encoded = cbor_head(4, len(parts)) + b"".join(parts)
        if len(encoded) > CONTEXT_LIMIT:
            raise ValueError("context longer than 65,536 bytes")
        return encoded


def cbor_head(major: int, argument: int) -> bytes:
    """Major type and argument in the shortest form (RFC 8949, §3 and §4.2.1)."""
    if argument < 24:
        return bytes([major << 5 | argument])
    for size_code, size in (24, 1), (25, 2), (26, 4), (27, 8):
        if argument < 1 << 8 * size:
            return bytes([major << 5 | size_code]) + argument.to_bytes(size, "big")
    raise ValueError("integer outside major types 0 and 1")


def cbor(value: Scalar) -> bytes:
    """One scalar of the kinds that a context may hold."""
    match value:
        case bool():  # before int, of which Python's bool is a kind
            return b"\xf5" if value else b"\xf4"
        case int():
            return cbor_head(0, value) if value >= 0 else cbor_head(1, -1 - value)
        case bytes():
            return cbor_head(2, len(value)) + value
        case str():
            data = value.encode()
            return cbor_head(3, len(data)) + data
        case _:
            raise TypeError(f"{type(value).__name__} has no place in a context")


def cbor_map(entries: Mapping[str, Scalar]) -> bytes:
    """A map whose pairs stand in the bytewise order of their encoded keys."""
    pairs = sorted((cbor(key), cbor(value)) for key, value in entries.items())
    return cbor_head(5, len(pairs)) + b"".join(key + value for key, value in pairs)


# Key derivation


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    """HMAC of RFC 2104 with SHA-256."""
    return hmac.digest(key, data, "sha256")


def hkdf_expand(prk: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand of RFC 5869, §2.3, with SHA-256."""
    block, output = b"", b""
    for counter in range(1, -(-length // 32) + 1):
        block = hmac_sha256(prk, block + info + bytes([counter]))
        output += block
    return output[:length]


@dataclass(frozen=True)
class KeyVersion:
    """Secret material and the public id that selects it."""

    id: bytes
    material: bytes

    @classmethod
    def from_outside(cls, material: bytes) -> KeyVersion:
        """Key version whose id follows from its material."""
        prk = cls(bytes(8), material).prk
        return cls(hkdf_expand(prk, b"bulla/seal/v1/key-version", 8), material)

    @cached_property
    def prk(self) -> bytes:
        """HKDF-Extract (RFC 5869, §2.2) of the material."""
        if len(self.material) not in MATERIAL_LENGTH or len(self.id) != 8:
            raise ValueError("material or key-version id outside its bounds")
        return hmac_sha256(b"bulla/seal/v1", self.material)


@dataclass(frozen=True)
class Header:
    """Header without its commitment. Holds unlawful values as well as lawful ones."""

    suite: int
    chunk_log2: int
    key_version: bytes
    salt: bytes = bytes(24)
    magic: bytes = MAGIC
    version: int = VERSION
    flags: int = 0

    @property
    def prefix(self) -> bytes:
        """The first 16 bytes."""
        numbers = bytes([self.version, self.suite, self.chunk_log2])
        return self.magic + numbers + self.flags.to_bytes(2, "big") + self.key_version

    @property
    def salted_prefix(self) -> bytes:
        """The first 40 bytes."""
        return self.prefix + self.salt


@dataclass(frozen=True)
class MessageKey:
    """Key of one message, and the commitment to it."""

    secret: bytes
    commitment: bytes


def message_key(key: KeyVersion, header: Header, context: bytes) -> MessageKey:
    """Derives key and commitment from everything that may be altered outside of the chunks."""
    info = header.salted_prefix + hashlib.sha256(context).digest()
    okm = hkdf_expand(key.prk, info, 64)
    return MessageKey(okm[:32], okm[32:])


def deterministic_salt(key: KeyVersion, header: Header, context: bytes, message: bytes) -> bytes:
    """Salt of suite 4. The salt in `header` does not enter."""
    second_key = hkdf_expand(key.prk, b"bulla/seal/v1/deterministic", 32)
    bound = header.prefix + hashlib.sha256(context).digest()
    return hmac_sha256(second_key, bound + message)[:24]


# Chunks


def nonce(index: int, last: bool) -> bytes:
    """Number and place of a chunk."""
    return index.to_bytes(11, "big") + bytes([last])


def cut(message: bytes, chunk_size: int) -> list[bytes]:
    """Cuts a message into chunks; an empty message is one empty chunk."""
    starts = range(0, max(1, len(message)), chunk_size)
    return [message[start : start + chunk_size] for start in starts]


def seal_chunk(suite: Suite, secret: bytes, nonce: bytes, chunk: bytes) -> bytes:
    """Body and tag of one chunk."""
    match suite:
        case Suite.AES256_GCM | Suite.AES256_DET:
            return AESGCM(secret).encrypt(nonce, chunk, b"")
        case Suite.CHACHA20_POLY1305:
            return ChaCha20Poly1305(secret).encrypt(nonce, chunk, b"")
        case Suite.AUTHENTICATED:
            return chunk + AESGCM(secret).encrypt(nonce, b"", chunk)


def open_chunk(suite: Suite, secret: bytes, nonce: bytes, stored: bytes) -> bytes:
    """The chunk, if its tag verifies."""
    body, tag = stored[:-TAG_LENGTH], stored[-TAG_LENGTH:]
    try:
        match suite:
            case Suite.AES256_GCM | Suite.AES256_DET:
                return AESGCM(secret).decrypt(nonce, stored, b"")
            case Suite.CHACHA20_POLY1305:
                return ChaCha20Poly1305(secret).decrypt(nonce, stored, b"")
            case Suite.AUTHENTICATED:
                AESGCM(secret).decrypt(nonce, tag, body)
                return body
    except InvalidTag:
        raise Refused(Code.DAMAGED) from None


def seal_chunks(suite: Suite, secret: bytes, chunks: list[bytes]) -> list[bytes]:
    """Seals chunks under their numbers, the last one as the last."""
    end = len(chunks) - 1
    return [
        seal_chunk(suite, secret, nonce(index, index == end), chunk)
        for index, chunk in enumerate(chunks)
    ]


def open_chunks(suite: Suite, secret: bytes, chunks: list[bytes]) -> list[bytes]:
    """Reverses `seal_chunks`."""
    end = len(chunks) - 1
    return [
        open_chunk(suite, secret, nonce(index, index == end), stored)
        for index, stored in enumerate(chunks)
    ]


# Sealing and opening


def seal(key: KeyVersion, context: bytes, header: Header, message: bytes) -> bytes:
    """Seals a message under a header that already has its salt."""
    derived = message_key(key, header, context)
    chunks = cut(message, 1 << header.chunk_log2)
    stored = seal_chunks(Suite(header.suite), derived.secret, chunks)
    return header.salted_prefix + derived.commitment + b"".join(stored)


def open_sealed(sealed: bytes, keys: Iterable[KeyVersion], context: bytes) -> bytes:
    """Opens a sealed value; the steps and their order are those of the specification.

    Raises `Refused` with the code of the first step that fails.
    """
    header = read_header(sealed)  # steps 1 to 6
    suite = Suite(header.suite)
    key = next((key for key in keys if key.id == header.key_version), None)
    if key is None:
        raise Refused(Code.UNKNOWN_VERSION)  # step 7
    derived = message_key(key, header, context)
    committed = hmac.compare_digest(sealed[40:HEADER_LENGTH], derived.commitment)
    require(committed, Code.CANNOT_OPEN)  # step 8
    stored = split(sealed[HEADER_LENGTH:], 1 << header.chunk_log2)  # step 9
    message = b"".join(open_chunks(suite, derived.secret, stored))  # step 10
    if suite is Suite.AES256_DET:
        salt = deterministic_salt(key, header, context, message)
        require(hmac.compare_digest(header.salt, salt), Code.DAMAGED)  # step 11
    return message


def read_header(sealed: bytes) -> Header:
    """Steps 1 to 6: reads the header, or refuses it."""
    require(MAGIC.startswith(sealed[:3]), Code.NOT_SEALED)
    require(len(sealed) >= 4, Code.TOO_SHORT)
    require(sealed[3] == VERSION, Code.UNSUPPORTED_VERSION)
    require(len(sealed) >= HEADER_LENGTH + TAG_LENGTH, Code.TOO_SHORT)
    require(1 <= sealed[4] <= 4, Code.UNSUPPORTED_SUITE)
    require(sealed[5] in CHUNK_LOG2, Code.BAD_CHUNK_SIZE)
    require(sealed[6:8] == bytes(2), Code.UNKNOWN_FLAGS)
    return Header(sealed[4], sealed[5], key_version=sealed[8:16], salt=sealed[16:40])


def split(chunks: bytes, chunk_size: int) -> list[bytes]:
    """Step 9: splits the stored bytes into chunks, each with its tag."""
    stored = cut(chunks, chunk_size + TAG_LENGTH)
    last = len(stored[-1])
    require(last >= TAG_LENGTH, Code.DAMAGED)
    require(last > TAG_LENGTH or len(stored) == 1, Code.DAMAGED)
    require(len(chunks) - TAG_LENGTH * len(stored) <= MESSAGE_LIMIT, Code.DAMAGED)
    return stored


# Text form


def encode_text(sealed: bytes) -> str:
    """The one text of a sealed value."""
    return TEXT_PREFIX + base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def decode_text(text: str) -> bytes:
    """The bytes of a text, refused unless it is exactly the text of those bytes."""
    require(text.startswith(TEXT_PREFIX), Code.BAD_TEXT)
    digits = text.removeprefix(TEXT_PREFIX)
    require(TEXT_ALPHABET.issuperset(digits) and len(digits) % 4 != 1, Code.BAD_TEXT)
    sealed = base64.urlsafe_b64decode(digits + "=" * (-len(digits) % 4))
    require(encode_text(sealed) == text, Code.BAD_TEXT)
    return sealed
