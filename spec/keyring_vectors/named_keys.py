"""Named keys: descriptions, settings, states of versions, uses; written from `keyring.md` alone."""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keyring_vectors import reference as ref
from keyring_vectors.reference import Documents, Refused
from keyring_vectors.trust_log import Walk
from seal_vectors import reference as seal
from sealed_to_vectors import reference as sealed_to

KEY_LIMIT = 16_384
LIST_LIMIT = 256
CURVE_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
AES256_GCM, CHACHA20_POLY1305, AES256_DET, HMAC_SHA256, ED25519, ECDSA_P256, ML_DSA_65, XWING = range(1, 9)
USE_CASE = {algorithm: 2 if HMAC_SHA256 <= algorithm <= ML_DSA_65 else 1 for algorithm in range(1, 9)}
SUITE_OF_ALGORITHM = {
    AES256_GCM: seal.Suite.AES256_GCM,
    CHACHA20_POLY1305: seal.Suite.CHACHA20_POLY1305,
    AES256_DET: seal.Suite.AES256_DET,
}
LOWEST_TO_OPEN, LOWEST_TO_SEAL, PERIOD, MOST_USES, EXPORTABLE, DELETION, ORIGIN = range(1, 8)
DISABLED, DESTROYING, DESTROYED, DELETING = range(8, 12)
GENERATED, OUTSIDE = 1, 2


@dataclass(frozen=True)
class Description:
    """What a key says of itself."""

    algorithm: int
    serial: int
    first: int
    newest: int
    newest_id: bytes
    settings: dict

    @property
    def origin(self) -> int:
        """Where its material comes from."""
        return self.settings.get(ORIGIN, GENERATED)

    def lowest_to_open(self) -> int:
        """The lowest version that opens."""
        return self.settings.get(LOWEST_TO_OPEN, self.first)

    def state(self, number: int, now: int) -> str:
        """What a version from first to newest is."""
        ends = dict(map(tuple, self.settings.get(DESTROYING, [])))
        if lies_in(number, self.settings.get(DESTROYED, [])) or ends.get(number, now + 1) <= now:
            return "destroyed"
        if number in ends:
            return "destroying"
        return "disabled" if lies_in(number, self.settings.get(DISABLED, [])) else "enabled"

    def allow(self, number: int, now: int) -> None:
        """Refuses a version that may not be used."""
        if DELETING in self.settings:
            raise Refused("key_deleted")
        if not self.first <= number <= self.newest:
            raise Refused("unknown_version")
        state = self.state(number, now)
        if state != "enabled":
            raise Refused("version_disabled" if state == "disabled" else "version_destroyed")
        if number < self.lowest_to_open():
            raise Refused("below_minimum")


def lies_in(number: int, ranges: list) -> bool:
    """Whether one of the ranges has the number."""
    return any(low <= number <= high for low, high in ranges)


def is_lawful(settings: dict, first: int, newest: int) -> bool:
    """Whether settings are as a writer would write them."""
    versions = range(first, newest + 1)

    def number(value: object) -> bool:
        return isinstance(value, int)

    def pairs(value: object) -> bool:
        shaped = isinstance(value, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in value)
        return shaped and 1 <= len(value) <= LIST_LIMIT and all(number(item) for pair in value for item in pair)

    def ranges(value: object) -> bool:
        return (
            pairs(value)
            and all(low <= high and low in versions and high in versions for low, high in value)
            and all(before[1] + 1 < after[0] for before, after in zip(value, value[1:], strict=False))
        )

    def ends(value: object) -> bool:
        return (
            pairs(value)
            and all(version in versions for version, _ in value)
            and all(before[0] < after[0] for before, after in zip(value, value[1:], strict=False))
        )

    checks = {
        LOWEST_TO_OPEN: lambda value: number(value) and value in versions,
        LOWEST_TO_SEAL: lambda value: number(value) and value in versions,
        PERIOD: number,
        MOST_USES: number,
        EXPORTABLE: lambda value: value in (1, 2) and number(value),
        DELETION: lambda value: value == 1 and number(value),
        ORIGIN: lambda value: value == 2 and number(value),
        DISABLED: ranges,
        DESTROYING: ends,
        DESTROYED: ranges,
        DELETING: number,
    }
    return all(setting in checks and checks[setting](value) for setting, value in settings.items())


def refuse_system(name: str) -> None:
    """Refuses the names that belong to Bulla itself."""
    if name.split("/")[0] == "sys":
        raise Refused("reserved_name")


def read_description(documents: Documents, walk: Walk, name: str) -> tuple[int, Description]:
    """The description of a key, and its epoch."""
    stored = documents.get("keys", {}).get(name.encode())
    if stored is None:
        raise Refused("not_found")
    try:
        _, epoch, sealed = ref.shaped(stored, 1, int, bytes, limit=KEY_LIMIT)
        message = open_under(walk, epoch, sealed, seal.Suite.AUTHENTICATED, ref.key_context(walk.project, name))
        key = parse(message)
    except (ValueError, TypeError, seal.Refused):
        raise Refused("corrupt") from None
    if key.serial < walk.floors.get(name, 0):
        raise Refused("rollback")
    return epoch, key


def parse(message: bytes) -> Description:
    """Reads what a description says; raises `ValueError` unless a writer would have written it."""
    kinds = (1, int, int, int, int, int, int, 8, int, dict)
    _, use, algorithm, _, serial, first, newest, newest_id, _, settings = ref.shaped(message, *kinds, limit=KEY_LIMIT)
    lawful = USE_CASE.get(algorithm) == use and serial >= 1 and 1 <= first <= newest
    if not lawful or not is_lawful(settings, first, newest):
        raise ValueError("out of bounds")
    return Description(algorithm, serial, first, newest, newest_id, settings)


def open_under(walk: Walk, epoch: int, sealed: bytes, suite: seal.Suite, context: bytes) -> bytes:
    """What is sealed under the data key of an epoch."""
    if epoch not in walk.deks:
        raise Refused("no_data_key")
    if sealed[4:6] != bytes([suite, 16]):
        raise ValueError("another suite, or chunk size")
    return seal.open_sealed(sealed, [ref.wrapping_key(walk.deks[epoch])], context)


@dataclass(frozen=True)
class Version:
    """One version of a key."""

    number: int
    id: bytes
    algorithm: int
    origin: int
    never_exported: bool
    born: int
    material: bytes

    @property
    def seal_key(self) -> seal.KeyVersion:
        """As what seals and opens."""
        return seal.KeyVersion(self.id, self.material)


def read_version(documents: Documents, walk: Walk, name: str, number: int) -> Version:
    """One version of a key."""
    stored = documents.get("key_versions", {}).get(name.encode() + b"\0" + ref.u64(number), b"")
    try:
        row = ref.shaped(stored, 1, number, 8, int, int, int, int, int, int, bytes)
        _, _, version_id, algorithm, origin, never, _, born, epoch, sealed = row
        if never > 1:
            raise ValueError("no flag")
        material = open_under(
            walk, epoch, sealed, seal.Suite.AES256_GCM, ref.version_context(walk.project, name, row)
        )
        check_material(algorithm, origin, material)
        if not 1 <= born <= epoch:
            raise ValueError("no epoch of birth")
    except (ValueError, TypeError, seal.Refused):
        raise Refused("corrupt") from None
    return Version(number, version_id, algorithm, origin, bool(never), born, material)


def check_material(algorithm: int, origin: int, material: bytes) -> None:
    """Raises `ValueError` unless there may be a version with this material."""
    if algorithm not in USE_CASE or origin not in (GENERATED, OUTSIDE):
        raise ValueError("no such algorithm or origin")
    any_length = origin == OUTSIDE and algorithm <= HMAC_SHA256
    if len(material) not in (range(16, 1025) if any_length else (32,)):
        raise ValueError("length of material")
    if algorithm == ECDSA_P256 and not 1 <= int.from_bytes(material, "big") < CURVE_ORDER:
        raise ValueError("no scalar")


def current(documents: Documents, walk: Walk, name: str, now: int) -> Version:
    """The newest version of a key, to seal or sign under."""
    epoch, key = read_description(documents, walk, name)
    key.allow(key.newest, now)
    return checked_to_seal(documents, walk, name, epoch, key, key.newest)


def current_to_seal(documents: Documents, walk: Walk, name: str, now: int) -> Version:
    """The newest version of a key that seals."""
    refuse_system(name)
    version = current(documents, walk, name, now)
    if version.algorithm not in SUITE_OF_ALGORITHM:
        raise Refused("wrong_use")
    return version


def version_to_seal(documents: Documents, walk: Walk, name: str, number: int, now: int) -> Version:
    """A version that the caller chose to seal under."""
    epoch, key = read_description(documents, walk, name)
    if not key.first <= number <= key.newest:
        raise Refused("not_found")
    if number != key.newest and number < key.settings.get(LOWEST_TO_SEAL, key.newest):
        key.allow(number, now)
        raise Refused("below_minimum")
    key.allow(number, now)
    return checked_to_seal(documents, walk, name, epoch, key, number)


def checked_to_seal(
    documents: Documents, walk: Walk, name: str, epoch: int, key: Description, number: int
) -> Version:
    """A version that is what its key says, of a key that was described in the current epoch and born in it."""
    if epoch != len(walk.epochs):
        raise Refused("old_epoch")
    version = read_version(documents, walk, name, number)
    if version.algorithm != key.algorithm or (number == key.newest and version.id != key.newest_id):
        raise Refused("corrupt")
    if version.born != len(walk.epochs):
        raise Refused("old_epoch")
    return version


def version_of_id(documents: Documents, walk: Walk, name: str, version_id: bytes, now: int) -> Version:
    """Steps 1 to 5 of opening and verifying."""
    stored = documents.get("key_ids", {}).get(version_id)
    if stored is None:
        raise Refused("unknown_version")
    try:
        _, found, number = ref.shaped(stored, 1, str, int)
    except ValueError:
        raise Refused("corrupt") from None
    if not ref.is_key_name(found):
        raise Refused("corrupt")
    if found != name:
        if read_version(documents, walk, found, number).id != version_id:
            raise Refused("corrupt")
        raise Refused("unknown_version")
    _, key = read_description(documents, walk, name)
    key.allow(number, now)
    version = read_version(documents, walk, name, number)
    if version.id != version_id or version.algorithm != key.algorithm:
        raise Refused("corrupt")
    return version


def open_value(documents: Documents, walk: Walk, name: str, context: bytes, sealed: bytes, now: int) -> bytes:
    """Opens a value that was sealed under any version of a key."""
    refuse_system(name)
    if sealed[:3] == sealed_to.MAGIC:
        return open_sealed_to(documents, walk, name, context, sealed, now)
    try:
        version = version_of_id(documents, walk, name, seal.read_header(sealed).key_version, now)
        if version.algorithm not in SUITE_OF_ALGORITHM:
            raise Refused("not_sealed" if version.algorithm == XWING else "wrong_use")
        return seal.open_sealed(sealed, [version.seal_key], context)
    except seal.Refused as refused:
        raise Refused(refused.code.value) from None


def open_sealed_to(documents: Documents, walk: Walk, name: str, context: bytes, sealed: bytes, now: int) -> bytes:
    """Opens what was sealed to the public key of a version."""
    try:
        seal.require(len(sealed) >= 4, seal.Code.TOO_SHORT)
        seal.require(sealed[3] == 1, seal.Code.UNSUPPORTED_VERSION)
        seal.require(len(sealed) >= sealed_to.HEAD_LENGTH, seal.Code.TOO_SHORT)
        version = version_of_id(documents, walk, name, sealed[4:12], now)
        if version.algorithm != XWING:
            raise Refused("not_sealed" if version.algorithm in SUITE_OF_ALGORITHM else "wrong_use")
        return sealed_to.Recipient(walk.project, name, version.id, version.material).open(sealed, context)
    except seal.Refused as refused:
        raise Refused(refused.code.value) from None


def spend(documents: Documents, key: Description) -> None:
    """Refuses a use of the newest version that was used up, and that only its source can replace."""
    if is_used_up(documents, key) and key.origin == OUTSIDE:
        raise Refused("used_up")


def is_used_up(documents: Documents, key: Description) -> bool:
    """Whether all uses of the newest version were given out."""
    stored = documents.get("key_uses", {}).get(key.newest_id)
    try:
        reserved = 0 if stored is None else ref.shaped(stored, 1, int)[1]
    except ValueError:
        raise Refused("corrupt") from None
    return reserved >= key.settings.get(MOST_USES, 1 << 64)


def verify(documents: Documents, walk: Walk, name: str, message: bytes, signature: bytes, now: int) -> bool:
    """Whether a signature, behind its key-version id, is right."""
    version = version_of_id(documents, walk, name, signature[:8], now)
    if version.algorithm not in (ED25519, ECDSA_P256, ML_DSA_65):
        raise Refused("wrong_use")
    return is_signature(version, message, signature[8:])


def verify_hmac(documents: Documents, walk: Walk, name: str, message: bytes, tag: bytes, now: int) -> bool:
    """Whether a tag, behind its key-version id, is right."""
    version = version_of_id(documents, walk, name, tag[:8], now)
    if version.algorithm != HMAC_SHA256:
        raise Refused("wrong_use")
    return hmac.compare_digest(seal.hmac_sha256(version.material, message), tag[8:])


def private_key(algorithm: int, material: bytes):
    """The private key of a version that signs."""
    if algorithm == ED25519:
        return ed25519.Ed25519PrivateKey.from_private_bytes(material)
    if algorithm == ECDSA_P256:
        return ec.derive_private_key(int.from_bytes(material, "big"), ec.SECP256R1())
    return mldsa.MLDSA65PrivateKey.from_seed_bytes(material)


def public_key(version: Version) -> bytes:
    """The public key of a version, as its algorithm has it."""
    if version.algorithm == XWING:
        return ref.XWing(version.material).public
    public = private_key(version.algorithm, version.material).public_key()
    if version.algorithm == ECDSA_P256:
        return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return public.public_bytes_raw()


def public_text(project: bytes, name: str, version: Version) -> str:
    """The text of the public key of an `xwing` version."""
    fields = ref.encode([project, name, version.id, public_key(version)])
    return "bulla-seal-to:v1:" + base64.urlsafe_b64encode(fields).decode().rstrip("=")


def sign(version: Version, message: bytes) -> bytes:
    """A signature that is the same each time."""
    private = private_key(version.algorithm, version.material)
    if version.algorithm == ED25519:
        return private.sign(message)
    halves = decode_dss_signature(private.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)))
    return b"".join(half.to_bytes(32, "big") for half in halves)


def is_signature(version: Version, message: bytes, signature: bytes) -> bool:
    """Whether a signature alone is right."""
    public = private_key(version.algorithm, version.material).public_key()
    try:
        if version.algorithm == ECDSA_P256:
            if len(signature) != 64:
                return False
            halves = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
            public.verify(encode_dss_signature(*halves), message, ec.ECDSA(hashes.SHA256()))
        else:
            public.verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def exported(documents: Documents, walk: Walk, name: str, number: int, now: int) -> bytes:
    """The material of a version, where it may be handed out."""
    _, key = read_description(documents, walk, name)
    if not key.first <= number <= key.newest:
        raise Refused("not_found")
    key.allow(number, now)
    if key.settings.get(EXPORTABLE) != 1:
        raise Refused("not_exportable")
    version = read_version(documents, walk, name, number)
    if version.never_exported:
        raise Refused("not_exportable")
    return version.material


def used(documents: Documents, walk: Walk, use: dict, now: int) -> object:
    """What comes of a use of a key, as a vector has it."""
    name, number = use["key"], use.get("number")
    message, signature = (bytes.fromhex(use.get(member, "")) for member in ("message", "signature"))
    refuse_system(name)
    match use["operation"]:
        case "seal":
            version_to_seal(documents, walk, name, number, now)
            return None
        case "sign":
            if current(documents, walk, name, now).algorithm not in (ED25519, ECDSA_P256, ML_DSA_65):
                raise Refused("wrong_use")
            return None
        case "hmac":
            version = current(documents, walk, name, now)
            if version.algorithm != HMAC_SHA256:
                raise Refused("wrong_use")
            spend(documents, read_description(documents, walk, name)[1])
            return (version.id + seal.hmac_sha256(version.material, message)).hex()
        case "verify":
            return verify(documents, walk, name, message, signature, now)
        case "verify_hmac":
            return verify_hmac(documents, walk, name, message, signature, now)
        case "public":
            version = current(documents, walk, name, now)
            if version.algorithm not in (ED25519, ECDSA_P256, ML_DSA_65, XWING):
                raise Refused("wrong_use")
            return (
                public_text(walk.project, name, version) if version.algorithm == XWING else public_key(version).hex()
            )
        case "export":
            return exported(documents, walk, name, number, now).hex()
    raise ValueError(use["operation"])
