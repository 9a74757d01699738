"""Scenarios of named keys: rows that were altered, moved or put back, and keys of older epochs."""

from __future__ import annotations

from keyring_vectors import reference as ref
from keyring_vectors.base import ALL_KEYS, KEYS, Named, three_machines
from keyring_vectors.scene import Project, drawn, version_key


def keys() -> Named:
    """Keys, versions and entries that were altered or moved; the project opens, and so do the other keys."""
    base = three_machines()
    base.put_value("shop/orders", 3, 1)
    name = "shop/orders"
    newest = version_key(name, 3)
    row = ref.decode(base.documents["key_versions"][newest])
    older = ref.decode(base.documents["key_versions"][version_key(name, 2)])

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
    raised = description[2].replace(b"\x8a\x01\x01\x01", b"\x8a\x01\x01\x02", 1)
    assert raised != description[2], "the use case is where it is looked for"
    for what, (collection, key, value, key_code, value_code) in {
        "key_of_another_name": ("keys", name.encode(), rows[b"letters"], "corrupt", "corrupt"),
        "key_altered": ("keys", name.encode(), ref.encode([*description[:2], raised]), "corrupt", "corrupt"),
        "key_of_unknown_epoch": (
            "keys",
            name.encode(),
            ref.encode([1, 2, description[2]]),
            "no_data_key",
            "no_data_key",
        ),
        "key_cut": ("keys", name.encode(), rows[name.encode()][:-1], "corrupt", "corrupt"),
        "key_missing": ("keys", name.encode(), None, "not_found", "not_found"),
        "version_missing": ("key_versions", newest, None, "corrupt", "corrupt"),
        "version_of_another_number": ("key_versions", newest, ref.encode(older), "corrupt", "corrupt"),
        "version_renumbered": ("key_versions", newest, ref.encode([1, 3, *older[2:]]), "corrupt", "corrupt"),
        "version_other_id": ("key_versions", newest, version(2, older[2]), "corrupt", "corrupt"),
        "version_other_algorithm": ("key_versions", newest, version(3, 3), "corrupt", "corrupt"),
        "version_of_no_algorithm": ("key_versions", newest, version(3, 9), "corrupt", "corrupt"),
        "version_other_origin": ("key_versions", newest, version(4, 2), "corrupt", "corrupt"),
        "version_of_no_origin": ("key_versions", newest, version(4, 0), "corrupt", "corrupt"),
        "version_never_exported": ("key_versions", newest, version(5, 1), "corrupt", "corrupt"),
        "version_never_and_more": ("key_versions", newest, version(5, 2), "corrupt", "corrupt"),
        "version_back_dated": ("key_versions", newest, version(6, 0), "corrupt", "corrupt"),
        "version_of_unknown_epoch": ("key_versions", newest, version(8, 2), "no_data_key", "no_data_key"),
        "version_of_epoch_0": ("key_versions", newest, version(8, 0), "no_data_key", "no_data_key"),
        "version_born_never": ("key_versions", newest, version(7, 0), "corrupt", "corrupt"),
        "version_born_above_epoch": ("key_versions", newest, version(7, 2), "corrupt", "corrupt"),
        "version_born_text": ("key_versions", newest, version(7, "one"), "corrupt", "corrupt"),
        "version_without_birth": ("key_versions", newest, ref.encode([*row[:7], *row[8:]]), "corrupt", "corrupt"),
        "version_other_material": ("key_versions", newest, version(9, older[9]), "corrupt", "corrupt"),
        "version_without_material": ("key_versions", newest, version(9, b""), "corrupt", "corrupt"),
        "version_of_the_future": ("key_versions", newest, version(0, 2), "corrupt", "corrupt"),
        "version_too_long": ("key_versions", newest, version(9, bytes(4096)), "corrupt", "corrupt"),
        "version_extended": ("key_versions", newest, ref.encode(row) + b"\0", "corrupt", "corrupt"),
        "key_empty": ("keys", name.encode(), b"", "corrupt", "corrupt"),
        "key_of_the_future": ("keys", name.encode(), ref.encode([2, *description[1:]]), "corrupt", "corrupt"),
        "key_too_long": ("keys", name.encode(), ref.encode([1, 1, bytes(16_384)]), "corrupt", "corrupt"),
        "entry_of_number_0": ("key_ids", row[2], ref.encode([1, name, 0]), "ok", "unknown_version"),
        "entry_of_a_number_beyond": ("key_ids", row[2], ref.encode([1, name, 4]), "ok", "unknown_version"),
        "entry_of_the_future": ("key_ids", row[2], ref.encode([2, name, 3]), "ok", "corrupt"),
        "entry_extended": ("key_ids", row[2], ref.encode([1, name, 3]) + b"\0", "ok", "corrupt"),
        "entry_of_an_absent_key": ("key_ids", row[2], ref.encode([1, "absent", 3]), "ok", "corrupt"),
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
    other_id = project.key_version(name, newest - 1).id
    project.put_description(name, project.description(name, algorithm, newest, newest_id=other_id))
    comment = "keys: a description with the number of one version and the id of another"
    yield "hostile_key_of_another_id", project.vector(comment, keys=ALL_KEYS | {name: "corrupt"})

    project = base.copy()
    lost = drawn("lost/id", 8), drawn("lost/material")
    row = ref.decode(project.documents["key_versions"][version_key(name, newest)])
    project.put_version(name, [1, newest, lost[0], *row[3:9]], lost[1])
    project.put("key_ids", lost[0], ref.encode([1, name, newest]))
    comment = "keys: another version of the same number, as after an older copy was restored"
    yield "hostile_version_of_another_history", project.vector(comment, keys=ALL_KEYS | {name: "corrupt"})

    later = base.copy()
    later.begin_epoch("founder")
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


FAMILIES = (keys, newest_versions)
