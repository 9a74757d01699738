"""Backup, versions 1 and 2: a second implementation, written from `backup.md` alone.

It exists to be compared with, not to be used. What a project is, it takes from the keyring's vectors: of the trust log it reads only who was let in.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag

from keyring_vectors import reference as keyring
from seal_vectors import reference as seal

COLLECTIONS = ["trust_log", "keys", "key_versions", "key_ids", "key_uses", "key_states", "wraps"]
STORE_COLLECTIONS = ["namespaces", "entries", "quarantine"]
MAGIC = b"BLB"
TRUST_ONLY, WITH_ENTRIES = 1, 2
HEADER_LIMIT = 1 << 24
ITEM_LIMIT = 133_440

Documents = dict[str, dict[bytes, bytes]]


class Refused(Exception):
    """Reading failed with a code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def require(condition: bool, code: str = "damaged_backup") -> None:
    """Refuses with a code unless the condition holds."""
    if not condition:
        raise Refused(code)


def framed(part: bytes) -> bytes:
    """A part behind its length."""
    return len(part).to_bytes(4, "big") + part


def digest(label: str, *parts: bytes) -> bytes:
    """SHA-256 under a label."""
    return hashlib.sha256(f"bulla/backup/{label}/v1".encode() + b"\0" + b"".join(parts)).digest()


def wrap_info(project: bytes, machine: bytes) -> bytes:
    """What a wrapped content key is bound to."""
    return b"bulla/backup/wrap/v1" + project + machine


def body_context(project: bytes, header: bytes) -> bytes:
    """What the body is bound to."""
    return seal.Context("bulla/backup/body", project, {"header": digest("header", header)}).encoded


def signed_bytes(backup_id: bytes) -> bytes:
    """What the author signs."""
    return b"bulla/backup/signature/v1\0" + backup_id


@dataclass
class Backup:
    """What was read."""

    backup_id: bytes
    documents: Documents = field(default_factory=dict)
    blobs: dict[bytes, bytes] = field(default_factory=dict)


def read(file: bytes, project: bytes, identity: keyring.Identity) -> Backup:
    """Reads a backup; the steps are those of the specification, but for the eighth, of which only the grants are read."""
    require(file[:3] == MAGIC, "not_a_backup")
    require(len(file) == 3 or file[3] in (TRUST_ONLY, WITH_ENTRIES), "newer_backup")
    header, body = split(file[4:], HEADER_LIMIT)
    try:
        version, found, author, _, length, head, recipients = keyring.decode(header)
        wrapped = {machine: stored for machine, stored in recipients}
        require(version == file[3] and list(wrapped) == sorted(wrapped) and len(wrapped) == len(recipients))
    except ValueError as error:
        raise Refused("damaged_backup") from error
    require(found == project, "other_project")
    require(identity.fingerprint in wrapped, "not_for_machine")

    content = unwrap(wrapped[identity.fingerprint], project, identity)
    try:
        message = seal.open_sealed(body, [seal.KeyVersion.from_outside(content)], body_context(project, header))
        require(body[4:6] == bytes([seal.Suite.AES256_GCM, 16]))
    except seal.Refused as error:
        raise Refused("damaged_backup") from error

    backup = Backup(digest("header", header))
    signature = read_items(message, backup, version == WITH_ENTRIES)
    log = list(backup.documents.get("trust_log", {}).values())
    grants = [record for record in map(keyring.read_record, log) if record[8] == keyring.GRANT]
    signers = {keyring.fingerprint(content[1], content[2]): content[2] for content in (grant[9] for grant in grants)}
    require(author in signers, "foreign_backup")
    require(verifies(signers[author], signature, signed_bytes(backup.backup_id)), "foreign_backup")
    if version == TRUST_ONLY:
        require(len(log) == length)
    require(1 <= length <= len(log) and keyring.record_hash(log[length - 1]) == head)
    return backup


def split(data: bytes, limit: int) -> tuple[bytes, bytes]:
    """A part and what stands behind it."""
    length = int.from_bytes(data[:4], "big")
    require(len(data) >= 4 and length <= limit and len(data) >= 4 + length)
    return data[4 : 4 + length], data[4 + length :]


def unwrap(stored: bytes, project: bytes, identity: keyring.Identity) -> bytes:
    """The content key."""
    require(len(stored) == 1168)
    shared = identity.xwing.decapsulate(stored[:1120])
    cipher, nonce = keyring.hpke_base(shared, wrap_info(project, identity.fingerprint))
    try:
        return cipher.decrypt(nonce, stored[1120:], b"")
    except InvalidTag as error:
        raise Refused("damaged_backup") from error


def read_items(message: bytes, backup: Backup, with_entries: bool) -> bytes:
    """Takes the documents and blobs; returns the author's signature."""
    order = [*STORE_COLLECTIONS, *COLLECTIONS] if with_entries else COLLECTIONS
    last: tuple[int, bytes] = (-1, b"")
    blob: tuple[bytes, bytes] | None = None
    while message:
        item, message = split(message, ITEM_LIMIT)
        try:
            fields = keyring.decode(item)
        except ValueError as error:
            raise Refused("damaged_backup") from error
        if len(fields) == 1:
            require(not message and isinstance(fields[0], bytes) and len(fields[0]) == 64)
            return fields[0]
        backup.backup_id = digest("item", backup.backup_id, item)
        if isinstance(fields[0], bytes):
            require(with_entries and last[0] < len(STORE_COLLECTIONS))
            blob = read_blob(fields, blob, backup)
            continue
        require(len(fields) == 3 and fields[0] in order)
        collection, key, value = fields
        require(isinstance(key, bytes) and isinstance(value, bytes) and 1 <= len(key) <= 2304 and len(value) <= 131_072)
        place = (order.index(collection), key)
        require(place > last)
        last, blob = place, None
        backup.documents.setdefault(collection, {})[key] = value
    raise Refused("damaged_backup")


def read_blob(fields: list, blob: tuple[bytes, bytes] | None, backup: Backup) -> tuple[bytes, bytes] | None:
    """Takes a piece or the end of a blob; returns the blob as far as it has come."""
    require(len(fields) in (2, 3) and len(fields[0]) == 32 and isinstance(fields[1], int) and fields[1] >= 0)
    blob_id, offset = fields[:2]
    so_far = blob[1] if blob and blob[0] == blob_id else None
    if offset == 0:
        so_far = b""
    require(so_far is not None and len(so_far) == offset)
    if len(fields) == 2:
        backup.blobs[blob_id] = so_far
        return None
    require(isinstance(fields[2], bytes) and 1 <= len(fields[2]) <= 131_072)
    return blob_id, so_far + fields[2]


def verifies(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether an Ed25519 signature is right."""
    try:
        keyring.Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except keyring.InvalidSignature:
        return False
    return True
