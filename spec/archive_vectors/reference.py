"""Archive of entries, version 1: a second implementation, written from `archive.md` alone.

It exists to be compared with, not to be used.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

NAME = "bulla-archive"
PIECE = 65_536
SEGMENT = r"(?![.-])(?!.*\.\.)[A-Za-z0-9_.-]{1,128}(?<![.-])"
FIELDS = {
    1: "version",
    2: "created",
    3: "expires",
    4: "media_type",
    5: "tags",
    6: "name",
    7: "compute_time",
    8: "sensitive",
    9: "length",
}


class Refused(Exception):
    """Reading failed with a code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def require(condition: object, code: str = "damaged_archive") -> None:
    """Refuses with a code unless the condition holds."""
    if not condition:
        raise Refused(code)


def head(major: int, size: int) -> bytes:
    """The shortest head of a CBOR item."""
    if size < 24:
        return bytes([major << 5 | size])
    for kind, length in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if size < 1 << 8 * length:
            return bytes([major << 5 | kind]) + size.to_bytes(length, "big")
    raise ValueError(size)


def encode(item: object) -> bytes:
    """Deterministic CBOR of what an archive has in its items."""
    if item is True:
        return b"\xf5"
    if isinstance(item, int):
        return head(0, item)
    if isinstance(item, bytes):
        return head(2, len(item)) + item
    if isinstance(item, str):
        return head(3, len(item.encode())) + item.encode()
    if isinstance(item, list):
        return head(4, len(item)) + b"".join(map(encode, item))
    if isinstance(item, dict):
        pairs = sorted((encode(key), encode(value)) for key, value in item.items())
        return head(5, len(pairs)) + b"".join(key + value for key, value in pairs)
    raise TypeError(item)


def decode(data: bytes) -> object:
    """Reads one item; raises `ValueError` unless `data` is its deterministic encoding."""
    item, end = decode_item(data, 0)
    if end != len(data) or encode(item) != data:
        raise ValueError("not deterministic")
    return item


def decode_item(data: bytes, at: int, nesting: int = 0) -> tuple[object, int]:
    """Reads an item, and says where it ends."""
    if at >= len(data) or nesting > 3:
        raise ValueError("cut, or nested too deep")
    if data[at] == 0xF5:
        return True, at + 1
    major, size, at = read_head(data, at)
    if major == 0:
        return size, at
    if major in (2, 3):
        if at + size > len(data):
            raise ValueError("cut")
        content = data[at : at + size]
        return (content if major == 2 else content.decode()), at + size
    if major not in (4, 5) or size > len(data):
        raise ValueError("type")
    items = []
    for _ in range(size * (major - 3)):
        item, at = decode_item(data, at, nesting + 1)
        items.append(item)
    return (items if major == 4 else dict(zip(items[::2], items[1::2], strict=True))), at


def read_head(data: bytes, at: int) -> tuple[int, int, int]:
    """Reads the head of an item: major type, size, and where the rest begins."""
    if at >= len(data):
        raise ValueError("cut")
    major, size = data[at] >> 5, data[at] & 31
    at += 1
    if size < 24:
        return major, size, at
    length = {24: 1, 25: 2, 26: 4, 27: 8}.get(size)
    if length is None or at + length > len(data):
        raise ValueError("head")
    return major, int.from_bytes(data[at : at + length], "big"), at + length


@dataclass
class Archive:
    """What was read, also where reading failed."""

    namespace: str | None = None
    time: int | None = None
    entries: list[dict] = field(default_factory=list)


class Items:
    """The items of an archive, and the digest of those that were read."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at, self.digest = data, 0, b""

    def next(self) -> bytes:
        """The next item."""
        try:
            major, size, at = read_head(self.data, self.at)
        except ValueError as error:
            raise Refused("damaged_archive") from error
        require(major == 2 and size <= PIECE and self.data[self.at : at] == head(2, size))
        require(at + size <= len(self.data))
        self.at = at + size
        return self.data[at : self.at]

    def chained(self) -> bytes:
        """The next item, which counts for the digest."""
        item = self.next()
        self.digest = hashlib.sha256(self.digest + item).digest()
        return item


def read(data: bytes, archive: Archive) -> None:
    """Reads an archive; what was whole before a failure is in `archive` all the same."""
    items = Items(data)
    read_header(items, archive)
    while True:
        try:
            said = decode(items.chained())
        except ValueError as error:
            raise Refused("damaged_archive") from error
        if isinstance(said, list):
            require(said == [len(archive.entries)] and said[0] is not True)
            require(items.next() == items.digest and items.at == len(data))
            return
        entry = checked(said)
        value = read_value(items, entry.pop("length"))
        if value is not None:
            archive.entries.append(entry | {"value": value})


def read_header(items: Items, archive: Archive) -> None:
    """Reads the header."""
    try:
        header = items.next()
        item, _ = decode_item(header, 0)
    except (Refused, ValueError) as error:
        raise Refused("not_an_archive") from error
    is_archive = isinstance(item, list) and len(item) >= 2 and item[0] == NAME
    require(is_archive and isinstance(item[1], int) and item[1] is not True, "not_an_archive")
    require(item[1] == 1, "newer_archive")
    require(len(item) == 4 and encode(item) == header and isinstance(item[2], str) and isinstance(item[3], int))
    require(re.fullmatch(rf"{SEGMENT}(/{SEGMENT}){{0,6}}", item[2]) and item[3] is not True)
    archive.namespace, archive.time = item[2:]
    items.digest = hashlib.sha256(b"bulla/archive/v1\0" + header).digest()


def checked(said: object) -> dict:
    """What an entry says, if it may."""
    require(isinstance(said, dict) and all(key in FIELDS and key is not True for key in said))
    entry = {FIELDS[key]: value for key, value in said.items()}
    require({"version", "created", "name", "length"} <= entry.keys())
    for name in ("version", "created", "expires", "compute_time", "length"):
        require(isinstance(entry.get(name, 0), int) and entry.get(name) is not True)
    require(entry["version"] >= 1 and entry["length"] <= 1 << 48)
    require(isinstance(entry["name"], bytes) and 1 <= len(entry["name"]) <= 1_024)
    require(entry.get("sensitive", True) is True)
    media_type = entry.get("media_type", "a")
    require(isinstance(media_type, str) and re.fullmatch(r"(?! )[ -~]{1,255}(?<! )", media_type))
    tags = entry.get("tags", ["a"])
    require(isinstance(tags, list) and 1 <= len(tags) <= 32 and all(isinstance(tag, str) for tag in tags))
    encoded = [tag.encode() for tag in tags]
    require(all(1 <= len(tag) <= 128 for tag in encoded) and encoded == sorted(set(encoded)))
    return entry


def read_value(items: Items, left: int) -> bytes | None:
    """The value of an entry; `None` if it was given up."""
    pieces = []
    while left:
        piece = items.chained()
        if not piece:
            return None
        require(len(piece) == min(left, PIECE))
        pieces.append(piece)
        left -= len(piece)
    expected = items.digest
    digest = items.next()
    if not digest:
        items.digest = hashlib.sha256(items.digest).digest()
        return None
    require(digest == expected)
    return b"".join(pieces)


def write(header: object, parts: Iterator[bytes | None]) -> bytes:
    """An archive of a header and items; `None` stands for the digest so far."""
    first = encode(header)
    out, digest = encode(first), hashlib.sha256(b"bulla/archive/v1\0" + first).digest()
    for part in parts:
        if part is None:
            out += encode(digest)
        else:
            out += encode(part)
            digest = hashlib.sha256(digest + part).digest()
    return out
