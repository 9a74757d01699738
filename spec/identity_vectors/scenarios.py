"""The scenarios of identity files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from keyring_vectors.reference import Identity, XWing
from seal_vectors import reference as seal

from identity_vectors import reference as ref


def drawn(label: str, length: int = 32) -> bytes:
    """Bytes that follow from a label."""
    return hashlib.shake_256(f"bulla/identity-vectors/{label}".encode()).digest(length)


OURS = Identity(XWing(drawn("encryption")), drawn("signing"))
THEIRS = Identity(XWing(drawn("their encryption")), drawn("their signing"))
PASSPHRASE = b"correct horse battery staple"
CHEAP = ref.Cost(64, 1, 1)
SALT = drawn("salt", 16)

PLAIN = ref.plain_lines(OURS)
LOCKED = ref.locked_lines(OURS, PASSPHRASE, CHEAP, SALT, drawn("seal salt", 24))


def text(lines: list[str]) -> str:
    """Lines as a file."""
    return "".join(line + "\n" for line in lines)


def with_line(lines: list[str], at: int, line: str) -> str:
    """A file with one line in the place of another."""
    return text([*lines[:at], line, *lines[at + 1 :]])


def good() -> Iterator[tuple[str, str, str, bytes | None]]:
    """Identities that are read: name, comment, text, passphrase."""
    yield "plain", "protected by nothing", text(PLAIN), None
    yield "comments", "behind comments", text(["# one", "#", "# two", *PLAIN]), None
    yield "passphrase", "protected at little cost", text(LOCKED), PASSPHRASE
    recommended = ref.locked_lines(OURS, PASSPHRASE, ref.Cost(65_536, 3, 4), SALT, drawn("another", 24))
    yield "recommended", "protected at the recommended cost", text(recommended), PASSPHRASE
    bytes_of_any_kind = b"\0\xff \t" * 256
    longest = ref.locked_lines(OURS, bytes_of_any_kind, CHEAP, SALT, drawn("longest", 24))
    yield "longest", "the longest passphrase, which is no text", text(longest), bytes_of_any_kind


def refused() -> Iterator[tuple[str, str, str]]:
    """Texts that are no identity: name, comment, text."""
    yield "empty", "nothing", ""
    yield "version", "a format of the future", with_line(PLAIN, 0, "bulla identity v2")
    yield "kind", "an unknown kind", with_line(PLAIN, 1, "kind: sealed")
    yield "upper", "digits in capital letters", with_line(PLAIN, 3, PLAIN[3][:12] + PLAIN[3][12:].upper())
    yield "fingerprint", "the fingerprint of another", with_line(PLAIN, 2, ref.plain_lines(THEIRS)[2])
    yield "encryption", "one key of another", with_line(PLAIN, 3, ref.plain_lines(THEIRS)[3])
    yield "signing", "the other key of another", with_line(PLAIN, 4, ref.plain_lines(THEIRS)[4])
    yield "order", "lines in another order", text([*PLAIN[:3], PLAIN[4], PLAIN[3]])
    yield "missing", "a line too few", text(PLAIN[:4])
    yield "further", "a line too many", text([*PLAIN, "comment: none"])
    yield "late_comment", "a comment behind the first line", text([PLAIN[0], "# late", *PLAIN[1:]])
    yield "no_end", "no line end", text(PLAIN)[:-1]
    yield "return", "carriage returns", text(PLAIN).replace("\n", "\r\n")
    yield "long", "longer than any identity", text(["#" + "x" * 4_000, *PLAIN])
    for name, numbers in (
        ("memory_much", "1048577 1 1"),
        ("memory_little", "31 1 4"),
        ("passes_many", "64 11 1"),
        ("passes_none", "64 0 1"),
        ("lanes_many", "1024 1 17"),
        ("lanes_none", "64 1 0"),
        ("zero", "064 1 1"),
        ("sign", "+64 1 1"),
        ("spaces", "64  1 1"),
        ("two", "64 1"),
        ("four", "64 1 1 1"),
        ("huge", "99999999999999999999 1 1"),
    ):
        line = f"argon2id: {numbers}"
        yield f"cost_{name}", "a cost that is out of bounds, or not written so", with_line(LOCKED, 3, line)
    yield "salt", "a salt that is too short", with_line(LOCKED, 4, LOCKED[4][:-2])
    yield "keys_short", "keys that are too short", with_line(LOCKED, 5, LOCKED[5][:-2])
    yield "keys_long", "keys that are too long", with_line(LOCKED, 5, LOCKED[5] + "00")
    yield "mixed", "a protected identity that says it is not", with_line(LOCKED, 1, "kind: plain")


def locked() -> Iterator[tuple[str, str, str, bytes]]:
    """Identities that stay locked: name, comment, text, passphrase."""
    yield "passphrase", "another passphrase", text(LOCKED), b"correct horse battery stable"
    yield "line_end", "a line end that is no part of it", text(LOCKED), PASSPHRASE + b"\n"
    yield "other_fingerprint", "the name of another", with_line(LOCKED, 2, ref.plain_lines(THEIRS)[2]), PASSPHRASE
    yield "other_cost", "another cost", with_line(LOCKED, 3, "argon2id: 72 1 1"), PASSPHRASE
    yield "other_salt", "another salt", with_line(LOCKED, 4, f"salt: {drawn('other', 16).hex()}"), PASSPHRASE
    last = LOCKED[5][:-1] + ("0" if LOCKED[5][-1] != "0" else "1")
    yield "keys", "keys that were altered", with_line(LOCKED, 5, last), PASSPHRASE
    # Whoever knows the passphrase seals what they like, but cannot pass it off as another machine's.
    key = ref.passphrase_key(PASSPHRASE, CHEAP, SALT)
    header = seal.Header(seal.Suite.AES256_GCM, 16, key.id, drawn("forged", 24))
    forged = seal.seal(key, ref.context(ref.name_of(OURS), CHEAP, SALT), header, drawn("forged seeds", 64))
    yield "other_keys", "keys that do not give the fingerprint", with_line(LOCKED, 5, f"keys: {forged.hex()}"), PASSPHRASE


def verified() -> Iterator[tuple[str, str]]:
    """Verified vectors as file names and texts."""
    for name, comment, content, passphrase in good():
        yield f"ok_{name}.json", to_json(comment, content, passphrase, "ok")
    for name, comment, content in refused():
        yield f"hostile_{name}.json", to_json(comment, content, PASSPHRASE, "refused")
    for name, comment, content, passphrase in locked():
        yield f"hostile_locked_{name}.json", to_json(comment, content, passphrase, "wrong_passphrase")


def to_json(comment: str, content: str, passphrase: bytes | None, expected: str) -> str:
    """A vector, once our own reader has found in it what it promises."""
    identity, found = None, "ok"
    try:
        identity = ref.read(content, passphrase)
    except ref.Refused as refusal:
        found = refusal.code
    if found != expected:
        raise AssertionError(f"{comment}: {found} instead of {expected}")
    vector = {"comment": comment, "file": content, "expect": expected}
    if passphrase is not None:
        vector["passphrase"] = passphrase.hex()
    if identity is not None:
        vector["identity"] = text(ref.plain_lines(identity))
    return json.dumps(vector, indent=1) + "\n"
