"""The text form."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from . import reference
from .reference import Code
from .scene import SLUGS, Scene, Vector, flip, put


def good_texts() -> Iterator[Vector]:
    """Texts with each number of unused bits."""
    for suite, slug in SLUGS.items():
        for length in (0, 1, 2):
            scene = Scene(f"text_{length}_{slug}", suite, length)
            yield scene.opens(f"The text of a message of {length} bytes.", text=True)
    scene = Scene("text_long", length=300)
    yield scene.opens("A text in which `-` and `_` occur.", text=True)


def unused_bit(text: str) -> str:
    """Sets the lowest bit of the last character, which no byte uses."""
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + digits[digits.index(text[-1]) | 1]


def wrong_prefix(prefix: str) -> Callable[[str], str]:
    """Replaces `bulla:v1:`."""
    return lambda text: prefix + text.removeprefix(reference.TEXT_PREFIX)


def bad_texts() -> Iterator[Vector]:
    """Texts that are no text of any value."""
    digits = len(reference.TEXT_PREFIX)
    faults: dict[str, tuple[int, Callable[[str], str]]] = {
        "padding_one": (1, lambda t: t + "="),
        "padding_two": (0, lambda t: t + "=="),
        "padding_needless": (2, lambda t: t + "="),
        "padding_short": (0, lambda t: t + "="),
        "unused_bits_of_4": (0, unused_bit),
        "unused_bits_of_2": (1, unused_bit),
        "lone_character": (2, lambda t: t + "A"),
        "space_in_front": (2, lambda t: " " + t),
        "space_behind": (2, lambda t: t + " "),
        "space_behind_prefix": (2, lambda t: t[:digits] + " " + t[digits:]),
        "space_inside": (2, lambda t: t[:40] + " " + t[40:]),
        "line_feed_behind": (2, lambda t: t + "\n"),
        "line_feed_inside": (2, lambda t: t[:64] + "\n" + t[64:]),
        "line_end_behind": (2, lambda t: t + "\r\n"),
        "tab_inside": (2, lambda t: t[:40] + "\t" + t[40:]),
        "nul_behind": (2, lambda t: t + "\0"),
        "no_break_space_behind": (2, lambda t: t + "\u00a0"),
        "exclamation_mark": (2, lambda t: t[:40] + "!" + t[41:]),
        "full_stop": (2, lambda t: t[:40] + "." + t[41:]),
        "percent": (2, lambda t: t + "%3D"),
        "colon_inside": (2, lambda t: t[:40] + ":" + t[41:]),
        "not_ascii": (2, lambda t: t[:40] + "\u00e9" + t[41:]),
        "full_width": (2, lambda t: t[:40] + "\uff21" + t[41:]),
        "byte_order_mark": (2, lambda t: "\ufeff" + t),
        "standard_plus": (300, lambda t: t.replace("-", "+")),
        "standard_slash": (300, lambda t: t.replace("_", "/")),
        "twice": (2, lambda t: t + t),
        "prefix_twice": (2, lambda t: reference.TEXT_PREFIX + t),
        "prefix_version_2": (2, wrong_prefix("bulla:v2:")),
        "prefix_version_0": (2, wrong_prefix("bulla:v0:")),
        "prefix_version_10": (2, wrong_prefix("bulla:v10:")),
        "prefix_version_01": (2, wrong_prefix("bulla:v01:")),
        "prefix_missing": (2, wrong_prefix("")),
        "prefix_upper_case": (2, wrong_prefix("BULLA:V1:")),
        "prefix_capital": (2, wrong_prefix("Bulla:v1:")),
        "prefix_capital_v": (2, wrong_prefix("bulla:V1:")),
        "prefix_without_version": (2, wrong_prefix("bulla:")),
        "prefix_without_colon": (2, wrong_prefix("bulla:v1")),
        "prefix_of_vault": (2, wrong_prefix("vault:v1:")),
        "cut_in_prefix": (2, lambda t: t[:8]),
        "empty": (2, lambda t: ""),
    }
    for what, (length, alter) in faults.items():
        scene = Scene(f"text_{what}", length=length)
        comment = f"Not a text of a sealed value: {what.replace('_', ' ')}."
        text = alter(reference.encode_text(scene.sealed))
        yield scene.refuses(comment, text, Code.BAD_TEXT)


def texts_of_bad_bytes() -> Iterator[Vector]:
    """Texts that decode, to bytes that do not open."""
    faults: dict[str, tuple[Callable[[bytes], bytes], Code]] = {
        "of_nothing": (lambda s: b"", Code.TOO_SHORT),
        "of_87_bytes": (lambda s: s[:87], Code.TOO_SHORT),
        "of_other_magic": (lambda s: flip(s, 0), Code.NOT_SEALED),
        "of_version_2": (lambda s: put(s, 3, b"\x02"), Code.UNSUPPORTED_VERSION),
        "of_suite_5": (lambda s: put(s, 4, b"\x05"), Code.UNSUPPORTED_SUITE),
        "of_chunk_size_25": (lambda s: put(s, 5, b"\x19"), Code.BAD_CHUNK_SIZE),
        "of_flags": (lambda s: flip(s, 7), Code.UNKNOWN_FLAGS),
        "of_other_id": (lambda s: flip(s, 8), Code.UNKNOWN_VERSION),
        "of_other_salt": (lambda s: flip(s, 16), Code.CANNOT_OPEN),
        "of_damaged_tag": (lambda s: flip(s, -1), Code.DAMAGED),
        "of_cut_value": (lambda s: s[:-3], Code.DAMAGED),
        "of_extended_value": (lambda s: s + bytes(3), Code.DAMAGED),
    }
    for what, (alter, expect) in faults.items():
        scene = Scene(f"text_{what}")
        comment = f"A good text of bad bytes: {what.replace('_', ' ')}."
        text = reference.encode_text(alter(scene.sealed))
        yield scene.refuses(comment, text, expect)
    scene = Scene("text_padding_before_suite", length=1)
    comment = "A bad text of bad bytes: the text is judged first."
    text = reference.encode_text(put(scene.sealed, 4, b"\x05")) + "="
    yield scene.refuses(comment, text, Code.BAD_TEXT)


FAMILIES = [good_texts, bad_texts, texts_of_bad_bytes]
