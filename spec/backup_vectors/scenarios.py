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

    def __post_init__(self) -> None:
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
        return ref.START + ref.framed(self.header) + self.body


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
    if expect != "ok" or backup.documents != PROJECT.documents:
        raise AssertionError(f"{comment}: it was read")
    made["backup_id"] = backup.backup_id.hex()
    made["documents"] = {
        collection: {key.hex(): value.hex() for key, value in rows.items()}
        for collection, rows in backup.documents.items()
    }
    return made


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
        "header_of_another": ref.START + ref.framed(other.header) + file[start:],
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
    yield "hostile_version_2", vector("a version of the future", file[:3] + b"\x02" + file[4:], "newer_backup")
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
        "header_version_2": {"version": 2},
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


FAMILIES = (good, files, bodies)
