"""Backups of one key; written from `keyring.md` alone."""

from __future__ import annotations

from keyring_vectors import named_keys
from keyring_vectors import reference as ref
from keyring_vectors.changes import SERIAL, Writer, place
from keyring_vectors.reference import Refused
from keyring_vectors.trust_log import Walk
from seal_vectors import reference as seal

LIMIT = 1 << 26


def context(project: bytes) -> bytes:
    """What a backup is bound to."""
    return seal.Context("bulla/keyring/backup", project, {}).encoded


def restore(writer: Writer, backup: bytes) -> int:
    """Restores a backup; returns how many versions were missing."""
    documents, walk = writer.documents, writer.walk
    name, described, versions = read(walk, backup)
    is_there = name.encode() in writer.rows("keys")
    if is_there:
        _, there = named_keys.read_description(documents, walk, name)
        if named_keys.DELETING in there.settings:
            raise Refused("key_deleted")
    missing = []
    for number, row in versions.items():
        if place(name, number) not in writer.rows("key_versions"):
            missing.append(row)
        elif named_keys.read_version(documents, walk, name, number).id != row[1]:
            raise Refused("rollback")
    never = described[-1].get(named_keys.EXPORTABLE) == 2
    for row in missing:
        row[4] = int(row[4] or never)
        writer.put_version(name, [1, *row[:7], writer.epoch], row[7])
    if not is_there:
        described[SERIAL] = max(described[SERIAL], walk.floors.get(name, 0)) + 1
        writer.describe(name, described)
    return len(missing)


def read(walk: Walk, backup: bytes) -> tuple[str, list, dict[int, list]]:
    """The name of the key, its description, and its versions."""
    try:
        _, epoch, sealed = ref.shaped(backup, 1, int, bytes, limit=LIMIT)
        message = named_keys.open_under(walk, epoch, sealed, seal.Suite.AES256_GCM, context(walk.project))
        _, name, description, listed = ref.shaped(message, 1, str, bytes, list, limit=LIMIT)
        key = named_keys.parse(description)
        versions = {}
        for version in listed:
            ref.check_shape(version, (int, 8, int, int, int, int, int, bytes))
            number, _, algorithm, origin, never, _, born, material = version
            if (
                (versions and number <= max(versions))
                or algorithm != key.algorithm
                or origin != key.origin
                or never > 1
                or not 1 <= born <= epoch
            ):
                raise ValueError("version")
            named_keys.check_material(algorithm, origin, material)
            versions[number] = version
    except (ValueError, TypeError, seal.Refused):
        raise Refused("bad_backup") from None
    begun = {number for number, end in key.settings.get(named_keys.DESTROYING, []) if end == 0}
    gone = key.settings.get(named_keys.DESTROYED, [])
    numbers = range(key.first, key.newest + 1)
    whole = [number for number in numbers if number not in begun and not named_keys.lies_in(number, gone)]
    if not ref.is_key_name(name) or list(versions) != whole or versions.get(key.newest, [None] * 2)[1] != key.newest_id:
        raise Refused("bad_backup")
    return name, ref.decode(description), versions
