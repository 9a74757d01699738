"""Scenarios of pins: older logs, restores that excuse them, and texts that are no pins."""

from __future__ import annotations

from keyring_vectors import reference as ref
from keyring_vectors.base import Named, three_machines
from keyring_vectors.scene import Project
from keyring_vectors.trust_log import Pin

BOTH = ("founder", "second")


def logs() -> Named:
    """Logs that are older than what was pinned, or have another history."""
    project = three_machines()
    later = project.copy()
    later.begin_epoch("founder", "second", "user")
    yield "hostile_rolled_back", project.vector("an older log than was pinned", "rollback", pin=later.pin(6))
    forked = project.copy()
    forked.let_in("recovery", ref.RECOVERY)
    yield "hostile_forked", forked.vector("another record than was pinned", "rollback", pin=later.pin(6))
    longer = forked.copy()
    longer.let_in("third", ref.USE)
    yield (
        "hostile_forked_longer",
        longer.vector("another record than was pinned, and more", "rollback", pin=later.pin(6)),
    )
    grown = later.copy()
    grown.let_in("third", ref.USE)
    yield "ok_grown", grown.vector("a log that went on", pin=later.pin(6, authorisers=BOTH))
    huge = Pin(project.project, (1 << 64) - 1, project.head)
    yield "hostile_pinned_beyond", project.vector("a pin of the greatest length", "rollback", pin=huge)


def restored() -> tuple[Project, Project, Pin]:
    """A project, an older copy of it, and the pin of the whole."""
    project = Project.begin("restored")
    project.let_in("second", ref.AUTHORISE)
    project.let_in("user", ref.USE)
    older = project.copy()
    for name in ("third", "fourth", "fifth"):
        project.let_in(name, ref.USE)
    return project, older, project.pin(len(project.log), authorisers=BOTH)


def restores() -> Named:
    """Older copies of a database, and who says that they stand."""
    _, older, pin = restored()
    yield "hostile_restored_by_nobody", older.vector("an older copy", "rollback", pin=pin)
    accepted = older.copy()
    accepted.append(ref.RESTORE, 1)
    for machine in ("founder", "second", "user"):
        comment = f"an older copy that an authoriser accepted, as the {machine} sees it"
        yield f"ok_restored_{machine}", accepted.vector(comment, machine=machine, pin=pin)
    yield "ok_restored_pin_before", accepted.vector("seen by one who had pinned less", pin=older.pin(4))
    comment = "accepted, and seen by one who had pinned the beginning only"
    yield "ok_restored_new", accepted.vector(comment, machine="user")
    for more in (1, 2, 3, 4):
        grown = accepted.copy()
        for name in ("third", "fourth", "fifth", "sixth")[:more]:
            grown.let_in(name, ref.AUTHORISE, author="second")
        yield f"ok_restored_grown_{more}", grown.vector(f"accepted, and {more} records behind", pin=pin)
    second = accepted.copy()
    second.append(ref.RESTORE, 2, author="second")
    later = accepted.pin(6, restores=1, authorisers=BOTH)
    yield "ok_restored_twice", second.vector("accepted a second time", pin=later)
    skipped = older.copy()
    skipped.append(ref.RESTORE, 5)
    yield "ok_restored_number", skipped.vector("numbers of restores may leave out some", pin=pin)
    again = accepted.cut(5)
    again.append(ref.RESTORE, 2, author="second")
    comment = "a copy from before a restore that was pinned, accepted with a higher number"
    yield "ok_restored_again", again.vector(comment, pin=accepted.pin(6, restores=1, authorisers=BOTH))


def unaccepted() -> Named:
    """Restores that excuse nothing."""
    project, older, pin = restored()
    accepted = older.copy()
    accepted.append(ref.RESTORE, 1)

    by_user = older.copy()
    by_user.append(ref.RESTORE, 1, author="user")
    yield (
        "hostile_restore_by_user",
        by_user.vector("a restore by a data-key holder", "trust_log", pin=pin, position=5),
    )
    forged = older.copy()
    forged.put_record(forged.record(ref.RESTORE, [1], signer="user"))
    yield "hostile_restore_forged", forged.vector("a forged restore", "trust_log", pin=pin, position=5)

    promoted = older.copy()
    promoted.let_in("sixth", ref.AUTHORISE)
    by_later = older.copy()
    by_later.append(ref.RESTORE, 1, author="sixth")
    comment = "one that was let in behind the copy accepts it, and is no authoriser in it"
    later_pin = promoted.pin(6, authorisers=(*BOTH, "sixth"))
    yield "hostile_restore_by_later_authoriser", by_later.vector(comment, "trust_log", pin=later_pin, position=5)

    # An authoriser was put out; in the older copy it is one still.
    undone = project.copy()
    undone.put_out("second")
    after = undone.pin(len(undone.log), authorisers=("founder",))
    by_revoked = older.copy()
    by_revoked.append(ref.RESTORE, 1, author="second")
    comment = "one that was put out accepts the copy in which it is an authoriser"
    yield "hostile_restore_by_revoked", by_revoked.vector(comment, "rollback", pin=after)
    grown = by_revoked.copy()
    for name in ("third", "fourth", "fifth", "sixth"):
        grown.let_in(name, ref.AUTHORISE, author="second")
    comment = "the same, with as many records behind as were pinned, and more"
    yield "hostile_restore_by_revoked_grown", grown.vector(comment, "rollback", pin=after)
    by_accomplice = older.copy()
    by_accomplice.let_in("third", ref.AUTHORISE, author="second")
    by_accomplice.append(ref.RESTORE, 1, author="third")
    comment = "an accomplice whom it lets in there accepts"
    yield "hostile_restore_by_accomplice", by_accomplice.vector(comment, "rollback", pin=after)
    both = by_revoked.copy()
    both.append(ref.RESTORE, 2)
    yield "ok_restore_by_founder_too", both.vector("the founder accepts it behind", pin=after)
    yield "ok_restore_unseen", by_revoked.vector("who had not seen the revocation cannot know better", pin=pin)
    used = Pin(after.project, after.length, after.head)
    comment = "a pin that names no authorisers is never excused"
    yield "hostile_restore_without_authorisers", accepted.vector(comment, "rollback", pin=used)

    behind = older.copy()
    for name in ("sixth", "seventh", "eighth"):
        behind.let_in(name, ref.USE)
    behind.append(ref.RESTORE, 1)
    comment = "a restore behind the pinned length"
    yield "hostile_restore_too_late", behind.vector(comment, "rollback", pin=pin)
    last = older.copy()
    for name in ("sixth", "seventh"):
        last.let_in(name, ref.USE)
    last.append(ref.RESTORE, 1)
    yield "ok_restore_at_the_head", last.vector("a restore in the place of the pinned record", pin=pin)
    forged = last.cut(7)
    forged.put_record(forged.record(ref.RESTORE, [1], signer="user"))
    comment = "a forged restore in the place of the pinned record"
    yield "hostile_restore_forged_at_the_head", forged.vector(comment, "trust_log", pin=pin, position=7)

    seen = accepted.pin(6, restores=1, authorisers=BOTH)
    rolled = accepted.copy()
    rolled.put_out("user")
    yield (
        "hostile_restore_played_back",
        accepted.vector(
            "the log was cut back to a restore that was pinned",
            "rollback",
            pin=rolled.pin(7, restores=1, authorisers=BOTH),
        ),
    )
    for number in (0, 1):
        repeated = accepted.copy()
        repeated.append(ref.RESTORE, number)
        comment = f"a restore of number {number} behind one of number 1"
        yield f"hostile_restore_number_{number}", repeated.vector(comment, "trust_log", pin=seen, position=6)
    zero = older.copy()
    zero.append(ref.RESTORE, 0)
    yield "hostile_restore_number_none", zero.vector("a first restore of number 0", "trust_log", position=5)
    fewer = older.copy()
    fewer.append(ref.RESTORE, 3)
    comment = "a restore of no higher number than was pinned"
    yield (
        "hostile_restore_old_number",
        fewer.vector(comment, "rollback", pin=rolled.pin(7, restores=3, authorisers=BOTH)),
    )
    empty = older.copy()
    empty.append(ref.RESTORE)
    yield "hostile_restore_without_number", empty.vector("a restore of no number", "trust_log", position=5)


def texts() -> Named:
    """Pins as text."""
    _, older, pin = restored()
    plain, full = str(older.pin()), str(Pin(pin.project, pin.length, pin.head, 3, pin.authorisers))
    one, two = (machine.hex() for machine in pin.authorisers)
    restores_only = str(Pin(pin.project, pin.length, pin.head, 3))
    for name, comment, text in (
        ("beginning", "the project id alone", plain),
        ("authorisers", "with authorisers", str(pin)),
        ("restores", "with restores", restores_only),
        ("full", "with both", full),
    ):
        yield f"ok_pin_{name}", pin_vector(comment, text, "ok")
    for name, comment, text in (
        ("empty", "nothing", ""),
        ("upper", "digits in capital letters", plain.replace(plain[:64], plain[:64].upper(), 1)),
        ("short_project", "a project id that is too short", plain[2:]),
        ("short_head", "a head that is too short", plain[:-2]),
        ("length_0", "a length of 0", plain.replace(" 1 ", " 0 ")),
        ("length_sign", "a length with a sign", plain.replace(" 1 ", " +1 ")),
        ("length_zeros", "a length with zeros before it", plain.replace(" 1 ", " 01 ")),
        ("length_huge", "a length of more than 64 bits", plain.replace(" 1 ", f" {1 << 64} ")),
        ("two_spaces", "two spaces", plain.replace(" ", "  ", 1)),
        ("space_before", "a space before it", " " + plain),
        ("space_behind", "a space behind it", plain + " "),
        ("line_end", "a line end", plain + "\n"),
        (
            "no_restores",
            "the number of restores is not written where it is 0 and there are no authorisers",
            plain + " 0",
        ),
        ("restores_zeros", "a number of restores with zeros before it", restores_only.replace(" 3", " 03")),
        ("restores_hex", "a number of restores in hex", restores_only.replace(" 3", " a")),
        ("authorisers_without_number", "authorisers without a number of restores", plain + " " + one),
        ("descending", "authorisers in another order", f"{plain} 0 {two} {one}"),
        ("twice", "an authoriser named twice", f"{plain} 0 {one} {one}"),
        ("short_authoriser", "a fingerprint that is too short", f"{plain} 0 {one[:-2]}"),
        ("upper_authoriser", "a fingerprint in capital letters", f"{plain} 0 {one.upper()}"),
    ):
        yield f"hostile_pin_{name}", pin_vector(comment, text, "refused")


def pin_vector(comment: str, text: str, expect: str) -> dict:
    """A text as a vector, once our own reader has found what it promises."""
    found = "ok"
    try:
        Pin.read(text)
    except ValueError:
        found = "refused"
    if found != expect:
        raise AssertionError(f"{comment}: {found}, not {expect}")
    return {"comment": f"a pin: {comment}", "pin_text": text, "expect": expect}


FAMILIES = (logs, restores, unaccepted, texts)
