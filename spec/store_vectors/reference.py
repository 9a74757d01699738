"""Sealed store, version 1: a second implementation, written from `store.md` alone.

As that of the sealed value, it exists to be compared with, not to be used.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from seal_vectors import reference as seal
from seal_vectors.reference import Code, Context, KeyVersion, Refused, Suite

ENTRY_DOMAIN = "bulla/store/entry"
BLOB_DOMAIN = "bulla/store/blob"
NAME_DOMAIN = b"bulla/store/name"
INLINE_LIMIT = 65_536
MEDIA_TYPE_LIMIT = 255
TAGS_LIMIT = 32
TAG_LIMIT = 128
CHUNK_LOG2 = 16
SUITE_AT = 4
NAME_LIMIT = 1_024
TRUE = b"\xf5"
FALSE = b"\xf4"


class BadEntry(Exception):
    """A message that is no entry."""


class MissingBlob(Exception):
    """No blob under the blob id."""


def require(condition: bool) -> None:
    """Refuses the entry unless `condition` holds."""
    if not condition:
        raise BadEntry


@dataclass(frozen=True)
class Blob:
    """What an entry knows of its blob."""

    id: bytes
    key: bytes
    length: int


@dataclass(frozen=True)
class Entry:
    """Exactly one of `value` and `blob` is not None."""

    version: int
    created: int
    expires: int | None = None
    media_type: str | None = None
    tags: tuple[str, ...] = ()
    name: bytes | None = None
    compute_time: int | None = None
    sensitive: bool = False
    value: bytes | None = None
    blob: Blob | None = None


def encode(entry: Entry) -> bytes:
    """The CBOR map of an entry."""
    fields: dict[int, bytes] = {1: seal.cbor(entry.version), 2: seal.cbor(entry.created)}
    if entry.expires is not None:
        fields[3] = seal.cbor(entry.expires)
    if entry.media_type is not None:
        fields[4] = seal.cbor(entry.media_type)
    if entry.tags:
        fields[5] = seal.cbor_head(4, len(entry.tags)) + b"".join(map(seal.cbor, entry.tags))
    if entry.name is not None:
        fields[6] = seal.cbor(entry.name)
    if entry.compute_time is not None:
        fields[7] = seal.cbor(entry.compute_time)
    if entry.sensitive:
        fields[8] = TRUE
    if entry.value is not None:
        fields[22] = seal.cbor(entry.value)
    if entry.blob is not None:
        parts = (entry.blob.id, entry.blob.key, entry.blob.length)
        fields[23] = seal.cbor_head(4, len(parts)) + b"".join(map(seal.cbor, parts))
    return encode_fields(fields)


def encode_fields(fields: Mapping[int, bytes]) -> bytes:
    """A map with encoded values, in the order in which they are given."""
    pairs = b"".join(seal.cbor(key) + value for key, value in fields.items())
    return seal.cbor_head(5, len(fields)) + pairs


@dataclass
class Decoder:
    """Reads the one encoding that is allowed."""

    data: bytes
    position: int = field(default=0)

    def take(self, length: int) -> bytes:
        """The next bytes."""
        require(self.position + length <= len(self.data))
        self.position += length
        return self.data[self.position - length : self.position]

    def head(self, major: int) -> int:
        """The argument of an item of this major type, in the shortest form."""
        start = self.position
        first = self.take(1)[0]
        argument = first & 0x1F
        require(first >> 5 == major and argument <= 27)
        if argument >= 24:
            argument = int.from_bytes(self.take(1 << argument - 24), "big")
        require(self.data[start : self.position] == seal.cbor_head(major, argument))
        return argument

    def bytes(self) -> bytes:
        """A byte string."""
        return self.take(self.head(2))

    def text(self) -> str:
        """A text string."""
        try:
            return self.take(self.head(3)).decode()
        except UnicodeDecodeError:
            raise BadEntry from None


def decode(data: bytes) -> Entry:
    """Reading, step 3."""
    decoder = Decoder(data)
    found: dict[int, object] = {}
    last = 0
    for _ in range(decoder.head(5)):
        key = decoder.head(0)
        require(last < key <= 23)
        last = key
        match key:
            case 1 | 2 | 3:
                found[key] = decoder.head(0)
            case 4:
                found[key] = decoder.text()
            case 5:
                found[key] = tuple(decoder.text() for _ in range(decoder.head(4)))
                require(len(found[key]) > 0)
            case 6 | 22:
                found[key] = decoder.bytes()
            case 7:
                found[key] = decoder.head(0)
            case 8:
                require(decoder.take(1) == TRUE)
                found[key] = True
            case 23:
                require(decoder.head(4) == 3)
                found[key] = Blob(decoder.bytes(), decoder.bytes(), decoder.head(0))
            case _:
                raise BadEntry
    require(decoder.position == len(data) and 1 in found and 2 in found)
    names = {
        1: "version",
        2: "created",
        3: "expires",
        4: "media_type",
        5: "tags",
        6: "name",
        7: "compute_time",
        8: "sensitive",
        22: "value",
        23: "blob",
    }
    entry = Entry(**{names[key]: value for key, value in found.items()})
    check(entry)
    return entry


def check(entry: Entry) -> None:
    """The bounds of the fields."""
    require(entry.version >= 1)
    require((entry.value is None) != (entry.blob is None))
    if entry.media_type is not None:
        require(1 <= len(entry.media_type) <= MEDIA_TYPE_LIMIT)
        require(all(" " <= character <= "~" for character in entry.media_type))
        require(entry.media_type.strip(" ") == entry.media_type)
    if entry.name is not None:
        require(1 <= len(entry.name) <= NAME_LIMIT)
    tags = [tag.encode() for tag in entry.tags]
    require(len(tags) <= TAGS_LIMIT and all(1 <= len(tag) <= TAG_LIMIT for tag in tags))
    require(all(one < other for one, other in zip(tags, tags[1:])))
    if entry.value is not None:
        require(len(entry.value) <= INLINE_LIMIT)
    if entry.blob is not None:
        require(len(entry.blob.id) == 32 and len(entry.blob.key) == 32)
        require(entry.blob.length <= seal.MESSAGE_LIMIT)


def stored_name(index: bytes | None, name: bytes) -> bytes:
    """What the document's key shows of a name: all of it, or what the index key makes of it."""
    if index is None:
        return name
    ends = [at + 1 for at, byte in enumerate(name[:-1]) if byte == ord("/")] + [len(name)]
    starts = [NAME_DOMAIN + b"\0" + name[:end] for end in ends]
    return b"".join(hmac.digest(index, start, hashlib.sha256)[:16] for start in starts)


def document_key(namespace: str, stored: bytes) -> bytes:
    """Key of the document of an entry."""
    return namespace.encode() + b"\0" + stored


def entry_context(project: bytes, namespace: str, name: bytes) -> Context:
    """What an entry is bound to."""
    return Context(ENTRY_DOMAIN, project, {"name": name, "namespace": namespace})


def blob_context(project: bytes, namespace: str, blob: bytes) -> Context:
    """What a blob is bound to."""
    return Context(BLOB_DOMAIN, project, {"blob": blob, "namespace": namespace})


def read(
    project: bytes,
    key: KeyVersion,
    namespace: str,
    name: bytes,
    document: bytes,
    blobs: Mapping[bytes, bytes],
    index: bytes | None = None,
) -> tuple[Entry, bytes]:
    """Reading, steps 2 to 8: entry and value, or the failure of the first step that fails."""
    context = entry_context(project, namespace, stored_name(index, name))
    entry = decode(seal.open_sealed(document, [key], context.encoded))
    require(entry.name == (None if index is None else name))
    require(entry.blob is None or document[SUITE_AT] != Suite.AUTHENTICATED)
    if entry.value is not None:
        return entry, entry.value
    if entry.blob.id not in blobs:
        raise MissingBlob
    blob_key = KeyVersion.from_outside(entry.blob.key)
    context = blob_context(project, namespace, entry.blob.id)
    try:
        value = seal.open_sealed(blobs[entry.blob.id], [blob_key], context.encoded)
    except Refused:
        raise Refused(Code.DAMAGED) from None
    seal.require(len(value) == entry.blob.length, Code.DAMAGED)
    return entry, value
