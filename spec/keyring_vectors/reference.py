"""Keyring, version 1: a second implementation, written from `keyring.md` alone.

It exists to be compared with, not to be used: it wipes nothing and knows no storage but dictionaries.
Ed25519, X25519, ML-KEM and AES-256-GCM come from a library; X-Wing and HPKE are put together here.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from seal_vectors import reference as seal

ZERO = bytes(32)
LIMIT = 4096
ROOT, GRANT, EPOCH = 1, 2, 3
USE, AUTHORISE, RECOVERY = 1, 2, 3
SUITE_OF_ALGORITHM = {1: seal.Suite.AES256_GCM, 2: seal.Suite.CHACHA20_POLY1305, 3: seal.Suite.AES256_DET}
SEGMENT = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9_])?")

Documents = Mapping[str, Mapping[bytes, bytes]]


class Refused(Exception):
    """Opening failed with a code, at a position of the log where that is `trust_log`."""

    def __init__(self, code: str, position: int | None = None) -> None:
        super().__init__(code if position is None else f"{code} at {position}")
        self.code = code
        self.position = position


# Encoding


def u64(number: int) -> bytes:
    """Eight bytes, big-endian."""
    return number.to_bytes(8, "big")


def encode(item: object) -> bytes:
    """Deterministic CBOR of arrays and of what a context may hold."""
    if isinstance(item, list):
        return seal.cbor_head(4, len(item)) + b"".join(map(encode, item))
    if isinstance(item, dict):
        return seal.cbor_map(item)
    return seal.cbor(item)


def decode(data: bytes) -> list:
    """Reads one array; raises `ValueError` unless `data` is its deterministic encoding."""
    item, end = decode_item(data, 0)
    if end != len(data) or not isinstance(item, list) or encode(item) != data:
        raise ValueError("not deterministic")
    return item


def decode_item(data: bytes, at: int) -> tuple[object, int]:
    """Reads an item, and says where it ends."""
    if at >= len(data):
        raise ValueError("cut")
    major, size = data[at] >> 5, data[at] & 31
    at += 1
    if size >= 24:
        length = {24: 1, 25: 2, 26: 4, 27: 8}.get(size)
        if length is None or at + length > len(data):
            raise ValueError("head")
        size, at = int.from_bytes(data[at : at + length], "big"), at + length
    if major == 0:
        return size, at
    if major in (2, 3):
        if at + size > len(data):
            raise ValueError("cut")
        text = data[at : at + size]
        return (text if major == 2 else text.decode()), at + size
    if major == 4:
        items = []
        for _ in range(size):
            item, at = decode_item(data, at)
            items.append(item)
        return items, at
    if major == 5 and size == 0:
        return {}, at
    raise ValueError("type")


def shaped(data: bytes, *kinds: object) -> list:
    """Reads an array of given kinds: a type, a length of bytes, or a value."""
    if len(data) > LIMIT:
        raise ValueError("too long")
    items = decode(data)
    check_shape(items, kinds)
    return items


def check_shape(items: list, kinds: tuple) -> None:
    """Raises `ValueError` unless the items are of these kinds."""
    if len(items) != len(kinds):
        raise ValueError("number of items")
    for item, kind in zip(items, kinds, strict=True):
        if isinstance(kind, type):
            fits = type(item) is kind
        elif kind in (32, 64, 8, 1168, 1216):
            fits = isinstance(item, bytes) and len(item) == kind
        else:
            fits = type(item) is type(kind) and item == kind
        if not fits:
            raise ValueError("item")


def is_key_name(name: str) -> bool:
    """Whether a text is the name of a key."""
    segments = name.split("/")
    return len(segments) <= 8 and all(SEGMENT.fullmatch(part) and ".." not in part for part in segments)


# X-Wing and HPKE


@dataclass(frozen=True)
class XWing:
    """An X-Wing private key, by its seed."""

    seed: bytes

    @cached_property
    def _parts(self) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
        expanded = hashlib.shake_256(self.seed).digest(96)
        return (
            MLKEM768PrivateKey.from_seed_bytes(expanded[:64]),
            X25519PrivateKey.from_private_bytes(expanded[64:]),
        )

    @cached_property
    def public(self) -> bytes:
        """The public key: that of ML-KEM-768, then that of X25519."""
        mlkem, x25519 = self._parts
        return mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()

    def encapsulate(self) -> bytes:
        """A new encapsulated key, to be kept: the one thing here that is random."""
        mlkem, _ = self._parts
        _, ciphertext = mlkem.public_key().encapsulate()
        return ciphertext + X25519PrivateKey.generate().public_key().public_bytes_raw()

    def decapsulate(self, encapsulated: bytes) -> bytes:
        """The shared secret of an encapsulated key."""
        mlkem, x25519 = self._parts
        ephemeral = encapsulated[1088:]
        first = mlkem.decapsulate(encapsulated[:1088])
        second = x25519.exchange(X25519PublicKey.from_public_bytes(ephemeral))
        own = x25519.public_key().public_bytes_raw()
        return hashlib.sha3_256(first + second + ephemeral + own + b"\\.//^\\").digest()


def hpke_base(shared: bytes, info: bytes) -> tuple[AESGCM, bytes]:
    """Key and nonce of the first message (RFC 9180, §5.1, base mode)."""
    suite = b"HPKE" + (0x647A).to_bytes(2, "big") + bytes([0, 1, 0, 2])

    def extract(salt: bytes, label: bytes, ikm: bytes) -> bytes:
        return seal.hmac_sha256(salt or ZERO, b"HPKE-v1" + suite + label + ikm)

    def expand(label: bytes, length: int) -> bytes:
        labelled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + context
        return seal.hkdf_expand(secret, labelled, length)

    context = b"\0" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    secret = extract(shared, b"secret", b"")
    return AESGCM(expand(b"key", 32)), expand(b"base_nonce", 12)


# Identities and data keys


@dataclass(frozen=True)
class Identity:
    """A machine's private keys."""

    xwing: XWing
    signing_seed: bytes

    @cached_property
    def _signing(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.signing_seed)

    @cached_property
    def signing_public(self) -> bytes:
        """The Ed25519 public key."""
        return self._signing.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @cached_property
    def fingerprint(self) -> bytes:
        """The fingerprint of both public keys."""
        return fingerprint(self.xwing.public, self.signing_public)

    @property
    def text(self) -> str:
        """The identity file."""
        lines = {
            "kind": "plain",
            "fingerprint": self.fingerprint.hex(),
            "encryption": self.xwing.seed.hex(),
            "signing": self.signing_seed.hex(),
        }
        return "bulla identity v1\n" + "".join(f"{name}: {value}\n" for name, value in lines.items())

    def sign(self, message: bytes) -> bytes:
        """An Ed25519 signature."""
        return self._signing.sign(message)


def fingerprint(encryption: bytes, signing: bytes) -> bytes:
    """Names a machine by its public keys."""
    return hashlib.sha256(b"bulla/fingerprint/v1" + encryption + signing).digest()


def hkdf(secret: bytes, label: bytes, info: bytes) -> bytes:
    """32 bytes for one purpose."""
    return seal.hkdf_expand(seal.hmac_sha256(label, secret), info, 32)


def commitment(dek: bytes, project: bytes, epoch: int) -> bytes:
    """What an epoch record says of its data key."""
    return hkdf(dek, b"bulla/dek/commitment/v1", project + u64(epoch))


def wrapping_key(dek: bytes) -> seal.KeyVersion:
    """The key under which keys and versions are sealed."""
    return seal.KeyVersion.from_outside(hkdf(dek, b"bulla/wrap/v1", b""))


def capability_key(dek: bytes) -> seal.KeyVersion:
    """The key under which capabilities are sealed."""
    return seal.KeyVersion.from_outside(hkdf(dek, b"bulla/capability/v1", b""))


def wrap_info(project: bytes, epoch: int, machine: bytes) -> bytes:
    """What a wrap is bound to."""
    return b"bulla/dek/wrap/v1" + project + u64(epoch) + machine


def capability_context(project: bytes, machine: bytes) -> bytes:
    """What a capability is bound to."""
    return seal.Context("bulla/trust-log/capability", project, {"subject": machine}).encoded


def key_context(project: bytes, name: str) -> bytes:
    """What the description of a key is bound to."""
    return seal.Context("bulla/keyring/key", project, {"key": name}).encoded


def version_context(project: bytes, name: str, row: list) -> bytes:
    """What the material of a version is bound to."""
    fields = dict(zip(("number", "id", "state", "algorithm", "created"), row[1:6], strict=True))
    return seal.Context("bulla/keyring/version", project, {"key": name, **fields}).encoded


# Trust log


def signed_bytes(body: bytes) -> bytes:
    """What a signature is over."""
    return b"bulla/trust-log/signature/v1\0" + body


def record_hash(stored: bytes) -> bytes:
    """The hash by which the next record names this one."""
    return hashlib.sha256(b"bulla/trust-log/record/v1\0" + stored).digest()


def verifies(public: bytes, signature: bytes, body: bytes) -> bool:
    """Whether a signature is this key's."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, signed_bytes(body))
    except (InvalidSignature, ValueError):
        return False
    return True


CONTENT = {ROOT: (1216, 32, 32), GRANT: (str, 1216, 32, int, bytes), EPOCH: (int, 32, 32)}


def read_record(stored: bytes) -> list:
    """Body, signature and the items of the body; raises `ValueError` unless well-formed."""
    body, signature = shaped(stored, bytes, 64)
    items = decode(body)
    check_shape(items, (1, int, 32, 32, 32, int, int, list))
    check_shape(items[7], CONTENT.get(items[6], (None,)))
    if items[6] == GRANT and not (is_key_name(items[7][0]) and "/" not in items[7][0]):
        raise ValueError("machine name")
    return [body, signature, *items]


@dataclass
class Walk:
    """Steps 3 to 11 of opening a project."""

    project: bytes
    pinned: tuple[int, bytes]
    unwrapped: dict[int, bytes | None]

    def __post_init__(self) -> None:
        self.length, self.head = 0, ZERO
        self.root: list | None = None
        self.grants: dict[bytes, list] = {}
        self.epochs: list[bytes] = []
        self.deks: dict[int, bytes] = {}

    def require(self, condition: bool) -> None:
        """Refuses the record at hand unless `condition` holds."""
        if not condition:
            raise Refused("trust_log", self.length)

    def record(self, stored: bytes) -> None:
        """Verifies the next record."""
        try:
            body, signature, _, position, previous, project, author, _, kind, content = read_record(stored)
        except (ValueError, TypeError):
            raise Refused("trust_log", self.length) from None
        here = record_hash(stored)
        self.require(position == self.length and previous == self.head)
        self.require(project == (self.project if position else ZERO))
        if position + 1 == self.pinned[0] and here != self.pinned[1]:
            raise Refused("rollback")
        self.require(self.public_key(author, kind, content) is not None)
        self.require(verifies(self.public_key(author, kind, content), signature, body))
        self.apply(position, author, kind, content, here)
        self.length, self.head = position + 1, here

    def public_key(self, author: bytes, kind: int, content: list) -> bytes | None:
        """The author's Ed25519 public key, if the author is known."""
        if self.root is None:
            known = kind == ROOT and fingerprint(*content[:2]) == author
            return content[1] if known else None
        if author == self.root[0]:
            return self.root[1]
        return self.grants[author][2] if author in self.grants else None

    def apply(self, position: int, author: bytes, kind: int, content: list, here: bytes) -> None:
        """Steps 6 to 8."""
        if position < 3:
            self.require(kind == (ROOT, GRANT, EPOCH)[position])
            self.require(position == 0 or author == self.root[0])
        self.require(position == 0 or kind != ROOT)
        if kind == ROOT:
            self.root = [author, content[1]]
        elif kind == GRANT:
            subject = fingerprint(content[1], content[2])
            if position == 1:
                self.require(subject == author and content[3] == 1)
            else:
                self.require_authority(author)
                self.require(1 <= content[3] <= len(self.epochs))
            self.require(subject not in self.grants)
            self.require(all(grant[0] != content[0] for grant in self.grants.values()))
            self.grants[subject] = [*content, position]
        else:
            if position > 2:
                self.require_authority(author)
            self.require(content[0] == len(self.epochs) + 1)
            self.require(content[2] == (self.epochs[-1] if self.epochs else ZERO))
            dek = self.unwrapped.get(content[0])
            if dek is not None:
                self.require(hmac.compare_digest(commitment(dek, self.project, content[0]), content[1]))
                self.deks[content[0]] = dek
            self.epochs.append(here)
            if position == 2:
                self.require_authority(author)

    def require_authority(self, author: bytes) -> None:
        """Refuses the record at hand unless its author is an authoriser."""
        self.require(author in self.grants and self.capability(author) in (AUTHORISE, RECOVERY))

    def capability(self, machine: bytes) -> int:
        """Opens what a machine may do."""
        *_, epoch, sealed, position = self.grants[machine]
        if epoch not in self.deks:
            raise Refused("no_data_key")
        try:
            context = capability_context(self.project, machine)
            message = seal.open_sealed(sealed, [capability_key(self.deks[epoch])], context)
        except seal.Refused:
            raise Refused("trust_log", position) from None
        if len(message) != 4 or int.from_bytes(message, "big") not in (USE, AUTHORISE, RECOVERY):
            raise Refused("trust_log", position)
        return int.from_bytes(message, "big")

    def finish(self, machine: bytes) -> None:
        """Steps 4 (the length) and 9 to 11."""
        if self.length < self.pinned[0]:
            raise Refused("rollback")
        self.require(bool(self.epochs))
        if machine not in self.grants:
            raise Refused("no_grant")
        self.capability(machine)
        if len(self.epochs) not in self.deks:
            raise Refused("no_data_key")


def open_project(documents: Documents, pin: str, identity: Identity) -> Walk:
    """Opens a project, or raises `Refused`."""
    project, length, head = pin.split(" ")
    log = documents.get("trust_log", {})
    if u64(0) not in log:
        raise Refused("not_found")
    try:
        read_record(log[u64(0)])
    except (ValueError, TypeError):
        raise Refused("trust_log", 0) from None
    if record_hash(log[u64(0)]).hex() != project:
        raise Refused("other_project")
    unwrapped = unwrap_all(documents.get("wraps", {}), bytes.fromhex(project), identity)
    if not unwrapped:
        raise Refused("no_grant")
    walk = Walk(bytes.fromhex(project), (int(length), bytes.fromhex(head)), unwrapped)
    for key, stored in sorted(log.items()):
        walk.require(key == u64(walk.length))
        walk.record(stored)
    walk.finish(identity.fingerprint)
    return walk


def unwrap_all(wraps: Mapping[bytes, bytes], project: bytes, identity: Identity) -> dict[int, bytes | None]:
    """A machine's copies of the data keys by epoch; `None` where one does not open."""
    machine = identity.fingerprint
    found = {}
    for key, stored in wraps.items():
        if key[:32] == machine and len(key) == 40:
            found[int.from_bytes(key[32:], "big")] = unwrap(stored, key, project, identity)
    return found


def unwrap(stored: bytes, key: bytes, project: bytes, identity: Identity) -> bytes | None:
    """The data key of one wrap."""
    try:
        _, _, epoch, machine, wrapped = shaped(stored, 1, "xwing", int, 32, 1168)
    except ValueError:
        return None
    if machine + u64(epoch) != key:
        return None
    cipher, nonce = hpke_base(identity.xwing.decapsulate(wrapped[:1120]), wrap_info(project, epoch, machine))
    try:
        return cipher.decrypt(nonce, wrapped[1120:], b"")
    except InvalidTag:
        return None


# Named keys


def read_key(documents: Documents, walk: Walk, name: str) -> seal.KeyVersion:
    """The newest version of a key, to seal under, or raises `Refused`."""
    epoch, description = read_description(documents, walk, name)
    if epoch != len(walk.epochs):
        raise Refused("old_epoch")
    epoch, key = read_key_version(documents, walk, name, description[5])
    if key.id != description[6]:
        raise Refused("corrupt")
    if epoch != len(walk.epochs):
        raise Refused("old_epoch")
    return key


def read_description(documents: Documents, walk: Walk, name: str) -> tuple[int, list]:
    """The description of a key, and its epoch."""
    stored = documents.get("keys", {}).get(name.encode())
    if stored is None:
        raise Refused("not_found")
    try:
        _, epoch, sealed = shaped(stored, 1, int, bytes)
        body = seal.open_sealed(sealed, [wrapping_key(dek_of(walk, epoch))], key_context(walk.project, name))
        items = shaped(body, 1, 1, int, int, int, int, 8, {})
    except (ValueError, seal.Refused):
        raise Refused("corrupt") from None
    if items[2] not in SUITE_OF_ALGORITHM or not 1 <= items[4] <= items[5]:
        raise Refused("corrupt")
    return epoch, items


def read_key_version(documents: Documents, walk: Walk, name: str, number: int) -> tuple[int, seal.KeyVersion]:
    """One version of a key, and its epoch."""
    stored = documents.get("key_versions", {}).get(name.encode() + b"\0" + u64(number), b"")
    try:
        row = shaped(stored, 1, number, 8, 1, int, int, int, bytes)
        context = version_context(walk.project, name, row)
        material = seal.open_sealed(row[7], [wrapping_key(dek_of(walk, row[6]))], context)
    except (ValueError, seal.Refused):
        raise Refused("corrupt") from None
    if len(material) != 32 or row[4] not in SUITE_OF_ALGORITHM:
        raise Refused("corrupt")
    return row[6], seal.KeyVersion(row[2], material)


def open_value(documents: Documents, walk: Walk, name: str, context: bytes, sealed: bytes) -> bytes:
    """Opens a value that was sealed under any version of a key."""
    key_id = seal.read_header(sealed).key_version
    stored = documents.get("key_ids", {}).get(key_id)
    if stored is None:
        raise Refused("unknown_version")
    try:
        _, found, number = shaped(stored, 1, str, int)
    except ValueError:
        raise Refused("corrupt") from None
    _, key = read_key_version(documents, walk, found, number)
    if key.id != key_id:
        raise Refused("corrupt")
    if found != name:
        raise Refused("unknown_version")
    try:
        return seal.open_sealed(sealed, [key], context)
    except seal.Refused as refused:
        raise Refused(refused.code.value) from None


def dek_of(walk: Walk, epoch: int) -> bytes:
    """The data key of an epoch."""
    if epoch not in walk.deks:
        raise Refused("no_data_key")
    return walk.deks[epoch]
