"""Archives, good and bad."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from archive_vectors import reference as ref

TIME = 1_700_000_000_000
HEADER = [ref.NAME, 1, "orders/eu", TIME]
LONGEST = bytes(range(256)) * 4


def said(name: bytes, length: int, **more: object) -> dict:
    """What an entry says, under the keys of its map."""
    return keyed({"version": 3, "created": TIME - 1, "name": name, "length": length} | more)


def keyed(fields: dict) -> dict:
    """Fields under their keys."""
    keys = {field: key for key, field in ref.FIELDS.items()}
    return {keys[field]: value for field, value in fields.items()}


def whole(name: bytes, value: bytes, **more: object) -> list[bytes | None]:
    """An entry with its value and digest."""
    pieces = [value[at : at + ref.PIECE] for at in range(0, len(value), ref.PIECE)]
    return [ref.encode(said(name, len(value), **more)), *pieces, None]


def end(count: int) -> list[bytes | None]:
    """The end of an archive."""
    return [ref.encode([count]), None]


def archive(*parts: list[bytes | None], header: object = HEADER) -> bytes:
    """An archive of several parts."""
    return ref.write(header, iter([item for part in parts for item in part]))


def vector(comment: str, data: bytes, expect: str = "ok") -> dict:
    """A vector, which our own reader has found to be as it promises."""
    made = {"comment": comment, "archive": base64.b64encode(data).decode(), "expect": expect}
    found, code = ref.Archive(), "ok"
    try:
        ref.read(data, found)
    except ref.Refused as refused:
        code = refused.code
    if code != expect:
        raise AssertionError(f"{comment}: {code}, not {expect}")
    if found.namespace is not None:
        made |= {"namespace": found.namespace, "time": found.time}
    made["entries"] = [
        {key: value.hex() if isinstance(value, bytes) else value for key, value in entry.items()}
        for entry in found.entries
    ]
    return made


FULL = {
    "expires": (1 << 64) - 1,
    "media_type": "text/plain; charset=utf-8",
    "tags": ["a", "b", "ä"],
    "compute_time": 12,
    "sensitive": True,
}
GOOD = archive(whole(b"a", b"first"), whole(b"\xff\x00", b"", **FULL), end(2))


def good() -> Iterator[tuple[str, dict]]:
    """Archives that are read."""
    yield "ok_two_entries", vector("a plain entry, and one that says everything", GOOD)
    yield "ok_empty", vector("no entries", archive(end(0)))
    yield "ok_longest_name", vector("a name of the greatest length", archive(whole(LONGEST, b"x"), end(1)))
    yield "ok_twice", vector("two entries of one name", archive(whole(b"a", b"1"), whole(b"a", b"2"), end(2)))
    for length in (ref.PIECE - 1, ref.PIECE, ref.PIECE + 1):
        made = archive(whole(b"a", b"\x07" * length), end(1))
        yield f"ok_value_of_{length}", vector("a value about as long as a piece", made)
    opened = ref.encode(said(b"lost", ref.PIECE + 1))
    for name, lost in {
        "at_once": [opened, b""],
        "behind_a_piece": [opened, bytes(ref.PIECE), b""],
        "behind_all_pieces": [ref.encode(said(b"lost", 1)), b"x", b""],
    }.items():
        made = archive(whole(b"a", b"1"), lost, whole(b"b", b"2"), end(2))
        yield f"ok_given_up_{name}", vector("an entry was given up", made)


def headers() -> Iterator[tuple[str, dict]]:
    """Files that are something else, or begin badly."""
    for name, data in {
        "empty": b"",
        "text": b"bulla-archive",
        "no_byte_string": ref.encode(HEADER),
        "an_empty_item": b"\x40",
        "another_name": archive(end(0), header=["bulla-backup", 1, "a", 0]),
        "version_as_text": archive(end(0), header=[ref.NAME, "1", "a", 0]),
        "cut_in_header": GOOD[:30],
        "long_head": b"\x59\x00\x1d" + GOOD[2:],
    }.items():
        yield f"hostile_{name}", vector(f"something else: {name}", data, "not_an_archive")
    newer = archive(end(0), header=[ref.NAME, 2, {}])
    yield "hostile_version_2", vector("a version of the future", newer, "newer_archive")
    for name, header in {
        "no_namespace": [ref.NAME, 1, "", TIME],
        "bad_namespace": [ref.NAME, 1, "a/../b", TIME],
        "namespace_as_bytes": [ref.NAME, 1, b"a", TIME],
        "header_of_three": [ref.NAME, 1, "a"],
        "header_of_five": [ref.NAME, 1, "a", TIME, 0],
    }.items():
        yield f"hostile_{name}", vector(name.replace("_", " "), archive(end(0), header=header), "damaged_archive")


def entries() -> Iterator[tuple[str, dict]]:
    """Entries that say what none may."""
    one = {
        "version_0": {"version": 0},
        "no_media_type": {"media_type": ""},
        "media_type_with_line_end": {"media_type": "text/plain\n"},
        "media_type_too_long": {"media_type": "a" * 256},
        "no_tags": {"tags": []},
        "empty_tag": {"tags": [""]},
        "tags_out_of_order": {"tags": ["b", "a"]},
        "tag_twice": {"tags": ["a", "a"]},
        "tag_too_long": {"tags": ["a" * 129]},
        "tags_too_many": {"tags": [f"{tag:02}" for tag in range(33)]},
        "length_too_great": {"length": (1 << 48) + 1},
        "name_as_text": {"name": "a"},
        "no_name": {"name": b""},
        "name_too_long": {"name": LONGEST + b"\0"},
        "time_as_text": {"expires": "soon"},
    }
    for name, more in one.items():
        entry = [ref.encode(said(b"a", 0) | keyed(more)), None]
        yield f"hostile_{name}", vector(name.replace("_", " "), archive(entry, end(1)), "damaged_archive")
    plain = said(b"a", 0)
    encoded = ref.encode(plain)
    bad = {
        "unknown_field": ref.encode(plain | {10: 1}),
        "without_version": ref.encode({key: value for key, value in plain.items() if key != 1}),
        "without_name": ref.encode({key: value for key, value in plain.items() if key != 6}),
        "without_length": ref.encode({key: value for key, value in plain.items() if key != 9}),
        "not_sensitive": encoded.replace(b"\xa4", b"\xa5").replace(b"\x09\x00", b"\x08\xf4\x09\x00"),
        "fields_out_of_order": ref.encode(plain)[:1] + encoded[3:] + encoded[1:3],
        "field_twice": b"\xa5" + encoded[1:3] + encoded[1:],
        "indefinite_map": b"\xbf" + encoded[1:] + b"\xff",
        "long_number": encoded.replace(b"\x09\x00", b"\x09\x18\x00"),
        "behind_the_map": encoded + b"\0",
        "half_a_map": encoded[:-1],
        "no_map": ref.encode("entry"),
    }
    for name, entry in bad.items():
        made = archive(whole(b"first", b"1"), [entry, None], end(2))
        yield f"hostile_{name}", vector(name.replace("_", " "), made, "damaged_archive")


def items() -> Iterator[tuple[str, dict]]:
    """Items that do not come as they must."""
    first = whole(b"first", b"1")
    opened = ref.encode(said(b"a", 10))
    bad = {
        "short_piece": [opened, b"123456789", None],
        "long_piece": [opened, b"12345678901", None],
        "value_in_two_pieces": [opened, b"12345", b"67890", None],
        "no_digest": [opened, b"1234567890"],
        "another_digest": [opened, b"1234567890", bytes(32)],
        "short_digest": [opened, b"1234567890", b"\1" * 31],
        "entry_within_a_value": [opened, opened, b"1234567890", None],
        "end_within_a_value": [opened, *end(1)],
        "piece_without_an_entry": [b"1234567890"],
        "nothing_without_an_entry": [b""],
        "digest_twice": [opened, b"1234567890", None, None],
    }
    for name, part in bad.items():
        yield f"hostile_{name}", vector(name.replace("_", " "), archive(first, part, end(2)), "damaged_archive")
    for name, last in {
        "count_too_low": end(0),
        "count_too_high": end(2),
        "count_as_text": [ref.encode(["1"]), None],
        "end_of_two": [ref.encode([1, 1]), None],
        "end_of_nothing": [ref.encode([]), None],
        "end_without_digest": end(1)[:1],
        "end_with_another_digest": [ref.encode([1]), bytes(32)],
        "end_twice": end(1) + end(1),
        "no_end": [],
        "given_up_is_not_counted": [opened, b"", *end(2)],
    }.items():
        yield f"hostile_{name}", vector(name.replace("_", " "), archive(first, last), "damaged_archive")


def files() -> Iterator[tuple[str, dict]]:
    """Archives that were cut, altered or put together."""
    yield "hostile_byte_behind_the_end", vector("a byte behind the end", GOOD + b"\0", "damaged_archive")
    two = vector("two archives in one file", GOOD + GOOD, "damaged_archive")
    yield "hostile_two_archives", two
    for end_at in range(40, len(GOOD), 13):
        yield f"hostile_cut_at_{end_at}", vector("cut off", GOOD[:end_at], "damaged_archive")
    for at in range(40, len(GOOD), 11):
        altered = GOOD[:at] + bytes([GOOD[at] ^ 1]) + GOOD[at + 1 :]
        yield f"hostile_flipped_{at}", vector("a bit was flipped", altered, "damaged_archive")
    first, second = whole(b"a", b"first"), whole(b"b", b"second")
    both, swapped = archive(first, second, end(2)), archive(second, first, end(2))
    cut = len(archive(first))
    yield "hostile_entry_of_another", vector("put together from two", both[:cut] + swapped[cut:], "damaged_archive")
    long = archive(whole(b"a", bytes(100)), end(1)).replace(b"\x58\x64" + bytes(100), b"\x59\x00\x64" + bytes(100))
    yield "hostile_long_head_of_a_piece", vector("a head longer than need be", long, "damaged_archive")
    huge = archive([ref.encode(said(b"a", 1 << 40))]) + b"\x5b" + (1 << 40).to_bytes(8, "big")
    yield "hostile_huge_piece", vector("a piece of a terabyte, as it says", huge, "damaged_archive")
    chunked = archive([ref.encode(said(b"a", 4))]) + b"\x5f\x42ab\x42cd\xff"
    yield "hostile_indefinite_piece", vector("a byte string of indefinite length", chunked, "damaged_archive")


FAMILIES = (good, headers, entries, items, files)
