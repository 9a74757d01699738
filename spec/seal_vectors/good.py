"""Values that open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from . import reference
from .reference import Context, KeyVersion, Suite
from .scene import CHUNK, CONTEXT, SLUGS, THREE_CHUNKS, Scene, Vector, context_of


def lengths() -> Iterator[Vector]:
    """Messages around the boundaries of chunks."""
    lengths = {
        "empty": (0, "An empty message is one empty chunk."),
        "one_byte": (1, "A message of one byte."),
        "chunk_less_one": (CHUNK - 1, "A message one byte short of a chunk."),
        "one_chunk": (CHUNK, "A message of exactly one chunk."),
        "chunk_and_one": (CHUNK + 1, "A full chunk and a chunk of one byte."),
        "two_full_chunks": (2 * CHUNK, "A message of exactly two chunks."),
        "three_chunks": (THREE_CHUNKS, "Two full chunks and a short one."),
    }
    for suite, slug in SLUGS.items():
        for what, (length, comment) in lengths.items():
            yield Scene(f"length_{what}_{slug}", suite, length).opens(comment)


def chunk_sizes() -> Iterator[Vector]:
    """All chunk sizes."""
    for suite, slug in SLUGS.items():
        every = suite is Suite.AES256_GCM
        for size in reference.CHUNK_LOG2 if every else (12, 24):
            scene = Scene(f"chunk_size_{size}_{slug}", suite, chunk_log2=size)
            yield scene.opens(f"A short message in a chunk of 2^{size} bytes.")
    scene = Scene("chunk_size_13_two_chunks", length=2 * CHUNK + 1, chunk_log2=13)
    yield scene.opens("The second chunk begins after 2^13 bytes.")
    scene = Scene("chunk_size_24_long", length=CHUNK + 1, chunk_log2=24)
    yield scene.opens("Longer than the smallest chunk, and yet one chunk.")


def materials() -> Iterator[Vector]:
    """Material of every length that might be treated differently."""
    for suite, slug in SLUGS.items():
        for length in (16, 1024):
            scene = Scene(f"material_{length}_{slug}", suite, material_length=length)
            yield scene.opens(f"Material of {length} bytes.")
    for length in (17, 63, 64, 65):
        scene = Scene(f"material_{length}", material_length=length)
        yield scene.opens(f"Material of {length} bytes, about the block of the hash.")
    scene = Scene("key_version_derived")
    key = KeyVersion.from_outside(scene.key.material)
    header = replace(scene.header, key_version=key.id)
    sealed = reference.seal(key, CONTEXT.encoded, header, scene.message)
    comment = "Material from outside: the key-version id is derived from it."
    yield replace(scene.opens(comment), key=key, sealed=sealed)


def longest_context() -> Context:
    """A context whose encoding has exactly 65,536 bytes."""
    spare = reference.CONTEXT_LIMIT - len(context_of(fill="x" * 60_000).encoded)
    return context_of(fill="x" * (60_000 + spare))


INTEGERS = [
    *(0, 1, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**63 - 1),
    *(-1, -24, -25, -256, -257, -65_536, -65_537, -(2**32), -(2**32) - 1, -(2**63)),
]
TRICKY_KEYS = [
    *("b", "aa", "", "a", "A", "ab", "\u00e9", "e\u0301", "z", "Z", "\U0001f511"),
    *("\uffff", "\0", "k" * 23, "j" * 24, "i" * 255, "h" * 256, " ", "_", "-", "10", "9"),
]
CONTEXTS: dict[str, tuple[str, Context]] = {
    "empty_map": ("A map without entries.", context_of()),
    "every_type": (
        "Every type of value, the JSON members not in the order of the encoding.",
        context_of(text="t", bytes=b"\0\xff", zero=0, n=-1, yes=True, no=False),
    ),
    "empty_values": ("Empty text, empty bytes.", context_of(text="", bytes=b"")),
    "integers": (
        "Integers about each length of their encoding, within 64 signed bits.",
        context_of(**{f"i{value}": value for value in INTEGERS}),
    ),
    "integer_largest": ("The largest integer.", context_of(n=2**64 - 1)),
    "integer_smallest": (
        "The smallest integer.",
        context_of(n=-(2**63)),
    ),
    "key_order": (
        "Keys whose order by encoding is not the order of their text.",
        context_of(**{key: True for key in TRICKY_KEYS}),
    ),
    "value_lengths": (
        "Values about each length of a string's head.",
        context_of(
            **{f"t{n}": "x" * n for n in (23, 24, 255, 256)},
            **{f"b{n}": bytes(n) for n in (23, 24, 255, 256)},
        ),
    ),
    "map_23": ("23 entries.", context_of(**{f"k{n}": n for n in range(23)})),
    "map_24": ("24 entries.", context_of(**{f"k{n}": n for n in range(24)})),
    "map_256": ("256 entries.", context_of(**{f"k{n}": n for n in range(256)})),
    "unicode": (
        "Text that is not normalised, has a NUL, and leaves the basic plane.",
        context_of(text="e\u0301\0\U0001f511\ufeff\u202e"),
    ),
    "domain_1": ("A domain of one byte.", replace(CONTEXT, domain="d")),
    "domain_24": ("A domain of 24 bytes.", replace(CONTEXT, domain="d" * 24)),
    "domain_255": (
        "A domain of 255 bytes, not all of them ASCII.",
        replace(CONTEXT, domain="d" + "\u00e9" * 127),
    ),
    "domain_bulla": ("A domain of Bulla's own.", replace(CONTEXT, domain="bulla/x")),
    "longest": ("A context of 65,536 bytes.", longest_context()),
}


def contexts() -> Iterator[Vector]:
    """Contexts that try an encoder."""
    for what, (comment, context) in CONTEXTS.items():
        yield Scene(f"context_{what}", context=context).opens(comment)


def deterministic() -> Iterator[Vector]:
    """Suite 4 twice over equal and over different messages."""
    scene = Scene("deterministic_equal", Suite.AES256_DET, 40)
    for turn in ("first", "second"):
        vector = scene.opens("Sealed twice under suite 4: both vectors are equal.")
        yield replace(vector, name=f"deterministic_equal_{turn}")
    other = replace(scene, length=41)
    vector = other.opens("One byte more than `deterministic_equal`: another salt.")
    yield replace(vector, name="deterministic_longer")


FAMILIES = [lengths, chunk_sizes, materials, contexts, deterministic]
