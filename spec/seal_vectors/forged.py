"""Values made by a hostile or careless sealer that holds the key."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from . import reference
from .reference import Code, Suite
from .scene import (
    CHUNK,
    HEADER,
    SLUGS,
    Scene,
    Vector,
    context_of,
    derived,
    flip,
    put,
)

FORGED_HEADERS: dict[str, tuple[dict[str, Any], Code]] = {
    "magic": ({"magic": b"BLB"}, Code.NOT_SEALED),
    "version_0": ({"version": 0}, Code.UNSUPPORTED_VERSION),
    "version_2": ({"version": 2}, Code.UNSUPPORTED_VERSION),
    "version_255": ({"version": 255}, Code.UNSUPPORTED_VERSION),
    "suite_0": ({"suite": 0}, Code.UNSUPPORTED_SUITE),
    "suite_5": ({"suite": 5}, Code.UNSUPPORTED_SUITE),
    "suite_255": ({"suite": 255}, Code.UNSUPPORTED_SUITE),
    "chunk_size_0": ({"chunk_log2": 0}, Code.BAD_CHUNK_SIZE),
    "chunk_size_11": ({"chunk_log2": 11}, Code.BAD_CHUNK_SIZE),
    "chunk_size_25": ({"chunk_log2": 25}, Code.BAD_CHUNK_SIZE),
    "chunk_size_32": ({"chunk_log2": 32}, Code.BAD_CHUNK_SIZE),
    "chunk_size_64": ({"chunk_log2": 64}, Code.BAD_CHUNK_SIZE),
    "chunk_size_255": ({"chunk_log2": 255}, Code.BAD_CHUNK_SIZE),
    "flags_1": ({"flags": 1}, Code.UNKNOWN_FLAGS),
    "flags_8000": ({"flags": 0x8000}, Code.UNKNOWN_FLAGS),
    "flags_ffff": ({"flags": 0xFFFF}, Code.UNKNOWN_FLAGS),
}


def forged_headers() -> Iterator[Vector]:
    """Whole and consistent, but for one value that version 1 does not know."""
    for what, (fields, expect) in FORGED_HEADERS.items():
        scene = Scene(f"forged_{what}")
        comment = f"Sealed with the right key under {what.replace('_', ' ')}."
        sealed = scene.forged(replace(scene.header, **fields))
        yield scene.refuses(comment, sealed, expect)
    for suite, slug in SLUGS.items():
        scene = Scene(f"forged_commitment_is_key_{slug}", suite)
        comment = "The halves of the derived bytes exchanged: the message key lies open."
        sealed = put(scene.sealed, 40, scene.secret)
        yield scene.refuses(comment, sealed, Code.CANNOT_OPEN)

        scene = Scene(f"forged_commitment_zero_{slug}", suite)
        comment = "A commitment of zeros."
        sealed = put(scene.sealed, 40, bytes(32))
        yield scene.refuses(comment, sealed, Code.CANNOT_OPEN)


def forged_places() -> Iterator[Vector]:
    """Chunks sealed under the wrong number or place; `!` marks those sealed as the last."""
    for suite, slug in SLUGS.items():
        for what, comment, places in (
            ("last_not_last", "The last chunk is not sealed as the last.", "0 1"),
            ("first_last", "The first chunk of three is sealed as the last.", "0! 1 2!"),
            ("all_last", "Every chunk is sealed as the last.", "0! 1!"),
            ("from_one", "Numbers begin with 1.", "1 2!"),
            ("skipping", "A number is left out.", "0 2!"),
            ("same_number", "Every chunk has the number 0.", "0 0!"),
            ("backwards", "Numbers run backwards.", "1 0!"),
        ):
            numbers = places.split()
            length = (len(numbers) - 1) * CHUNK + 100
            scene = Scene(f"forged_{what}_{slug}", suite, length)
            stored = [
                scene.sealed_chunk(int(number.strip("!")), "!" in number, chunk)
                for number, chunk in zip(numbers, scene.chunks, strict=True)
            ]
            yield scene.refuses(comment, scene.with_chunks(stored))
        yield from forged_single_chunks(suite, slug)


def forged_single_chunks(suite: Suite, slug: str) -> Iterator[Vector]:
    """Values of one chunk whose nonce is not `uint88(0)` and the byte 1."""
    nonces = {
        "not_last": ("The only chunk is not sealed as the last.", bytes(12)),
        "last_is_2": ("The byte for the last chunk is 2.", bytes(11) + b"\x02"),
        "last_is_255": ("The byte for the last chunk is 255.", bytes(11) + b"\xff"),
        "last_in_front": ("The byte for the last chunk is in front.", b"\1" + bytes(11)),
        "number_1": ("The only chunk has the number 1.", reference.nonce(1, True)),
        "number_2_64": ("The only chunk has the number 2^64.", reference.nonce(2**64, True)),
    }
    for what, (comment, nonce) in nonces.items():
        scene = Scene(f"forged_single_{what}_{slug}", suite)
        stored = reference.seal_chunk(suite, scene.secret, nonce, scene.message)
        yield scene.refuses(comment, scene.with_chunks([stored]))
    scene = Scene(f"forged_empty_not_last_{slug}", suite, 0)
    comment = "An empty message whose only chunk is not sealed as the last."
    yield scene.refuses(comment, scene.with_chunks([scene.sealed_chunk(0, False, b"")]))


def forged_layouts() -> Iterator[Vector]:
    """Chunks with valid tags, but not where or as long as the layout has them."""
    for suite, slug in SLUGS.items():
        scene = Scene(f"forged_empty_last_chunk_{slug}", suite, CHUNK)
        full = scene.sealed_chunk(0, False, scene.message)
        comment = "An empty last chunk, validly sealed, behind a full one."
        empty = scene.sealed_chunk(1, True, b"")
        yield scene.refuses(comment, scene.with_chunks([full, empty]))

        scene = Scene(f"forged_empty_behind_short_{slug}", suite)
        short = scene.sealed_chunk(0, False, scene.message)
        empty = scene.sealed_chunk(1, True, b"")
        comment = "An empty last chunk, validly sealed, behind a short one."
        yield scene.refuses(comment, scene.with_chunks([short, empty]))

        scene = Scene(f"forged_two_empty_chunks_{slug}", suite, 0)
        stored = [scene.sealed_chunk(0, False, b""), scene.sealed_chunk(1, True, b"")]
        comment = "Two empty chunks, validly sealed."
        yield scene.refuses(comment, scene.with_chunks(stored))

        scene = Scene(f"forged_short_first_{slug}", suite, CHUNK)
        stored = reference.seal_chunks(suite, scene.secret, [b"short", scene.message])
        comment = "A chunk that is not the last is short."
        yield scene.refuses(comment, scene.with_chunks(stored))

        scene = Scene(f"forged_chunk_too_long_{slug}", suite, CHUNK + 1)
        comment = "A single chunk, one byte longer than the header says."
        stored = [scene.sealed_chunk(0, True, scene.message)]
        yield scene.refuses(comment, scene.with_chunks(stored))

        scene = Scene(f"forged_tag_in_front_{slug}", suite)
        stored = [scene.stored[0][-16:] + scene.stored[0][:-16]]
        comment = "The tag stands before the body."
        yield scene.refuses(comment, scene.with_chunks(stored))

        scene = Scene(f"forged_no_chunks_{slug}", suite, 0)
        comment = "A header, and no chunk behind it."
        yield scene.refuses(comment, scene.with_chunks([]), Code.TOO_SHORT)


def forged_ciphers() -> Iterator[Vector]:
    """Chunks sealed under the right message key, but not as their suite says."""
    for suite, slug in SLUGS.items():
        others = [other for other in list(SLUGS)[:3] if SLUGS[other] != slug]
        if suite is Suite.AES256_DET:
            others.remove(Suite.AES256_GCM)  # the same cipher
        for other in others:
            scene = Scene(f"forged_cipher_{SLUGS[other]}_in_{slug}", suite)
            stored = reference.seal_chunks(other, scene.secret, scene.chunks)
            comment = f"The chunk is sealed as suite {SLUGS[other]} has it."
            yield scene.refuses(comment, scene.with_chunks(stored))

        scene = Scene(f"forged_key_of_other_context_{slug}", suite)
        other_context = context_of(path="notes/friday").encoded
        other_key = reference.message_key(scene.key, scene.header, other_context)
        stored = reference.seal_chunks(suite, other_key.secret, scene.chunks)
        comment = "The right commitment, but the message key of another context."
        yield scene.refuses(comment, scene.with_chunks(stored))

    scene = Scene("forged_header_as_associated_data")
    aead = AESGCM(scene.secret)
    bound = scene.sealed[:HEADER]
    stored = [aead.encrypt(reference.nonce(0, True), scene.message, bound)]
    comment = "The header is the associated data of the chunk."
    yield scene.refuses(comment, scene.with_chunks(stored))


def forged_salts() -> Iterator[Vector]:
    """Suite 4 with a salt that does not follow from the message; all else is valid."""
    salts: dict[str, tuple[str, Callable[[Scene], bytes]]] = {
        "random": (
            "The salt is random, not derived.",
            lambda scene: derived("salt", scene.name, 24),
        ),
        "zero": ("The salt is zero.", lambda scene: bytes(24)),
        "other_message": (
            "The salt is that of another message.",
            lambda scene: scene.deterministic_salt(scene.header, b"another"),
        ),
        "other_suite": (
            "The salt is derived under suite 1.",
            lambda scene: scene.deterministic_salt(replace(scene.header, suite=1)),
        ),
        "other_context": (
            "The salt is derived under another context.",
            lambda scene: replace(scene, context=context_of()).header.salt,
        ),
        "first_key": (
            "The salt is derived with PRK in place of the second key.",
            salt_from_first_key,
        ),
        "last_bit": (
            "The salt differs from the derived one in its last bit.",
            lambda scene: flip(scene.header.salt, 23),
        ),
    }
    for length in (0, 20, CHUNK + 1):
        for what, (comment, salt) in salts.items():
            name = f"forged_salt_{what}_{length}"
            scene = Scene(name, Suite.AES256_DET, length)
            sealed = scene.forged(replace(scene.header, salt=salt(scene)))
            yield scene.refuses(comment, sealed)


def salt_from_first_key(scene: Scene) -> bytes:
    """The salt as a careless reader of the specification derives it."""
    bound = scene.header.prefix + hashlib.sha256(scene.context.encoded).digest()
    return reference.hmac_sha256(scene.key.prk, bound + scene.message)[:24]


FAMILIES = [forged_headers, forged_places, forged_layouts, forged_ciphers, forged_salts]
