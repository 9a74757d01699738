"""The scenarios of the store, and the files that they become."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from seal_vectors import reference as seal
from seal_vectors.reference import Code, Header, KeyVersion, Refused, Suite
from seal_vectors.scene import derived, flip, json_bytes

from . import reference
from .reference import BadEntry, Blob, Entry, MissingBlob

CREATED = 1_767_225_600_000
HEADER = seal.HEADER_LENGTH


@dataclass(frozen=True)
class Vector:
    """One document, perhaps with a blob, and what a reader must answer."""

    name: str
    comment: str
    project: bytes
    key: KeyVersion
    namespace: str
    entry_name: bytes
    document: bytes
    blob: tuple[bytes, bytes] | None
    expect: str
    index: bytes | None = None

    @property
    def file_name(self) -> str:
        """Name of the file, which says whether the entry can be read."""
        kind = "ok" if self.expect == "ok" else "hostile"
        return f"{kind}_{self.name}.json"

    def read(self) -> tuple[str, Entry | None, bytes | None]:
        """Outcome, entry and value, as our own reader finds them."""
        blobs = dict([self.blob]) if self.blob else {}
        place = (self.project, self.key, self.namespace, self.entry_name)
        try:
            return "ok", *reference.read(*place, self.document, blobs, self.index)
        except Refused as refused:
            return refused.code.value, None, None
        except BadEntry:
            return "bad_entry", None, None
        except MissingBlob:
            return "missing_blob", None, None

    def verify(self) -> None:
        """Fails unless our own reader reaches the promised outcome."""
        outcome, entry, _ = self.read()
        if outcome != self.expect:
            raise AssertionError(f"{self.name}: the reader says {outcome}")
        if entry is not None and reference.encode(entry) != self.message():
            raise AssertionError(f"{self.name}: encoding again gives other bytes")

    def stored_name(self) -> bytes:
        """What the document's key shows of the name."""
        return reference.stored_name(self.index, self.entry_name)

    def message(self) -> bytes | None:
        """The encoded entry, if the document opens."""
        context = reference.entry_context(self.project, self.namespace, self.stored_name())
        try:
            return seal.open_sealed(self.document, [self.key], context.encoded)
        except Refused:
            return None

    def to_json(self) -> str:
        """The file of this vector: ASCII, members in the order of the specification."""
        members: dict[str, object] = {
            "comment": self.comment,
            "project": self.project.hex(),
            "material": self.key.material.hex(),
            "key_version": self.key.id.hex(),
            "namespace": self.namespace,
            "name": self.entry_name.hex(),
            **({"index": self.index.hex()} if self.index else {}),
            "document_key": reference.document_key(self.namespace, self.stored_name()).hex(),
            "document": json_bytes(self.document),
        }
        message = self.message()
        if message is not None:
            members["entry"] = json_bytes(message)
        if self.blob:
            blob_id, blob = self.blob
            members["blob_id"], members["blob"] = blob_id.hex(), json_bytes(blob)
        _, entry, value = self.read()
        if entry is not None:
            members["version"] = entry.version
            members["created"] = entry.created
            if entry.expires is not None:
                members["expires"] = entry.expires
            if entry.media_type is not None:
                members["media_type"] = entry.media_type
            members["tags"] = list(entry.tags)
            if entry.name is not None:
                members["true_name"] = entry.name.hex()
            if entry.compute_time is not None:
                members["compute_time"] = entry.compute_time
            if entry.sensitive:
                members["sensitive"] = True
            members["value"] = json_bytes(value)
        members["expect"] = self.expect
        return json.dumps(members, indent=2) + "\n"


@dataclass(frozen=True)
class Scene:
    """What an honest store writes. Keys, ids and values follow from the name."""

    name: str
    namespace: str = "orders"
    entry_name: bytes = b"1234"
    entry: Entry | None = None
    suite: Suite = Suite.AES256_GCM
    length: int = 20
    blob_log2: int = 12
    blob_suite: Suite = Suite.AES256_GCM
    is_blinded: bool = False

    @cached_property
    def project(self) -> bytes:
        """The project id."""
        return derived("project", self.name, 32)

    @cached_property
    def key(self) -> KeyVersion:
        """The version of the namespace's key."""
        return KeyVersion(derived("key version", self.name, 8), derived("material", self.name, 32))

    @cached_property
    def index(self) -> bytes | None:
        """The material of the index key, where names are blinded."""
        return derived("index", self.name, 32) if self.is_blinded else None

    @cached_property
    def value(self) -> bytes:
        """The value."""
        return derived("value", self.name, self.length)

    @cached_property
    def small(self) -> Entry:
        """An entry with its value."""
        return replace(self.entry or Entry(1, CREATED), value=self.value)

    @cached_property
    def blob_ref(self) -> Blob:
        """What an entry with a blob knows of it."""
        return Blob(
            derived("blob id", self.name, 32), derived("blob key", self.name, 32), self.length
        )

    @cached_property
    def large(self) -> Entry:
        """An entry with a blob."""
        return replace(self.entry or Entry(1, CREATED), blob=self.blob_ref)

    def sealed_blob(self, value: bytes | None = None, namespace: str | None = None) -> bytes:
        """The blob, perhaps of another value or namespace."""
        key = KeyVersion.from_outside(self.blob_ref.key)
        context = reference.blob_context(
            self.project, namespace or self.namespace, self.blob_ref.id
        )
        salt = derived("blob salt", self.name, 24)
        header = Header(self.blob_suite, self.blob_log2, key.id, salt)
        return seal.seal(key, context.encoded, header, self.value if value is None else value)

    def document(self, message: bytes, domain: str = reference.ENTRY_DOMAIN) -> bytes:
        """What somebody who holds the namespace's key makes of an encoded entry."""
        stored = reference.stored_name(self.index, self.entry_name)
        context = reference.entry_context(self.project, self.namespace, stored)
        header = Header(
            self.suite, reference.CHUNK_LOG2, self.key.id, derived("salt", self.name, 24)
        )
        return seal.seal(self.key, replace(context, domain=domain).encoded, header, message)

    def vector(
        self,
        comment: str,
        document: bytes,
        expect: str = "ok",
        blob: bytes | None = None,
        **elsewhere: object,
    ) -> Vector:
        """The document, read where it belongs or elsewhere."""
        lies = (self.blob_ref.id, blob) if blob is not None else None
        vector = Vector(
            self.name,
            comment,
            self.project,
            self.key,
            self.namespace,
            self.entry_name,
            document,
            lies,
            expect,
            self.index,
        )
        return replace(vector, **elsewhere)


def good() -> Iterator[Vector]:
    """Entries of every form."""
    everything = Entry(
        7,
        CREATED,
        CREATED + 60_000,
        "text/plain; charset=utf-8",
        ("eu", "größe"),
        compute_time=2_500,
        sensitive=True,
    )
    last = 2**64 - 1
    tags = tuple(f"{n:0128}" for n in range(32))
    for name, comment, entry in (
        ("plain", "A value, and nothing else said about it.", Entry(1, CREATED)),
        ("everything", "An entry with every field.", everything),
        ("expires", "An entry that expires.", Entry(1, CREATED, CREATED + 1)),
        ("largest_numbers", "The largest version and times.", Entry(last, last, last)),
        ("most_tags", "As many tags as there may be.", Entry(1, 0, tags=tags)),
        ("media_type", "As long a media type as there may be.", Entry(1, 0, media_type="x" * 255)),
    ):
        scene = Scene(name, entry=entry)
        yield scene.vector(comment, scene.document(reference.encode(scene.small)))
        scene = Scene(f"blob_{name}", entry=entry, length=9_000)
        document = scene.document(reference.encode(scene.large))
        yield scene.vector(
            f"{comment[:-1]}, with a blob of three chunks.", document, blob=scene.sealed_blob()
        )
    for name, comment, scene in (
        ("empty_value", "An empty value.", Scene("empty_value", length=0)),
        ("chacha", "A key of another suite.", Scene("chacha", suite=Suite.CHACHA20_POLY1305)),
        ("name_zero", "A name of zero bytes.", Scene("name_zero", entry_name=bytes(3))),
        (
            "name_longest",
            "As long a name as there may be.",
            Scene("name_longest", entry_name=b"\xff" * 1_024),
        ),
        (
            "name_path",
            "A name that looks like a path.",
            Scene("name_path", entry_name=b"../../etc/passwd"),
        ),
        (
            "namespace_deep",
            "As many segments as there may be.",
            Scene("namespace_deep", "a/b/c/d/e/f/g"),
        ),
    ):
        yield scene.vector(comment, scene.document(reference.encode(scene.small)))
    scene = Scene("blob_empty", length=0)
    yield scene.vector(
        "A blob with an empty value.",
        scene.document(reference.encode(scene.large)),
        blob=scene.sealed_blob(),
    )


def misplaced() -> Iterator[Vector]:
    """Honest documents where they do not belong."""

    def honest(name: str) -> tuple[Scene, bytes]:
        scene = Scene(name)
        return scene, scene.document(reference.encode(scene.small))

    for name, comment, elsewhere in (
        ("moved_to_name", "Moved to another name.", {"entry_name": b"1235"}),
        (
            "moved_to_prefix",
            "Moved to a name that the true one begins with.",
            {"entry_name": b"123"},
        ),
        ("moved_to_namespace", "Moved to another namespace.", {"namespace": "order"}),
        (
            "moved_boundary",
            "The boundary between namespace and name shifted.",
            {"namespace": "orders1", "entry_name": b"234"},
        ),
        ("moved_to_project", "Moved to another project.", {"project": bytes(32)}),
    ):
        scene, document = honest(name)
        yield scene.vector(comment, document, "cannot_open", **elsewhere)
    scene, document = honest("other_key_version")
    other = KeyVersion(derived("other", scene.name, 8), scene.key.material)
    yield scene.vector(
        "Sealed under a version that is not held.", document, "unknown_version", key=other
    )
    scene = Scene("other_domain")
    document = scene.document(reference.encode(scene.small), domain="user")
    yield scene.vector("What an application sealed for itself.", document, "cannot_open")


def altered() -> Iterator[Vector]:
    """Documents that were altered after they were sealed."""
    alterations: tuple[tuple[str, str, str, Callable[[bytes], bytes]], ...] = (
        ("flipped_magic", "A bit of the magic flipped.", "not_sealed", lambda d: flip(d, 0)),
        (
            "flipped_version",
            "Another format version.",
            "unsupported_version",
            lambda d: flip(d, 3, 3),
        ),
        (
            "flipped_key_version",
            "A bit of the key-version id flipped.",
            "unknown_version",
            lambda d: flip(d, 8),
        ),
        ("flipped_salt", "A bit of the salt flipped.", "cannot_open", lambda d: flip(d, 16)),
        (
            "flipped_commitment",
            "A bit of the commitment flipped.",
            "cannot_open",
            lambda d: flip(d, 71),
        ),
        (
            "flipped_first",
            "The first bit of the entry flipped.",
            "damaged",
            lambda d: flip(d, HEADER, 0x80),
        ),
        (
            "flipped_tag",
            "The last bit of the tag flipped.",
            "damaged",
            lambda d: flip(d, len(d) - 1),
        ),
        ("cut", "The last byte missing.", "damaged", lambda d: d[:-1]),
        ("extended", "A byte added.", "damaged", lambda d: d + b"\0"),
        ("empty", "An empty document.", "too_short", lambda d: b""),
    )
    for name, comment, expect, alter in alterations:
        scene = Scene(name)
        yield scene.vector(comment, alter(scene.document(reference.encode(scene.small))), expect)
    scene = Scene("expiry_lengthened", entry=Entry(1, CREATED, CREATED + 1_000))
    message = reference.encode(scene.small)
    longer = reference.encode(replace(scene.small, expires=CREATED + 2**40))
    document = bytearray(scene.document(message))
    for index, (old, new) in enumerate(zip(message, longer)):
        document[HEADER + index] ^= old ^ new
    yield scene.vector("A later expiry written over the ciphertext.", bytes(document), "damaged")


BASE = {1: b"\x01", 2: b"\x02"}
EMPTY = {**BASE, 22: b"\x40"}


def with_field(key: int, value: bytes) -> bytes:
    """An entry with an empty value, but for one field."""
    return reference.encode_fields(dict(sorted({**EMPTY, key: value}.items())))


def with_media_type(media_type: str) -> bytes:
    """An entry with a media type, allowed or not."""
    return with_field(4, seal.cbor(media_type))


def with_tags(*tags: str) -> bytes:
    """An entry with tags, allowed or not."""
    return with_field(5, seal.cbor_head(4, len(tags)) + b"".join(map(seal.cbor, tags)))


def blob_of(*parts: bytes | int) -> bytes:
    """A reference to a blob, allowed or not."""
    return seal.cbor_head(4, len(parts)) + b"".join(map(seal.cbor, parts))


def with_blob(*parts: bytes | int) -> bytes:
    """An entry with a blob, allowed or not."""
    return reference.encode_fields({**BASE, 23: blob_of(*parts)})


def no_entries() -> Iterator[Vector]:
    """Messages sealed with the right key, in the right context, that are no entries."""
    encode = reference.encode_fields
    id_and_key = (bytes(32), bytes(32))
    for name, comment, message in (
        ("empty", "No message.", b""),
        ("not_cbor", "A message that is not CBOR.", b"\xff\xff"),
        ("array", "An array.", b"\x83\x01\x02\x03"),
        ("empty_map", "An empty map.", b"\xa0"),
        ("no_version", "No version.", encode({2: b"\x02", 22: b"\x40"})),
        ("no_created", "No time of creation.", encode({1: b"\x01", 22: b"\x40"})),
        ("no_value", "Neither value nor blob.", encode(BASE)),
        ("value_and_blob", "Value and blob.", with_field(23, blob_of(*id_and_key, 1))),
        ("version_0", "Version 0.", with_field(1, b"\x00")),
        ("version_negative", "A negative version.", with_field(1, b"\x20")),
        ("version_text", "A version that is text.", with_field(1, b"\x611")),
        ("field_0", "A field 0.", with_field(0, b"\x01")),
        ("field_9", "An unknown field.", with_field(9, b"\x01")),
        ("field_24", "An unknown field behind the value.", with_field(24, b"\x01")),
        ("order", "Fields in another order.", encode({2: b"\x02", 1: b"\x01", 22: b"\x40"})),
        ("value_first", "The value not at the end.", encode({1: b"\x01", 22: b"\x40", 2: b"\x02"})),
        ("field_twice", "A field twice.", b"\xa4\x01\x01\x01\x01\x02\x02\x16\x40"),
        ("trailing", "A byte behind the entry.", encode(EMPTY) + b"\0"),
        ("cut", "An entry cut short.", encode(EMPTY)[:-1]),
        ("long_map", "A map head longer than need be.", b"\xb8\x03\x01\x01\x02\x02\x16\x40"),
        ("long_number", "A number longer than need be.", with_field(1, b"\x18\x01")),
        ("long_string", "A string head longer than need be.", with_field(22, b"\x58\x01x")),
        ("indefinite_map", "A map of indefinite length.", b"\xbf\x01\x01\x02\x02\x16\x40\xff"),
        ("indefinite_value", "A value in pieces.", with_field(22, b"\x5f\x41x\xff")),
        ("value_text", "A value that is text.", with_field(22, b"\x61x")),
        ("media_type_empty", "An empty media type.", with_media_type("")),
        ("media_type_space", "A space at its end.", with_media_type("text/plain ")),
        ("media_type_control", "A line break in it.", with_media_type("text/plain\r\nx: y")),
        ("media_type_not_ascii", "A letter beyond ASCII.", with_media_type("text/größe")),
        ("media_type_too_long", "A media type too long.", with_media_type("x" * 256)),
        ("tags_none", "An empty array of tags.", with_tags()),
        ("tags_order", "Tags out of order.", with_tags("b", "a")),
        ("tags_twice", "A tag twice.", with_tags("a", "a")),
        ("tags_too_many", "Too many tags.", with_tags(*(f"{n:02}" for n in range(33)))),
        ("tag_empty", "An empty tag.", with_tags("")),
        ("tag_too_long", "A tag too long.", with_tags("t" * 129)),
        ("tag_not_utf8", "A tag that is not UTF-8.", with_field(5, b"\x81\x61\xff")),
        ("name_empty", "An empty name.", with_field(6, b"\x40")),
        ("name_too_long", "A name too long.", with_field(6, seal.cbor(bytes(1_025)))),
        ("name_text", "A name that is text.", with_field(6, b"\x61x")),
        ("compute_time_text", "A compute time that is text.", with_field(7, b"\x611")),
        ("sensitive_false", "Sensitive: false, which is left out.", with_field(8, b"\xf4")),
        ("sensitive_number", "Sensitive: 1.", with_field(8, b"\x01")),
        ("name_only", "A name, and no value.", encode({**BASE, 6: b"\x41x"})),
        ("blob_short_id", "A blob id of 31 bytes.", with_blob(bytes(31), bytes(32), 1)),
        ("blob_long_key", "A blob key of 33 bytes.", with_blob(bytes(32), bytes(33), 1)),
        ("blob_too_long", "More than there can be.", with_blob(*id_and_key, 2**48 + 1)),
        ("blob_two_parts", "A blob without its length.", with_blob(*id_and_key)),
    ):
        scene = Scene(f"entry_{name}")
        yield scene.vector(comment, scene.document(message), "bad_entry")


def blobs() -> Iterator[Vector]:
    """Entries whose blob is not the one that was written."""

    def entry(name: str) -> tuple[Scene, bytes]:
        scene = Scene(f"blob_{name}", length=9_000)
        return scene, scene.document(reference.encode(scene.large))

    scene, document = entry("missing")
    yield scene.vector("No blob.", document, "missing_blob")
    chunk = (1 << 12) + seal.TAG_LENGTH
    first, second = HEADER + chunk, HEADER + 2 * chunk

    def swapped(blob: bytes) -> bytes:
        return blob[:HEADER] + blob[first:second] + blob[HEADER:first] + blob[second:]

    alterations: tuple[tuple[str, str, Callable[[bytes], bytes]], ...] = (
        ("nothing", "An empty blob.", lambda b: b""),
        ("flipped_magic", "A bit of the magic flipped.", lambda b: flip(b, 0)),
        ("flipped_suite", "Another suite.", lambda b: flip(b, 4, 3)),
        ("flipped_size", "Another chunk size.", lambda b: flip(b, 5)),
        ("flipped_key_version", "A bit of the key-version id flipped.", lambda b: flip(b, 8)),
        ("flipped_salt", "A bit of the salt flipped.", lambda b: flip(b, 20)),
        ("flipped_commitment", "A bit of the commitment flipped.", lambda b: flip(b, 50)),
        ("flipped_first_chunk", "A bit of the first chunk flipped.", lambda b: flip(b, HEADER)),
        (
            "flipped_middle_chunk",
            "A bit of the second chunk flipped.",
            lambda b: flip(b, first + 5),
        ),
        ("flipped_last_tag", "A bit of the last tag flipped.", lambda b: flip(b, len(b) - 1)),
        ("cut", "The last byte missing.", lambda b: b[:-1]),
        ("cut_chunk", "The last chunk missing.", lambda b: b[:second]),
        ("extended", "A byte added.", lambda b: b + b"\0"),
        ("swapped", "Two chunks swapped.", swapped),
    )
    for name, comment, alter in alterations:
        scene, document = entry(name)
        yield scene.vector(comment, document, "damaged", alter(scene.sealed_blob()))
    scene, document = entry("of_another")
    other = Scene("another", length=9_000)
    yield scene.vector(
        "The blob of another entry in its place.", document, "damaged", other.sealed_blob()
    )
    scene, document = entry("of_another_namespace")
    blob = scene.sealed_blob(namespace="invoices")
    yield scene.vector(
        "Sealed under this very key, for another namespace.", document, "damaged", blob
    )
    for name, length in (("shorter", 8_999), ("longer", 9_001)):
        scene, document = entry(name)
        blob = scene.sealed_blob(derived("value", scene.name, length))
        yield scene.vector(
            f"A value that is {name} than the entry says.", document, "damaged", blob
        )


def blinded() -> Iterator[Vector]:
    """Entries whose names the storage does not show."""

    def scene_of(name: str, entry_name: bytes, **fields: object) -> tuple[Scene, Entry]:
        scene = Scene(f"blinded_{name}", entry_name=entry_name, is_blinded=True, **fields)
        return scene, replace(scene.small, name=entry_name)

    for name, comment, entry_name in (
        ("plain", "A name of one segment.", b"1234"),
        ("segments", "A name of three segments.", b"eu/orders/1234"),
        ("slash_last", "A name that ends with a slash.", b"eu/"),
        ("slash_only", "A slash, and nothing else.", b"/"),
        ("slashes", "Segments of a slash alone.", b"a//b///"),
        ("most_segments", "As many segments as there may be.", b"/" * 64),
        ("longest", "As long a name as there may be.", b"\xff" * 1_024),
    ):
        scene, entry = scene_of(name, entry_name)
        yield scene.vector(comment, scene.document(reference.encode(entry)))
    scene, entry = scene_of("blob", b"a/b", length=9_000)
    document = scene.document(reference.encode(replace(scene.large, name=b"a/b")))
    yield scene.vector("With a blob.", document, blob=scene.sealed_blob())

    scene, entry = scene_of("nameless", b"1234")
    document = scene.document(reference.encode(scene.small))
    yield scene.vector("An entry that does not bear its name.", document, "bad_entry")
    scene, entry = scene_of("misnamed", b"1234")
    document = scene.document(reference.encode(replace(entry, name=b"1235")))
    yield scene.vector("An entry that bears another name.", document, "bad_entry")
    scene, entry = scene_of("moved", b"1234")
    document = scene.document(reference.encode(entry))
    yield scene.vector("Moved to another name.", document, "cannot_open", entry_name=b"1235")
    scene, entry = scene_of("other_index", b"1234")
    document = scene.document(reference.encode(entry))
    other = derived("index", "another", 32)
    yield scene.vector("Read with another index key.", document, "cannot_open", index=other)
    scene, entry = scene_of("shown", b"1234")
    document = scene.document(reference.encode(entry))
    yield scene.vector("Read as if names were shown.", document, "cannot_open", index=None)
    scene = Scene("named_but_shown")
    document = scene.document(reference.encode(replace(scene.small, name=b"1234")))
    yield scene.vector("An entry bears its name where names are shown.", document, "bad_entry")


def authenticated() -> Iterator[Vector]:
    """Entries of suite 3: authenticated, and not encrypted."""
    suite = Suite.AUTHENTICATED
    scene = Scene("authenticated", suite=suite)
    yield scene.vector("A value in the clear.", scene.document(reference.encode(scene.small)))
    scene = Scene("authenticated_empty", suite=suite, length=0)
    yield scene.vector("An empty one.", scene.document(reference.encode(scene.small)))
    scene = Scene("authenticated_blob", length=9_000, blob_suite=suite)
    yield scene.vector(
        "A blob in the clear, and its entry encrypted.",
        scene.document(reference.encode(scene.large)),
        blob=scene.sealed_blob(),
    )
    scene = Scene("authenticated_exposed", suite=suite, length=9_000, blob_suite=suite)
    yield scene.vector(
        "The key of a blob in the clear: whoever reads it can write another blob.",
        scene.document(reference.encode(scene.large)),
        "bad_entry",
        scene.sealed_blob(),
    )
    scene = Scene("authenticated_altered", suite=suite)
    document = scene.document(reference.encode(scene.small))
    altered = flip(document, HEADER + 30)
    yield scene.vector("A bit of the value flipped.", altered, "damaged")
    scene = Scene("authenticated_relabelled", suite=suite)
    document = scene.document(reference.encode(scene.small))
    relabelled = flip(document, 4, 2)
    yield scene.vector("Said to be encrypted.", relabelled, "cannot_open")
    scene = Scene("sealed_relabelled")
    document = scene.document(reference.encode(scene.small))
    relabelled = flip(document, 4, 2)
    yield scene.vector("An encrypted one, said not to be.", relabelled, "cannot_open")
    scene = Scene("authenticated_blob_altered", length=9_000, blob_suite=suite)
    yield scene.vector(
        "A bit of a blob in the clear flipped.",
        scene.document(reference.encode(scene.large)),
        "damaged",
        flip(scene.sealed_blob(), HEADER + 5),
    )


FAMILIES = (good, misplaced, altered, no_entries, blobs, blinded, authenticated)
