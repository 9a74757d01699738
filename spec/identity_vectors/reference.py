"""Identity files: a second implementation, written from `keyring.md` alone."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from keyring_vectors.reference import Identity, XWing, fingerprint
from seal_vectors import reference as seal

LIMIT = 4_096
MEMORY_LIMIT, PASSES_LIMIT, LANES_LIMIT = 1_048_576, 10, 16
FIRST_LINE = "bulla identity v1"


class Refused(Exception):
    """The text is no identity (`refused`), or the passphrase does not unlock it (`wrong_passphrase`)."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Cost:
    """Parameters of Argon2id."""

    memory: int
    passes: int
    lanes: int

    @property
    def is_lawful(self) -> bool:
        """Whether a reader may try a passphrase at this cost."""
        return (
            1 <= self.passes <= PASSES_LIMIT
            and 1 <= self.lanes <= LANES_LIMIT
            and 8 * self.lanes <= self.memory <= MEMORY_LIMIT
        )


def name_of(identity: Identity) -> bytes:
    """The fingerprint of an identity."""
    return fingerprint(identity.xwing.public, identity.signing_public)


def plain_lines(identity: Identity) -> list[str]:
    """The lines of an identity that nothing protects."""
    return [
        FIRST_LINE,
        "kind: plain",
        f"fingerprint: {name_of(identity).hex()}",
        f"encryption: {identity.xwing.seed.hex()}",
        f"signing: {identity.signing_seed.hex()}",
    ]


def locked_lines(identity: Identity, passphrase: bytes, cost: Cost, salt: bytes, seal_salt: bytes) -> list[str]:
    """The lines of an identity that a passphrase protects."""
    key = passphrase_key(passphrase, cost, salt)
    header = seal.Header(seal.Suite.AES256_GCM, 16, key.id, seal_salt)
    seeds = identity.xwing.seed + identity.signing_seed
    keys = seal.seal(key, context(name_of(identity), cost, salt), header, seeds)
    return [
        FIRST_LINE,
        "kind: passphrase",
        f"fingerprint: {name_of(identity).hex()}",
        f"argon2id: {cost.memory} {cost.passes} {cost.lanes}",
        f"salt: {salt.hex()}",
        f"keys: {keys.hex()}",
    ]


def passphrase_key(passphrase: bytes, cost: Cost, salt: bytes) -> seal.KeyVersion:
    """The key that a passphrase stands for."""
    kdf = Argon2id(salt=salt, length=32, iterations=cost.passes, lanes=cost.lanes, memory_cost=cost.memory)
    return seal.KeyVersion.from_outside(kdf.derive(passphrase))


def context(machine: bytes, cost: Cost, salt: bytes) -> bytes:
    """What the private keys are bound to."""
    entries: dict[str, seal.Scalar] = {
        "fingerprint": machine,
        "memory": cost.memory,
        "passes": cost.passes,
        "lanes": cost.lanes,
        "salt": salt,
    }
    return seal.Context("bulla/identity", bytes(32), entries).encoded


def read(text: str, passphrase: bytes | None) -> Identity:
    """Reads an identity file, and unlocks it."""
    if len(text) > LIMIT or not text.endswith("\n"):
        raise Refused("refused")
    lines = text[:-1].split("\n")
    while lines and lines[0].startswith("#"):
        del lines[0]
    if lines[:2] == [FIRST_LINE, "kind: plain"]:
        return read_plain(fields(lines[2:], "fingerprint", "encryption", "signing"))
    if lines[:2] == [FIRST_LINE, "kind: passphrase"]:
        return read_locked(fields(lines[2:], "fingerprint", "argon2id", "salt", "keys"), passphrase)
    raise Refused("refused")


def read_plain(values: list[str]) -> Identity:
    """Reads the fields of an identity that nothing protects."""
    named, seed, signing = (read_hex(value, 32) for value in values)
    identity = Identity(XWing(seed), signing)
    if name_of(identity) != named:
        raise Refused("refused")
    return identity


def read_locked(values: list[str], passphrase: bytes | None) -> Identity:
    """Reads the fields of a protected identity, and unlocks it."""
    named, salt, keys = read_hex(values[0], 32), read_hex(values[2], 16), read_hex(values[3], 152)
    if not re.fullmatch("(0|[1-9][0-9]*) (0|[1-9][0-9]*) (0|[1-9][0-9]*)", values[1]):
        raise Refused("refused")
    cost = Cost(*map(int, values[1].split(" ")))
    if not cost.is_lawful:
        raise Refused("refused")
    if passphrase is None:
        raise Refused("locked")
    try:
        seeds = seal.open_sealed(keys, [passphrase_key(passphrase, cost, salt)], context(named, cost, salt))
    except seal.Refused:
        raise Refused("wrong_passphrase") from None
    identity = Identity(XWing(seeds[:32]), seeds[32:])
    if len(seeds) != 64 or name_of(identity) != named:
        raise Refused("wrong_passphrase")
    return identity


def fields(lines: list[str], *names: str) -> list[str]:
    """The values of lines that have these names, in this order, and no others."""
    if len(lines) != len(names) or not all(map(str.startswith, lines, (f"{name}: " for name in names))):
        raise Refused("refused")
    return [line.split(": ", 1)[1] for line in lines]


def read_hex(digits: str, length: int) -> bytes:
    """Bytes in lower-case hex."""
    if not re.fullmatch("[0-9a-f]*", digits) or len(digits) != 2 * length:
        raise Refused("refused")
    return bytes.fromhex(digits)
