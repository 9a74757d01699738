"""Backups, good and bad, of one small project on three machines."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from backup_vectors import reference as ref
from keyring_vectors import reference as keyring
from keyring_vectors import scene
from seal_vectors import reference as seal

TIME = scene.TIME + 86_400_000
MACHINES = {"founder": keyring.AUTHORISE, "user": keyring.USE, "recovery": keyring.RECOVERY}


def project() -> scene.Project:
    """A project with a machine of each capability, and no keys."""
    made = scene.Project.begin("backup")
    for machine, capability in MACHINES.items():
        if machine != "founder":
            made.let_in(machine, capability)
    # Copies are stored under what they commit to (`keyring.md`, "Documents").
    commitment = keyring.commitment(made.deks[0], made.project, 1)
    made.documents["wraps"] = {key[:40] + commitment: value for key, value in made.documents["wraps"].items()}
    return made


PROJECT = project()
STORE = {
    "namespaces": {b"orders": b"sealed settings"},
    "entries": {b"orders\0a": b"sealed entry", b"orders\0b": b"", b"orders\0\xff": b"another"},
    "quarantine": {b"orders\0" + bytes(16): b"sealed record"},
}
BLOB, EMPTY_BLOB, LOST_BLOB = bytes([1]) * 32, bytes([2]) * 32, bytes([3]) * 32
BLOBS = {BLOB: bytes(range(256)) * 3, EMPTY_BLOB: b""}
LOG = [value for _, value in sorted(PROJECT.documents["trust_log"].items())]


@dataclass
class Draft:
    """A backup that is about to be written, and may be spoilt before."""

    name: str
    author: str = "founder"
    signer: str = "founder"
    version: int = 1
    length: int = len(LOG)
    head: bytes = PROJECT.head
    machines: list[str] = field(default_factory=lambda: list(MACHINES))
    items: list[bytes] = field(default_factory=list)
    suite: seal.Suite = seal.Suite.AES256_GCM
    chunk_log2: int = 16
    arrange: Callable[[list], list] = sorted
    with_end: bool = True
    behind_end: bytes = b""
    file_version: int = 0
    with_store: bool = False

    def __post_init__(self) -> None:
        if self.with_store:
            self.items.extend(store_items())
        for collection in ref.COLLECTIONS:
            for key, value in sorted(PROJECT.documents.get(collection, {}).items()):
                self.items.append(keyring.encode([collection, key, value]))

    @property
    def content(self) -> bytes:
        """The content key."""
        return scene.drawn(f"backup/{self.name}/content")

    def wrapped(self, machine: str) -> list[bytes]:
        """The content key, wrapped to a machine."""
        to = scene.identity(machine)
        enc = scene.encapsulation(machine)
        cipher, nonce = keyring.hpke_base(to.xwing.decapsulate(enc), ref.wrap_info(PROJECT.project, to.fingerprint))
        return [to.fingerprint, enc + cipher.encrypt(nonce, self.content, b"")]

    @property
    def header(self) -> bytes:
        """The header."""
        recipients = self.arrange([self.wrapped(machine) for machine in self.machines])
        author = scene.identity(self.author).fingerprint
        return keyring.encode([self.version, PROJECT.project, author, TIME, self.length, self.head, recipients])

    @property
    def backup_id(self) -> bytes:
        """The digest of all that is said."""
        found = ref.digest("header", self.header)
        for item in self.items:
            found = ref.digest("item", found, item)
        return found

    @property
    def body(self) -> bytes:
        """The sealed items."""
        signature = scene.identity(self.signer).sign(ref.signed_bytes(self.backup_id))
        end = [keyring.encode([signature])] if self.with_end else []
        message = b"".join(map(ref.framed, self.items + end)) + self.behind_end
        key = seal.KeyVersion.from_outside(self.content)
        header = seal.Header(self.suite, self.chunk_log2, key.id, scene.drawn(f"backup/{self.name}/salt", 24))
        return seal.seal(key, ref.body_context(PROJECT.project, self.header), header, message)

    @property
    def file(self) -> bytes:
        """The whole file."""
        version = bytes([self.file_version or self.version])
        return ref.MAGIC + version + ref.framed(self.header) + self.body


def piece(blob: bytes, offset: int, content: bytes) -> bytes:
    """A piece of a blob."""
    return keyring.encode([blob, offset, content])


def blob_end(blob: bytes, length: int) -> bytes:
    """The end of a blob."""
    return keyring.encode([blob, length])


def document(collection: str, key: bytes, value: bytes) -> bytes:
    """A document."""
    return keyring.encode([collection, key, value])


def store_items() -> Iterator[bytes]:
    """A store: two blobs, one of them empty, one that was given up, and documents."""
    content = BLOBS[BLOB]
    entries = iter(sorted(STORE["entries"].items()))
    yield document("namespaces", b"orders", STORE["namespaces"][b"orders"])
    yield piece(BLOB, 0, content[:500])
    yield piece(BLOB, 500, content[500:])
    yield blob_end(BLOB, len(content))
    yield document("entries", *next(entries))
    yield piece(LOST_BLOB, 0, b"given up")
    yield document("entries", *next(entries))
    yield blob_end(EMPTY_BLOB, 0)
    yield document("entries", *next(entries))
    yield from (document("quarantine", *record) for record in STORE["quarantine"].items())


def vector(comment: str, file: bytes, expect: str, reader: str = "founder", pinned: bytes = PROJECT.project) -> dict:
    """A vector, which our own reader has found to be as it promises."""
    identity = scene.identity(reader)
    made = {
        "comment": comment,
        "identity": identity.text,
        "project": pinned.hex(),
        "file": base64.b64encode(file).decode(),
        "expect": expect,
    }
    try:
        backup = ref.read(file, pinned, identity)
    except ref.Refused as refused:
        if refused.code != expect:
            raise AssertionError(f"{comment}: {refused.code}, not {expect}") from refused
        return made
    if expect != "ok" or trust_of(backup) != PROJECT.documents:
        raise AssertionError(f"{comment}: it was read")
    made["backup_id"] = backup.backup_id.hex()
    made["documents"] = {
        collection: {key.hex(): value.hex() for key, value in rows.items()}
        for collection, rows in backup.documents.items()
    }
    if file[3] == ref.WITH_ENTRIES:
        made["blobs"] = {blob.hex(): content.hex() for blob, content in backup.blobs.items()}
    return made


def trust_of(backup: ref.Backup) -> ref.Documents:
    """The documents that are no part of a store."""
    return {name: rows for name, rows in backup.documents.items() if name not in ref.STORE_COLLECTIONS}


def good() -> Iterator[tuple[str, dict]]:
    """Backups that each machine reads."""
    for machine, capability in MACHINES.items():
        comment = f"read by a machine of capability {capability}"
        yield f"ok_read_by_{machine}", vector(comment, Draft("good").file, "ok", machine)
    made = Draft("by-user", author="user", signer="user")
    yield "ok_made_by_a_machine_that_may_only_use", vector("who uses a project can back it up", made.file, "ok")


def files() -> Iterator[tuple[str, dict]]:
    """Files that were changed by somebody who can open none of it."""
    file, other = Draft("good").file, Draft("other")
    start = 8 + len(Draft("good").header)
    damaged = {
        "cut_in_header": file[: start - 1],
        "cut_behind_header": file[:start],
        "cut_in_body": file[:-1],
        "cut_behind_version": file[:4],
        "cut_in_length": file[:7],
        "prolonged": file + b"\0",
        "header_of_another": file[:4] + ref.framed(other.header) + file[start:],
        "body_of_another": file[:start] + other.body,
        "header_too_long": file[:4] + b"\xff\xff\xff\xff" + file[8:],
        "header_shorter_than_it_says": file[:4] + (start - 7).to_bytes(4, "big") + file[8:],
    }
    for at in (9, 44, 77, 85, 90, start - 1, start + 8, start + 16, start + 40, start + 72, len(file) - 1):
        damaged[f"flipped_{at}"] = file[:at] + bytes([file[at] ^ 1]) + file[at + 1 :]
    for name, changed in damaged.items():
        yield f"hostile_{name}", vector(name.replace("_", " "), changed, "damaged_backup")
    for name, changed in {"empty": b"", "short": b"BL", "sealed_value": b"BLA" + file[3:]}.items():
        yield f"hostile_{name}", vector("no backup", changed, "not_a_backup")
    yield "hostile_version_3", vector("a version of the future", file[:3] + b"\x03" + file[4:], "newer_backup")
    yield "hostile_version_0", vector("a version that never was", file[:3] + b"\x00" + file[4:], "newer_backup")
    yield "hostile_version_2", vector("a header of version 1", file[:3] + b"\x02" + file[4:], "damaged_backup")
    stranger = vector("a machine that was never let in", file, "not_for_machine", "stranger")
    yield "hostile_stranger", stranger
    elsewhere = vector("the reader has pinned another project", file, "other_project", pinned=bytes(32))
    yield "hostile_other_project", elsewhere


def swapped(items: list[bytes]) -> None:
    """Two records in the wrong order."""
    items[0], items[1] = items[1], items[0]


SPOILT: dict[str, Callable[[list[bytes]], None]] = {
    "records_out_of_order": swapped,
    "document_twice": lambda items: items.append(items[-1]),
    "collections_out_of_order": lambda items: items.insert(0, items.pop()),
    "unknown_collection": lambda items: items.append(keyring.encode(["zebras", b"a", b"b"])),
    "empty_key": lambda items: items.append(keyring.encode(["wraps", b"", b"b"])),
    "long_key": lambda items: items.append(keyring.encode(["wraps", b"\xff" * 2305, b"b"])),
    "long_value": lambda items: items.append(keyring.encode(["wraps", b"\xff" * 33, bytes(131_073)])),
    "item_of_two": lambda items: items.append(keyring.encode(["wraps", b"\xff"])),
    "text_as_key": lambda items: items.append(keyring.encode(["wraps", "a", b"b"])),
    "longer_form_of_a_head": lambda items: items.append(b"\x83\x65wraps\x58\x01\xff\x41b"),
    "bytes_behind_an_item": lambda items: items.append(items.pop() + b"\0"),
    "end_in_the_middle": lambda items: items.insert(1, keyring.encode([bytes(64)])),
    "without_the_last_record": lambda items: items.remove(record_item(len(LOG) - 1)),
}


def record_item(position: int) -> bytes:
    """The item of a record."""
    return keyring.encode(["trust_log", keyring.u64(position), LOG[position]])


def bodies() -> Iterator[tuple[str, dict]]:
    """Files that were made, and signed, by a machine of the project that does not keep to the format."""
    for name, spoil in SPOILT.items():
        draft = Draft(name)
        spoil(draft.items)
        yield f"hostile_{name}", vector(name.replace("_", " "), draft.file, "damaged_backup")
    drafts = {
        "no_end": {"with_end": False},
        "something_behind_the_end": {"behind_end": ref.framed(record_item(0))},
        "a_byte_behind_the_end": {"behind_end": b"\0"},
        "body_in_the_clear": {"suite": seal.Suite.AUTHENTICATED},
        "body_of_another_suite": {"suite": seal.Suite.CHACHA20_POLY1305},
        "body_in_other_chunks": {"chunk_log2": 12},
        "header_version_2": {"version": 2, "file_version": 1},
        "entries_in_version_1": {"with_store": True},
        "longer_log_named_with_entries": {"version": 2, "length": len(LOG) + 1},
        "no_log_named_with_entries": {"version": 2, "length": 0},
        "other_head_named_with_entries": {"version": 2, "head": bytes(32)},
        "head_of_a_shorter_log_named": {"version": 2, "length": len(LOG) - 1},
        "machines_out_of_order": {"arrange": lambda machines: sorted(machines, reverse=True)},
        "machine_twice": {"machines": ["founder", "founder", "user"]},
        "longer_log_named": {"length": len(LOG) + 1},
        "other_head_named": {"head": bytes(32)},
    }
    for name, changes in drafts.items():
        made = vector(name.replace("_", " "), Draft(name, **changes).file, "damaged_backup")
        yield f"hostile_{name}", made
    forged = {
        "signed_by_a_recipient": {"signer": "user"},
        "author_is_a_stranger": {"author": "stranger", "signer": "stranger"},
        "author_is_another_machine": {"author": "user"},
    }
    for name, changes in forged.items():
        yield f"hostile_{name}", vector(name.replace("_", " "), Draft(name, **changes).file, "foreign_backup")
    replaced = copy.deepcopy(Draft("replaced"))
    replaced.machines = ["user", "recovery"]
    comment = "sealed to others only"
    yield "hostile_sealed_to_others", vector(comment, replaced.file, "not_for_machine")


def with_entries() -> Iterator[tuple[str, dict]]:
    """Backups with a store, good and bad."""
    store = {"version": 2, "with_store": True}
    yield "ok_with_entries", vector("documents and blobs of a store", Draft("entries", **store).file, "ok")
    yield "ok_with_no_entries", vector("an empty store", Draft("no-entries", version=2).file, "ok")
    before = keyring.record_hash(LOG[-2])
    grown = Draft("grown", length=len(LOG) - 1, head=before, **store)
    yield "ok_log_grew_meanwhile", vector("the log grew while entries were copied", grown.file, "ok")
    orphan = Draft("orphan", **store)
    last = next(at for at, item in enumerate(orphan.items) if keyring.decode(item)[0] == "trust_log")
    orphan.items[last:last] = [piece(b"\xff" * 32, 0, b"?"), blob_end(b"\xff" * 32, 1)]
    yield "ok_blob_of_nothing", vector("a blob behind all documents of the store", orphan.file, "ok")
    for name, spoil in SPOILT_STORES.items():
        draft = Draft(name, **store)
        spoil(draft.items)
        yield f"hostile_{name}", vector(name.replace("_", " "), draft.file, "damaged_backup")


SPOILT_STORES: dict[str, Callable[[list[bytes]], None]] = {
    "entries_behind_the_trust_log": lambda items: items.append(items.pop(4)),
    "blob_behind_the_trust_log": lambda items: items.append(blob_end(EMPTY_BLOB, 0)),
    "piece_behind_the_trust_log": lambda items: items.append(piece(BLOB, 0, b"a")),
    "pieces_out_of_order": lambda items: items.insert(1, items.pop(2)),
    "piece_left_out": lambda items: items.remove(items[1]),
    "piece_twice": lambda items: items.insert(2, items[2]),
    "piece_of_another_blob": lambda items: items.insert(2, piece(LOST_BLOB, 500, b"a")),
    "piece_of_nothing": lambda items: items.insert(3, piece(BLOB, len(BLOBS[BLOB]), b"")),
    "piece_too_long": lambda items: items.insert(1, piece(LOST_BLOB, 0, bytes(131_073))),
    "blob_longer_than_its_pieces": lambda items: items.__setitem__(3, blob_end(BLOB, len(BLOBS[BLOB]) + 1)),
    "blob_shorter_than_its_pieces": lambda items: items.__setitem__(3, blob_end(BLOB, len(BLOBS[BLOB]) - 1)),
    "blob_end_twice": lambda items: items.insert(3, items[3]),
    "blob_end_behind_its_document": lambda items: items.insert(4, items.pop(3)),
    "short_blob_id": lambda items: items.insert(1, piece(bytes(31), 0, b"a")),
    "blob_of_four": lambda items: items.insert(1, keyring.encode([BLOB, 0, b"a", b"b"])),
    "entry_twice": lambda items: items.insert(5, items[4]),
    "entries_out_of_order": lambda items: items.insert(4, items.pop(6)),
    "quarantine_before_entries": lambda items: items.insert(1, document("quarantine", b"a", b"b")),
    "leases_of_the_store": lambda items: items.insert(0, document("leases", b"a", b"b")),
}


FAMILIES = (good, files, bodies, with_entries)
