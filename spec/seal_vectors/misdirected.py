"""Whole values, for openers with the wrong key or the wrong context."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from . import reference
from .reference import Code, Context
from .scene import CONTEXT, SLUGS, Scene, Vector, context_of, derived, put


def wrong_keys() -> Iterator[Vector]:
    """Openers that hold other material, or other ids."""
    for suite, slug in SLUGS.items():
        scene = Scene(f"key_other_material_{slug}", suite)
        other = replace(scene.key, material=derived("other", scene.name, 32))
        comment = "The opener holds other material under the same id."
        yield scene.refuses(comment, scene.sealed, Code.CANNOT_OPEN, other)

        scene = Scene(f"key_other_id_{slug}", suite)
        other = replace(scene.key, id=derived("other", scene.name, 8))
        comment = "The opener holds this very material, but under another id."
        yield scene.refuses(comment, scene.sealed, Code.UNKNOWN_VERSION, other)

        scene = Scene(f"key_id_replaced_{slug}", suite)
        other = replace(scene.key, id=derived("other", scene.name, 8))
        comment = "The id was replaced by another under which the opener holds the material."
        sealed = put(scene.sealed, 8, other.id)
        yield scene.refuses(comment, sealed, Code.CANNOT_OPEN, other)

        scene = Scene(f"key_version_replaced_{slug}", suite)
        other = Scene(f"{scene.name}/other").key
        comment = "The id was replaced by that of another key version, which is held."
        sealed = put(scene.sealed, 8, other.id)
        yield scene.refuses(comment, sealed, Code.CANNOT_OPEN, other)

    for what, longer in ("zero_added", b"\0"), ("byte_added", b"\x01"):
        scene = Scene(f"key_{what}")
        other = replace(scene.key, material=scene.key.material + longer)
        comment = "The opener's material has one more byte at its end."
        yield scene.refuses(comment, scene.sealed, Code.CANNOT_OPEN, other)


BOUND = context_of(path="notes/today", size=1, draft=True)
OTHER_CONTEXTS: dict[str, tuple[str, Context]] = {
    "domain": ("another domain", replace(BOUND, domain="user2")),
    "domain_case": ("a domain of another case", replace(BOUND, domain="User")),
    "project": ("another project", replace(BOUND, project=bytes(32))),
    "value": ("another text", context_of(path="notes/friday", size=1, draft=True)),
    "integer": ("another integer", context_of(path="notes/today", size=2, draft=True)),
    "boolean": ("another boolean", context_of(path="notes/today", size=1, draft=False)),
    "key": ("another map key", context_of(file="notes/today", size=1, draft=True)),
    "entry_missing": ("an entry less", context_of(path="notes/today", size=1)),
    "entry_added": (
        "an entry more",
        context_of(path="notes/today", size=1, draft=True, x=0),
    ),
    "empty_map": ("an empty map", context_of()),
    "swapped": (
        "two values exchanged",
        context_of(path="notes/today", size=True, draft=1),
    ),
    "text_as_bytes": (
        "bytes for a text",
        context_of(path=b"notes/today", size=1, draft=True),
    ),
    "integer_as_text": (
        "text for an integer",
        context_of(path="notes/today", size="1", draft=True),
    ),
    "integer_as_boolean": (
        "a boolean for an integer",
        context_of(path="notes/today", size=True, draft=True),
    ),
    "integer_negated": (
        "the integer of the other major type with the same argument",
        context_of(path="notes/today", size=-2, draft=True),
    ),
    "trailing_nul": (
        "a NUL at the end of a text",
        context_of(path="notes/today\0", size=1, draft=True),
    ),
}


def wrong_contexts() -> Iterator[Vector]:
    """Openers whose context differs in one place."""
    for what, (difference, context) in OTHER_CONTEXTS.items():
        scene = Scene(f"context_{what}", context=BOUND)
        comment = f"The opener's context has {difference}."
        yield scene.refuses(comment, scene.sealed, Code.CANNOT_OPEN, context=context)
    for suite, slug in SLUGS.items():
        scene = Scene(f"context_other_{slug}", suite)
        other = context_of(path="notes/friday")
        comment = "The opener's context has another map value."
        yield scene.refuses(comment, scene.sealed, Code.CANNOT_OPEN, context=other)
    scene = Scene("context_not_normalised", context=context_of(name="\u00e9"))
    comment = "The same text in another normalisation is another text."
    other = context_of(name="e\u0301")
    yield scene.refuses(comment, scene.sealed, Code.CANNOT_OPEN, context=other)


def careless_contexts() -> Iterator[Vector]:
    """Sealed by an encoder that is not deterministic: no other encoder reaches that context."""
    context = context_of(b=1, aa=2)
    start = reference.cbor_head(4, 3) + reference.cbor("user") + reference.cbor(CONTEXT.project)
    b, aa, one, two = (reference.cbor(item) for item in ("b", "aa", 1, 2))
    two_pairs = reference.cbor_head(5, 2)
    encodings = {
        "sorted_by_text": two_pairs + aa + two + b + one,
        "long_integer": two_pairs + b + b"\x18\x01" + aa + two,
        "long_length": two_pairs + b + one + b"\x78\x02aa" + two,
        "indefinite_map": b"\xbf" + b + one + aa + two + b"\xff",
        "indefinite_text": two_pairs + b + one + b"\x7f\x62aa\xff" + two,
        "double": two_pairs + b + b"\xfb\x3f\xf0\0\0\0\0\0\0" + aa + two,
        "key_twice": reference.cbor_head(5, 3) + b + one + b + one + aa + two,
        "trailing_byte": two_pairs + b + one + aa + two + b"\0",
    }
    for what, entries in encodings.items():
        scene = Scene(f"encoding_{what}", context=context)
        comment = f"Sealed under an encoding that is not deterministic: {what}."
        sealed = scene.forged(scene.header, start + entries)
        yield scene.refuses(comment.replace("_", " "), sealed, Code.CANNOT_OPEN)
    scene = Scene("encoding_tagged", context=context)
    comment = "Sealed under an encoding with the tag for self-described CBOR before it."
    sealed = scene.forged(scene.header, b"\xd9\xd9\xf7" + context.encoded)
    yield scene.refuses(comment, sealed, Code.CANNOT_OPEN)


FAMILIES = [wrong_keys, wrong_contexts, careless_contexts]
