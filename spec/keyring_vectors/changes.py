"""What writers do to keys: rotate what is due, renew, bring material, restore; written from `keyring.md` alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from keyring_vectors import named_keys
from keyring_vectors import reference as ref
from keyring_vectors.named_keys import Description
from keyring_vectors.reference import Refused
from keyring_vectors.trust_log import Walk
from seal_vectors import reference as seal

Rows = dict[str, dict[bytes, bytes]]
SERIAL, NEWEST, SETTINGS = 4, 6, 9
EPOCH_ITEM, MATERIAL_ITEM = 8, 9


def drawn(*parts: object, length: int = 32) -> bytes:
    """What a writer would draw at random; nothing that a vector holds depends on it."""
    return hashlib.shake_256(repr(parts).encode()).digest(length)


@dataclass
class Writer:
    """A machine that changes the keys of a project in the newest epoch."""

    documents: Rows
    walk: Walk
    now: int

    @property
    def epoch(self) -> int:
        """The newest epoch."""
        return len(self.walk.epochs)

    def rows(self, collection: str) -> dict[bytes, bytes]:
        """The documents of a collection."""
        return self.documents.setdefault(collection, {})

    def sealed(self, suite: seal.Suite, context: bytes, message: bytes) -> bytes:
        """A sealed value under the newest data key."""
        key = ref.wrapping_key(self.walk.deks[self.epoch])
        return seal.seal(key, context, seal.Header(suite, 16, key.id, drawn(message, length=24)), message)

    def described(self, name: str) -> tuple[int, Description, list]:
        """Epoch and description of a key, and the description as it is written."""
        epoch, key = named_keys.read_description(self.documents, self.walk, name)
        sealed = ref.decode(self.rows("keys")[name.encode()])[2]
        context = ref.key_context(self.walk.project, name)
        said = named_keys.open_under(self.walk, epoch, sealed, seal.Suite.AUTHENTICATED, context)
        return epoch, key, ref.decode(said)

    def describe(self, name: str, fields: list) -> None:
        """Writes a description."""
        sealed = self.sealed(seal.Suite.AUTHENTICATED, ref.key_context(self.walk.project, name), ref.encode(fields))
        self.rows("keys")[name.encode()] = ref.encode([1, self.epoch, sealed])

    def put_version(self, name: str, row: list, material: bytes) -> None:
        """Writes a version, and its entry where there is none."""
        sealed = self.sealed(seal.Suite.AES256_GCM, ref.version_context(self.walk.project, name, row), material)
        self.rows("key_versions")[place(name, row[1])] = ref.encode([*row, sealed])
        self.rows("key_ids").setdefault(row[2], ref.encode([1, name, row[1]]))

    def free_number(self, name: str, key: Description) -> int:
        """The first number behind the newest version that no row has."""
        number = key.newest + 1
        while place(name, number) in self.rows("key_versions"):
            number += 1
        return number

    def make_version(self, name: str, key: Description) -> tuple[int, bytes]:
        """Makes a version of generated material; returns its number and id."""
        number = self.free_number(name, key)
        version_id = drawn(name, number, length=8)
        never = int(key.settings.get(named_keys.EXPORTABLE) == 2)
        row = [1, number, version_id, key.algorithm, key.origin, never, self.now, self.epoch, self.epoch]
        self.put_version(name, row, drawn(name, number, "material"))
        return number, version_id

    def left_behind(self, name: str, key: Description) -> tuple[int, bytes] | None:
        """A version behind the newest that another writer has just made."""
        try:
            version = named_keys.read_version(self.documents, self.walk, name, key.newest + 1)
        except Refused:
            return None
        alike = (
            version.born == self.epoch
            and version.algorithm == key.algorithm
            and version.origin == key.origin
            and version.never_exported == (key.settings.get(named_keys.EXPORTABLE) == 2)
        )
        return (version.number, version.id) if alike else None

    def rotate_due(self, name: str) -> None:
        """Rotates a key whose newest version is due."""
        _, key, fields = self.described(name)
        period = key.settings.get(named_keys.PERIOD)
        aged = period is not None and fields[8] + period <= self.now
        if key.origin == named_keys.GENERATED and (aged or named_keys.is_used_up(self.documents, key)):
            newest = self.left_behind(name, key) or self.make_version(name, key)
            fields[SERIAL] += 1
            self.describe(name, [*fields[:NEWEST], *newest, self.now, key.settings])

    def renew(self) -> None:
        """Phases 4 and 5 of a rotation."""
        for name in sorted(key.decode() for key in self.rows("keys")):
            epoch, key, fields = self.described(name)
            if epoch == self.epoch:
                continue
            generated = key.origin == named_keys.GENERATED
            newest = [*self.make_version(name, key), self.now] if generated else fields[NEWEST:SETTINGS]
            settings = {at: value for at, value in key.settings.items() if at != named_keys.LOWEST_TO_SEAL}
            fields[SERIAL] += 1
            self.describe(name, [*fields[:NEWEST], *newest, settings])
        for at in sorted(self.rows("key_versions")):
            name, number = at[:-9].decode(), int.from_bytes(at[-8:], "big")
            try:
                version = named_keys.read_version(self.documents, self.walk, name, number)
            except Refused:
                continue
            row = ref.decode(self.rows("key_versions")[at])[:MATERIAL_ITEM]
            if row[EPOCH_ITEM] < self.epoch:
                self.put_version(name, [*row[:EPOCH_ITEM], self.epoch], version.material)

    def bring(self, name: str, material: bytes) -> int:
        """Makes material from outside the newest of a key; returns the number of its version."""
        epoch, key, fields = self.described(name)
        if key.origin != named_keys.OUTSIDE:
            raise Refused("generated_key")
        if epoch != self.epoch:
            raise Refused("old_epoch")
        version_id = seal.KeyVersion.from_outside(material).id
        number = key.newest if version_id == key.newest_id else self.number_to_bring(name, key, version_id)
        never = int(key.settings.get(named_keys.EXPORTABLE) == 2)
        row = [1, number, version_id, key.algorithm, key.origin, never, self.now, self.epoch, self.epoch]
        self.put_version(name, row, material)
        if number != key.newest:
            fields[SERIAL] += 1
            self.describe(name, [*fields[:NEWEST], number, version_id, self.now, key.settings])
        return number

    def number_to_bring(self, name: str, key: Description, version_id: bytes) -> int:
        """The next number, if it is free or has a version of this id; otherwise the next free one."""
        stored = self.rows("key_versions").get(place(name, key.newest + 1))
        is_same = stored is not None and ref.decode(stored)[2] == version_id
        return key.newest + 1 if is_same else self.free_number(name, key)


def place(name: str, number: int) -> bytes:
    """Where a version lies."""
    return name.encode() + b"\0" + ref.u64(number)
