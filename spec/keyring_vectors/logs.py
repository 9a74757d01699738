"""Scenarios of the trust log as such: who enters, records that are appended, and logs that were altered."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from keyring_vectors import reference as ref
from keyring_vectors.base import ALL_KEYS, Named, three_machines
from keyring_vectors.scene import Project, drawn, identity, sealed
from keyring_vectors.trust_log import Pin
from seal_vectors import reference as seal


def entrances() -> Named:
    """Wrong machines, wrong pins, other databases."""
    project, other = three_machines(), Project.begin("another")
    yield "hostile_stranger", project.vector("a machine that was never let in", "no_grant", machine="stranger")

    stolen = project.copy()
    machine = identity("stranger").fingerprint
    wrap = ref.decode(project.documents["wraps"][project.wrap_key("user", 1)])
    stolen.put("wraps", project.wrap_key("stranger", 1), ref.encode([*wrap[:3], machine, wrap[4]]))
    yield "hostile_stolen_wrap", stolen.vector("a stolen wrap under another name", "no_grant", machine="stranger")

    taken = project.copy()
    taken.put("wraps", project.wrap_key("user", 1), ref.encode([*wrap[:4], project_wrap(project, "second")[4]]))
    yield (
        "hostile_wrap_of_another_machine",
        taken.vector("the wrap of another machine", "no_data_key", machine="user"),
    )

    leaked = project.copy()
    leaked.wrap("stranger", 1)
    yield "hostile_leaked_key", leaked.vector("a data key, but no grant", "no_grant", machine="stranger")

    founder_out = project.copy()
    for key in [key for key in founder_out.documents["wraps"] if key.startswith(identity("founder").fingerprint)]:
        del founder_out.documents["wraps"][key]
    comment = "the founder's copy was deleted"
    yield "hostile_wrap_deleted", founder_out.vector(comment, "no_data_key")

    later = project.copy()
    later.begin_epoch("founder", "second", "user")
    for name, source, target in (("later", 2, 1), ("earlier", 1, 2)):
        moved = later.copy()
        rows = moved.documents["wraps"]
        rows[later.wrap_key("user", target)] = rows.pop(later.wrap_key("user", source))
        comment = f"the wrap of the {name} epoch in the place of the other"
        yield f"hostile_wrap_of_{name}_epoch", moved.vector(comment, "no_data_key", machine="user")

    foreign = project.copy()
    dek = drawn("a data key of the database writer")
    foreign.wrap("user", 1, dek, at=project.wrap_key("user", 1))
    comment = "a data key of the database writer where the true one was"
    yield "hostile_foreign_data_key", foreign.vector(comment, "no_data_key", machine="user")

    planted = project.copy()
    for number in range(3):
        planted.wrap("user", 1, drawn(f"planted/{number}"))
    planted.put("wraps", identity("user").fingerprint + ref.u64(1) + ref.ZERO, b"\x85 planted")
    planted.put("wraps", identity("user").fingerprint + ref.u64(1), b"")
    planted.put("wraps", b"x", b"")
    yield "ok_planted_copies", planted.vector("planted copies beside the true one", machine="user", keys=ALL_KEYS)

    own = project.copy()
    own.begin_epoch("user", author="stranger")
    comment = "a database writer wraps a data key of its own and signs the epoch"
    yield "hostile_epoch_of_database_writer", own.vector(comment, "trust_log", machine="user", position=5)

    for name, changed in wraps(project):
        altered = project.copy()
        altered.put("wraps", project.wrap_key("user", 1), changed)
        comment = f"a wrap: {name.replace('_', ' ')}"
        yield f"hostile_wrap_{name}", altered.vector(comment, "no_data_key", machine="user")

    elsewhere = project.copy()
    other.let_in("user", ref.USE)
    elsewhere.put("wraps", project.wrap_key("user", 1), project_wrap(other, "user", raw=True))
    comment = "the wrap of another project"
    yield "hostile_wrap_of_another_project", elsewhere.vector(comment, "no_data_key", machine="user")

    yield "hostile_other_project", project.vector("the pin of another project", "other_project", pin=other.pin())
    garbage = project.copy()
    garbage.put("trust_log", ref.u64(0), b"\x82 no record")
    yield "hostile_first_record_is_none", garbage.vector("the first record is none", "trust_log", position=0)
    pinned = Pin(project.project[::-1], 1, project.project[::-1])
    yield "hostile_pinned_wrong_project", project.vector("a wrong project id", "other_project", pin=pinned)
    empty = Project("empty", project=project.project)
    yield "hostile_empty", empty.vector("an empty database", "not_found", pin=project.pin())
    beheaded = project.copy()
    del beheaded.documents["trust_log"][ref.u64(0)]
    yield "hostile_log_without_0", beheaded.vector("the first record is missing", "not_found")

    later = project.copy()
    later.begin_epoch("founder", "second")
    missing = later.vector("no copy of the newest data key", "no_data_key", machine="user")
    yield "hostile_no_copy_of_new_epoch", missing


def project_wrap(project: Project, machine: str, *, raw: bool = False) -> list | bytes:
    """The wrap of a machine."""
    stored = project.documents["wraps"][project.wrap_key(machine, 1)]
    return stored if raw else ref.decode(stored)


def wraps(project: Project) -> Iterator[tuple[str, bytes]]:
    """The wrap of the user, altered."""
    wrap = project_wrap(project, "user")
    enc, ciphertext = wrap[4][:1120], wrap[4][1120:]
    yield "of_another_kind", ref.encode([1, "other", *wrap[2:]])
    yield "of_another_version", ref.encode([2, *wrap[1:]])
    yield "that_names_another_epoch", ref.encode([*wrap[:2], 2, *wrap[3:]])
    yield "that_names_another_machine", ref.encode([*wrap[:3], identity("second").fingerprint, wrap[4]])
    yield "cut", ref.encode(wrap)[:-1]
    yield "extended", ref.encode(wrap) + b"\0"
    yield "with_another_item", ref.encode([*wrap, 0])
    yield "with_short_ciphertext", ref.encode([*wrap[:4], wrap[4][:-1]])
    yield "with_altered_enc", ref.encode([*wrap[:4], bytes([enc[0] ^ 1]) + enc[1:] + ciphertext])
    yield "with_altered_end_of_enc", ref.encode([*wrap[:4], enc[:-1] + bytes([enc[-1] ^ 1]) + ciphertext])
    yield "with_weak_end_of_enc", ref.encode([*wrap[:4], enc[:1088] + ref.ZERO + ciphertext])
    yield "with_altered_ciphertext", ref.encode([*wrap[:4], enc + bytes([ciphertext[0] ^ 1]) + ciphertext[1:]])
    yield "empty", b""


def appended() -> Named:
    """A sixth record that must be refused."""
    base = three_machines()
    first = base.epochs[0]
    other = Project.begin("another")
    other.let_in("second", ref.AUTHORISE)

    def grant(**changed: object) -> Callable[[Project], bytes]:
        content = base.grant_content("newcomer", "stranger", ref.USE)
        return lambda project: project.record(ref.GRANT, content, **changed)

    def epoch(number: int, previous: bytes, author: str = "founder") -> Callable[[Project], bytes]:
        return lambda project: project.record(ref.EPOCH, project.epoch_content(number, previous), author)

    good = grant()(base)
    body, signature = ref.decode(good)
    for name, stored in {
        "unknown_author": grant(author="stranger")(base),
        "forged_signature": grant(signer="stranger")(base),
        "use_only_author": grant(author="user")(base),
        "use_only_author_of_epoch": epoch(2, first, "user")(base),
        "unknown_author_of_epoch": epoch(2, first, "stranger")(base),
        "other_position": grant(position=6)(base),
        "earlier_position": grant(position=4)(base),
        "other_previous": grant(previous=first)(base),
        "other_project": grant(project=other.project)(base),
        "newer_version": grant(version=2)(base),
        "unknown_kind": base.record(9, base.grant_content("newcomer", "stranger", ref.USE)),
        "kind_zero": base.record(0, base.grant_content("newcomer", "stranger", ref.USE)),
        "content_of_another_kind": base.record(ref.EPOCH, base.grant_content("newcomer", "stranger", ref.USE)),
        "not_reduced": base.record(ref.GRANT, unreduced(base.grant_content("newcomer", "stranger", ref.USE))),
        "keys_of_two_machines": base.record(ref.GRANT, mixed(base)),
        "nested": ref.encode([b"\x81" * 2048, bytes(64)]),
        "second_root": base.record(ref.ROOT, [*base.grant_content("x", "founder", 2)[1:3], drawn("x")]),
        "replayed": base.log[3],
        "from_another_project": other.log[3],
        "machine_twice": base.record(ref.GRANT, base.grant_content("again", "user", ref.USE)),
        "name_twice": base.record(ref.GRANT, base.grant_content("user", "stranger", ref.USE)),
        "bad_machine_name": base.record(ref.GRANT, ["a/b", *base.grant_content("x", "stranger", 1)[1:]]),
        "unknown_epoch": base.record(ref.GRANT, [*base.grant_content("x", "stranger", 1)[:3], 2, b""]),
        "epoch_repeated": epoch(1, first)(base),
        "epoch_skipped": epoch(3, first)(base),
        "epoch_without_previous": epoch(2, ref.ZERO)(base),
        "epoch_of_other_previous": epoch(2, base.head)(base),
        "cut": good[:-1],
        "extended": good + b"\0",
        "three_items": b"\x83" + good[1:] + b"\0",
        "long_form_length": b"\x98\x02" + good[1:],
        "long_form_in_body": resigned(body[:1] + b"\x18\x01" + body[2:]),
        "short_signature": ref.encode([body, signature[:63]]),
        "other_signature": ref.encode([body, ref.decode(base.log[4])[1]]),
        "too_long": ref.encode([body + bytes(4096), signature]),
        "empty": b"",
    }.items():
        project = base.copy()
        project.put_record(stored)
        comment = f"a sixth record: {name.replace('_', ' ')}"
        yield f"hostile_record_{name}", project.vector(comment, "trust_log", position=5)

    for name, suite, log2 in (("chacha", 2, 16), ("readable", 3, 16), ("small_chunks", 1, 12)):
        project = base.copy()
        content = project.grant_content("newcomer", "stranger", ref.AUTHORISE)
        context = ref.capability_context(project.project, identity("stranger").fingerprint)
        key = ref.capability_key(project.deks[0])
        flag = sealed(key, seal.Suite(suite), context, bytes([0, 0, 0, 2]), f"capability/{name}", log2)
        project.put_record(project.record(ref.GRANT, [*content[:4], flag]))
        project.wrap("stranger", 1)
        comment = f"a capability that is sealed otherwise: {name}"
        yield f"hostile_capability_{name}", project.vector(comment, "trust_log", machine="stranger", position=5)

    for name, capability in (("zero", 0), ("four", 4), ("huge", 0xFFFFFFFF)):
        project = base.copy()
        project.let_in("stranger", capability)
        comment = f"a capability that there is not: {name}"
        yield f"hostile_capability_{name}", project.vector(comment, "trust_log", machine="stranger", position=5)

    copied = base.copy()
    copied.put_record(base.record(ref.GRANT, base.grant_content("newcomer", "stranger", 2, subject="second")))
    copied.wrap("stranger", 1)
    comment = "the capability of another machine"
    yield "hostile_record_capability_copied", copied.vector(comment, "trust_log", machine="stranger", position=5)
    copied.put_record(copied.grant("accomplice", "recovery", ref.USE, author="stranger"))
    comment = "a grant by a machine whose capability was copied"
    yield "hostile_record_by_copied_capability", copied.vector(comment, "trust_log", position=5)


def unreduced(content: list) -> list:
    """What a grant says, with an ML-KEM key that has a coefficient above the prime."""
    return [content[0], b"\x01\x0d" + content[1][2:], *content[2:]]


def mixed(project: Project) -> list:
    """What a grant says that takes one key from one machine and one from another, with the capability of the first."""
    content = project.grant_content("newcomer", "user", ref.AUTHORISE)
    return [*content[:2], identity("user").signing_public, *content[3:]]


def resigned(body: bytes) -> bytes:
    """A record with any body, signed by the founder."""
    return ref.encode([body, identity("founder").sign(ref.signed_bytes(body))])


def logs() -> Named:
    """Logs with records that are missing, swapped, altered, or that begin otherwise."""
    base = three_machines()
    for position in range(1, 5):
        project = base.copy()
        del project.documents["trust_log"][ref.u64(position)]
        expect = {"expect": "trust_log", "position": position}
        if position == 4:
            expect = {"expect": "rollback", "pin": base.pin(5)}
        yield f"hostile_log_without_{position}", project.vector(f"record {position} is missing", **expect)
    for position in (1, 3):
        project = base.copy()
        rows = project.documents["trust_log"]
        one, next_one = ref.u64(position), ref.u64(position + 1)
        rows[one], rows[next_one] = rows[next_one], rows[one]
        comment = f"records {position} and {position + 1} are swapped"
        yield f"hostile_log_swapped_{position}", project.vector(comment, "trust_log", position=position)
    for position in range(1, 5):
        project = base.copy()
        stored = bytearray(project.log[position])
        stored[-1] ^= 1
        project.put("trust_log", ref.u64(position), bytes(stored))
        comment = f"a bit of the signature of record {position} is flipped"
        yield f"hostile_log_flipped_{position}", project.vector(comment, "trust_log", position=position)
    project = base.copy()
    project.put("trust_log", b"no position", b"")
    yield "hostile_log_foreign_document", project.vector("a document that is no record", "trust_log", position=5)
    for length in (1, 2):
        project = base.copy()
        for position in range(length, 5):
            del project.documents["trust_log"][ref.u64(position)]
        comment = f"a project of {length} records"
        yield f"hostile_log_unfinished_{length}", project.vector(comment, "trust_log", position=length)
    yield from beginnings()


def beginnings() -> Named:
    """Projects that begin otherwise than projects do."""

    def begun(length: int) -> Project:
        project = Project.begin()
        kept = project.log[:length]
        project.documents["trust_log"] = {ref.u64(at): stored for at, stored in enumerate(kept)}
        project.log = kept
        return project

    project = begun(1)
    project.put_record(project.grant("second", "second", ref.AUTHORISE))
    comment = "the first grant is not for the founder"
    yield "hostile_begin_grant_for_another", project.vector(comment, "trust_log", position=1)
    project = begun(1)
    project.put_record(project.record(ref.EPOCH, project.epoch_content(1, ref.ZERO)))
    yield "hostile_begin_epoch_first", project.vector("an epoch before any grant", "trust_log", position=1)
    project = begun(2)
    project.put_record(project.grant("second", "second", ref.AUTHORISE))
    yield "hostile_begin_two_grants", project.vector("a grant before any epoch", "trust_log", position=2)
    project = begun(1)
    project.put_record(project.grant("founder", "founder", ref.USE))
    project.put_record(project.record(ref.EPOCH, project.epoch_content(1, ref.ZERO)))
    yield "hostile_begin_use_only", project.vector("a founder who may only use", "trust_log", position=2)


FAMILIES = (entrances, appended, logs)
