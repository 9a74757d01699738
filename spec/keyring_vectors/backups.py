"""Scenarios of backups of one key."""

from __future__ import annotations

from keyring_vectors import key_backups, named_keys
from keyring_vectors import reference as ref
from keyring_vectors.base import Named
from keyring_vectors.scene import TIME, Project, drawn, sealed
from seal_vectors import reference as seal

NAME, NEWEST = "letters", 3


def with_key(newest: int = NEWEST) -> Project:
    """A project of one machine with one key."""
    project = Project.begin("kept")
    project.put_key(NAME, named_keys.AES256_GCM, newest)
    return project


def without_key(project: Project) -> Project:
    """The same without the key."""
    lost = project.copy()
    for collection in ("keys", "key_versions", "key_ids"):
        del lost.documents[collection]
    return lost


def items(project: Project, newest: int = NEWEST) -> list[list]:
    """The versions, as a backup lists them."""
    listed = []
    for number in range(1, newest + 1):
        key = project.key_version(NAME, number)
        listed.append([number, key.id, named_keys.AES256_GCM, 1, 0, TIME + number, 1, key.material])
    return listed


def backup(
    project: Project,
    message: bytes,
    *,
    epoch: int = 1,
    suite: seal.Suite = seal.Suite.AES256_GCM,
    bound: bytes | None = None,
) -> bytes:
    """A backup with any message."""
    key = ref.wrapping_key(project.deks[epoch - 1])
    content = sealed(key, suite, bound or key_backups.context(project.project), message, f"backup/{len(message)}")
    return ref.encode([1, epoch, content])


def message(project: Project, listed: list | None = None, *, name: object = NAME, said: bytes | None = None) -> bytes:
    """What a backup says."""
    body = said or ref.encode(project.description(NAME, named_keys.AES256_GCM, NEWEST))
    return ref.encode([1, name, body, items(project) if listed is None else listed])


def good() -> Named:
    """Backups that are taken."""
    project = with_key()
    whole = backup(project, message(project))
    for name, comment, target, written in (
        ("ok_backup_of_lost_key", "of a key that is gone", without_key(project), 3),
        ("ok_backup_of_whole_key", "of a key that is there", project.copy(), 0),
    ):
        target.ask("restore", NAME, backup=whole.hex(), result=written)
        yield name, target.vector(f"a backup {comment}")
    lost = with_key()
    del lost.documents["key_versions"][NAME.encode() + b"\0" + ref.u64(2)]
    lost.ask("restore", NAME, backup=whole.hex(), result=1)
    lost.put_value(NAME, 2, 1, expect="corrupt")
    yield "ok_backup_of_lost_version", lost.vector("a backup of a key that lost a version")
    later = without_key(with_key())
    later.begin_epoch("founder")
    later.ask("restore", NAME, backup=whole.hex(), result=3)
    later.ask("newest", NAME, result=3)
    later.ask("seal", NAME, "old_epoch", number=3)
    yield "ok_backup_of_older_epoch", later.vector("a backup of an older epoch: its versions keep when they were born")
    mixed = without_key(with_key())
    mixed.begin_epoch("founder")
    for name, comment, born, code in (
        ("all", "the older epoch", 1, "old_epoch"),
        ("newest", "its own epoch", 2, "ok"),
    ):
        listed = items(mixed)
        listed[-1][6] = born
        kept = mixed.copy()
        kept.ask("restore", NAME, backup=backup(mixed, message(mixed, listed), epoch=2).hex(), result=3)
        kept.ask("seal", NAME, code, number=3)
        yield f"ok_backup_born_{name}", kept.vector(f"a backup whose newest version was born in {comment}")
    settings = {named_keys.DESTROYED: [[2, 2]]}
    said = ref.encode(project.description(NAME, named_keys.AES256_GCM, NEWEST, settings=settings))
    thinned = without_key(project)
    listed = items(project)
    del listed[1]
    thinned.ask("restore", NAME, backup=backup(project, message(project, listed, said=said)).hex(), result=2)
    yield "ok_backup_without_destroyed", thinned.vector("a backup of a key with a version that was destroyed")
    for name, comment, end, kept, taken in (
        ("ok_backup_with_ending", "waits for its end, and is there", TIME, items(project), True),
        ("hostile_backup_without_ending", "waits for its end, and is not there", TIME, listed, False),
        ("ok_backup_without_ended", "is being destroyed, and is not there", 0, listed, True),
        ("hostile_backup_with_ended", "is being destroyed, and is there", 0, items(project), False),
    ):
        settings = {named_keys.DESTROYING: [[2, end]]}
        said = ref.encode(project.description(NAME, named_keys.AES256_GCM, NEWEST, settings=settings))
        ending = without_key(project)
        stored = backup(project, message(project, kept, said=said)).hex()
        if taken:
            ending.ask("restore", NAME, backup=stored, result=len(kept))
        else:
            ending.ask("restore", NAME, "bad_backup", backup=stored)
        yield name, ending.vector(f"a backup of a key with a version that {comment}")


def bad() -> Named:
    """Backups that are refused."""
    project = with_key()
    whole = backup(project, message(project))
    listed = items(project)
    elsewhere = Project.begin("elsewhere")
    elsewhere.put_key(NAME, named_keys.AES256_GCM, NEWEST)
    described = project.description(NAME, named_keys.AES256_GCM, NEWEST)
    unborn = [[*row[:6], row[7]] for row in listed]

    def changed(at: int, to: object, number: int = 2) -> bytes:
        row = listed[number - 1]
        return backup(
            project, message(project, [*listed[: number - 1], [*row[:at], to, *row[at + 1 :]], *listed[number:]])
        )

    for name, comment, stored in (
        ("of_another_project", "of another project", backup(elsewhere, message(elsewhere))),
        (
            "bound_to_another_project",
            "bound to another project",
            backup(project, message(project), bound=key_backups.context(bytes(32))),
        ),
        (
            "bound_as_a_key",
            "bound as the description of a key",
            backup(project, message(project), bound=ref.key_context(project.project, NAME)),
        ),
        ("altered", "altered", whole[:-1] + bytes([whole[-1] ^ 1])),
        ("cut", "without its end", whole[:-1]),
        ("extended", "with a byte behind its end", whole + b"\0"),
        ("empty", "of nothing", b""),
        ("future", "of the future", b"\x83\x02" + whole[2:]),
        ("no_message", "that says nothing", backup(project, b"")),
        ("message_extended", "with a byte behind its message", backup(project, message(project) + b"\0")),
        ("message_future", "with a message of the future", backup(project, b"\x84\x02" + message(project)[2:])),
        ("bad_name", "of a name that no key has", backup(project, message(project, name="a//b"))),
        ("name_bytes", "of a name of bytes", backup(project, message(project, name=NAME.encode()))),
        ("description_empty", "without a description", backup(project, message(project, said=b"\x80"))),
        (
            "description_cut",
            "with a description without its end",
            backup(project, message(project, said=ref.encode(described)[:-1])),
        ),
        ("description_of_one_more", "that lacks the newest version", backup(project, message(project, listed[:-1]))),
        ("no_versions", "without versions", backup(project, message(project, []))),
        ("gap", "that lacks a version", backup(project, message(project, [listed[0], listed[2]]))),
        (
            "order",
            "with versions in another order",
            backup(project, message(project, [listed[1], listed[0], listed[2]])),
        ),
        ("twice", "with a version twice", backup(project, message(project, [listed[0], *listed]))),
        (
            "one_more",
            "with a version beyond the newest",
            backup(project, message(project, [*listed, [4, drawn("four", 8), 1, 1, 0, TIME, 1, drawn("4")]])),
        ),
        ("newest_id", "whose newest version has another id", changed(1, drawn("other", 8), 3)),
        ("algorithm", "with a version of another algorithm", changed(2, 2)),
        ("origin", "with an origin that there is not", changed(3, 3)),
        ("other_origin", "with a version from outside in a generated key", changed(3, 2)),
        ("never", "with a flag that is 2", changed(4, 2)),
        ("born_never", "with a version that was born in epoch 0", changed(6, 0)),
        ("born_above_epoch", "with a version that was born behind it", changed(6, 2)),
        ("born_text", "with a birth in words", changed(6, "one")),
        ("without_birth", "with versions that were never born", backup(project, message(project, unborn))),
        ("material_short", "with material that is too short", changed(7, bytes(15))),
        ("material_long", "with material that is too long", changed(7, bytes(1025))),
        ("material_text", "with material that is a text", changed(7, "secret")),
        ("item", "with a version that is none", backup(project, message(project, [1, 2, 3]))),
    ):
        target = without_key(project)
        target.ask("restore", NAME, "bad_backup", backup=stored.hex())
        yield f"hostile_backup_{name}", target.vector(f"a backup {comment}")
    said = ref.encode(
        project.description(NAME, named_keys.AES256_GCM, NEWEST, settings={named_keys.DESTROYED: [[2, 2]]})
    )
    revived = without_key(project)
    revived.ask("restore", NAME, "bad_backup", backup=backup(project, message(project, said=said)).hex())
    yield "hostile_backup_of_destroyed", revived.vector("a backup with a version that was destroyed")
    forked = with_key()
    other = drawn("another version", 8)
    forked.put_version(NAME, [1, 2, other, 1, 1, 0, TIME + 2, 1, 1], drawn("another material"))
    forked.put("key_ids", other, ref.encode([1, NAME, 2]))
    forked.ask("restore", NAME, "rollback", backup=whole.hex())
    yield "hostile_backup_of_another_history", forked.vector("a backup of a key that has another version of a number")
    deleted = with_key()
    deleted.put_description(NAME, project.description(NAME, 1, NEWEST, settings={named_keys.DELETING: TIME + 9}))
    deleted.ask("restore", NAME, "key_deleted", backup=whole.hex())
    yield "hostile_backup_of_key_deleted", deleted.vector("a backup of a key that waits for its end")
    later = without_key(project)
    later.begin_epoch("founder")
    late = [[*row[:6], 2, row[7]] for row in listed]
    above = later.copy()
    above.ask("restore", NAME, "bad_backup", backup=backup(later, message(later, late)).hex())
    comment = "a backup of the epoch before with versions that say to be born in the current one"
    yield "hostile_backup_born_in_current_epoch", above.vector(comment)
    stored = backup(later, message(later), epoch=2)
    blind = without_key(project)
    blind.ask("restore", NAME, "no_data_key", backup=stored.hex())
    yield "hostile_backup_of_unknown_epoch", blind.vector("a backup of an epoch that there is not")


FAMILIES = (good, bad)
