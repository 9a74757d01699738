"""Events, notes, trees and logs, good and bad."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator

from audit_vectors import reference as ref
from audit_vectors.reference import Map

TIME = 1_700_000_000_000
PROCESS = b"process7"
SEED = hashlib.sha256(b"machine").digest()
STRANGER = hashlib.sha256(b"stranger").digest()
ORIGIN = f"{'5c' * 32}/{'a7' * 32}"
PUBLIC = ref.public(SEED)
IDENTIFIER = [b"version1", bytes(range(16))]
LONG = "x" * 2048

Vectors = Iterator[tuple[str, dict]]


def outcome(read: Callable[[], object]) -> tuple[str, object]:
    """What reading comes to: a code, and what was read."""
    try:
        return "ok", read()
    except ref.Refused as refused:
        return refused.code, None


def named(name: str, expect: str) -> str:
    """The name of a file."""
    return f"{'ok' if expect == 'ok' else 'hostile'}_{name}"


def checked(comment: str, found: str, expect: str) -> None:
    """Our own reader finds what the vector promises."""
    if found != expect:
        raise AssertionError(f"{comment}: {found}, not {expect}")


# Events.


def pairs(**more: object) -> dict[int, object]:
    """An event as a map; `k13` and the like replace a field, and `None` leaves it out."""
    fields = {1: TIME, 2: 8, 3: "put", 4: 0, 5: 1, 6: 0, 7: PROCESS}
    return fields | {int(key[1:]): value for key, value in more.items()}


def stored(drop: tuple[int, ...] = (), **more: object) -> bytes:
    """The stored bytes of an event."""
    return ref.encode(Map((key, value) for key, value in pairs(**more).items() if key not in drop))


def event_vectors() -> Vectors:
    """Events."""
    fields = Map([("name", "top"), ("cache_hit", True), ("duration_ms", 12), ("token", None), ("digest", [b"\x07" * 32]), ("by", IDENTIFIER)])
    good = {
        "least": stored(),
        "everything": stored(k2=3, k4=2, k8=IDENTIFIER, k9=IDENTIFIER, k10="reports", k11=5, k12=[3, b"\x01" * 32], k13=fields),
        "intent": stored((5,), k4=1),
        "unknown_outcome": stored(k2=11, k4=2, k5=3, k6=1, k11=0),
        "critical_violation": stored(k2=4, k5=2, k6=3),
        "not_utf8": stored(k10=b"a\xff\n\x1b[2J"),
        "controls": stored(k10='a"\\\n\x1b[2J\u202e\u2028\U0001f600'),
        "cut": stored(k10=[LONG, 5000]),
        "cut_before_a_character": stored(k10=["x" * 2045, 5000]),
        "cut_bytes": stored(k10=[b"\xff" * 2048, 5000]),
        "longest_text": stored(k10=LONG),
        "longest_numbers": stored(k1=(1 << 64) - 1, k10=(1 << 64) - 1),
        "most_fields": stored(k13=Map((f"f{number:02}", number) for number in range(24))),
        "longest_codes": stored(k3="a" * 64, k13=Map([("b" * 32, 1), ("c" * 23, 2), ("d" * 24, 3)])),
    }
    least = stored()
    bad = {
        "empty": b"",
        "behind_the_event": least + b"\x00",
        "cut_off": least[:-1],
        "an_array": b"\x80",
        "no_time": stored((1,)),
        "no_process": stored((7,)),
        "class_0": stored(k2=0),
        "class_12": stored(k2=12),
        "phase_3": stored(k4=3),
        "level_4": stored(k6=4),
        "outcome_0": stored(k5=0),
        "outcome_4": stored(k5=4),
        "intent_with_outcome": stored(k4=1),
        "notice_without_outcome": stored((5,)),
        "outcome_without_intent": stored(k4=2),
        "notice_with_intent": stored(k11=3),
        "unknown_key": stored(k14=1),
        "key_0": stored(k0=1),
        "negative_time": b"\xa7\x01\x20" + least[11:],
        "long_number": least.replace(b"\x02\x08", b"\x02\x18\x08"),
        "keys_out_of_order": b"\xa7" + least[11:13] + least[1:11] + least[13:],
        "indefinite": b"\xbf" + least[1:] + b"\xff",
        "tagged": b"\xc0" + least,
        "action_as_bytes": stored(k3=b"put"),
        "action_empty": stored(k3=""),
        "action_capital": stored(k3="Put"),
        "action_with_line_feed": stored(k3="put\n"),
        "action_too_long": stored(k3="a" * 65),
        "process_too_short": stored(k7=b"process"),
        "principal_in_the_clear": stored(k8="alice"),
        "principal_without_version": stored(k8=[b"", bytes(16)]),
        "principal_too_long": stored(k8=[b"version1", bytes(32)]),
        "text_as_bytes": stored(k10=b"orders"),
        "text_too_long": stored(k10=LONG + "x"),
        "cut_but_not": stored(k10=[LONG, 2048]),
        "cut_too_early": stored(k10=["x" * 2044, 5000]),
        "cut_as_bytes": stored(k10=[b"x" * 2048, 5000]),
        "cut_bytes_too_early": stored(k10=[b"\xff" * 2047, 5000]),
        "digest_too_short": stored(k10=[b"\x07" * 31]),
        "a_float": least[:-9] + b"\xfb" + bytes(8),
        "undefined": ref.encode(Map(pairs(k10=1).items()))[:-1] + b"\xf7",
        "empty_batch": stored(k12=[0, b"\x01" * 32]),
        "batch_without_root": stored(k12=[3]),
        "no_fields": stored(k13=Map()),
        "too_many_fields": stored(k13=Map((f"f{number:02}", number) for number in range(25))),
        "field_name_too_long": stored(k13=Map([("b" * 33, 1)])),
        "field_twice": stored(k13=Map([("a", 1), ("a", 2)])),
        "field_of_a_number": stored(k13=Map([(1, 1)])),
        "text_is_no_utf8": stored(k10="abc").replace(b"cabc", b"ca\xffc"),
    }
    for expect, cases in (("ok", good), ("malformed", bad)):
        for name, data in cases.items():
            found, line = outcome(lambda data=data: ref.line(data))
            checked(name, found, expect)
            vector = {"comment": name.replace("_", " "), "kind": "event", "stored": data.hex(), "expect": expect}
            yield named(f"event_{name}", expect), vector | ({"json": line} if expect == "ok" else {})


# Notes.


def note_vectors() -> Vectors:
    """Notes and checkpoints."""
    key = [("example.com/log", PUBLIC)]
    good = ref.sign("A text.\n\nWith two paragraphs.\n", "example.com/log", SEED)
    line = good.splitlines(keepends=True)[-1]
    other = ref.sign("A text.\n\nWith two paragraphs.\n", "example.com/other", STRANGER).splitlines(keepends=True)[-1]
    cases = {
        "paragraphs": (good, "ok"),
        "cosigned": (good + other, "ok"),
        "signed_16_times": (good + line * 15, "ok"),
        "signed_64_times": (good + line * 63, "ok"),
        "signed_65_times": (good + line * 64, "malformed"),
        "another_text": (good.replace("two", "ten"), "altered"),
        "another_paragraph": ("Another.\n\n" + good, "altered"),
        "a_paragraph_less": (good.removeprefix("A text.\n\n"), "altered"),
        "by_a_stranger": (ref.sign("A text.\n", "example.com/other", STRANGER), "unsigned"),
        "by_a_namesake": (ref.sign("A text.\n", "example.com/log", STRANGER), "unsigned"),
        "one_good_one_bad": (good + line[:40] + "A" + line[41:], "altered" if line[40] != "A" else "ok"),
        "no_signature": ("A text.\n\n", "malformed"),
        "no_text": ("\n" + line, "malformed"),
        "no_blank_line": ("A text.\n" + line, "malformed"),
        "no_line_feed": (good[:-1], "malformed"),
        "blank_line_behind": (good + "\n", "malformed"),
        "hyphen": (good.replace("\u2014", "-"), "malformed"),
        "carriage_return": (good.replace("text.", "text.\r"), "malformed"),
        "nul": (good.replace("text.", "text.\0"), "malformed"),
        "name_with_plus": (good.replace("com/log", "com+log"), "malformed"),
        "name_with_space": (good.replace("com/log", "com log"), "malformed"),
        "name_with_wide_space": (good.replace("com/log", "com\u3000log"), "malformed"),
        "signature_not_padded": (good.rstrip("=\n") + "\n", "malformed"),
        "signature_of_four_bytes": ("A text.\n\n\u2014 example.com/log AAAAAA==\n", "malformed"),
        "too_long": ("A" * 65_536 + "\n" + good, "malformed"),
    }
    for name, (note, expect) in cases.items():
        found, _ = outcome(lambda note=note: ref.open_note(note.encode(), key))
        checked(name, found, expect)
        keys = [f"{known}+{ref.key_id(known, public).hex()}+{base64.b64encode(bytes([1]) + public).decode()}" for known, public in key]
        yield named(f"note_{name}", expect), {"comment": name.replace("_", " "), "kind": "note", "note": note, "keys": keys, "expect": expect}


def signed(size: int, root: bytes, seed: bytes = SEED, origin: str = ORIGIN) -> str:
    """A checkpoint."""
    return ref.sign(f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n", origin, seed)


def checkpoint_vectors() -> Vectors:
    """Checkpoints."""
    root = base64.b64encode(b"\x01" * 32).decode()
    sign = lambda text: ref.sign(text, ORIGIN, SEED)  # noqa: E731
    cases = {
        "of_nothing": (signed(0, ref.root([])), "ok"),
        "of_some": (signed(20852163, b"\x01" * 32), "ok"),
        "of_most": (signed((1 << 64) - 1, b"\x01" * 32), "ok"),
        "of_more": (signed(1 << 64, b"\x01" * 32), "malformed"),
        "by_a_namesake": (signed(7, b"\x01" * 32, STRANGER), "unsigned"),
        "with_zero": (sign(f"{ORIGIN}\n07\n{root}\n"), "malformed"),
        "with_sign": (sign(f"{ORIGIN}\n+7\n{root}\n"), "malformed"),
        "without_size": (sign(f"{ORIGIN}\n\n{root}\n"), "malformed"),
        "without_root": (sign(f"{ORIGIN}\n7\n"), "malformed"),
        "with_short_root": (sign(f"{ORIGIN}\n7\n{base64.b64encode(bytes(31)).decode()}\n"), "malformed"),
        "with_extension": (sign(f"{ORIGIN}\n7\n{root}\nmore\n"), "malformed"),
        "of_another_log": (sign(f"{ORIGIN[:-1]}8\n7\n{root}\n"), "foreign"),
        "altered": (signed(7, b"\x01" * 32).replace("\n7\n", "\n8\n"), "altered"),
    }
    for name, (note, expect) in cases.items():
        found, read = outcome(lambda note=note: ref.checkpoint(note.encode(), ORIGIN, PUBLIC))
        checked(name, found, expect)
        vector = {"comment": name.replace("_", " "), "kind": "checkpoint", "note": note, "origin": ORIGIN, "public": PUBLIC.hex(), "expect": expect}
        yield named(f"checkpoint_{name}", expect), vector | ({"size": read[0], "root": read[1].hex()} if read else {})


# Trees.


def tree_vectors() -> Vectors:
    """Trees, and proofs in them."""
    leaves = [f"leaf {number}".encode() for number in range(37)]
    hashes = [ref.leaf(data) for data in leaves]
    yield "ok_tree", {
        "comment": "all trees of up to 37 leaves",
        "kind": "tree",
        "leaves": [data.hex() for data in leaves],
        "roots": [ref.root(hashes[:size]).hex() for size in range(38)],
        "inclusion": [[part.hex() for part in ref.inclusion(index, hashes)] for index in range(37)],
        "consistency": [[part.hex() for part in ref.consistency(old, hashes)] for old in range(1, 38)],
        "expect": "ok",
    }
    root = ref.root(hashes)
    for index in (0, 12, 36):
        proof = ref.inclusion(index, hashes)
        cases = {
            "": (index, 37, proof, "ok"),
            "_elsewhere": (index ^ 1, 37, proof, "refused"),
            "_of_a_larger_tree": (index, 128, proof, "refused"),
            "_behind_the_end": (37, 37, proof, "refused"),
            "_too_short": (index, 37, proof[:-1], "refused"),
            "_too_long": (index, 37, [*proof, root], "refused"),
            "_swapped": (index, 37, proof[::-1], "refused"),
            "_empty": (index, 37, [], "refused"),
        }
        for name, (at, size, parts, expect) in cases.items():
            found = "ok" if ref.includes(hashes[index], at, size, parts, root) else "refused"
            checked(name, found, expect)
            yield named(f"inclusion_{index}{name}", expect), {
                "comment": f"leaf {index}{name.replace('_', ' ')}", "kind": "inclusion", "leaf": hashes[index].hex(), "index": at, "size": size,
                "root": root.hex(), "proof": [part.hex() for part in parts], "expect": expect,
            }  # fmt: skip
    for old in (1, 16, 25, 36):
        proof, old_root = ref.consistency(old, hashes), ref.root(hashes[:old])
        cases = {
            "": (old, 37, old_root, proof, "ok"),
            "_less": (old + 1, 37, old_root, proof, "refused"),
            "_other": (old, 37, root, proof, "refused"),
            "_smaller": (old, old - 1, old_root, proof, "refused"),
            "_too_short": (old, 37, old_root, proof[:-1], "refused"),
            "_too_long": (old, 37, old_root, [*proof, root], "refused"),
            "_empty": (old, 37, old_root, [], "refused"),
        }
        for name, (was, size, then, parts, expect) in cases.items():
            found = "ok" if ref.extends(was, then, size, root, parts) else "refused"
            checked(name, found, expect)
            yield named(f"consistency_{old}{name}", expect), {
                "comment": f"{old} leaves{name.replace('_', ' ')}", "kind": "consistency", "old": was, "size": size, "old_root": then.hex(),
                "root": root.hex(), "proof": [part.hex() for part in parts], "expect": expect,
            }  # fmt: skip
    for size in (0, 1, 255, 256, 257, 70_000):
        yield f"ok_tiles_{size}", {"comment": f"{size} events", "kind": "tiles", "size": size, "paths": ref.tiles(size), "expect": "ok"}


# Logs.


class Log:
    """A local log that is being made."""

    def __init__(self, events: int = 9, per_segment: int = 4) -> None:
        self.events = [stored(k10=f"orders/{number}") for number in range(events)]
        self.leaves = [ref.leaf(data) for data in self.events]
        self.segments: list[list[bytes]] = []
        previous = 0
        for ordinal, first in enumerate(range(0, max(events, 1), per_segment)):
            frames = [ref.header(ORIGIN, ordinal, self.leaves[:first], previous)]
            frames += [ref.frame(first + at, data) for at, data in enumerate(self.events[first : first + per_segment])]
            self.segments.append(frames)
            previous = sum(map(len, frames))
        self.checkpoint: str | None = signed(events, ref.root(self.leaves))
        self.outside: str | None = None
        self.more: dict[str, bytes] = {}

    def files(self) -> dict[str, bytes]:
        """The files of the log."""
        files = {f"segment-{ordinal:010}": b"".join(frames) for ordinal, frames in enumerate(self.segments) if frames}
        if self.checkpoint is not None:
            files["checkpoint"] = self.checkpoint.encode()
        return files | self.more


def changed(change: Callable[[Log], object], expect: str, **how: int) -> tuple[Log, str]:
    """A log that somebody has changed."""
    log = Log(**how)
    change(log)
    return log, expect


def replace(log: Log, segment: int, at: int, content: bytes) -> None:
    """Puts other frames in the place of one."""
    log.segments[segment][at] = content


def resign(log: Log, events: list[bytes], seed: bytes = SEED) -> None:
    """Signs other events, as who has the key can."""
    log.checkpoint = signed(len(events), ref.root([ref.leaf(data) for data in events]), seed)


def host_keys(log: Log) -> None:
    """Rewrites all of it, with the machine's key."""
    outside = log.checkpoint
    other = Log(9, 100)
    other.events[3] = stored(k10="orders/x")
    log.segments = [[ref.header(ORIGIN, 0, [], 0), *[ref.frame(at, data) for at, data in enumerate(other.events)]]]
    resign(log, other.events)
    log.outside = outside


def log_vectors() -> Vectors:
    """Logs, and what is done to them."""
    forged = stored(k10="orders/x")
    cases: dict[str, tuple[Log, str]] = {
        "whole": changed(lambda log: None, "ok"),
        "of_nothing": changed(lambda log: None, "ok", events=0),
        "in_one_segment": changed(lambda log: None, "ok", per_segment=100),
        "with_unsigned_events": changed(lambda log: log.segments[2].append(ref.frame(9, forged)), "ok"),
        "with_a_torn_tail": changed(lambda log: log.segments[2].append(ref.frame(9, forged)[:-3]), "ok"),
        "with_a_tail_of_zeros": changed(lambda log: log.segments[2].append(bytes(600)), "ok"),
        "with_a_leftover_segment": changed(lambda log: log.segments.append([b"\0" * 20]), "ok"),
        "with_what_was_given_up": changed(lambda log: log.segments[0].append(ref.frame(4, forged)), "ok"),
        "held_to_an_older_checkpoint": changed(lambda log: setattr(log, "outside", signed(5, ref.root(log.leaves[:5]))), "ok"),
        "held_to_itself": changed(lambda log: setattr(log, "outside", log.checkpoint), "ok"),
        "edited": changed(lambda log: replace(log, 1, 2, log.segments[1][2][:-1] + b"\x7f"), "altered"),
        "edited_with_check_sum": changed(lambda log: replace(log, 1, 2, ref.frame(5, forged)), "altered"),
        "edited_in_the_last": changed(lambda log: replace(log, 2, 1, ref.frame(8, forged)), "altered"),
        "deleted_in_the_middle": changed(lambda log: log.segments[1].pop(2), "altered"),
        "deleted_at_the_end": changed(lambda log: log.segments[2].pop(), "truncated"),
        "deleted_with_check_sums": changed(
            lambda log: log.segments.__setitem__(0, [log.segments[0][0], *[ref.frame(at, data) for at, data in enumerate(log.events[1:])]]),
            "truncated",
            per_segment=100,
        ),
        "swapped": changed(lambda log: log.segments[1].insert(1, log.segments[1].pop(2)), "altered"),
        "swapped_with_check_sums": changed(
            lambda log: (replace(log, 0, 1, ref.frame(0, log.events[1])), replace(log, 0, 2, ref.frame(1, log.events[0]))), "altered"
        ),
        "repeated": changed(lambda log: log.segments[1].insert(2, log.segments[1][1]), "altered"),
        "without_the_last_segment": changed(lambda log: log.segments.pop(), "truncated"),
        "without_a_segment": changed(lambda log: log.segments.__setitem__(1, []), "truncated"),
        "without_the_first_segment": changed(lambda log: log.segments.__setitem__(0, []), "truncated"),
        "without_any_segment": changed(lambda log: log.segments.clear(), "truncated"),
        "segments_exchanged": changed(lambda log: log.segments.insert(0, log.segments.pop(1)), "altered"),
        "first_segment_cut": changed(lambda log: replace(log, 0, 4, log.segments[0][4][:-1]), "altered"),
        "first_segment_an_event_short": changed(lambda log: log.segments[0].pop(), "truncated"),
        "last_segment_cut": changed(lambda log: replace(log, 2, 1, log.segments[2][1][:-1]), "altered"),
        "header_of_another_log": changed(lambda log: replace(log, 2, 0, ref.header(f"{ORIGIN[:-1]}8", 2, log.leaves[:8], 0)), "altered"),
        "header_of_another_place": changed(lambda log: replace(log, 2, 0, ref.header(ORIGIN, 3, log.leaves[:8], 0)), "altered"),
        "header_with_other_peaks": changed(
            lambda log: replace(log, 2, 0, ref.header(ORIGIN, 2, log.leaves[1:9], sum(map(len, log.segments[1])))), "altered"
        ),
        "header_says_less_counts": changed(
            lambda log: replace(log, 2, 0, ref.header(ORIGIN, 2, log.leaves[:8], sum(map(len, log.segments[1])) - 1)), "altered"
        ),
        "header_damaged": changed(lambda log: replace(log, 1, 0, b"\xff" + log.segments[1][0][1:]), "altered"),
        "frame_too_long": changed(lambda log: replace(log, 2, 1, b"\xff\xff\xff\xff" + log.segments[2][1][4:]), "altered"),
        "frame_empty": changed(lambda log: replace(log, 2, 1, ref.frame(8, b"")), "altered"),
        "without_checkpoint": changed(lambda log: setattr(log, "checkpoint", None), "unverifiable"),
        "with_a_forged_checkpoint": changed(lambda log: resign(log, log.events[:8], STRANGER), "altered"),
        "with_no_checkpoint_at_all": changed(lambda log: setattr(log, "checkpoint", "nothing\n"), "altered"),
        "rewritten_with_host_keys": changed(host_keys, "altered"),
        "rewritten_and_nobody_knows": changed(lambda log: (host_keys(log), setattr(log, "outside", None)), "ok"),
        "rolled_back": changed(lambda log: setattr(log, "outside", signed(12, b"\x01" * 32)), "truncated"),
        "another_past": changed(lambda log: setattr(log, "outside", signed(5, b"\x01" * 32)), "altered"),
        "gone": changed(
            lambda log: (setattr(log, "outside", log.checkpoint), setattr(log, "checkpoint", None), log.segments.clear()), "truncated"
        ),
    }
    for name, (log, expect) in cases.items():
        files = log.files()
        outside = None if log.outside is None else log.outside.encode()
        found, read = outcome(lambda files=files, outside=outside: ref.verify(files, ORIGIN, PUBLIC, outside))
        checked(name, found, expect)
        vector = {"comment": name.replace("_", " "), "kind": "log", "files": {path: data.hex() for path, data in files.items()}}
        vector |= {"origin": ORIGIN, "public": PUBLIC.hex(), "outside": log.outside, "expect": expect}
        yield named(f"log_{name}", expect), vector | ({"size": read[0], "root": read[1].hex()} if read else {})


def proof_vectors() -> Vectors:
    """Proofs to be verified offline."""
    log = Log()
    text = lambda index, parts: "\n".join(  # noqa: E731
        ["c2sp.org/tlog-proof@v1", f"index {index}", *[base64.b64encode(part).decode() for part in parts], "", log.checkpoint or ""]
    )
    good = text(3, ref.inclusion(3, log.leaves))
    cases = {
        "whole": (good, 3, "ok"),
        "with_extra": (good.replace("index", "extra AAAA\nindex"), 3, "ok"),
        "of_another_event": (good, 4, "refused"),
        "of_another_index": (text(2, ref.inclusion(3, log.leaves)), 3, "refused"),
        "too_short": (text(3, ref.inclusion(3, log.leaves)[:-1]), 3, "refused"),
        "behind_the_end": (text(9, []), 3, "refused"),
        "altered": (good.replace("\n9\n", "\n8\n"), 3, "altered"),
        "of_a_namesake": (good.replace(log.checkpoint or "", signed(9, ref.root(log.leaves), STRANGER)), 3, "unsigned"),
        "of_another_version": (good.replace("@v1", "@v2"), 3, "malformed"),
        "without_index": (good.replace("index 3\n", ""), 3, "malformed"),
        "index_with_zero": (good.replace("index 3", "index 03"), 3, "malformed"),
        "with_a_short_hash": (good.replace("index 3\n", "index 3\nAAAA\n"), 3, "malformed"),
        "without_blank_line": (good.replace("\n\n", "\n", 1).replace("\n\n", "\n"), 3, "malformed"),
        "with_bad_extra": (good.replace("index", "extra A\nindex"), 3, "malformed"),
        "with_65_hashes": (text(3, [bytes(32)] * 65), 3, "malformed"),
        "empty": ("", 3, "malformed"),
    }
    for name, (proof, index, expect) in cases.items():
        found, _ = outcome(lambda proof=proof, index=index: ref.proof(proof, log.events[index], ORIGIN, PUBLIC))
        checked(name, found, expect)
        yield named(f"proof_{name}", expect), {
            "comment": name.replace("_", " "), "kind": "proof", "proof": proof, "stored": log.events[index].hex(), "origin": ORIGIN,
            "public": PUBLIC.hex(), "expect": expect,
        }  # fmt: skip


FAMILIES = [event_vectors, note_vectors, checkpoint_vectors, tree_vectors, log_vectors, proof_vectors]
