"""Values altered after they were sealed, by someone without the key."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from . import reference
from .reference import Code, KeyVersion, Suite
from .scene import (
    CHUNK,
    HEADER,
    SLUGS,
    STORED,
    THREE_CHUNKS,
    Scene,
    Vector,
    context_of,
    derived,
    flip,
    put,
)

HEADER_FLIPS: dict[str, tuple[int, int, Code]] = {
    "magic_first": (0, 0x01, Code.NOT_SEALED),
    "magic_case": (1, 0x20, Code.NOT_SEALED),
    "magic_last": (2, 0x80, Code.NOT_SEALED),
    "version": (3, 0x02, Code.UNSUPPORTED_VERSION),
    "suite": (4, 0x08, Code.UNSUPPORTED_SUITE),
    "chunk_size": (5, 0x01, Code.CANNOT_OPEN),
    "chunk_size_high": (5, 0x80, Code.BAD_CHUNK_SIZE),
    "flags_high": (6, 0x01, Code.UNKNOWN_FLAGS),
    "flags_low": (7, 0x01, Code.UNKNOWN_FLAGS),
    "id_first": (8, 0x80, Code.UNKNOWN_VERSION),
    "id_middle": (12, 0x10, Code.UNKNOWN_VERSION),
    "id_last": (15, 0x01, Code.UNKNOWN_VERSION),
    "salt_first": (16, 0x80, Code.CANNOT_OPEN),
    "salt_middle": (28, 0x10, Code.CANNOT_OPEN),
    "salt_last": (39, 0x01, Code.CANNOT_OPEN),
    "commitment_first": (40, 0x80, Code.CANNOT_OPEN),
    "commitment_middle": (56, 0x10, Code.CANNOT_OPEN),
    "commitment_last": (71, 0x01, Code.CANNOT_OPEN),
}


def flipped_headers() -> Iterator[Vector]:
    """One bit flipped in each field of the header."""
    for suite, slug in SLUGS.items():
        for what, (offset, mask, expect) in HEADER_FLIPS.items():
            scene = Scene(f"flip_{what}_{slug}", suite)
            comment = f"One bit flipped in byte {offset}, in the header."
            yield scene.refuses(comment, flip(scene.sealed, offset, mask), expect)
    for bit in range(16):
        scene = Scene(f"flip_flag_{bit}")
        sealed = put(scene.sealed, 6, (1 << bit).to_bytes(2, "big"))
        yield scene.refuses(f"Flag {bit} was set.", sealed, Code.UNKNOWN_FLAGS)


def flipped_chunks() -> Iterator[Vector]:
    """One bit flipped at the ends and in the middle of each body and each tag."""
    for suite, slug in SLUGS.items():
        for index, ordinal in enumerate(("first", "second", "last")):
            start = HEADER + index * STORED
            body = CHUNK if index < 2 else THREE_CHUNKS - 2 * CHUNK
            parts = {"body": (start, body), "tag": (start + body, 16)}
            for part, (offset, length) in parts.items():
                places = {"start": 0, "middle": length // 2, "end": length - 1}
                for place, distance in places.items():
                    name = f"flip_{ordinal}_{part}_{place}_{slug}"
                    scene = Scene(name, suite, THREE_CHUNKS)
                    comment = f"One bit flipped in the {part} of the {ordinal} chunk."
                    yield scene.refuses(comment, flip(scene.sealed, offset + distance))
        scene = Scene(f"flip_tag_of_empty_{slug}", suite, 0)
        comment = "One bit flipped in the tag of an empty message."
        yield scene.refuses(comment, flip(scene.sealed, HEADER))


def cut_headers() -> Iterator[Vector]:
    """Cut before there are 88 bytes."""
    for length in (0, 1, 2, 3, 5, 6, 8, 15, 16, 39, 40):
        scene = Scene(f"cut_to_{length}")
        comment = f"Cut to its first {length} bytes."
        yield scene.refuses(comment, scene.sealed[:length], Code.TOO_SHORT)
    for suite, slug in SLUGS.items():
        for length in (4, 71, 72, 73, 87):
            scene = Scene(f"cut_to_{length}_{slug}", suite)
            comment = f"Cut to its first {length} bytes."
            yield scene.refuses(comment, scene.sealed[:length], Code.TOO_SHORT)
        scene = Scene(f"cut_empty_to_87_{slug}", suite, 0)
        comment = "An empty message, cut inside its tag."
        yield scene.refuses(comment, scene.sealed[:87], Code.TOO_SHORT)


def cut_chunks() -> Iterator[Vector]:
    """Cut behind the header, at each boundary that the layout has."""
    second = HEADER + STORED
    places = {
        "to_88": (88, "to the shortest length that a value can have"),
        "mid_chunk": (HEADER + CHUNK // 2, "inside the body of the first chunk"),
        "before_tag": (HEADER + CHUNK, "before the tag of the first chunk"),
        "mid_tag": (HEADER + CHUNK + 8, "inside the tag of the first chunk"),
        "last_chunk": (second, "at a chunk boundary: the last chunk is gone"),
        "second_1": (second + 1, "one byte behind a chunk boundary"),
        "second_15": (second + 15, "15 bytes behind a chunk boundary, inside a tag"),
        "second_16": (second + 16, "16 bytes behind a boundary: an empty last chunk"),
        "second_17": (second + 17, "17 bytes behind a chunk boundary"),
        "last_tag": (-16, "before the tag of the last chunk"),
        "last_mid_tag": (-8, "inside the tag of the last chunk"),
        "last_byte": (-1, "before the last byte"),
    }
    for suite, slug in SLUGS.items():
        for what, (end, where) in places.items():
            scene = Scene(f"cut_{what}_{slug}", suite, CHUNK + 100)
            yield scene.refuses(f"Cut {where}.", scene.sealed[:end])
        scene = Scene(f"cut_full_last_chunk_{slug}", suite, 2 * CHUNK)
        comment = "Two full chunks, of which the last is gone."
        yield scene.refuses(comment, scene.sealed[:second])


def extended() -> Iterator[Vector]:
    """Longer than when it was sealed."""
    for suite, slug in SLUGS.items():
        for what, length in ("byte", 1), ("16_bytes", 16), ("chunk", STORED):
            scene = Scene(f"extended_by_{what}_{slug}", suite, 100)
            garbage = derived("garbage", scene.name, length)
            comment = f"A short message, extended by {length} bytes of garbage."
            yield scene.refuses(comment, scene.sealed + garbage)
        for length in (1, 15, 16, 17, STORED):
            scene = Scene(f"extended_full_by_{length}_{slug}", suite, CHUNK)
            garbage = derived("garbage", scene.name, length)
            comment = f"A full last chunk, and {length} bytes of garbage behind it."
            yield scene.refuses(comment, scene.sealed + garbage)
        for what, length in ("byte", 1), ("16_bytes", 16):
            scene = Scene(f"extended_empty_by_{what}_{slug}", suite, 0)
            comment = f"An empty message, extended by {length} bytes of zero."
            yield scene.refuses(comment, scene.sealed + bytes(length))
        scene = Scene(f"extended_by_itself_{slug}", suite, 0)
        yield scene.refuses("A sealed value, twice.", scene.sealed * 2)
    scene = Scene("extended_by_newline")
    yield scene.refuses("A line feed behind the value.", scene.sealed + b"\n")


Order = Callable[[Sequence[bytes]], list[bytes]]
ORDERS: dict[str, tuple[str, Order]] = {
    "first_two_swapped": ("The first two chunks swapped.", lambda c: [c[1], c[0], c[2]]),
    "last_first": ("The last chunk moved to the front.", lambda c: [c[2], c[0], c[1]]),
    "first_twice": ("The first chunk twice.", lambda c: [c[0], c[0], c[1], c[2]]),
    "first_over_second": ("The second chunk is the first.", lambda c: [c[0], c[0], c[2]]),
    "last_twice": ("The last chunk twice.", lambda c: [c[0], c[1], c[2], c[2]]),
    "first_dropped": ("The first chunk dropped.", lambda c: [c[1], c[2]]),
    "second_dropped": ("The second chunk dropped.", lambda c: [c[0], c[2]]),
    "two_dropped": ("Only the last chunk is left.", lambda c: [c[2]]),
    "tags_swapped": (
        "The tags of the first two chunks swapped.",
        lambda c: [c[0][:-16] + c[1][-16:], c[1][:-16] + c[0][-16:], c[2]],
    ),
    "bytes_moved": (
        "One byte moved from the end of the value to the start of the chunks.",
        lambda c: [c[2][-1:], c[0], c[1], c[2][:-1]],
    ),
}


def rearranged() -> Iterator[Vector]:
    """Chunks reordered, duplicated and dropped."""
    for suite, slug in SLUGS.items():
        for what, (comment, order) in ORDERS.items():
            scene = Scene(f"chunks_{what}_{slug}", suite, THREE_CHUNKS)
            yield scene.refuses(comment, scene.with_chunks(order(scene.stored)))
        scene = Scene(f"chunks_equal_swapped_{slug}", suite, 2 * CHUNK + 1)
        stored = [scene.sealed_chunk(i, False, bytes(CHUNK)) for i in (1, 0)]
        stored.append(scene.sealed_chunk(2, True, b"\0"))
        comment = "Two chunks of equal plaintext swapped."
        yield scene.refuses(comment, scene.with_chunks(stored))


def spliced() -> Iterator[Vector]:
    """Parts of another message under the same key version and context."""
    for suite, slug in SLUGS.items():
        for index, what in enumerate(("first", "last")):
            scene, other = two_messages(f"splice_{what}_{slug}", suite)
            stored = list(scene.stored)
            stored[index] = other.stored[index]
            comment = f"The {what} chunk is that of another message under the same key."
            yield scene.refuses(comment, scene.with_chunks(stored))

        scene, other = two_messages(f"splice_all_{slug}", suite)
        comment = "All chunks are those of another message under the same key."
        yield scene.refuses(comment, scene.with_chunks(other.stored))

        scene, other = two_messages(f"splice_salt_{slug}", suite)
        comment = "The salt is that of another message under the same key."
        sealed = put(scene.sealed, 16, other.header.salt)
        yield scene.refuses(comment, sealed, Code.CANNOT_OPEN)

        scene, other = two_messages(f"splice_commitment_{slug}", suite)
        comment = "The commitment is that of another message under the same key."
        sealed = put(scene.sealed, 40, other.sealed[40:HEADER])
        yield scene.refuses(comment, sealed, Code.CANNOT_OPEN)

        scene = Scene(f"splice_context_commitment_{slug}", suite)
        friday = replace(scene, context=context_of(path="notes/friday"))
        alien = reference.message_key(scene.key, scene.header, friday.context.encoded)
        comment = "The commitment is that of another context, all else being equal."
        sealed = put(scene.sealed, 40, alien.commitment)
        yield scene.refuses(comment, sealed, Code.CANNOT_OPEN)


def two_messages(name: str, suite: Suite) -> tuple[Scene, Scene]:
    """Two messages of two chunks under one key version."""
    scene = Scene(name, suite, CHUNK + 50)
    return scene, Scene(f"{name}/other", suite, CHUNK + 50, key_of=name)


def swapped_suites() -> Iterator[Vector]:
    """The suite of a valid value replaced by each of the others."""
    for suite, slug in SLUGS.items():
        for other in SLUGS:
            if other is not suite:
                scene = Scene(f"suite_{suite.value}_as_{other.value}", suite)
                comment = f"A valid value of suite {slug} says that it is {SLUGS[other]}."
                sealed = put(scene.sealed, 4, bytes([other]))
                yield scene.refuses(comment, sealed, Code.CANNOT_OPEN)


def precedence() -> Iterator[Vector]:
    """Each check against the next one that would fail."""
    alien = KeyVersion(bytes(8), bytes(32))
    faults: list[tuple[str, Callable[[bytes], bytes], Code]] = [
        ("one_wrong_byte", lambda s: b"C", Code.NOT_SEALED),
        ("two_bytes_one_wrong", lambda s: b"BX", Code.NOT_SEALED),
        ("three_bytes_one_wrong", lambda s: b"BLa", Code.NOT_SEALED),
        ("magic_before_version", lambda s: b"bla\x07" + s[4:], Code.NOT_SEALED),
        ("version_before_length", lambda s: b"BLA\x02", Code.UNSUPPORTED_VERSION),
        (
            "version_before_suite",
            lambda s: put(s, 3, b"\x02\x09"),
            Code.UNSUPPORTED_VERSION,
        ),
        ("length_before_suite", lambda s: put(s, 4, b"\x09")[:87], Code.TOO_SHORT),
        ("length_before_chunk_size", lambda s: put(s, 5, b"\x09")[:87], Code.TOO_SHORT),
        ("length_before_flags", lambda s: put(s, 6, b"\x09")[:87], Code.TOO_SHORT),
        ("length_before_id", lambda s: put(s, 8, bytes(8))[:87], Code.TOO_SHORT),
        ("length_before_commitment", lambda s: flip(s, 40)[:87], Code.TOO_SHORT),
        (
            "suite_before_chunk_size",
            lambda s: put(s, 4, b"\x09\x09"),
            Code.UNSUPPORTED_SUITE,
        ),
        (
            "chunk_size_before_flags",
            lambda s: put(s, 5, b"\x19\x01"),
            Code.BAD_CHUNK_SIZE,
        ),
        ("flags_before_id", lambda s: put(flip(s, 7), 8, bytes(8)), Code.UNKNOWN_FLAGS),
        (
            "id_before_commitment",
            lambda s: flip(flip(s, 8), 40),
            Code.UNKNOWN_VERSION,
        ),
        ("id_before_chunks", lambda s: flip(flip(s, 8), -1), Code.UNKNOWN_VERSION),
        ("commitment_before_layout", lambda s: flip(s, 40)[:88], Code.CANNOT_OPEN),
        ("commitment_before_cut", lambda s: flip(s, 71)[:-1], Code.CANNOT_OPEN),
        ("commitment_before_tags", lambda s: flip(flip(s, 40), -1), Code.CANNOT_OPEN),
    ]
    for what, alter, expect in faults:
        scene = Scene(f"order_{what}")
        comment = f"Two faults, the first one counts: {what.replace('_', ' ')}."
        yield scene.refuses(comment, alter(scene.sealed), expect)
    scene = Scene("order_nothing_held")
    comment = "Damaged, and the opener does not hold the key version."
    sealed = flip(scene.sealed, -1)
    yield scene.refuses(comment, sealed, Code.UNKNOWN_VERSION, alien)


def not_sealed() -> Iterator[Vector]:
    """Bytes that never were a sealed value."""
    values = {
        "text_form": b"bulla:v1:QkxBAQEMAAA",
        "zeros": bytes(200),
        "age": b"age-encryption.org/v1\n-> X25519 abc",
        "magic_later": b"\0BLA\x01\x01\x0c",
        "byte_order_mark": b"\xef\xbb\xbfBLA\x01",
    }
    for what, value in values.items():
        scene = Scene(f"not_sealed_{what}")
        comment = f"Not a sealed value: {what.replace('_', ' ')}."
        yield scene.refuses(comment, value, Code.NOT_SEALED)


FAMILIES = [
    flipped_headers,
    flipped_chunks,
    cut_headers,
    cut_chunks,
    extended,
    rearranged,
    spliced,
    swapped_suites,
    precedence,
    not_sealed,
]
