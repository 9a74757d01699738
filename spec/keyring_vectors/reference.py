"""Keyring, version 1: a second implementation, written from `keyring.md` alone.

It exists to be compared with, not to be used: it wipes nothing and knows no storage but dictionaries. Here is what
the other modules rest on: encoding, identities, data keys, and single records.
Ed25519, X25519, ML-KEM and AES-256-GCM come from a library; X-Wing and HPKE are put together here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from seal_vectors import reference as seal

ZERO = bytes(32)
LIMIT = 4096
NESTING = 8
MLKEM_PRIME = 3329
ROOT, GRANT, EPOCH, REVOCATION, RESTORE, APPROVAL, POLICY, FLOOR = range(1, 9)
USE, AUTHORISE, RECOVERY = 1, 2, 3
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
        pairs = sorted((encode(key), encode(value)) for key, value in item.items())
        return seal.cbor_head(5, len(pairs)) + b"".join(key + value for key, value in pairs)
    return seal.cbor(item)


def decode(data: bytes) -> list:
    """Reads one array; raises `ValueError` unless `data` is its deterministic encoding."""
    item, end = decode_item(data, 0)
    if end != len(data) or not isinstance(item, list) or encode(item) != data:
        raise ValueError("not deterministic")
    return item


def decode_item(data: bytes, at: int, nesting: int = 0) -> tuple[object, int]:
    """Reads an item, and says where it ends."""
    if at >= len(data) or nesting > NESTING:
        raise ValueError("cut, or nested too deep")
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
    if major not in (4, 5):
        raise ValueError("type")
    items = []
    for _ in range(size * (major - 3)):
        item, at = decode_item(data, at, nesting + 1)
        items.append(item)
    if major == 4:
        return items, at
    if not all(isinstance(key, int | str) for key in items[::2]):
        raise ValueError("key of a map")
    return dict(zip(items[::2], items[1::2], strict=True)), at


def shaped(data: bytes, *kinds: object, limit: int = LIMIT) -> list:
    """Reads an array of given kinds: a type, a length of bytes, or a value."""
    if len(data) > limit:
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


def is_reduced(public: bytes) -> bool:
    """Whether the ML-KEM part of a public key passes the check of FIPS 203, §7.2."""
    number = int.from_bytes(public[:1152], "little")
    return all((number >> 12 * at & 0xFFF) < MLKEM_PRIME for at in range(768))


def is_key_name(name: str) -> bool:
    """Whether a text is the name of a key."""
    segments = name.split("/")
    return len(segments) <= 8 and all(SEGMENT.fullmatch(part) and ".." not in part for part in segments)


def is_machine_name(name: str) -> bool:
    """Whether a text is the friendly name of a machine."""
    return "/" not in name and is_key_name(name)


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
    names = ("number", "id", "algorithm", "origin", "never exported", "created", "born")
    fields = dict(zip(names, row[1:8], strict=True))
    fields["never exported"] = bool(fields["never exported"])
    return seal.Context("bulla/keyring/version", project, {"key": name, **fields}).encoded


# Records


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


CONTENT = {
    ROOT: (1216, 32, 32),
    GRANT: (str, 1216, 32, int, bytes),
    EPOCH: (int, 32, 32),
    REVOCATION: (32, int, int),
    RESTORE: (int,),
    APPROVAL: (int,),
    POLICY: (int,),
    FLOOR: (str, int),
}


def read_record(stored: bytes) -> list:
    """Body, signature and the items of the body; raises `ValueError` unless well-formed."""
    body, signature = shaped(stored, bytes, 64)
    items = decode(body)
    check_shape(items, (1, int, 32, 32, 32, int, int, list))
    kind, content = items[6:]
    check_shape(content, CONTENT.get(kind, (None,)))
    lawful = {
        ROOT: lambda: is_reduced(content[0]),
        GRANT: lambda: is_machine_name(content[0]) and is_reduced(content[1]),
        REVOCATION: lambda: content[1] <= 1 and content[2] <= 1,
        POLICY: lambda: content[0] <= 1,
        FLOOR: lambda: is_key_name(content[0]),
    }
    if not lawful.get(kind, lambda: True)():
        raise ValueError("content")
    return [body, signature, *items]
