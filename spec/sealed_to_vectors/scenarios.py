"""The scenarios of sealing to a public key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from keyring_vectors.reference import encode
from seal_vectors import reference as seal
from seal_vectors.reference import Code, Context, Refused, Suite

from sealed_to_vectors import reference as ref

ENCAPSULATIONS = Path(__file__).parent / "encapsulations.json"


def drawn(label: str, length: int = 32) -> bytes:
    """Bytes that follow from a label."""
    return hashlib.shake_256(f"bulla/sealed-to-vectors/{label}".encode()).digest(length)


PROJECT = drawn("project")
HOLDER = ref.Recipient(PROJECT, "reports/inbox", drawn("id", 8), drawn("seed"))
MESSAGE = b"23 degrees"
ENTRIES: dict[str, seal.Scalar] = {"from": "sensor", "number": 7}
CONTEXT = Context("user", PROJECT, ENTRIES)


def encapsulation(label: str) -> bytes:
    """An encapsulated key for the holder, kept because its making is random."""
    kept = json.loads(ENCAPSULATIONS.read_text()) if ENCAPSULATIONS.exists() else {}
    if label not in kept:
        kept[label] = HOLDER.xwing.encapsulate().hex()
        ENCAPSULATIONS.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    return bytes.fromhex(kept[label])


ENCAPSULATED = encapsulation("first")


def value(
    suite: Suite = Suite.AES256_GCM,
    log2: int = 16,
    message: bytes = MESSAGE,
    sender: ref.Recipient = HOLDER,
    inner_id: bytes = HOLDER.id,
    encapsulated: bytes = ENCAPSULATED,
) -> bytes:
    """What a sender makes for the holder, or something like it."""
    key = seal.KeyVersion(inner_id, sender.message_key(encapsulated).material)
    context = CONTEXT.encoded
    header = seal.Header(suite, log2, inner_id, drawn(f"salt/{suite}/{log2}", 24))
    if suite is Suite.AES256_DET:
        header = seal.Header(suite, log2, inner_id, seal.deterministic_salt(key, header, context, message))
    return sender.head(encapsulated) + seal.seal(key, context, header, message)


def good() -> Iterator[tuple[str, str, bytes]]:
    """Values that open: name, comment, bytes."""
    yield "aes256_gcm", "as most senders make it", value()
    yield "chacha20_poly1305", "the other suite", value(Suite.CHACHA20_POLY1305)
    yield "empty", "an empty message", value(message=b"")
    yield "chunks", "three chunks of the smallest size", value(log2=12, message=bytes(range(251)) * 40)
    yield "second", "another message to the same key", value(encapsulated=encapsulation("second"))


def hostile() -> Iterator[tuple[str, str, bytes, Code]]:
    """Values that are refused: name, comment, bytes, code."""
    whole = value()

    def changed(at: int, to: int | None = None) -> bytes:
        return whole[:at] + bytes([whole[at] ^ 1 if to is None else to]) + whole[at + 1 :]

    for at in range(3):
        yield f"magic_{at}", "another format", changed(at), Code.NOT_SEALED
    yield "sealed_value", "the sealed value alone", whole[ref.HEAD_LENGTH :], Code.NOT_SEALED
    yield "version_0", "a version that never was", changed(3, 0), Code.UNSUPPORTED_VERSION
    yield "version_2", "a version of the future", changed(3, 2), Code.UNSUPPORTED_VERSION
    for end in (0, 2, 3, 4, 11, 12, 1_131, 1_132, 1_135, 1_136, 1_132 + 87):
        yield f"cut_{end}", "nothing but the beginning", whole[:end], Code.TOO_SHORT
    yield "other_version", "sealed to another key version", changed(4), Code.UNKNOWN_VERSION
    for at in (12, 1_099, 1_100, 1_130):
        yield f"enc_{at}", "an encapsulation that was altered", changed(at), Code.CANNOT_OPEN
    yield "inner_magic", "no sealed value behind the head", changed(1_132), Code.NOT_SEALED
    yield "inner_version", "a sealed value of the future", changed(1_135, 2), Code.UNSUPPORTED_VERSION
    yield "inner_suite", "an unknown suite", changed(1_136, 5), Code.UNSUPPORTED_SUITE
    yield "inner_chunk_size", "a chunk size out of bounds", changed(1_137, 25), Code.BAD_CHUNK_SIZE
    yield "inner_flags", "unknown flags", changed(1_139), Code.UNKNOWN_FLAGS
    yield "authenticated", "a suite that hides nothing", value(Suite.AUTHENTICATED), Code.UNSUPPORTED_SUITE
    yield "deterministic", "a suite for one key and many messages", value(Suite.AES256_DET), Code.UNSUPPORTED_SUITE
    other_id = value(inner_id=drawn("other id", 8))
    yield "inner_id", "a sealed value that names another key version", other_id, Code.UNKNOWN_VERSION
    yield "commitment", "a commitment that was altered", changed(1_132 + 40), Code.CANNOT_OPEN
    yield "message", "a message that was altered", changed(1_132 + 72), Code.DAMAGED
    yield "longer", "a byte behind the end", whole + b"\0", Code.DAMAGED
    yield "shorter", "without the last byte of a longer message", value(message=MESSAGE * 9)[:-1], Code.DAMAGED
    elsewhere = ref.Recipient(drawn("other project"), HOLDER.name, HOLDER.id, HOLDER.seed)
    yield "other_project", "sealed for the same key in another project", value(sender=elsewhere), Code.CANNOT_OPEN
    stranger = ref.Recipient(PROJECT, HOLDER.name, HOLDER.id, drawn("other seed"))
    yield "other_key", "sealed to another key of the same id", value(sender=stranger), Code.CANNOT_OPEN
    swapped = HOLDER.head(encapsulation("second")) + whole[ref.HEAD_LENGTH :]
    yield "other_head", "the head of another message", swapped, Code.CANNOT_OPEN


def texts() -> Iterator[tuple[str, str, str]]:
    """Texts that are no public key: name, comment, text."""
    text = HOLDER.text
    fields = [PROJECT, HOLDER.name, HOLDER.id, HOLDER.xwing.public]
    yield "text_prefix", "another prefix", text.replace("v1", "v2")
    yield "text_sealed_value", "the prefix of a sealed value", text.replace("bulla-seal-to:", "bulla:")
    yield "text_empty", "nothing behind the prefix", ref.TEXT_PREFIX
    yield "text_padding", "padding", text + "="
    yield "text_space", "a space before it", " " + text
    yield "text_line", "a line end behind it", text + "\n"
    yield "text_standard", "an alphabet with other signs", text.replace("-", "+").replace("bulla+seal+to", "bulla-seal-to")
    yield "text_cut", "without its last four characters", text[:-4]
    yield "text_longer", "three bytes behind the end", text + "AAAA"
    for name, comment, wrong in (
        ("name", "a name that no key has", [PROJECT, "a//b", *fields[2:]]),
        ("no_name", "an empty name", [PROJECT, "", *fields[2:]]),
        ("project", "a project id that is too short", [PROJECT[:31], *fields[1:]]),
        ("id", "a key-version id that is too long", [*fields[:2], HOLDER.id + b"\0", fields[3]]),
        ("public_short", "a public key that is too short", [*fields[:3], HOLDER.xwing.public[:-1]]),
        ("not_reduced", "a coefficient that is not reduced", [*fields[:3], b"\x01\x0d" + HOLDER.xwing.public[2:]]),
        ("three", "a field too few", fields[:3]),
        ("five", "a field too many", [*fields, 1]),
    ):
        yield f"text_{name}", comment, ref.encode_text(wrong)
    longer_head = encode(fields).replace(b"\x84\x58\x20", b"\x84\x59\x00\x20", 1)
    digits = seal.encode_text(longer_head).removeprefix(seal.TEXT_PREFIX)
    yield "text_not_deterministic", "a longer form of a length", ref.TEXT_PREFIX + digits


def verified() -> Iterator[tuple[str, str]]:
    """Verified vectors as file names and texts."""
    for name, comment, sealed in good():
        yield f"ok_{name}.json", to_json(comment, sealed=sealed, code=Code.OK)
    for name, comment, sealed, code in hostile():
        yield f"hostile_{name}.json", to_json(comment, sealed=sealed, code=code)
    yield "ok_text.json", text_to_json("the public key of all vectors here", HOLDER.text, Code.OK)
    for name, comment, text in texts():
        yield f"hostile_{name}.json", text_to_json(comment, text, Code.BAD_TEXT)


def to_json(comment: str, sealed: bytes, code: Code) -> str:
    """A vector of bytes, once our own opener has found in it what it promises."""
    message, found = None, Code.OK
    try:
        message = HOLDER.open(sealed, CONTEXT.encoded)
    except Refused as refused:
        found = refused.code
    if found is not code:
        raise AssertionError(f"{comment}: {found} instead of {code}")
    vector = {
        "comment": comment,
        "project": PROJECT.hex(),
        "key": HOLDER.name,
        "key_version": HOLDER.id.hex(),
        "seed": HOLDER.seed.hex(),
        "context": {"domain": CONTEXT.domain, "project": PROJECT.hex(), "map": ENTRIES},
        "context_cbor": CONTEXT.encoded.hex(),
        "sealed": sealed.hex(),
        "expect": code.value,
    }
    if message is not None:
        vector["message"] = message.hex()
    return json.dumps(vector, indent=1) + "\n"


def text_to_json(comment: str, text: str, code: Code) -> str:
    """A vector of a public key as text, once our own reader has found in it what it promises."""
    found = Code.OK
    try:
        ref.read_text(text)
    except Refused as refused:
        found = refused.code
    if found is not code:
        raise AssertionError(f"{comment}: {found} instead of {code}")
    vector = {
        "comment": comment,
        "project": PROJECT.hex(),
        "key": HOLDER.name,
        "key_version": HOLDER.id.hex(),
        "seed": HOLDER.seed.hex(),
        "text": text,
        "expect": code.value,
    }
    return json.dumps(vector, indent=1) + "\n"
