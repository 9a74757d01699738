"""The trust log: who is in, who may let others in, which data keys there are; written from `keyring.md` alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag

from keyring_vectors import reference as ref
from keyring_vectors.reference import APPROVAL, EPOCH, FLOOR, GRANT, POLICY, RESTORE, REVOCATION, ROOT, Refused
from seal_vectors import reference as seal

PIN = re.compile(
    "([0-9a-f]{64}) ([1-9][0-9]*) ([0-9a-f]{64})(?: (0|[1-9][0-9]*)( two-person)?((?: [0-9a-f]{64})*))?"
)
MOST_RESTORES = 1 << 20


@dataclass(frozen=True)
class Pin:
    """What a machine remembers of a log."""

    project: bytes
    length: int
    head: bytes
    restores: int = 0
    two_person: bool = False
    authorisers: tuple[bytes, ...] = ()

    @classmethod
    def read(cls, text: str) -> Pin:
        """Reads the text form; raises `ValueError` unless a writer would have written it."""
        found = PIN.fullmatch(text)
        if not found:
            raise ValueError("no pin")
        project, length, head, restores, two_person, authorisers = found.groups(default="")
        named = tuple(map(bytes.fromhex, authorisers.split()))
        ids = bytes.fromhex(project), bytes.fromhex(head)
        pin = cls(ids[0], int(length), ids[1], int(restores or 0), bool(two_person), named)
        if str(pin) != text or max(pin.length, pin.restores) >= 1 << 64:
            raise ValueError("not as it is written")
        return pin

    def __str__(self) -> str:
        parts = [self.project.hex(), str(self.length), self.head.hex()]
        if self.restores or self.two_person or self.authorisers:
            parts += [str(self.restores)] + ["two-person"] * self.two_person
            parts += [machine.hex() for machine in sorted(set(self.authorisers))]
        return " ".join(parts)


@dataclass(frozen=True)
class Machine:
    """A machine that is in, or waits."""

    position: int
    author: bytes
    name: str
    encryption: bytes
    signing: bytes
    epoch: int
    sealed: bytes

    @property
    def fingerprint(self) -> bytes:
        """The fingerprint."""
        return ref.fingerprint(self.encryption, self.signing)


@dataclass
class Walk:
    """What a machine knows of a project while it reads the log, and behind it."""

    pin: Pin
    wraps: Mapping[bytes, bytes]
    identity: ref.Identity

    def __post_init__(self) -> None:
        self.project = self.pin.project
        self.length, self.head = 0, ref.ZERO
        self.root: tuple[bytes, bytes] | None = None
        self.machines: dict[bytes, Machine] = {}
        self.signing: dict[bytes, bytes] = {}
        self.epochs: list[bytes] = []
        self.deks: dict[int, bytes] = {}
        self.waiting: dict[int, Machine | tuple[bytes, int]] = {}
        self.two_person = self.owed = self.voided = False
        self.restores = 0
        self.floors: dict[str, int] = {}

    def require(self, condition: bool) -> None:
        """Refuses the record at hand unless `condition` holds."""
        if not condition:
            raise Refused("trust_log", self.length)

    def record(self, stored: bytes) -> None:
        """Steps 2 to 7 for the next record."""
        try:
            body, signature, _, position, previous, project, author, _, kind, content = ref.read_record(stored)
        except (ValueError, TypeError):
            raise Refused("trust_log", self.length) from None
        here = ref.record_hash(stored)
        self.require(position == self.length and previous == self.head)
        self.require(project == (self.project if position else ref.ZERO))
        differs = position + 1 == self.pin.length and here != self.pin.head
        if differs and not self.voided and kind != RESTORE:
            raise Refused("rollback")
        public = self.public_key(author, kind, content)
        self.require(public is not None and ref.verifies(public, signature, body))
        if position < 3:
            self.require(kind == (ROOT, GRANT, EPOCH)[position])
            self.require(position == 0 or author == self.root[0])
        else:
            self.require(kind != ROOT)
            self.require(self.is_authoriser(author))
        self.take(position, author, kind, content, here)
        if position == 2:
            self.require(self.is_authoriser(author))
        if differs and not self.voided:
            raise Refused("rollback")
        self.length, self.head = position + 1, here

    def public_key(self, author: bytes, kind: int, content: list) -> bytes | None:
        """The author's Ed25519 public key, if the author is known."""
        if self.root is None:
            known = kind == ROOT and ref.fingerprint(*content[:2]) == author
            return content[1] if known else None
        return self.root[1] if author == self.root[0] else self.signing.get(author)

    def take(self, position: int, author: bytes, kind: int, content: list, here: bytes) -> None:
        """Step 7: what a record does."""
        if kind == ROOT:
            self.root = (author, content[1])
        elif kind == GRANT:
            self.take_grant(Machine(position, author, *content))
        elif kind == EPOCH:
            self.take_epoch(content, here)
        elif kind == REVOCATION:
            self.take_revocation(author, *content)
        elif kind == RESTORE:
            self.require(1 <= content[0] - self.restores <= MOST_RESTORES)
            self.restores = content[0]
            below = position < self.pin.length
            self.voided |= below and content[0] > self.pin.restores and author in self.pin.authorisers
        elif kind == APPROVAL:
            self.take_approval(author, content[0])
        elif kind == POLICY:
            self.waiting[position] = (author, content[0])
            if not self.must_wait(author):
                self.two_person = bool(self.waiting.pop(position)[1])
        elif kind == FLOOR:
            self.require(content[1] > self.floors.get(content[0], -1))
            self.floors[content[0]] = content[1]

    def take_grant(self, machine: Machine) -> None:
        """A grant, which may have to wait."""
        if machine.position == 1:
            self.require(machine.fingerprint == machine.author and machine.epoch == 1)
        else:
            self.require(1 <= machine.epoch <= len(self.epochs))
        self.require_new(machine)
        if machine.position > 2 and self.must_wait(machine.author):
            self.waiting[machine.position] = machine
        else:
            self.let_in(machine)

    def require_new(self, machine: Machine) -> None:
        """Refuses the record at hand if the machine, or its name, is in."""
        self.require(machine.fingerprint not in self.machines)
        self.require(all(other.name != machine.name for other in self.machines.values()))

    def let_in(self, machine: Machine) -> None:
        """A grant takes effect."""
        self.machines[machine.fingerprint] = machine
        self.signing[machine.fingerprint] = machine.signing

    def must_wait(self, author: bytes) -> bool:
        """Whether what an author decides waits for another."""
        return self.two_person and self.capability(author) == ref.AUTHORISE

    def take_epoch(self, content: list, here: bytes) -> None:
        """A new epoch, and its data key, if there is a copy."""
        epoch, commitment, previous = content
        self.require(epoch == len(self.epochs) + 1)
        self.require(previous == (self.epochs[-1] if self.epochs else ref.ZERO))
        self.epochs.append(here)
        self.owed = False
        dek = unwrap(self.wraps, self.project, epoch, commitment, self.identity)
        if dek is not None:
            self.deks[epoch] = dek

    def take_revocation(self, author: bytes, named: bytes, cascade: int, rotate: int) -> None:
        """Machines go, and what they had asked for."""
        going = {named} & self.machines.keys()
        reached = [named]
        while cascade and reached:
            one = reached.pop()
            for machine in self.machines.values():
                if machine.author == one and machine.fingerprint not in going | {author}:
                    going.add(machine.fingerprint)
                    reached.append(machine.fingerprint)
        void = [position for position, what in self.waiting.items() if is_void(what, named, going)]
        waits = any(isinstance(what, Machine) and what.fingerprint == named for what in self.waiting.values())
        self.require(bool(going) or waits)
        if going:
            stay = self.machines.keys() - going
            self.require_authoriser(stay)
        for position in void:
            del self.waiting[position]
        for machine in going:
            del self.machines[machine]
        self.owed = self.owed or bool(rotate)

    def require_authoriser(self, machines: set[bytes]) -> None:
        """Refuses the record at hand unless one of these machines has the capability *authorise*."""
        found = {self.capability_or_none(machine) for machine in machines}
        if ref.AUTHORISE not in found and any(self.machines[machine].epoch not in self.deks for machine in machines):
            raise Refused("no_data_key")
        self.require(ref.AUTHORISE in found)

    def take_approval(self, author: bytes, position: int) -> None:
        """What has waited takes effect."""
        self.require(position in self.waiting)
        what = self.waiting.pop(position)
        if isinstance(what, Machine):
            self.require(what.author != author)
            self.require_new(what)
            self.let_in(what)
        else:
            self.require(what[0] != author)
            self.two_person = bool(what[1])

    def is_authoriser(self, machine: bytes) -> bool:
        """Whether a machine is in, and may decide."""
        return machine in self.machines and self.capability(machine) in (ref.AUTHORISE, ref.RECOVERY)

    def capability(self, machine: bytes) -> int:
        """Opens what a machine that is in may do."""
        granted = self.machines[machine]
        if granted.epoch not in self.deks:
            raise Refused("no_data_key")
        try:
            context = ref.capability_context(self.project, machine)
            message = seal.open_sealed(granted.sealed, [ref.capability_key(self.deks[granted.epoch])], context)
        except seal.Refused:
            raise Refused("trust_log", granted.position) from None
        suite_and_chunks = granted.sealed[4:6]
        capability = int.from_bytes(message, "big")
        if suite_and_chunks != b"\x01\x10" or len(message) != 4 or capability not in range(1, 4):
            raise Refused("trust_log", granted.position)
        return capability

    def capability_or_none(self, machine: bytes) -> int | None:
        """The same, where it matters only whether it is one that is looked for."""
        try:
            return self.capability(machine)
        except Refused:
            return None

    def finish(self) -> None:
        """Step 3, as to the length, and steps 8 to 10."""
        if self.length < self.pin.length and not self.voided:
            raise Refused("rollback")
        self.require(bool(self.epochs))
        machine = self.identity.fingerprint
        if machine not in self.machines:
            raise Refused("revoked" if machine in self.signing else "no_grant")
        self.capability(machine)
        if len(self.epochs) not in self.deks:
            raise Refused("no_data_key")

    @property
    def pinned(self) -> Pin:
        """The pin of what was read."""
        decide = (ref.RECOVERY,) if self.two_person else (ref.AUTHORISE, ref.RECOVERY)
        authorisers = [machine for machine in self.machines if self.capability_or_none(machine) in decide]
        named = tuple(sorted(authorisers))
        return Pin(self.project, self.length, self.head, self.restores, self.two_person, named)


def is_void(waiting: Machine | tuple[bytes, int], named: bytes, going: set[bytes]) -> bool:
    """Whether what waits is void once a machine was named, and machines go."""
    if isinstance(waiting, Machine):
        return waiting.fingerprint == named or waiting.author in going
    return waiting[0] in going


def unwrap(
    wraps: Mapping[bytes, bytes], project: bytes, epoch: int, commitment: bytes, identity: ref.Identity
) -> bytes | None:
    """The data key of an epoch, if there is a copy that holds it."""
    machine = identity.fingerprint
    try:
        stored = wraps[machine + ref.u64(epoch) + commitment]
        *_, wrapped = ref.shaped(stored, 1, "xwing", int, 32, 1168)
    except (KeyError, ValueError):
        return None
    if ref.decode(stored)[2:4] != [epoch, machine]:
        return None
    try:
        shared = identity.xwing.decapsulate(wrapped[:1120])
        cipher, nonce = ref.hpke_base(shared, ref.wrap_info(project, epoch, machine))
        dek = cipher.decrypt(nonce, wrapped[1120:], b"")
    except (InvalidTag, ValueError):
        return None
    return dek if ref.commitment(dek, project, epoch) == commitment else None


def open_project(documents: ref.Documents, pin: Pin, identity: ref.Identity) -> Walk:
    """Opens a project, or raises `Refused`."""
    log = documents.get("trust_log", {})
    if ref.u64(0) not in log:
        raise Refused("not_found")
    try:
        ref.read_record(log[ref.u64(0)])
    except (ValueError, TypeError):
        raise Refused("trust_log", 0) from None
    if ref.record_hash(log[ref.u64(0)]) != pin.project:
        raise Refused("other_project")
    walk = Walk(pin, documents.get("wraps", {}), identity)
    try:
        for key, stored in sorted(log.items()):
            walk.require(key == ref.u64(walk.length))
            walk.record(stored)
        walk.finish()
    except Refused as refused:
        if refused.code != "no_data_key" or walk.deks:
            raise
        raise Refused(on_the_face(log, identity.fingerprint)) from None
    return walk


def on_the_face(log: Mapping[bytes, bytes], machine: bytes) -> str:
    """What a machine without any data key can tell from the log."""
    code = "no_grant"
    for _, stored in sorted(log.items()):
        try:
            kind, content = ref.read_record(stored)[8:]
        except (ValueError, TypeError):
            break
        if kind == GRANT and ref.fingerprint(*content[1:3]) == machine:
            code = "no_data_key"
        elif kind == REVOCATION and content[0] == machine and code != "no_grant":
            code = "revoked"
    return code
