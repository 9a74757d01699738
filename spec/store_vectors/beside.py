"""What lies beside entries: the settings of a namespace, and quarantine records."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from seal_vectors import reference as seal
from seal_vectors.reference import Context, Header, KeyVersion, Refused, Suite
from seal_vectors.scene import derived, flip, json_bytes

from .reference import FALSE, NAME_LIMIT, TRUE, BadEntry, Decoder, encode_fields, require

CHUNK_LOG2 = 16
SETTINGS_LIMIT = 1_024
DOCUMENT_LIMIT = 98_304
HEADER = seal.HEADER_LENGTH


def settings(data: bytes) -> dict[int, object]:
    """Reads settings; raises `BadEntry` for what are none."""
    require(len(data) <= SETTINGS_LIMIT)
    decoder = Decoder(data)
    found: dict[int, object] = {}
    last = 0
    for _ in range(decoder.head(5)):
        key = decoder.head(0)
        require(last < key <= 11)
        last = key
        if key == 6:
            found[key] = decoder.take(1)
            require(found[key] in (TRUE, FALSE))
        elif key == 7:
            found[key] = decoder.bytes()
            require(len(found[key]) == 8)
        else:
            found[key] = decoder.head(0)
    require(decoder.position == len(data) and all(key in found for key in range(1, 7)))
    require(found[1] >= 1 and all(found[key] <= 1 for key in range(2, 6)))
    require(all(found[key] >= 1 for key in (8, 9, 10) if key in found))
    require(11 not in found or (1 <= found[11] <= 3 and (9 in found or 10 in found)))
    return found


def record(data: bytes) -> dict[int, object]:
    """Reads a quarantine record; raises `BadEntry` for what is none."""
    decoder = Decoder(data)
    found: dict[int, object] = {}
    last = 0
    for _ in range(decoder.head(5)):
        key = decoder.head(0)
        require(last < key <= 7)
        last = key
        match key:
            case 1 | 4 | 6 | 7:
                found[key] = decoder.bytes()
            case 2 | 5:
                found[key] = decoder.head(0)
            case 3:
                found[key] = decoder.text()
    require(decoder.position == len(data) and all(key in found for key in range(1, 5)))
    require(all(1 <= len(found[key]) <= NAME_LIMIT for key in (1, 7) if key in found))
    require(1 <= len(found[3]) <= 64 and all(c == "_" or "a" <= c <= "z" for c in found[3]))
    require(len(found[4]) <= DOCUMENT_LIMIT)
    require(5 not in found or (found[5] > DOCUMENT_LIMIT and len(found[4]) == DOCUMENT_LIMIT))
    require(6 not in found or len(found[6]) == 32)
    return found


def record_id(stored: bytes, document: bytes) -> bytes:
    """The id of the record of a document under a stored name."""
    both = len(stored).to_bytes(2, "big") + stored + document
    return hashlib.sha256(stored).digest()[:8] + hashlib.sha256(both).digest()[:8]


@dataclass(frozen=True)
class Sealed:
    """Something sealed that lies beside entries, and what a reader must answer."""

    name: str
    comment: str
    message: bytes
    expect: str = "ok"
    project: bytes = b""
    namespace: str = "orders"
    record: bytes | None = None
    read_project: bytes | None = None
    read_namespace: str | None = None
    read_record: bytes | None = None
    domain: str | None = None
    alter: Callable[[bytes], bytes] | None = None

    @property
    def bad(self) -> str:
        """The code of a message that is not what it should be."""
        return "bad_settings" if self.record is None else "bad_record"

    def context(self, project: bytes, namespace: str, record: bytes | None) -> Context:
        """What settings, or a record, are bound to."""
        if record is None:
            return Context("bulla/store/settings", project, {"namespace": namespace})
        entries = {"namespace": namespace, "record": record}
        return Context("bulla/store/quarantine", project, entries)

    def to_file(self) -> tuple[str, str]:
        """Name and text of the file, once our own reader has reached the promised outcome."""
        project = derived("project", self.name, 32)
        key = KeyVersion(derived("key version", self.name, 8), derived("material", self.name, 32))
        context = self.context(project, self.namespace, self.record)
        if self.domain is not None:
            context = replace(context, domain=self.domain)
        header = Header(Suite.AES256_GCM, CHUNK_LOG2, key.id, derived("salt", self.name, 24))
        sealed = seal.seal(key, context.encoded, header, self.message)
        if self.alter is not None:
            sealed = self.alter(sealed)
        project = self.read_project or project
        namespace = self.read_namespace or self.namespace
        lies = self.read_record or self.record
        message = None
        try:
            wanted = self.context(project, namespace, lies)
            message = seal.open_sealed(sealed, [key], wanted.encoded)
            (settings if lies is None else record)(message)
            outcome = "ok"
        except Refused as refused:
            outcome = refused.code.value
        except BadEntry:
            outcome = self.bad
        if outcome != self.expect:
            raise AssertionError(f"{self.name}: the reader says {outcome}")
        members = {
            "comment": self.comment,
            "project": project.hex(),
            "material": key.material.hex(),
            "key_version": key.id.hex(),
            "namespace": namespace,
        }
        if lies is not None:
            members["record"] = lies.hex()
        members["sealed"] = json_bytes(sealed)
        if message is not None:
            members["message"] = json_bytes(message)
        members["expect"] = self.expect
        kind = "ok" if self.expect == "ok" else "hostile"
        return f"{kind}_{self.name}.json", json.dumps(members, indent=2) + "\n"


def numbers(*values: int) -> dict[int, bytes]:
    """Fields 1 to 5."""
    return {key: seal.cbor(value) for key, value in enumerate(values, 1)}


PLAIN = {**numbers(1, 0, 0, 0, 0), 6: FALSE}
LAST = seal.cbor(2**64 - 1)
FULL = {
    **numbers(7, 1, 1, 1, 1),
    6: TRUE,
    7: seal.cbor(bytes(range(8))),
    8: seal.cbor(86_400_000),
    9: seal.cbor(1_000_000),
    10: seal.cbor(2**30),
    11: seal.cbor(2),
}


def with_field(fields: dict[int, bytes], key: int, value: bytes | None) -> bytes:
    """Fields with one set, or left out."""
    changed = {**fields, key: value}
    return encode_fields({at: changed[at] for at in sorted(changed) if changed[at] is not None})


def settings_vectors() -> Iterator[Sealed]:
    """Settings documents."""
    plain, full = encode_fields(PLAIN), encode_fields(FULL)
    yield Sealed("plain", "Settings of a new namespace.", plain)
    yield Sealed("full", "Settings with every field.", full)
    largest = with_field({**FULL, 8: LAST, 9: LAST, 10: LAST}, 1, LAST)
    yield Sealed("largest_numbers", "The largest numbers.", largest)
    for number, name in ((1, "stored"), (3, "frequency")):
        yield Sealed(f"evict_{name}", "Another policy.", with_field(FULL, 11, seal.cbor(number)))
    for name, comment, message in (
        ("empty", "No message.", b""),
        ("not_cbor", "A message that is not CBOR.", b"\xff"),
        ("version_0", "Version 0.", with_field(PLAIN, 1, b"\x00")),
        ("long_version", "A version longer than need be.", with_field(PLAIN, 1, b"\x18\x01")),
        ("no_version", "No version.", with_field(PLAIN, 1, None)),
        ("no_mode", "No mode.", with_field(PLAIN, 2, None)),
        ("mode_off", "A mode that there is not.", with_field(PLAIN, 2, b"\x02")),
        ("tamper_2", "Something else to tell of damage.", with_field(PLAIN, 3, b"\x02")),
        ("audit_2", "Another scope.", with_field(PLAIN, 4, b"\x02")),
        ("durability_2", "Another durability.", with_field(PLAIN, 5, b"\x02")),
        ("memory_number", "A number for a boolean.", with_field(PLAIN, 6, b"\x00")),
        ("index_short", "An index id of 7 bytes.", with_field(FULL, 7, seal.cbor(bytes(7)))),
        ("lifetime_0", "Entries that do not live.", with_field(FULL, 8, b"\x00")),
        ("entries_0", "Room for no entry.", with_field(FULL, 9, b"\x00")),
        ("bytes_0", "Room for no byte.", with_field(FULL, 10, b"\x00")),
        ("eviction_0", "A policy that there is not.", with_field(FULL, 11, b"\x00")),
        ("eviction_4", "Another.", with_field(FULL, 11, b"\x04")),
        ("eviction_alone", "A policy without a limit.", with_field(PLAIN, 11, b"\x01")),
        ("field_0", "A field 0.", with_field(PLAIN, 0, b"\x00")),
        ("field_12", "An unknown field.", with_field(PLAIN, 12, b"\x01")),
        ("trailing", "A byte behind the end.", plain + b"\0"),
        ("cut", "Cut short.", full[:-1]),
        ("order", "Fields in another order.", encode_fields(dict(reversed(PLAIN.items())))),
    ):
        yield Sealed(name, comment, message, "bad_settings")
    refused = "cannot_open"
    yield Sealed("of_another_namespace", "Moved.", plain, refused, read_namespace="invoices")
    yield Sealed("of_another_project", "Moved.", plain, refused, read_project=bytes(32))
    entry = "bulla/store/entry"
    yield Sealed("an_entry", "Sealed as an entry.", plain, refused, domain=entry)
    yield Sealed("flipped", "A bit flipped.", plain, "damaged", alter=lambda d: flip(d, HEADER + 3))
    yield Sealed("short", "The last byte missing.", plain, "damaged", alter=lambda d: d[:-1])


STORED = b"1234"
DOCUMENT = b"not what was written"
RECORD = {
    1: seal.cbor(STORED),
    2: seal.cbor(1_767_225_600_000),
    3: seal.cbor("damaged"),
    4: seal.cbor(DOCUMENT),
}
LONG = derived("document", "long", DOCUMENT_LIMIT)
RECORD_FULL = {
    **RECORD,
    4: seal.cbor(LONG),
    5: seal.cbor(DOCUMENT_LIMIT + 1),
    6: seal.cbor(bytes(32)),
    7: seal.cbor(b"eu/1234"),
}


def record_vectors() -> Iterator[Sealed]:
    """Quarantine records."""
    lies = record_id(STORED, DOCUMENT)
    plain = Sealed("plain", "A document that was altered.", encode_fields(RECORD), record=lies)
    yield plain
    message = encode_fields(RECORD_FULL)
    yield replace(plain, name="full", comment="A record with every field.", message=message)
    longest = {**RECORD, 1: seal.cbor(bytes(NAME_LIMIT)), 3: seal.cbor("x" * 64)}
    message = encode_fields(longest)
    yield replace(plain, name="longest", comment="As long as may be.", message=message)
    message = with_field(RECORD, 4, b"\x40")
    yield replace(plain, name="nothing", comment="An empty document.", message=message)
    for name, comment, message in (
        ("empty", "No message.", b""),
        ("no_name", "No stored name.", with_field(RECORD, 1, None)),
        ("empty_name", "An empty stored name.", with_field(RECORD, 1, b"\x40")),
        ("long_name", "A name too long.", with_field(RECORD, 1, seal.cbor(bytes(1_025)))),
        ("no_time", "No time.", with_field(RECORD, 2, None)),
        ("no_code", "No code.", with_field(RECORD, 3, None)),
        ("empty_code", "An empty code.", with_field(RECORD, 3, b"\x60")),
        ("long_code", "A code too long.", with_field(RECORD, 3, seal.cbor("x" * 65))),
        ("text_code", "A code with a line break.", with_field(RECORD, 3, seal.cbor("a\nb"))),
        ("no_document", "No document.", with_field(RECORD, 4, None)),
        ("long_document", "Too much.", with_field(RECORD, 4, seal.cbor(LONG + b"\0"))),
        ("not_cut", "Cut, it says, but short.", with_field(RECORD, 5, seal.cbor(100_000))),
        ("not_longer", "Cut to its length.", with_field(RECORD_FULL, 5, seal.cbor(DOCUMENT_LIMIT))),
        ("short_blob", "A blob id of 31 bytes.", with_field(RECORD, 6, seal.cbor(bytes(31)))),
        ("empty_true_name", "An empty name.", with_field(RECORD, 7, b"\x40")),
        ("field_8", "An unknown field.", with_field(RECORD, 8, b"\x01")),
        ("trailing", "A byte behind the end.", encode_fields(RECORD) + b"\0"),
    ):
        yield replace(plain, name=name, comment=comment, message=message, expect="bad_record")
    elsewhere = record_id(b"1235", DOCUMENT)
    for name, changes in (
        ("moved", {"read_record": elsewhere}),
        ("of_another_namespace", {"read_namespace": "invoices"}),
        ("of_another_project", {"read_project": bytes(32)}),
        ("an_entry", {"domain": "bulla/store/entry"}),
    ):
        yield replace(plain, name=name, comment="Moved.", expect="cannot_open", **changes)
    yield replace(
        plain,
        name="flipped",
        comment="A bit flipped.",
        expect="damaged",
        alter=lambda d: flip(d, HEADER + 3),
    )
