"""What a scenario is made of, and the file that it becomes."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

from . import reference
from .reference import Code, Context, Header, KeyVersion, Refused, Scalar, Suite

CHUNK = 1 << 12
STORED = CHUNK + reference.TAG_LENGTH
HEADER = reference.HEADER_LENGTH
THREE_CHUNKS = 2 * CHUNK + 100
LONGEST_HEX = 1_024
CONTEXT = Context("user", hashlib.sha256(b"project").digest(), {"path": "notes/today"})

SLUGS = {
    Suite.AES256_GCM: "aes256gcm",
    Suite.CHACHA20_POLY1305: "chacha20poly1305",
    Suite.AUTHENTICATED: "authenticated",
    Suite.AES256_DET: "aes256det",
}


def derived(label: str, name: str, length: int) -> bytes:
    """Bytes that follow from a label and the name of a scenario."""
    return hashlib.shake_256(f"{label}/{name}".encode()).digest(length)


def context_of(**entries: Scalar) -> Context:
    """The usual context with another map."""
    return replace(CONTEXT, entries=entries)


def repeated(pattern: bytes, length: int) -> bytes:
    """`pattern` over and over, cut at `length`."""
    return (pattern * (length // len(pattern) + 1))[:length]


@dataclass(frozen=True)
class Vector:
    """One scenario: what an opener is given, and what it must answer."""

    name: str
    comment: str
    key: KeyVersion
    context: Context
    sealed: bytes | str
    expect: Code
    pattern: bytes = b""
    message: bytes = b""

    @property
    def file_name(self) -> str:
        """Name of the file, which says whether the vector opens."""
        kind = "ok" if self.expect is Code.OK else "hostile"
        return f"{kind}_{self.name}.json"

    def verify(self) -> None:
        """Fails unless our own opener reaches the promised outcome."""
        outcome, message = self.opened()
        if outcome is not self.expect or message != self.message:
            raise AssertionError(f"{self.name}: the opener says {outcome.value}")
        if outcome is Code.OK and self.resealed() != self.sealed:
            raise AssertionError(f"{self.name}: sealing again gives other bytes")

    def opened(self) -> tuple[Code, bytes]:
        """Outcome and message of opening with our own opener."""
        try:
            return Code.OK, reference.open_sealed(
                self.sealed_bytes(), [self.key], self.context.encoded
            )
        except Refused as refused:
            return refused.code, b""

    def resealed(self) -> bytes | str:
        """The message sealed again under the header that was found."""
        header = reference.read_header(self.sealed_bytes())
        again = reference.seal(self.key, self.context.encoded, header, self.message)
        return reference.encode_text(again) if isinstance(self.sealed, str) else again

    def sealed_bytes(self) -> bytes:
        """The sealed value, out of its text where it is one."""
        if isinstance(self.sealed, str):
            return reference.decode_text(self.sealed)
        return self.sealed

    def to_json(self) -> str:
        """The file of this vector: ASCII, members in the order of the specification."""
        members: dict[str, object] = {
            "comment": self.comment,
            "material": self.key.material.hex(),
            "key_version": self.key.id.hex(),
            "context": {
                "domain": self.context.domain,
                "project": self.context.project.hex(),
                "map": {k: json_scalar(v) for k, v in self.context.entries.items()},
            },
            "context_cbor": self.context.encoded.hex(),
        }
        if self.expect is Code.OK:
            members["message"] = self.json_message()
        if isinstance(self.sealed, str):
            members["text"] = self.sealed
        else:
            members["sealed"] = json_bytes(self.sealed)
        members["expect"] = self.expect.value
        return json.dumps(members, indent=2) + "\n"

    def json_message(self) -> object:
        """The message as hex, or as a repeated pattern where that is shorter."""
        if len(self.message) <= len(self.pattern):
            return self.message.hex()
        return {"repeat": self.pattern.hex(), "length": len(self.message)}


def json_scalar(value: Scalar) -> object:
    """A map value of a context, as the specification writes it in JSON."""
    return {"bytes": value.hex()} if isinstance(value, bytes) else value


def json_bytes(data: bytes) -> object:
    """Hex, or base64 (RFC 4648, §4) where large."""
    if len(data) <= LONGEST_HEX:
        return data.hex()
    return {"base64": base64.b64encode(data).decode()}


@dataclass(frozen=True)
class Scene:
    """Key, context, salt and message of a scenario. All but the context follow from its name."""

    name: str
    suite: Suite = Suite.AES256_GCM
    length: int = 20
    chunk_log2: int = 12
    context: Context = CONTEXT
    material_length: int = 32
    key_of: str = ""

    @cached_property
    def key(self) -> KeyVersion:
        """The key version of this scene, or of the one that `key_of` names."""
        name = self.key_of or self.name
        material = derived("material", name, self.material_length)
        return KeyVersion(derived("key version", name, 8), material)

    @cached_property
    def pattern(self) -> bytes:
        """31 bytes, so that no two chunks of a message are equal."""
        return derived("message", self.name, 31)

    @cached_property
    def message(self) -> bytes:
        """The plaintext."""
        return repeated(self.pattern, self.length)

    @cached_property
    def header(self) -> Header:
        """The header, with its salt."""
        header = Header(self.suite, self.chunk_log2, self.key.id)
        if self.suite is Suite.AES256_DET:
            return replace(header, salt=self.deterministic_salt(header))
        return replace(header, salt=derived("salt", self.name, 24))

    def deterministic_salt(self, header: Header, message: bytes | None = None) -> bytes:
        """Salt of suite 4 for the message of the scene, or for another one."""
        if message is None:
            message = self.message
        return reference.deterministic_salt(self.key, header, self.context.encoded, message)

    @cached_property
    def sealed(self) -> bytes:
        """What an honest sealer makes of the scene."""
        return reference.seal(self.key, self.context.encoded, self.header, self.message)

    @cached_property
    def chunks(self) -> list[bytes]:
        """The message in chunks."""
        return reference.cut(self.message, 1 << self.chunk_log2)

    @cached_property
    def stored(self) -> list[bytes]:
        """The chunks as an honest sealer stores them."""
        size = (1 << self.chunk_log2) + reference.TAG_LENGTH
        return reference.cut(self.sealed[HEADER:], size)

    @cached_property
    def secret(self) -> bytes:
        """The message key."""
        return reference.message_key(self.key, self.header, self.context.encoded).secret

    def with_chunks(self, stored: Iterable[bytes]) -> bytes:
        """The honest header, with these stored chunks behind it."""
        return self.sealed[:HEADER] + b"".join(stored)

    def sealed_chunk(self, index: int, last: bool, chunk: bytes) -> bytes:
        """What a sealer that holds the key stores for a chunk of its choice."""
        return reference.seal_chunk(self.suite, self.secret, reference.nonce(index, last), chunk)

    def forged(self, header: Header, context: bytes | None = None) -> bytes:
        """What a sealer that holds the key makes under a header, or context, of its choice."""
        bound = self.context.encoded if context is None else context
        derived_key = reference.message_key(self.key, header, bound)
        chunks = reference.cut(self.message, 1 << header.chunk_log2)
        stored = reference.seal_chunks(self.suite, derived_key.secret, chunks)
        return header.salted_prefix + derived_key.commitment + b"".join(stored)

    def opens(self, comment: str, text: bool = False) -> Vector:
        """Vector that opens."""
        sealed = reference.encode_text(self.sealed) if text else self.sealed
        return Vector(
            self.name,
            comment,
            self.key,
            self.context,
            sealed,
            Code.OK,
            self.pattern,
            self.message,
        )

    def refuses(
        self,
        comment: str,
        sealed: bytes | str,
        expect: Code = Code.DAMAGED,
        key: KeyVersion | None = None,
        context: Context | None = None,
    ) -> Vector:
        """Vector that must not open, perhaps for an opener with another key or context."""
        return Vector(
            self.name,
            comment,
            key or self.key,
            context or self.context,
            sealed,
            expect,
        )


def flip(sealed: bytes, offset: int, mask: int = 1) -> bytes:
    """Flips the bits of `mask` in the byte at `offset`."""
    altered = bytearray(sealed)
    altered[offset] ^= mask
    return bytes(altered)


def put(sealed: bytes, offset: int, data: bytes) -> bytes:
    """Overwrites bytes from `offset` on."""
    return sealed[:offset] + data + sealed[offset + len(data) :]
