"""Backups of one key; written from `keyring.md` alone."""

from __future__ import annotations

from keyring_vectors import named_keys
from keyring_vectors import reference as ref
from keyring_vectors.reference import Documents, Refused
from keyring_vectors.trust_log import Walk
from seal_vectors import reference as seal

LIMIT = 1 << 26


def context(project: bytes) -> bytes:
    """What a backup is bound to."""
    return seal.Context("bulla/keyring/backup", project, {}).encoded


def restored(documents: Documents, walk: Walk, backup: bytes) -> int:
    """How many versions restoring a backup writes."""
    name, versions = read(walk, backup)
    if name.encode() in documents.get("keys", {}):
        _, there = named_keys.read_description(documents, walk, name)
        if named_keys.DELETING in there.settings:
            raise Refused("key_deleted")
    rows = documents.get("key_versions", {})
    missing = 0
    for number, version_id in versions.items():
        stored = rows.get(name.encode() + b"\0" + ref.u64(number))
        if stored is None:
            missing += 1
        elif named_keys.read_version(documents, walk, name, number).id != version_id:
            raise Refused("rollback")
    return missing


def read(walk: Walk, backup: bytes) -> tuple[str, dict[int, bytes]]:
    """The name of the key, and the ids of its versions."""
    try:
        _, epoch, sealed = ref.shaped(backup, 1, int, bytes, limit=LIMIT)
        message = named_keys.open_under(walk, epoch, sealed, seal.Suite.AES256_GCM, context(walk.project))
        _, name, description, listed = ref.shaped(message, 1, str, bytes, list, limit=LIMIT)
        key = named_keys.parse(description)
        versions = {}
        for version in listed:
            ref.check_shape(version, (int, 8, int, int, int, int, bytes))
            number, version_id, algorithm, origin, never, _, material = version
            if (
                (versions and number <= max(versions))
                or algorithm != key.algorithm
                or origin != key.origin
                or never > 1
            ):
                raise ValueError("version")
            named_keys.check_material(algorithm, origin, material)
            versions[number] = version_id
    except (ValueError, TypeError, seal.Refused):
        raise Refused("bad_backup") from None
    begun = {number for number, end in key.settings.get(named_keys.DESTROYING, []) if end == 0}
    gone = key.settings.get(named_keys.DESTROYED, [])
    numbers = range(key.first, key.newest + 1)
    whole = [number for number in numbers if number not in begun and not named_keys.lies_in(number, gone)]
    if not ref.is_key_name(name) or list(versions) != whole or versions.get(key.newest) != key.newest_id:
        raise Refused("bad_backup")
    return name, versions
