"""A project to be: its machines, its log and its keys, and how it becomes a vector.

Nothing is random but the encapsulated keys in `encapsulations.json`, one for each machine, and the signatures of ML-DSA
in `signatures.json`: seeds, data keys, ids, salts and material are SHAKE-256 of a label.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from keyring_vectors import changes, jobs, key_backups, named_keys, trust_log
from keyring_vectors import reference as ref
from seal_vectors import reference as seal

TIME = 1_700_000_000_000
ENCAPSULATIONS = Path(__file__).parent / "encapsulations.json"
SIGNATURES = Path(__file__).parent / "signatures.json"


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
    return kept(ENCAPSULATIONS, name, identity(name).xwing.encapsulate)


@cache
def kept_signature(label: str, version: named_keys.Version, message: bytes) -> bytes:
    """A signature of ML-DSA, which no two times is the same. Made where there is none."""
    return kept(SIGNATURES, label, lambda: named_keys.private_key(version.algorithm, version.material).sign(message))


def kept(path: Path, label: str, make: Callable[[], bytes]) -> bytes:
    """Bytes that were made once, at random."""
    all_kept = json.loads(path.read_text()) if path.exists() else {}
    if label not in all_kept:
        all_kept[label] = make().hex()
        path.write_text(json.dumps(all_kept, indent=1, sort_keys=True) + "\n")
    return bytes.fromhex(all_kept[label])


def sealed(
    key: seal.KeyVersion, suite: seal.Suite, context: bytes, message: bytes, label: str, log2: int = 16
) -> bytes:
    """A sealed value whose salt follows from a label."""
    header = seal.Header(suite, log2, key.id, drawn(f"salt/{label}", 24))
    if suite is seal.Suite.AES256_DET:
        header = seal.Header(suite, log2, key.id, seal.deterministic_salt(key, header, context, message))
    return seal.seal(key, context, header, message)


@dataclass
class Project:
    """A project in the making."""

    DESCRIPTION = (
        "version",
        "use",
        "algorithm",
        "created",
        "serial",
        "first",
        "newest",
        "newest_id",
        "rotated",
        "settings",
    )

    name: str
    documents: dict[str, dict[bytes, bytes]] = field(default_factory=dict)
    log: list[bytes] = field(default_factory=list)
    deks: list[bytes] = field(default_factory=list)
    epochs: list[bytes] = field(default_factory=list)
    project: bytes = ref.ZERO
    values: list[dict] = field(default_factory=list)
    uses: list[dict] = field(default_factory=list)

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

    def pin(
        self,
        length: int = 1,
        head: bytes | None = None,
        restores: int = 0,
        authorisers: tuple[str, ...] = (),
        *,
        two_person: bool = False,
    ) -> trust_log.Pin:
        """A pin, by default of the project id alone."""
        head = head or ref.record_hash(self.log[length - 1])
        named = tuple(sorted(identity(name).fingerprint for name in authorisers))
        return trust_log.Pin(self.project, length, head, restores, two_person, named)

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

    def begin_epoch(self, *machines: str, author: str = "founder") -> None:
        """Appends a new epoch with a data key of its own, wrapped to these machines."""
        epoch = len(self.deks) + 1
        self.deks.append(drawn(f"{self.name}/dek/{epoch}"))
        self.put_record(self.record(ref.EPOCH, self.epoch_content(epoch, self.epochs[-1]), author))
        self.epochs.append(self.head)
        for machine in machines:
            self.wrap(machine, epoch)

    def let_in(self, machine: str, capability: int, author: str = "founder", name: str | None = None) -> int:
        """Grants, and wraps every data key; returns the position."""
        self.put_record(self.grant(name or machine, machine, capability, author))
        self.wrap_all(machine)
        return len(self.log) - 1

    def wrap_all(self, machine: str) -> None:
        """Wraps every data key to a machine."""
        for epoch in range(1, len(self.deks) + 1):
            self.wrap(machine, epoch)

    def append(self, kind: int, *content: object, author: str = "founder") -> int:
        """Appends a record; returns its position."""
        self.put_record(self.record(kind, list(content), author))
        return len(self.log) - 1

    def put_out(self, machine: str, *, author: str = "founder", cascade: bool = False, rotate: bool = False) -> None:
        """Appends a revocation; the copies of the machine stay, as if they had not been deleted yet."""
        self.append(ref.REVOCATION, identity(machine).fingerprint, int(cascade), int(rotate), author=author)

    def cut(self, length: int) -> Project:
        """The same project as it was at this length of the log."""
        older = self.copy()
        del older.log[length:]
        older.documents["trust_log"] = {ref.u64(at): stored for at, stored in enumerate(older.log)}
        return older

    def wrap_key(self, machine: str, epoch: int, dek: bytes | None = None) -> bytes:
        """Where the copy of a data key lies."""
        commitment = ref.commitment(dek or self.deks[epoch - 1], self.project, epoch)
        return identity(machine).fingerprint + ref.u64(epoch) + commitment

    def wrap(self, machine: str, epoch: int, dek: bytes | None = None, at: bytes | None = None) -> None:
        """Wraps a data key to a machine."""
        to = identity(machine)
        enc = encapsulation(machine)
        info = ref.wrap_info(self.project, epoch, to.fingerprint)
        cipher, nonce = ref.hpke_base(to.xwing.decapsulate(enc), info)
        wrapped = enc + cipher.encrypt(nonce, dek or self.deks[epoch - 1], b"")
        row = ref.encode([1, "xwing", epoch, to.fingerprint, wrapped])
        self.put("wraps", at or self.wrap_key(machine, epoch, dek), row)

    # Keys

    def put_key(self, name: str, algorithm: int, newest: int, made: int = 0, **fields: object) -> None:
        """Makes a key with versions 1 to `newest`, of which `made` are there, described in the newest epoch."""
        for number in range(made + 1, newest + 1):
            self.put_new_version(name, algorithm, number)
        self.put_description(name, self.description(name, algorithm, newest, **fields))

    def put_new_version(
        self, name: str, algorithm: int, number: int, origin: int = 1, never: int = 0, born: int | None = None
    ) -> None:
        """Makes a version, with its entry; or wraps one anew that was `born` in another epoch."""
        key, epoch = self.key_version(name, number), len(self.deks)
        born = epoch if born is None else born
        row = [1, number, key.id, algorithm, origin, never, TIME + number, born, epoch]
        self.put_version(name, row, key.material)
        self.put("key_ids", key.id, ref.encode([1, name, number]))

    def description(self, name: str, algorithm: int, newest: int, **changed: object) -> list:
        """What the description of a key says; `changed` replaces fields."""
        use = named_keys.USE_CASE[algorithm]
        newest_id = self.key_version(name, newest).id
        said = [1, use, algorithm, TIME, newest, 1, newest, newest_id, TIME + newest, {}]
        fields = dict(zip(self.DESCRIPTION, said, strict=True))
        assert fields.keys() >= changed.keys()
        return list((fields | changed).values())

    def put_version(
        self, name: str, row: list, material: bytes, suite: seal.Suite = seal.Suite.AES256_GCM, log2: int = 16
    ) -> None:
        """Stores a version."""
        key = ref.wrapping_key(self.deks[row[8] - 1])
        context = ref.version_context(self.project, name, row)
        label = f"{self.name}/version/{name}/{row[1:]}"
        row = [*row, sealed(key, suite, context, material, label, log2)]
        self.put("key_versions", version_key(name, row[1]), ref.encode(row))

    def put_description(self, name: str, body: list, epoch: int | None = None) -> None:
        """Stores the description of a key, by default under the newest data key."""
        self.put_sealed_description(name, ref.encode(body), epoch)

    def put_sealed_description(
        self,
        name: str,
        message: bytes,
        epoch: int | None = None,
        suite: int = seal.Suite.AUTHENTICATED,
        log2: int = 16,
    ) -> None:
        """Stores what should be the description of a key."""
        epoch = epoch or len(self.deks)
        context = ref.key_context(self.project, name)
        key = ref.wrapping_key(self.deks[epoch - 1])
        label = f"{self.name}/key/{name}/{epoch}/{hashlib.sha256(message).hexdigest()}"
        description = sealed(key, seal.Suite(suite), context, message, label, log2)
        self.put("keys", name.encode(), ref.encode([1, epoch, description]))

    def key_version(self, name: str, number: int) -> seal.KeyVersion:
        """The id and material of a version."""
        label = f"{self.name}/{name}/{number}"
        return seal.KeyVersion(drawn(f"{label}/id", 8), drawn(f"{label}/material"))

    # What is asked of the keys

    def put_value(
        self, name: str, number: int, algorithm: int, row: int = 1, expect: str = "ok", message: bytes = b"42 widgets"
    ) -> None:
        """Adds a sealed value."""
        context = seal.Context("user", self.project, {"row": row})
        suite = named_keys.SUITE_OF_ALGORITHM.get(algorithm, seal.Suite.AES256_GCM)
        label = f"{self.name}/value/{name}/{number}"
        value = sealed(self.key_version(name, number), suite, context.encoded, message, label)
        self.values.append(
            {
                "key": name,
                "context": {"domain": "user", "project": self.project.hex(), "map": {"row": row}},
                "context_cbor": context.encoded.hex(),
                "sealed": value.hex(),
                "expect": expect,
            }
            | ({"message": message.hex()} if expect == "ok" else {})
        )

    def ask(self, operation: str, key: str, expect: str = "ok", **details: object) -> None:
        """Adds a use of a key."""
        self.uses.append({"operation": operation, "key": key, **details, "expect": expect})

    def signed(self, name: str, number: int, algorithm: int, message: bytes) -> bytes:
        """A signature or tag, behind the id of its version."""
        key = self.key_version(name, number)
        version = named_keys.Version(number, key.id, algorithm, 1, False, 1, key.material)
        if algorithm == named_keys.HMAC_SHA256:
            return key.id + seal.hmac_sha256(key.material, message)
        if algorithm == named_keys.ML_DSA_65:
            return key.id + kept_signature(f"{self.name}/{name}/{number}/{message.decode()}", version, message)
        return key.id + named_keys.sign(version, message)

    def vector(
        self,
        comment: str,
        expect: str = "ok",
        *,
        machine: str = "founder",
        pin: trust_log.Pin | None = None,
        position: int | None = None,
        keys: dict[str, str] | None = None,
        rotation: dict | None = None,
    ) -> dict:
        """The scenario as a vector, once our own opener has found what it promises."""
        pin = pin or self.pin()
        vector = {"comment": comment, "identity": identity(machine).text, "pin": str(pin), "now": TIME}
        found, walk = ("ok", None), None
        try:
            walk = trust_log.open_project(self.documents, trust_log.Pin.read(str(pin)), identity(machine))
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
        if walk is not None:
            vector["head"] = str(walk.pinned)
            vector["machines"] = {
                one.hex(): [granted.name, walk.capability_or_none(one)]
                for one, granted in sorted(walk.machines.items())
            }
            vector["waiting"] = sorted(walk.waiting)
            vector["two_person"], vector["owed"] = walk.two_person, walk.owed
            vector["rotation"] = jobs.rotation(self.documents, walk, TIME)
            if rotation is not None and rotation != vector["rotation"]:
                raise AssertionError(f"{comment}: {vector['rotation']}, not {rotation}")
            vector["keys"] = keys or {}
            vector["values"], vector["uses"] = self.values, self.uses
            self.check(walk, vector)
        return vector

    def check(self, walk: trust_log.Walk, vector: dict) -> None:
        """Reads every key, opens every value of a vector, and makes every use."""
        documents, comment = self.documents, vector["comment"]
        for name, expect in vector["keys"].items():
            found = outcome(lambda name=name: named_keys.current_to_seal(documents, walk, name, TIME))
            if found[0] != expect:
                raise AssertionError(f"{comment}: key {name}: {found}, not {expect}")
        for value in vector["values"]:
            found = outcome(
                lambda value=value: named_keys.open_value(
                    documents,
                    walk,
                    value["key"],
                    bytes.fromhex(value["context_cbor"]),
                    bytes.fromhex(value["sealed"]),
                    TIME,
                ).hex()
            )
            if found != (value["expect"], value.get("message")):
                raise AssertionError(f"{comment}: value: {found}, not {value['expect']}")
        writer = changes.Writer(copy.deepcopy(documents), walk, TIME)
        for use in vector["uses"]:
            found = outcome(lambda use=use: used(writer, use))
            if found != (use["expect"], use.get("result")):
                raise AssertionError(f"{comment}: {use['operation']} {use['key']}: {found}, not {use['expect']}")


def used(writer: changes.Writer, use: dict) -> object:
    """What comes of a use of a key, as a vector has it; what it writes is there for the next."""
    documents, walk, name = writer.documents, writer.walk, use["key"]
    match use["operation"]:
        case "restore":
            return key_backups.restore(writer, bytes.fromhex(use["backup"]))
        case "resume":
            jobs.resume(documents, walk, TIME)
            return writer.renew()
        case "bring":
            return writer.bring(name, bytes.fromhex(use["material"]))
        case "newest":
            return named_keys.read_description(documents, walk, name)[1].newest
    result = named_keys.used(documents, walk, use, TIME)
    if use["operation"] in ("sign", "hmac"):
        writer.rotate_due(name)
    return result


def version_key(name: str, number: int) -> bytes:
    """Where a version lies."""
    return name.encode() + b"\0" + ref.u64(number)


def outcome(read: Callable[[], object]) -> tuple[str, object]:
    """`ok` and what came of it, or the code of the refusal."""
    try:
        return "ok", read()
    except ref.Refused as refused:
        return refused.code, None
