"""A project to be: its machines, its log and its keys, and how it becomes a vector.

Nothing is random but the encapsulated keys in `encapsulations.json`, of which there is one for each machine: seeds, data keys, ids, salts and
material are SHAKE-256 of a label.
"""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from keyring_vectors import reference as ref
from seal_vectors import reference as seal

TIME = 1_700_000_000_000
ENCAPSULATIONS = Path(__file__).parent / "encapsulations.json"


def drawn(label: str, length: int = 32) -> bytes:
    """Bytes that follow from a label."""
    return hashlib.shake_256(f"bulla/keyring-vectors/{label}".encode()).digest(length)


@cache
def identity(name: str) -> ref.Identity:
    """The identity of a machine."""
    return ref.Identity(ref.XWing(drawn(f"{name}/encryption")), drawn(f"{name}/signing"))


@cache
def encapsulation(name: str) -> bytes:
    """The encapsulated key that all wraps to a machine use. Made where there is none."""
    kept = json.loads(ENCAPSULATIONS.read_text()) if ENCAPSULATIONS.exists() else {}
    if name not in kept:
        kept[name] = identity(name).xwing.encapsulate().hex()
        ENCAPSULATIONS.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    return bytes.fromhex(kept[name])


def sealed(key: seal.KeyVersion, suite: seal.Suite, context: bytes, message: bytes, label: str) -> bytes:
    """A sealed value whose salt follows from a label."""
    header = seal.Header(suite, 16, key.id, drawn(f"salt/{label}", 24))
    if suite is seal.Suite.AES256_DET:
        header = seal.Header(suite, 16, key.id, seal.deterministic_salt(key, header, context, message))
    return seal.seal(key, context, header, message)


@dataclass
class Project:
    """A project in the making."""

    name: str
    documents: dict[str, dict[bytes, bytes]] = field(default_factory=dict)
    log: list[bytes] = field(default_factory=list)
    deks: list[bytes] = field(default_factory=list)
    epochs: list[bytes] = field(default_factory=list)
    project: bytes = ref.ZERO
    values: list[dict] = field(default_factory=list)

    @classmethod
    def begin(cls, name: str = "project") -> Project:
        """A project with its first three records, and its data key wrapped to its founder."""
        self = cls(name, deks=[drawn(f"{name}/dek/1")])
        founder = identity("founder")
        self.put_record(self.record(ref.ROOT, [founder.xwing.public, founder.signing_public, drawn(name)]))
        self.project = self.head
        self.put_record(self.grant("founder", "founder", ref.AUTHORISE))
        self.put_record(self.record(ref.EPOCH, self.epoch_content(1, ref.ZERO)))
        self.epochs.append(self.head)
        self.wrap("founder", 1)
        return self

    def copy(self) -> Project:
        """The same project, to be changed."""
        return copy.deepcopy(self)

    @property
    def head(self) -> bytes:
        """Hash of the last record."""
        return ref.record_hash(self.log[-1]) if self.log else ref.ZERO

    def pin(self, length: int = 1, head: bytes | None = None) -> str:
        """A pin, by default of the project id alone."""
        head = head or ref.record_hash(self.log[length - 1])
        return f"{self.project.hex()} {length} {head.hex()}"

    def put(self, collection: str, key: bytes, value: bytes) -> None:
        """Stores a document."""
        self.documents.setdefault(collection, {})[key] = value

    # The log

    def record(self, kind: int, content: list, author: str = "founder", **changed: object) -> bytes:
        """The next record, signed; `changed` replaces fields, `signer` the machine that signs."""
        fields = {
            "version": 1,
            "position": len(self.log),
            "previous": self.head,
            "project": self.project,
            "author": identity(author).fingerprint,
            "time": TIME + len(self.log),
        }
        signer = identity(str(changed.pop("signer", author)))
        body = ref.encode([*(fields | changed).values(), kind, content])
        return ref.encode([body, signer.sign(ref.signed_bytes(body))])

    def put_record(self, stored: bytes) -> None:
        """Appends a record."""
        self.put("trust_log", ref.u64(len(self.log)), stored)
        self.log.append(stored)

    def grant_content(self, name: str, machine: str, capability: int, subject: str | None = None) -> list:
        """What a grant says; the capability is sealed for `subject`."""
        epoch = len(self.deks)
        bound = identity(subject or machine).fingerprint
        context = ref.capability_context(self.project, bound)
        message = capability.to_bytes(4, "big")
        key = ref.capability_key(self.deks[-1])
        flag = sealed(key, seal.Suite.AES256_GCM, context, message, f"{self.name}/capability/{name}")
        return [name, identity(machine).xwing.public, identity(machine).signing_public, epoch, flag]

    def grant(self, name: str, machine: str, capability: int, author: str = "founder") -> bytes:
        """A grant as the next record."""
        return self.record(ref.GRANT, self.grant_content(name, machine, capability), author)

    def epoch_content(self, epoch: int, previous: bytes) -> list:
        """What an epoch record says."""
        return [epoch, ref.commitment(self.deks[-1], self.project, epoch), previous]

    def begin_epoch(self) -> None:
        """Appends a new epoch with a data key of its own."""
        epoch = len(self.deks) + 1
        self.deks.append(drawn(f"{self.name}/dek/{epoch}"))
        self.put_record(self.record(ref.EPOCH, self.epoch_content(epoch, self.epochs[-1])))
        self.epochs.append(self.head)

    def let_in(self, machine: str, capability: int, author: str = "founder") -> None:
        """Grants, and wraps every data key."""
        self.put_record(self.grant(machine, machine, capability, author))
        for epoch in range(1, len(self.deks) + 1):
            self.wrap(machine, epoch)

    def wrap(self, machine: str, epoch: int, dek: bytes | None = None) -> None:
        """Wraps a data key to a machine."""
        to = identity(machine)
        enc = encapsulation(machine)
        info = ref.wrap_info(self.project, epoch, to.fingerprint)
        cipher, nonce = ref.hpke_base(to.xwing.decapsulate(enc), info)
        wrapped = enc + cipher.encrypt(nonce, dek or self.deks[epoch - 1], b"")
        row = ref.encode([1, "xwing", epoch, to.fingerprint, wrapped])
        self.put("wraps", to.fingerprint + ref.u64(epoch), row)

    # Keys

    def put_key(self, name: str, algorithm: int, newest: int, made: int = 0) -> None:
        """Makes a key with versions 1 to `newest`, of which `made` are there already, and describes it in the newest epoch."""
        for number in range(made + 1, newest + 1):
            key = self.key_version(name, number)
            row = [1, number, key.id, 1, algorithm, TIME + number, len(self.deks)]
            self.put_version(name, row, key.material)
            self.put("key_ids", key.id, ref.encode([1, name, number]))
        self.put_description(name, self.description(name, algorithm, newest))

    def description(self, name: str, algorithm: int, newest: int) -> list:
        """What the description of a key says."""
        return [1, 1, algorithm, TIME, 1, newest, self.key_version(name, newest).id, {}]

    def put_version(self, name: str, row: list, material: bytes) -> None:
        """Stores a version."""
        key = ref.wrapping_key(self.deks[row[6] - 1])
        context = ref.version_context(self.project, name, row)
        label = f"{self.name}/version/{name}/{row[1]}"
        row = [*row, sealed(key, seal.Suite.AES256_GCM, context, material, label)]
        self.put("key_versions", name.encode() + b"\0" + ref.u64(row[1]), ref.encode(row))

    def put_description(self, name: str, body: list, epoch: int | None = None) -> None:
        """Stores the description of a key, by default under the newest data key."""
        epoch = epoch or len(self.deks)
        context = ref.key_context(self.project, name)
        key = ref.wrapping_key(self.deks[epoch - 1])
        label = f"{self.name}/key/{name}/{body[5]}/{body[6].hex()}"
        description = sealed(key, seal.Suite.AUTHENTICATED, context, ref.encode(body), label)
        self.put("keys", name.encode(), ref.encode([1, epoch, description]))

    def key_version(self, name: str, number: int) -> seal.KeyVersion:
        """The id and material of a version."""
        label = f"{self.name}/{name}/{number}"
        return seal.KeyVersion(drawn(f"{label}/id", 8), drawn(f"{label}/material"))

    def put_value(self, name: str, number: int, algorithm: int, row: int = 1, message: bytes = b"42 widgets") -> None:
        """Adds a sealed value that opens."""
        context = seal.Context("user", self.project, {"row": row})
        suite = ref.SUITE_OF_ALGORITHM[algorithm]
        label = f"{self.name}/value/{name}/{number}"
        value = sealed(self.key_version(name, number), suite, context.encoded, message, label)
        self.values.append(
            {
                "key": name,
                "context": {"domain": "user", "project": self.project.hex(), "map": {"row": row}},
                "context_cbor": context.encoded.hex(),
                "sealed": value.hex(),
                "expect": "ok",
                "message": message.hex(),
            }
        )

    def vector(
        self,
        comment: str,
        expect: str = "ok",
        *,
        machine: str = "founder",
        pin: str | None = None,
        position: int | None = None,
        keys: dict[str, str] | None = None,
    ) -> dict:
        """The scenario as a vector, once our own opener has found what it promises."""
        pin = pin or self.pin()
        vector = {"comment": comment, "identity": identity(machine).text, "pin": pin}
        try:
            walk = ref.open_project(self.documents, pin, identity(machine))
            found = ("ok", None)
        except ref.Refused as refused:
            found = (refused.code, refused.position)
        if found != (expect, position):
            raise AssertionError(f"{comment}: {found}, not {(expect, position)}")
        vector["documents"] = {
            collection: {key.hex(): value.hex() for key, value in sorted(rows.items())}
            for collection, rows in sorted(self.documents.items())
        }
        vector["expect"] = expect
        if expect == "trust_log":
            vector["position"] = position
        if expect == "ok":
            vector["head"] = f"{self.project.hex()} {walk.length} {walk.head.hex()}"
            vector["keys"] = keys or {}
            vector["values"] = self.values
            self.check_keys(walk, vector)
        return vector

    def check_keys(self, walk: ref.Walk, vector: dict) -> None:
        """Reads every key and opens every value of a vector."""
        for name, expect in vector["keys"].items():
            found = outcome(lambda name=name: ref.read_key(self.documents, walk, name))
            if found != expect:
                raise AssertionError(f"{vector['comment']}: key {name}: {found}, not {expect}")
        for value in vector["values"]:
            context, stored = bytes.fromhex(value["context_cbor"]), bytes.fromhex(value["sealed"])
            found = outcome(
                lambda value=value, context=context, stored=stored: ref.open_value(
                    self.documents, walk, value["key"], context, stored
                ).hex()
            )
            if found != value["expect"]:
                raise AssertionError(f"{vector['comment']}: value: {found}, not {value['expect']}")


def outcome(read) -> str:
    """`ok`, or the code of the refusal."""
    try:
        read()
    except ref.Refused as refused:
        return refused.code
    return "ok"
