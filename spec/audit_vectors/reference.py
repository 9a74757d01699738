"""Audit log, version 1: a second implementation, written from `audit.md` alone.

It exists to be compared with, not to be used.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

CLASSES = [
    "authentication", "authorization", "query_processing", "security_violation", "key", "machine", "grant", "store", "object",
    "configuration", "log",
]  # fmt: skip
PHASES = ["notice", "intent", "outcome"]
OUTCOMES = ["success", "failure", "unknown"]
LEVELS = ["INFO", "WARNING", "ERROR", "CRITICAL"]


class Refused(Exception):
    """Reading failed with a code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def require(condition: object, code: str = "malformed") -> None:
    """Refuses with a code unless the condition holds."""
    if not condition:
        raise Refused(code)


# CBOR: integers, byte strings, texts, lists, maps as lists of pairs in `Map`, booleans and None.


class Map(list):
    """The pairs of a map, in their order."""


def head(major: int, size: int) -> bytes:
    """The shortest head of an item."""
    if size < 24:
        return bytes([major << 5 | size])
    for kind, length in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if size < 1 << 8 * length:
            return bytes([major << 5 | kind]) + size.to_bytes(length, "big")
    raise ValueError(size)


def encode(item: object) -> bytes:
    """Encodes an item; the pairs of a map are sorted."""
    if item is None:
        return b"\xf6"
    if isinstance(item, bool):
        return b"\xf5" if item else b"\xf4"
    if isinstance(item, int):
        return head(0, item)
    if isinstance(item, bytes):
        return head(2, len(item)) + item
    if isinstance(item, str):
        raw = item.encode()
        return head(3, len(raw)) + raw
    if isinstance(item, Map):
        pairs = sorted((encode(key), encode(value)) for key, value in item)
        return head(5, len(pairs)) + b"".join(key + value for key, value in pairs)
    if isinstance(item, list):
        return head(4, len(item)) + b"".join(encode(part) for part in item)
    raise TypeError(item)


def decode(data: bytes) -> object:
    """Decodes the one deterministic encoding of an item."""
    item, rest = _decode(data, 0)
    require(not rest and encode(item) == data)
    return item


def _decode(data: bytes, depth: int) -> tuple[object, bytes]:
    require(data and depth < 8)
    major, low, rest = data[0] >> 5, data[0] & 31, data[1:]
    if major == 7:
        require(low in (20, 21, 22))
        return {20: False, 21: True, 22: None}[low], rest
    size = low
    if low >= 24:
        require(low < 28)
        length = 1 << low - 24
        require(len(rest) >= length)
        size, rest = int.from_bytes(rest[:length], "big"), rest[length:]
    if major == 0:
        return size, rest
    if major in (2, 3):
        require(len(rest) >= size)
        raw, rest = rest[:size], rest[size:]
        if major == 2:
            return raw, rest
        try:
            return raw.decode(), rest
        except UnicodeDecodeError:
            raise Refused("malformed") from None
    require(major in (4, 5) and size <= len(rest))
    parts: list = []
    for _ in range(size * (2 if major == 5 else 1)):
        part, rest = _decode(rest, depth + 1)
        parts.append(part)
    return (Map(zip(parts[::2], parts[1::2])) if major == 5 else parts), rest


# Events.


def is_utf8(raw: bytes) -> bool:
    """Whether bytes are text."""
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def is_identifier(item: object) -> bool:
    """Whether an item is an identifier."""
    return (
        type(item) is list and len(item) == 2 and all(isinstance(part, bytes) for part in item)
        and (len(item[0]), len(item[1])) == (8, 16)
    )  # fmt: skip


def is_number(item: object) -> bool:
    """Whether an item is unsigned."""
    return isinstance(item, int) and not isinstance(item, bool)


def check_value(item: object) -> None:
    """Refuses what is no value."""
    if item is None or isinstance(item, bool) or is_number(item) or is_identifier(item):
        return
    if isinstance(item, str):
        return require(len(item.encode()) <= 2048)
    if isinstance(item, bytes):
        return require(len(item) <= 2048 and not is_utf8(item))
    require(type(item) is list)
    if len(item) == 1:
        return require(isinstance(item[0], bytes) and len(item[0]) == 32)
    require(len(item) == 2 and is_number(item[1]))
    text, length = item
    if isinstance(text, str):
        return require(2045 <= len(text.encode()) <= 2048 and length > len(text.encode()))
    require(isinstance(text, bytes) and len(text) == 2048 and not is_utf8(text) and length > 2048)


def is_code(item: object, longest: int = 64) -> bool:
    """Whether an item is a code."""
    return isinstance(item, str) and len(item) <= longest and bool(re.fullmatch(r"[a-z][a-z0-9_.\-]*", item))


def event(stored: bytes) -> dict:
    """Reads the stored bytes of an event."""
    require(len(stored) <= 65_535)
    item = decode(stored)
    require(isinstance(item, Map) and all(is_number(key) and 1 <= key <= 13 for key, _ in item))
    fields = dict(item)
    require(len(fields) == len(item))
    require(all(is_number(fields.get(key)) for key in (1, 2, 4, 6)) and is_code(fields.get(3)))
    require(1 <= fields[2] <= 11 and fields[4] <= 2 and fields[6] <= 3)
    require(isinstance(fields.get(7), bytes) and len(fields[7]) == 8)
    require((5 in fields) == (fields[4] != 1) and (11 in fields) == (fields[4] == 2))
    require(5 not in fields or (is_number(fields[5]) and 1 <= fields[5] <= 3))
    require(all(is_identifier(fields[key]) for key in (8, 9) if key in fields))
    require(11 not in fields or is_number(fields[11]))
    if 10 in fields:
        check_value(fields[10])
    if 12 in fields:
        batch = fields[12]
        require(type(batch) is list and len(batch) == 2 and is_number(batch[0]) and batch[0] > 0)
        require(isinstance(batch[1], bytes) and len(batch[1]) == 32)
    if 13 in fields:
        more = fields[13]
        require(isinstance(more, Map) and 1 <= len(more) <= 24 and len(dict(more)) == len(more))
        for name, value in more:
            require(is_code(name, 32))
            check_value(value)
    return fields


def shown(item: object) -> object:
    """A value as it stands in a line of JSON."""
    if item is None:
        return "[secret]"
    if isinstance(item, (bool, int)):
        return item
    if isinstance(item, str):
        return item
    if isinstance(item, bytes):
        return escaped(item)
    if is_identifier(item):
        return f"id:{item[0].hex()}:{item[1].hex()}"
    if len(item) == 1:
        return f"sha256:{item[0].hex()}"
    return f"{shown(item[0])}\u2026"


def escaped(raw: bytes) -> str:
    """Text with what is not UTF-8 as `\\xNN`."""
    return raw.decode(errors="surrogateescape").encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass").translate(
        {0xDC00 + byte: f"\\x{byte:02x}" for byte in range(128, 256)}
    )


def line(stored: bytes) -> dict:
    """The line of JSON of an event with index 0, but for its time."""
    fields = event(stored)
    out = {
        "index": 0,
        "leaf": base64.b64encode(leaf(stored)).decode(),
        "class": CLASSES[fields[2] - 1],
        "action": fields[3],
        "phase": PHASES[fields[4]],
    }
    if 5 in fields:
        out["outcome"] = OUTCOMES[fields[5] - 1]
    out |= {"level": LEVELS[fields[6]], "process": fields[7].hex()}
    out |= {name: shown(fields[key]) for key, name in ((8, "principal"), (9, "address"), (10, "resource")) if key in fields}
    if 11 in fields:
        out["intent"] = fields[11]
    if 12 in fields:
        out["batch"] = {"count": fields[12][0], "root": fields[12][1].hex()}
    if 13 in fields:
        out["fields"] = {name: shown(value) for name, value in fields[13]}
    return out


# The tree.


def sha256(data: bytes) -> bytes:
    """SHA-256."""
    return hashlib.sha256(data).digest()


def leaf(data: bytes) -> bytes:
    """The hash of a leaf."""
    return sha256(b"\x00" + data)


def node(left: bytes, right: bytes) -> bytes:
    """The hash of a node."""
    return sha256(b"\x01" + left + right)


def split(count: int) -> int:
    """The largest power of two below."""
    return 1 << (count - 1).bit_length() - 1


def root(leaves: list[bytes]) -> bytes:
    """The root of the tree of hashes of leaves."""
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return leaves[0]
    at = split(len(leaves))
    return node(root(leaves[:at]), root(leaves[at:]))


def inclusion(index: int, leaves: list[bytes]) -> list[bytes]:
    """Proves that a leaf is there."""
    if len(leaves) == 1:
        return []
    at = split(len(leaves))
    if index < at:
        return [*inclusion(index, leaves[:at]), root(leaves[at:])]
    return [*inclusion(index - at, leaves[at:]), root(leaves[:at])]


def consistency(old: int, leaves: list[bytes], whole: bool = True) -> list[bytes]:
    """Proves that the first leaves are the beginning."""
    if old == len(leaves):
        return [] if whole else [root(leaves)]
    at = split(len(leaves))
    if old <= at:
        return [*consistency(old, leaves[:at], whole), root(leaves[at:])]
    return [*consistency(old - at, leaves[at:], False), root(leaves[:at])]


def includes(hash_: bytes, index: int, size: int, proof: list[bytes], wanted: bytes) -> bool:
    """Whether a proof of inclusion holds (RFC 9162 \u00a72.1.3.2)."""
    if index >= size:
        return False
    fn, sn = index, size - 1
    for part in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            hash_ = node(part, hash_)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            hash_ = node(hash_, part)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and hash_ == wanted


def extends(old: int, old_root: bytes, new: int, new_root: bytes, proof: list[bytes]) -> bool:
    """Whether a proof of consistency holds (RFC 9162 \u00a72.1.4.2)."""
    if old > new:
        return False
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof and old_root == root([])
    path = [old_root, *proof] if old & (old - 1) == 0 else proof
    if not path or not proof:
        return False
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for part in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node(part, fr), node(part, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node(sr, part)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and fr == old_root and sr == new_root


def tiles(size: int) -> list[str]:
    """The paths of the tiles of a tree."""
    paths = []
    for kind, count in [("entries", size)] + [(str(level), size >> 8 * level) for level in range(8)]:
        for index in range(count // 256 + (count % 256 > 0)):
            digits = f"{index:03}" if index < 1000 else f"{index:0{-(-len(str(index)) // 3) * 3}}"
            groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
            path = "/".join([f"x{group}" for group in groups[:-1]] + groups[-1:])
            width = min(count - index * 256, 256)
            paths.append(f"tile/{kind}/{path}" + ("" if width == 256 else f".p/{width}"))
    return paths


# Notes.


def key_id(name: str, public: bytes) -> bytes:
    """The id of a key."""
    return sha256(name.encode() + b"\n\x01" + public)[:4]


def sign(text: str, name: str, seed: bytes) -> str:
    """Signs a note."""
    key = Ed25519PrivateKey.from_private_bytes(seed)
    signature = key_id(name, public(seed)) + key.sign(text.encode())
    return f"{text}\n\u2014 {name} {base64.b64encode(signature).decode()}\n"


def public(seed: bytes) -> bytes:
    """The public key of a seed."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def unbase64(text: str) -> bytes:
    """Canonical base64."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("malformed") from None
    require(base64.b64encode(raw).decode() == text)
    return raw


def is_name(name: str) -> bool:
    """Whether it is the name of a key."""
    return bool(name) and "+" not in name and not any(c.isspace() or ord(c) < 32 or 127 <= ord(c) < 160 for c in name)


def open_note(note: bytes, keys: list[tuple[str, bytes]]) -> str:
    """Returns the text of a note once a known key has signed it."""
    require(len(note) <= 65_536 and is_utf8(note))
    text = note.decode()
    require(all(ord(c) >= 32 or c == "\n" for c in text))
    at = text.rfind("\n\n")
    require(at >= 0 and text.endswith("\n"))
    body, lines = text[: at + 1], text[at + 2 :]
    require(lines)
    signatures = []
    for line_ in lines[:-1].split("\n"):
        match = re.fullmatch("\u2014 ([^ ]+) ([^ ]*)", line_)
        require(match and is_name(match[1]))
        raw = unbase64(match[2])
        require(len(raw) >= 5)
        signatures.append((match[1], raw))
    require(len(signatures) <= 64)
    found = False
    for name, raw in signatures:
        for known, public_ in keys:
            if known != name or raw[:4] != key_id(known, public_):
                continue
            try:
                require(len(raw) == 68, "altered")
                Ed25519PublicKey.from_public_bytes(public_).verify(raw[4:], body.encode())
            except InvalidSignature:
                raise Refused("altered") from None
            found = True
            break
    require(found, "unsigned")
    return body


def checkpoint(note: bytes, origin: str, public_: bytes) -> tuple[int, bytes]:
    """Reads a checkpoint: size and root."""
    lines = open_note(note, [(origin, public_)]).split("\n")
    require(len(lines) == 4 and lines[3] == "")
    require(lines[0] == origin, "foreign")
    require(re.fullmatch("0|[1-9][0-9]*", lines[1]) and int(lines[1]) < 1 << 64)
    hash_ = unbase64(lines[2])
    require(len(hash_) == 32)
    return int(lines[1]), hash_


def proof(text: str, stored: bytes, origin: str, public_: bytes) -> None:
    """Verifies a proof of inclusion."""
    require(text.startswith("c2sp.org/tlog-proof@v1\n") and "\n\n" in text)
    rest = text.removeprefix("c2sp.org/tlog-proof@v1\n")
    front, note = rest.split("\n\n", 1)
    lines = front.split("\n")
    if lines[0].startswith("extra "):
        unbase64(lines.pop(0).removeprefix("extra "))
    require(lines and re.fullmatch("index (0|[1-9][0-9]*)", lines[0]))
    index = int(lines[0].removeprefix("index "))
    require(index < 1 << 64 and len(lines) <= 65)
    hashes = [unbase64(line_) for line_ in lines[1:]]
    require(all(len(hash_) == 32 for hash_ in hashes))
    size, wanted = checkpoint(note.encode(), origin, public_)
    require(includes(leaf(stored), index, size, hashes, wanted), "refused")


# The local log.

_CRC = []
for _byte in range(256):
    _value = _byte
    for _ in range(8):
        _value = _value >> 1 ^ (0x82F63B78 if _value & 1 else 0)
    _CRC.append(_value)


def crc32c(data: bytes) -> int:
    """CRC-32C (RFC 3720 \u00a712.1)."""
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _CRC[(value ^ byte) & 255]
    return value ^ 0xFFFFFFFF


def frame(index: int, content: bytes) -> bytes:
    """A frame."""
    length = len(content).to_bytes(4, "big")
    return length + crc32c(index.to_bytes(8, "big") + length + content).to_bytes(4, "big") + content


def peaks(leaves: list[bytes]) -> list[bytes]:
    """The roots of the perfect subtrees, largest first."""
    found, at = [], 0
    for bit in reversed(range(64)):
        if len(leaves) >> bit & 1:
            found.append(root(leaves[at : at + (1 << bit)]))
            at += 1 << bit
    return found


def header(origin: str, ordinal: int, before: list[bytes], previous: int, open_: list | None = None) -> bytes:
    """The first frame of a segment, behind the leaves before it."""
    content = ["bulla-audit-segment", 1, origin, ordinal, len(before), previous, peaks(before), open_ or []]
    return frame(len(before), encode(content))


def read_frame(data: bytes, index: int) -> tuple[bytes, int] | None:
    """The content and length of the frame at the beginning; none if it is not whole."""
    if len(data) < 8:
        return None
    length = int.from_bytes(data[:4], "big")
    content = data[8 : 8 + length]
    if not 1 <= length <= 262_144 or len(content) < length or frame(index, content) != data[: 8 + length]:
        return None
    return content, 8 + length


def read_header(data: bytes, origin: str, ordinal: int) -> tuple[list, int] | None:
    """The header of a segment, and where its events begin."""
    length = int.from_bytes(data[:4], "big")
    if length > 262_144:
        return None
    try:
        item = decode(data[8 : 8 + length])
    except Refused:
        return None
    shape = (str, int, str, int, int, int, list, list)
    if not (type(item) is list and len(item) == 8 and all(type(a) is b for a, b in zip(item, shape))):
        return None
    if item[:2] != ["bulla-audit-segment", 1] or len(item[6]) != item[4].bit_count() or len(item[7]) > 4096:
        return None
    if not all(isinstance(peak, bytes) and len(peak) == 32 for peak in item[6]):
        return None
    if not all(type(o) is list and len(o) == 2 and is_number(o[0]) and isinstance(o[1], bytes) and len(o[1]) == 8 for o in item[7]):
        return None
    indices = [o[0] for o in item[7]]
    if indices != sorted(set(indices)) or (indices and indices[-1] >= item[4]):
        return None
    if read_frame(data, item[4]) is None:
        return None
    require(item[2] == origin and item[3] == ordinal, "altered")
    return item, 8 + length


def verify(files: dict[str, bytes], origin: str, public_: bytes, outside: bytes | None) -> tuple[int, bytes]:
    """Verifies a local log, without what `lock` says; returns size and root of its checkpoint."""
    against = [] if outside is None else [checkpoint(outside, origin, public_)]
    ordinals = sorted(int(name[8:]) for name in files if re.fullmatch(r"segment-[0-9]{10}", name))
    if "checkpoint" not in files:
        require(not (against and against[0][0] > 0 and not ordinals), "truncated")
        raise Refused("unverifiable")
    try:
        size, wanted = checkpoint(files["checkpoint"], origin, public_)
    except Refused:
        raise Refused("altered") from None
    require(ordinals == list(range(len(ordinals))), "truncated")
    segments = []
    for ordinal in ordinals:
        found = read_header(files[f"segment-{ordinal:010}"], origin, ordinal)
        if found is None:
            require(ordinal == ordinals[-1], "altered")
            break
        segments.append((files[f"segment-{ordinal:010}"], *found))
    leaves: list[bytes] = []
    torn = False
    for number, (data, item, at) in enumerate(segments):
        require(number or (item[5] == 0 and item[4] == 0), "altered")
        require(item[4] == len(leaves) and item[6] == peaks(leaves), "altered")
        end = segments[number + 1][1][5] if number + 1 < len(segments) else None
        limit = len(data) if end is None else min(end, len(data))
        while at < limit:
            found = read_frame(data[at:limit], len(leaves))
            if found is None:
                require(end is None, "altered")
                torn = True
                break
            leaves.append(leaf(found[0]))
            at += found[1]
        require(end is None or at >= end, "truncated")
    for length, hash_ in sorted([(size, wanted), *against]):
        if length <= len(leaves):
            require(root(leaves[:length]) == hash_, "altered")
    require(not (torn and len(leaves) < size), "altered")
    require(all(length <= len(leaves) for length, _ in [(size, wanted), *against]), "truncated")
    return size, wanted
