"""A reader of `fleche.md`, written from it alone. Slow, and plain."""

from __future__ import annotations

import hashlib
import hmac
import zlib
from dataclasses import dataclass

STOP = b"."
SIGNATURE_LENGTH = 64
HEX = frozenset(b"0123456789abcdef")
MAX_KEYS = 1_024
MAX_KEY_LENGTH = 1_024


class Refused(Exception):
    """A file, or a text of keys, that is refused; the argument is the code."""


@dataclass(frozen=True)
class Opened:
    """What is in a file."""

    payload: bytes
    signed: bool
    verified_by: int | None
    gzipped: bool

    @property
    def kind(self) -> str:
        """Whether it is the record of a call."""
        names_class = b"\x8c\x0bfleche.call\x94\x8c\x0cDigestedCall\x94\x93"
        return "call" if self.payload[11:].startswith(names_class) else "value"


def parse_keys(text: str) -> list[bytes]:
    """Reads keys ("Keys")."""
    keys = []
    for part in (part.strip(" \t\n\f\r") for part in text.split(":")):
        if not part:
            raise Refused("invalid_hex_keys")
        if len(part) % 2 or not set(part.lower().encode()) <= HEX:
            raise Refused("invalid_hex_keys")
        key = bytes.fromhex(part)
        if not any(key) or len(key) > MAX_KEY_LENGTH:
            raise Refused("invalid_hex_keys")
        keys.append(key)
    if len(keys) > MAX_KEYS:
        raise Refused("invalid_hex_keys")
    return keys


def read(file: bytes, keys: list[bytes] | None, max_len: int) -> Opened:
    """Takes the steps of "Reading" from the second on."""
    if len(file) > max_len:
        raise Refused("file_too_large")
    gzipped = file.startswith(b"\x1f\x8b")
    content = _inflate(file, max_len) if gzipped else file
    if content.endswith(STOP):
        if keys is not None:
            raise Refused("unsigned")
        return Opened(content, False, None, gzipped)
    payload, signature = content[:-SIGNATURE_LENGTH], content[-SIGNATURE_LENGTH:]
    if not payload.endswith(STOP) or not set(signature) <= HEX:
        raise Refused("trailing_bytes" if STOP in content else "not_a_pickle")
    if keys is None:
        return Opened(payload, True, None, gzipped)
    made = [sign(payload, key) for key in keys]
    verified = [position for position, tag in enumerate(made, 1) if hmac.compare_digest(tag, signature)]
    if not verified:
        raise Refused("bad_signature")
    return Opened(payload, True, verified[0], gzipped)


def sign(payload: bytes, key: bytes) -> bytes:
    """The signature of a payload."""
    return hmac.new(key, payload, hashlib.sha256).hexdigest().encode()


def stored_gzip(content: bytes) -> bytes:
    """A gzip stream whose blocks are stored, so that its bytes depend on no library (RFC 1951 §3.2.4)."""
    header = b"\x1f\x8b\x08\0" + bytes(4) + b"\0\xff"
    blocks = b""
    for start in range(0, max(len(content), 1), 0xFFFF):
        block = content[start : start + 0xFFFF]
        last = start + 0xFFFF >= len(content)
        length = len(block)
        blocks += bytes([last]) + length.to_bytes(2, "little") + (length ^ 0xFFFF).to_bytes(2, "little") + block
    return header + blocks + zlib.crc32(content).to_bytes(4, "little") + len(content).to_bytes(4, "little")


def _inflate(file: bytes, max_len: int) -> bytes:
    stream = zlib.decompressobj(wbits=31)
    try:
        content = stream.decompress(file, max_len + 1)
    except zlib.error:
        raise Refused("bad_gzip") from None
    if len(content) > max_len:
        raise Refused("file_too_large")
    if not stream.eof:
        raise Refused("bad_gzip")
    if stream.unused_data:
        raise Refused("trailing_bytes")
    return content
