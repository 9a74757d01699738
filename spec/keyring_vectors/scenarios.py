"""The scenarios: good ones, attacks on the log, and attacks on keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from keyring_vectors import reference as ref
from keyring_vectors.scene import Project, drawn, identity

Named = Iterator[tuple[str, dict]]


def three_machines() -> Project:
    """Founder and second may authorise, user may not; two keys, one of them rotated twice."""
    project = Project.begin()
    project.let_in("second", ref.AUTHORISE)
    project.let_in("user", ref.USE, author="second")
    for name, algorithm, newest in KEYS:
        project.put_key(name, algorithm, newest)
    return project


KEYS = (("shop/orders", 1, 3), ("letters", 2, 1), ("index", 3, 1))
ALL_KEYS = {"index": "ok", "letters": "ok", "shop/orders": "ok"}


def good() -> Named:
    """What must be accepted."""
    project = three_machines()
    for number in (1, 2, 3):
        project.put_value("shop/orders", number, 1)
    project.put_value("letters", 1, 2)
    project.put_value("index", 1, 3)
    for machine in ("founder", "second", "user"):
        yield f"ok_{machine}", project.vector(f"{machine} opens the project", machine=machine, keys=ALL_KEYS)
    pinned = project.vector("the whole log is pinned", pin=project.pin(5), keys=ALL_KEYS)
    yield "ok_pinned", pinned
    yield "ok_no_keys", Project.begin().vector("a project without keys")
    later = project.copy()
    later.begin_epoch()
    for machine in ("founder", "second", "user"):
        later.wrap(machine, 2)
    later.let_in("recovery", ref.RECOVERY)
    for name, algorithm, newest in KEYS:
        later.put_key(name, algorithm, newest + 1, made=newest)
        later.put_value(name, newest + 1, algorithm, row=2)
    comment = "a second epoch, a grant under it, and keys that were described anew and rotated"
    yield "ok_second_epoch", later.vector(comment, machine="recovery", keys=ALL_KEYS)


def values() -> Named:
    """Sealed values that must not open, in a project that does."""
    project = three_machines()
    project.put_value("shop/orders", 2, 1)
    value = project.values[0]
    value.pop("message")
    context = value["context_cbor"]
    for name, changed, expect in (
        ("wrong_context", {"context_cbor": context[:-2] + "02", "map": {"row": 2}}, "cannot_open"),
        ("other_key", {"key": "letters"}, "unknown_version"),
        ("damaged", {"sealed": value["sealed"][:-2] + "00"}, "damaged"),
        ("unknown_version", {"sealed": value["sealed"][:16] + "00" * 8 + value["sealed"][32:]}, "unknown_version"),
    ):
        scene = project.copy()
        rows = changed.pop("map", None)
        scene.values[0] |= changed | {"expect": expect}
        if rows:
            scene.values[0]["context"] = value["context"] | {"map": rows}
        yield f"hostile_value_{name}", scene.vector(f"a value: {name.replace('_', ' ')}", keys=ALL_KEYS)


def entrances() -> Named:
    """Wrong machines, wrong pins, other databases."""
    project, other = three_machines(), Project.begin("another")
    yield "hostile_stranger", project.vector("a machine that was never let in", "no_grant", machine="stranger")

    stolen = project.copy()
    machine = identity("stranger").fingerprint
    wrap = ref.decode(project.documents["wraps"][identity("user").fingerprint + ref.u64(1)])
    stolen.put("wraps", machine + ref.u64(1), ref.encode([*wrap[:3], machine, wrap[4]]))
    yield "hostile_stolen_wrap", stolen.vector("a stolen wrap under another name", "no_data_key", machine="stranger")

    leaked = project.copy()
    leaked.wrap("stranger", 1)
    yield "hostile_leaked_key", leaked.vector("a data key, but no grant", "no_grant", machine="stranger")

    moved = project.copy()
    moved.wrap("user", 2, project.deks[0])
    del moved.documents["wraps"][identity("user").fingerprint + ref.u64(1)]
    rows = moved.documents["wraps"]
    rows[identity("user").fingerprint + ref.u64(1)] = rows.pop(identity("user").fingerprint + ref.u64(2))
    yield "hostile_wrap_of_another_epoch", moved.vector("a wrap under another epoch", "no_data_key", machine="user")

    foreign = project.copy()
    foreign.wrap("user", 1, drawn("a data key of the database writer"))
    comment = "a data key that the database writer has wrapped"
    yield "hostile_foreign_data_key", foreign.vector(comment, "trust_log", machine="user", position=2)

    yield "hostile_other_project", project.vector("the pin of another project", "other_project", pin=other.pin())
    empty = Project("empty", project=project.project)
    yield "hostile_empty", empty.vector("an empty database", "not_found", pin=project.pin())

    later = project.copy()
    later.begin_epoch()
    missing = later.vector("no copy of the newest data key", "no_data_key", machine="user")
    yield "hostile_no_copy_of_new_epoch", missing
    back = project.vector("an older log than was pinned", "rollback", pin=later.pin(6))
    yield "hostile_rolled_back", back
    forked = project.copy()
    forked.let_in("recovery", ref.RECOVERY)
    yield "hostile_forked", forked.vector("another record than was pinned", "rollback", pin=later.pin(6))


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

    copied = base.copy()
    copied.put_record(base.record(ref.GRANT, base.grant_content("newcomer", "stranger", 2, subject="second")))
    copied.wrap("stranger", 1)
    comment = "the capability of another machine"
    yield "hostile_record_capability_copied", copied.vector(comment, "trust_log", machine="stranger", position=5)
    copied.put_record(copied.grant("accomplice", "recovery", ref.USE, author="stranger"))
    comment = "a grant by a machine whose capability was copied"
    yield "hostile_record_by_copied_capability", copied.vector(comment, "trust_log", position=5)


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


def keys() -> Named:
    """Keys, versions and entries that were altered or moved; the project opens, and so do the other keys."""
    base = three_machines()
    base.put_value("shop/orders", 3, 1)
    name = "shop/orders"
    newest = name.encode() + b"\0" + ref.u64(3)
    row = ref.decode(base.documents["key_versions"][newest])
    older = ref.decode(base.documents["key_versions"][name.encode() + b"\0" + ref.u64(2)])

    def altered(collection: str, key: bytes, value: bytes | None) -> Project:
        project = base.copy()
        if value is None:
            del project.documents[collection][key]
        else:
            project.put(collection, key, value)
        return project

    def version(at: int, value: object) -> bytes:
        return ref.encode([*row[:at], value, *row[at + 1 :]])

    rows = base.documents["keys"]
    description = ref.decode(rows[name.encode()])
    raised = description[2].replace(b"\x88\x01\x01\x01", b"\x88\x01\x01\x02", 1)
    assert raised != description[2], "the use case is where it is looked for"
    for what, (collection, key, value, key_code, value_code) in {
        "key_of_another_name": ("keys", name.encode(), rows[b"letters"], "corrupt", "ok"),
        "key_altered": ("keys", name.encode(), ref.encode([*description[:2], raised]), "corrupt", "ok"),
        "key_of_unknown_epoch": ("keys", name.encode(), ref.encode([1, 2, description[2]]), "no_data_key", "ok"),
        "key_cut": ("keys", name.encode(), rows[name.encode()][:-1], "corrupt", "ok"),
        "key_missing": ("keys", name.encode(), None, "not_found", "ok"),
        "version_missing": ("key_versions", newest, None, "corrupt", "corrupt"),
        "version_of_another_number": ("key_versions", newest, ref.encode(older), "corrupt", "corrupt"),
        "version_renumbered": ("key_versions", newest, ref.encode([1, 3, *older[2:]]), "corrupt", "corrupt"),
        "version_other_id": ("key_versions", newest, version(2, older[2]), "corrupt", "corrupt"),
        "version_other_state": ("key_versions", newest, version(3, 2), "corrupt", "corrupt"),
        "version_other_algorithm": ("key_versions", newest, version(4, 3), "corrupt", "corrupt"),
        "version_back_dated": ("key_versions", newest, version(5, 0), "corrupt", "corrupt"),
        "version_of_unknown_epoch": ("key_versions", newest, version(6, 2), "no_data_key", "no_data_key"),
        "version_other_material": ("key_versions", newest, version(7, older[7]), "corrupt", "corrupt"),
        "version_extended": ("key_versions", newest, ref.encode(row) + b"\0", "corrupt", "corrupt"),
        "entry_missing": ("key_ids", row[2], None, "ok", "unknown_version"),
        "entry_of_another_version": ("key_ids", row[2], ref.encode([1, name, 2]), "ok", "corrupt"),
        "entry_of_another_key": ("key_ids", row[2], ref.encode([1, "letters", 1]), "ok", "corrupt"),
        "entry_of_a_bad_name": ("key_ids", row[2], ref.encode([1, "../x", 1]), "ok", "corrupt"),
    }.items():
        project = altered(collection, key, value)
        if value_code != "ok":
            project.values[0].pop("message")
        project.values[0]["expect"] = value_code
        expected = ALL_KEYS | {name: key_code}
        yield f"hostile_{what}", project.vector(f"keys: {what.replace('_', ' ')}", keys=expected)


def newest_versions() -> Named:
    """Authentic descriptions whose newest version is another than they say, or that are of an older epoch."""
    base = three_machines()
    base.put_value("shop/orders", 2, 1)
    name, algorithm, newest = KEYS[0]

    project = base.copy()
    body = project.description(name, algorithm, newest)
    project.put_description(name, [*body[:6], project.key_version(name, newest - 1).id, {}])
    comment = "keys: a description with the number of one version and the id of another"
    yield "hostile_key_of_another_id", project.vector(comment, keys=ALL_KEYS | {name: "corrupt"})

    project = base.copy()
    lost = drawn("lost/id", 8), drawn("lost/material")
    row = ref.decode(project.documents["key_versions"][name.encode() + b"\0" + ref.u64(newest)])
    project.put_version(name, [1, newest, lost[0], *row[3:7]], lost[1])
    project.put("key_ids", lost[0], ref.encode([1, name, newest]))
    comment = "keys: another version of the same number, as after an older copy was restored"
    yield "hostile_version_of_another_history", project.vector(comment, keys=ALL_KEYS | {name: "corrupt"})

    later = base.copy()
    later.begin_epoch()
    later.wrap("founder", 2)
    stale = dict.fromkeys(ALL_KEYS, "old_epoch")
    comment = "keys: a second epoch, and keys that a holder of the first data key may have written"
    yield "hostile_key_of_older_epoch", later.vector(comment, keys=stale)

    project = later.copy()
    project.put_description(name, project.description(name, algorithm, newest))
    comment = "keys: a key of the second epoch, its newest version of the first"
    yield "hostile_version_of_older_epoch", project.vector(comment, keys=stale)

    project = later.copy()
    project.put_key(name, algorithm, newest + 1, made=newest)
    project.put_description(name, project.description(name, algorithm, newest), epoch=1)
    comment = "keys: an older description, put back after the epoch changed and the key was rotated"
    yield "hostile_key_put_back_to_older_epoch", project.vector(comment, keys=stale)


FAMILIES = (good, values, entrances, appended, logs, keys, newest_versions)
