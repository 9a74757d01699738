"""Scenarios of machines that go and come: revocation, cascade, re-admission, recovery, floors."""

from __future__ import annotations

from collections.abc import Callable

from keyring_vectors import reference as ref
from keyring_vectors.base import Named
from keyring_vectors.scene import Project, identity


def team() -> Project:
    """Founder and second may authorise; second has let in the user, who may not."""
    project = Project.begin("team")
    project.let_in("second", ref.AUTHORISE)
    project.let_in("user", ref.USE, author="second")
    return project


def revoked() -> Named:
    """Machines that were put out, as the others and they themselves see it."""
    project = team()
    project.put_out("user")
    yield "ok_revoked_user", project.vector("the user was put out; its author remains", machine="second")
    yield "hostile_revoked_with_copies", project.vector("a machine that was put out", "revoked", machine="user")
    gone = project.copy()
    del gone.documents["wraps"][project.wrap_key("user", 1)]
    comment = "a machine that was put out, and whose copies were deleted"
    yield "hostile_revoked_without_copies", gone.vector(comment, "revoked", machine="user")
    comment = "a machine that was never let in, in a log with revocations"
    yield "hostile_revoked_stranger", gone.vector(comment, "no_grant", machine="stranger")

    project = team()
    project.put_out("second")
    yield "ok_revoked_alone", project.vector("without cascade, whom it had let in remains", machine="user")
    project = team()
    project.put_out("second", cascade=True)
    yield "ok_revoked_cascade", project.vector("with cascade, whom it had let in goes too")
    yield "hostile_revoked_by_cascade", project.vector("a machine that went with another", "revoked", machine="user")
    comment = "an authoriser that was put out"
    yield "hostile_revoked_authoriser", project.vector(comment, "revoked", machine="second")

    project = team()
    project.let_in("third", ref.AUTHORISE, author="second")
    project.let_in("fourth", ref.USE, author="third")
    project.put_out("second", cascade=True)
    yield "ok_revoked_cascade_far", project.vector("cascade reaches machines let in by those that go")
    yield (
        "hostile_revoked_far",
        project.vector("a machine that went with another's other", "revoked", machine="fourth"),
    )

    project = team()
    project.let_in("third", ref.AUTHORISE, author="second")
    project.let_in("fourth", ref.USE, author="third")
    project.put_out("third")
    project.put_out("second", cascade=True)
    comment = "cascade does not reach through a machine that had gone before"
    yield "ok_revoked_cascade_gap", project.vector(comment, machine="fourth")
    project.put_out("third", cascade=True)
    comment = "cascade of a machine that is out already"
    yield "ok_revoked_cascade_later", project.vector(comment)
    yield (
        "hostile_revoked_later",
        project.vector("a machine that went with one long gone", "revoked", machine="fourth"),
    )

    project = team()
    project.put_out("founder", author="second", cascade=True)
    comment = "cascade spares the author, though it was let in by the one that goes, and those behind it"
    yield "ok_revoked_founder", project.vector(comment, machine="second")
    yield "hostile_revoked_founder", project.vector("the founder was put out", "revoked")
    project = team()
    project.put_out("second", author="second")
    yield "ok_revoked_itself", project.vector("an authoriser puts itself out", machine="user")
    project = team()
    project.let_in("third", ref.AUTHORISE, author="second")
    project.put_out("second", author="second", cascade=True)
    comment = "an authoriser puts itself out with cascade: whom it had let in goes too"
    yield "ok_revoked_itself_cascade", project.vector(comment)
    yield "hostile_revoked_with_author", project.vector("put out with the one who did it", "revoked", machine="third")
    project = team()
    project.let_in("recovery", ref.RECOVERY)
    project.put_out("second", author="recovery")
    yield "ok_revoked_by_recovery", project.vector("the recovery identity puts an authoriser out", machine="recovery")
    project.begin_epoch("founder", "user", "recovery", author="recovery")
    yield "ok_epoch_by_recovery", project.vector("the recovery identity begins an epoch", machine="user")


def rotations() -> Named:
    """Epochs that are owed, and what the one that was put out can still open."""
    project = team()
    project.put_out("user", rotate=True)
    yield "ok_owed", project.vector("an epoch is owed")
    again = project.copy()
    again.put_out("second")
    yield "ok_owed_still", again.vector("another revocation without rotation pays nothing")
    project.begin_epoch("founder", "second")
    yield "ok_paid", project.vector("the epoch that was owed has begun", machine="second")
    yield "hostile_revoked_before_epoch", project.vector("put out before the epoch began", "revoked", machine="user")
    project.let_in("user", ref.USE, author="second")
    yield "ok_back_behind_epoch", project.vector("let in again, under the second epoch", machine="user")
    partial = project.copy()
    del partial.documents["wraps"][project.wrap_key("user", 2)]
    comment = "let in again, without a copy of the newest data key"
    yield "hostile_back_without_newest", partial.vector(comment, "no_data_key", machine="user")
    partial = project.copy()
    del partial.documents["wraps"][project.wrap_key("user", 1)]
    comment = "let in again, without a copy of the oldest data key"
    yield "hostile_back_without_oldest", partial.vector(comment, "no_data_key", machine="user")
    project.let_in("third", ref.AUTHORISE)
    project.begin_epoch("founder", "second", "user", "third")
    blind = project.copy()
    del blind.documents["wraps"][project.wrap_key("founder", 2)]
    yield "ok_middle_missing", blind.vector("without a copy of an epoch between: two capabilities cannot be read")
    blind.let_in("fourth", ref.USE, author="third")
    comment = "without a copy of an epoch between, whose capability decides"
    yield "hostile_middle_needed", blind.vector(comment, "no_data_key")
    blind = project.copy()
    blind.put_out("second")
    blind.put_out("founder", author="third")
    del blind.documents["wraps"][project.wrap_key("user", 2)]
    comment = "without a copy of an epoch between, in which its own capability is"
    yield "hostile_middle_own", blind.vector(comment, "no_data_key", machine="user")
    blind = project.copy()
    blind.put_out("second")
    blind.put_out("founder")
    del blind.documents["wraps"][project.wrap_key("user", 2)]
    blind.let_in("fourth", ref.USE, author="third")
    comment = "without a copy of an epoch between, in which lies the capability of the last authoriser"
    yield "hostile_middle_last", blind.vector(comment, "no_data_key", machine="user")
    comment = "an epoch between, that all have"
    yield "ok_three_epochs", project.vector(comment, machine="third")
    project = project.cut(8)
    project.deks, project.epochs = project.deks[:2], project.epochs[:2]
    project.put_key("letters", 1, 1)
    project.put_value("letters", 1, 1)
    comment = "a key of the second epoch, opened by one that is back"
    yield "ok_back_opens", project.vector(comment, machine="user", keys={"letters": "ok"})


def readmitted() -> Named:
    """Machines and names that come back."""
    project = team()
    project.put_out("user")
    project.let_in("user", ref.USE)
    yield "ok_back", project.vector("the user is back, by another author", machine="user")
    cascade = project.copy()
    cascade.put_out("second", cascade=True)
    comment = "cascade does not reach one whom another has let in since"
    yield "ok_back_spared", cascade.vector(comment, machine="user")
    project = team()
    project.put_out("user")
    project.let_in("third", ref.USE, name="user")
    yield "ok_name_again", project.vector("another machine has the name of one that is gone", machine="third")
    taken = project.copy()
    taken.let_in("user", ref.USE)
    comment = "back under a name that another has by now"
    yield "hostile_back_name_taken", taken.vector(comment, "trust_log", position=7)
    project = team()
    project.put_out("second")
    project.let_in("second", ref.USE)
    yield "ok_back_with_less", project.vector("an authoriser is back, to use only", machine="second")
    project.put_record(project.grant("third", "third", ref.USE, author="second"))
    comment = "a grant by one who was an authoriser, and is back to use only"
    yield "hostile_back_with_less_grants", project.vector(comment, "trust_log", position=7)
    project = team()
    project.put_out("second")
    project.let_in("second", ref.AUTHORISE)
    project.let_in("third", ref.USE, author="second")
    yield "ok_back_with_same", project.vector("an authoriser is back, and lets another in", machine="third")


def refused() -> Named:
    """Records behind the first five that must be refused."""

    def behind(*steps: Callable[[Project], object]) -> Project:
        project = team()
        for step in steps:
            step(project)
        return project

    def out(machine: str, **how: object) -> Callable[[Project], object]:
        return lambda project: project.put_out(machine, **how)

    def appended(kind: int, *content: object, author: str = "founder") -> Callable[[Project], object]:
        return lambda project: project.append(kind, *content, author=author)

    user = identity("user").fingerprint
    with_recovery = [lambda project: project.let_in("recovery", ref.RECOVERY)]
    for name, comment, steps in (
        ("stranger", "a machine that was never in", [out("stranger")]),
        ("twice", "a machine that is out already", [out("user"), out("user")]),
        (
            "cascade_of_nobody",
            "one that is out, with cascade, where nobody follows",
            [out("user"), out("user", cascade=True)],
        ),
        ("by_user", "by a machine that may only use", [out("second", author="user")]),
        ("by_stranger", "by a machine that was never in", [out("second", author="stranger")]),
        ("by_revoked", "by an authoriser that was put out", [out("second"), out("user", author="second")]),
        (
            "of_its_revoker",
            "by one that was put out, of the one who did it",
            [out("second"), out("founder", author="second")],
        ),
        ("forged", "by another than its author", [appended_signed(ref.REVOCATION, [user, 0, 0], "user")]),
        ("last", "the last authoriser puts itself out", [out("second"), out("founder")]),
        (
            "all_by_recovery",
            "nobody but recovery would remain",
            [*with_recovery, out("second"), out("founder", author="recovery")],
        ),
        (
            "founder_by_cascade",
            "nobody who may authorise would remain",
            [*with_recovery, out("founder", author="recovery", cascade=True)],
        ),
        ("cascade_2", "cascade is 2", [appended(ref.REVOCATION, user, 2, 0)]),
        ("rotate_2", "rotate is 2", [appended(ref.REVOCATION, user, 0, 2)]),
        ("short", "a fingerprint that is too short", [appended(ref.REVOCATION, user[:31], 0, 0)]),
        ("two_items", "an item too few", [appended(ref.REVOCATION, user, 0)]),
        ("four_items", "an item too many", [appended(ref.REVOCATION, user, 0, 0, 0)]),
        ("text", "a name in the place of a fingerprint", [appended(ref.REVOCATION, "user", 0, 0)]),
    ):
        project = behind(*steps)
        last = len(project.log) - 1
        yield f"hostile_revocation_{name}", project.vector(f"a revocation: {comment}", "trust_log", position=last)

    for name, comment, steps in (
        (
            "grant",
            "a grant",
            [lambda project: project.put_record(project.grant("third", "third", 1, author="second"))],
        ),
        ("epoch", "an epoch", [lambda project: project.begin_epoch("founder", "user", author="second")]),
        ("policy", "a policy", [appended(ref.POLICY, 1, author="second")]),
        ("floor", "a floor", [appended(ref.FLOOR, "letters", 9, author="second")]),
        ("restore", "a restore", [appended(ref.RESTORE, 1, author="second")]),
        ("own_grant", "a grant for itself", [lambda project: project.let_in("second", 2, author="second")]),
    ):
        project = behind(out("second"), *steps)
        yield (
            f"hostile_by_revoked_{name}",
            project.vector(f"{comment} by one that was put out", "trust_log", position=6),
        )
        if name != "own_grant":
            project = behind(out("second", cascade=True), *steps)
            comment = f"{comment} by one that was put out with cascade"
            yield f"hostile_by_cascaded_{name}", project.vector(comment, "trust_log", position=6)

    for kind, name, content in (
        (ref.POLICY, "policy", [1]),
        (ref.FLOOR, "floor", ["letters", 9]),
        (ref.RESTORE, "restore", [1]),
        (ref.APPROVAL, "approval", [3]),
        (ref.EPOCH, "epoch", None),
    ):
        project = team()
        if content is None:
            project.begin_epoch("founder", "user", author="user")
        else:
            project.append(kind, *content, author="user")
        yield (
            f"hostile_by_user_{name}",
            project.vector(f"a record by a data-key holder: {name}", "trust_log", position=5),
        )


def appended_signed(kind: int, content: list, signer: str) -> Callable[[Project], object]:
    """A record of the founder that another has signed."""
    return lambda project: project.put_record(project.record(kind, content, signer=signer))


def hidden() -> Named:
    """Revocations that somebody with access to the database would undo."""
    project = team()
    project.put_out("user")
    project.let_in("third", ref.USE)
    whole = project.pin(len(project.log), authorisers=("founder", "second"))
    rows = project.documents["trust_log"]

    deleted = project.copy()
    del deleted.documents["trust_log"][ref.u64(5)]
    yield (
        "hostile_revocation_deleted",
        deleted.vector("a revocation was deleted", "trust_log", machine="user", position=5),
    )
    closed = deleted.copy()
    closed.documents["trust_log"][ref.u64(5)] = closed.documents["trust_log"].pop(ref.u64(6))
    comment = "a revocation was deleted, and the next record put in its place"
    yield "hostile_revocation_closed_up", closed.vector(comment, "trust_log", machine="user", position=5)
    cut = project.cut(5)
    comment = "the log was cut before a revocation that was pinned"
    yield "hostile_revocation_cut", cut.vector(comment, "rollback", machine="second", pin=whole)
    regrown = cut.copy()
    regrown.let_in("third", ref.USE)
    regrown.let_in("fourth", ref.USE)
    comment = "the log was cut before a revocation that was pinned, and went on otherwise"
    yield "hostile_revocation_overgrown", regrown.vector(comment, "rollback", machine="second", pin=whole)

    swapped = project.copy()
    one, other = ref.u64(5), ref.u64(6)
    swapped.documents["trust_log"][one], swapped.documents["trust_log"][other] = rows[other], rows[one]
    yield "hostile_revocation_reordered", swapped.vector("a revocation in another place", "trust_log", position=5)

    replayed = project.copy()
    replayed.put_record(project.log[4])
    comment = "the grant of one that was put out, once more"
    yield "hostile_grant_replayed", replayed.vector(comment, "trust_log", machine="user", position=7)
    back = team()
    back.put_out("user")
    back.let_in("user", ref.USE)
    back.put_record(back.log[5])
    yield "hostile_revocation_replayed", back.vector("an earlier revocation, once more", "trust_log", position=7)
    dated = project.copy()
    dated.put_record(
        dated.record(
            ref.GRANT,
            dated.grant_content("user", "user", 1),
            "second",
            position=4,
            previous=ref.record_hash(project.log[3]),
        )
    )
    yield "hostile_grant_back_dated", dated.vector("a grant of an earlier position", "trust_log", position=7)
    older = team()
    older.put_out("second")
    older.put_record(older.record(ref.GRANT, older.grant_content("third", "third", 1), "second", time=1))
    comment = "a grant that claims a time at which its author was in"
    yield "hostile_grant_old_time", older.vector(comment, "trust_log", position=6)
    other_project = Project.begin("another")
    other_project.let_in("second", ref.AUTHORISE)
    other_project.let_in("user", ref.USE, author="second")
    other_project.put_out("user")
    moved = team()
    moved.put_record(other_project.log[5])
    yield (
        "hostile_revocation_of_another_project",
        moved.vector("a record of another project", "trust_log", position=5),
    )


def floors() -> Named:
    """Floors of keys, and descriptions below them."""
    project = team()
    project.put_key("letters", 1, 3)
    project.put_value("letters", 3, 1)
    at_floor = project.copy()
    at_floor.append(ref.FLOOR, "letters", 3)
    yield "ok_floor", at_floor.vector("a description at its floor", keys={"letters": "ok"})
    other = project.copy()
    other.append(ref.FLOOR, "letter", 9, author="second")
    yield "ok_floor_of_another", other.vector("the floor of another key", keys={"letters": "ok"})
    zero = at_floor.copy()
    zero.append(ref.FLOOR, "index", 0)
    yield "ok_floor_of_nothing", zero.vector("a floor of 0 is below every description", keys={"letters": "ok"})
    gone = at_floor.copy()
    gone.put_out("second")
    gone.append(ref.FLOOR, "letters", 4)
    gone.values[0] |= {"expect": "rollback"}
    gone.values[0].pop("message")
    yield "hostile_floor_below", gone.vector("a description below its floor", keys={"letters": "rollback"})
    for name, comment, content in (
        ("equal", "as high as the one before", ["letters", 3]),
        ("lower", "lower than the one before", ["letters", 2]),
        ("bad_name", "of a name that no key has", ["a//b", 1]),
        ("empty_name", "of no name", ["", 1]),
        ("bytes", "of bytes for a name", [b"letters", 4]),
        ("one_item", "without a serial number", ["letters"]),
    ):
        refused = at_floor.copy()
        refused.append(ref.FLOOR, *content)
        yield f"hostile_floor_{name}", refused.vector(f"a floor {comment}", "trust_log", position=6)


FAMILIES = (revoked, rotations, readmitted, refused, hidden, floors)
