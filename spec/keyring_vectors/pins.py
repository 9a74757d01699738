"""Scenarios of pins: older logs, restores that excuse them, and texts that are no pins."""

from __future__ import annotations

from keyring_vectors import reference as ref
from keyring_vectors.base import Named, three_machines
from keyring_vectors.scene import Project
from keyring_vectors.trust_log import MOST_RESTORES, Pin

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
    far = older.copy()
    far.append(ref.RESTORE, MOST_RESTORES)
    yield "ok_restored_number_far", far.vector("a first restore of the highest number there may be", pin=pin)
    seen = far.pin(6, restores=MOST_RESTORES, authorisers=BOTH)
    yield "ok_restored_number_far_pinned", far.vector("a high number of restores that was pinned", pin=seen)
    farther = accepted.copy()
    farther.append(ref.RESTORE, 1 + MOST_RESTORES)
    yield "ok_restored_number_farther", farther.vector("as high a number as may come behind another", pin=pin)
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
    for name, comment, before, number in (
        ("too_far", "a first restore of too high a number", older, MOST_RESTORES + 1),
        ("too_far_behind", "a restore of too high a number behind one of number 1", accepted, MOST_RESTORES + 2),
        ("greatest", "a first restore of the highest number that can be written", older, (1 << 64) - 1),
    ):
        high = before.copy()
        at = high.append(ref.RESTORE, number)
        yield f"hostile_restore_number_{name}", high.vector(comment, "trust_log", position=at)
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


def ruled() -> tuple[Project, Project, Project, Pin]:
    """A project in which two have to agree, copies from behind and before that rule, and the pin of the whole."""
    project = Project.begin("ruled")
    project.let_in("second", ref.AUTHORISE)
    project.let_in("recovery", ref.RECOVERY)
    project.let_in("user", ref.USE)
    before = project.copy()
    project.append(ref.POLICY, 1)
    behind = project.copy()
    for name in ("third", "fourth", "fifth"):
        project.let_in(name, ref.USE, author="recovery")
    return project, behind, before, project.pin(len(project.log), authorisers=("recovery",), two_person=True)


def under_the_rule() -> Named:
    """Restores seen by machines that had pinned that two have to agree."""
    project, behind, before, pin = ruled()
    yield "ok_ruled_pinned", project.vector("a pin that says that two have to agree", pin=pin)
    yield "hostile_ruled_restored_by_nobody", behind.vector("an older copy", "rollback", pin=pin)
    copies = (("behind", "in which the rule holds", behind), ("before", "from before the rule", before))
    for name, where, older in copies:

        def accepted(*authors: str, older: Project = older) -> Project:
            scene = older.copy()
            for number, author in enumerate(authors, start=1):
                scene.append(ref.RESTORE, number, author=author)
            return scene

        for machine in ("founder", "user"):
            comment = f"an older copy {where}, accepted by the recovery identity, as the {machine} sees it"
            scene = accepted("recovery")
            yield f"ok_ruled_by_recovery_{name}_{machine}", scene.vector(comment, machine=machine, pin=pin)
        comment = f"an older copy {where}, accepted by one authoriser"
        yield f"hostile_ruled_by_founder_{name}", accepted("founder").vector(comment, "rollback", pin=pin)
        scene = accepted("founder")
        for machine in ("third", "fourth", "fifth", "sixth"):
            scene.let_in(machine, ref.USE, author="recovery")
        comment = f"an older copy {where}, accepted by one authoriser, and more records behind"
        yield f"hostile_ruled_by_founder_{name}_grown", scene.vector(comment, "rollback", pin=pin)
        comment = f"an older copy {where}, accepted by two authorisers"
        yield f"hostile_ruled_by_both_{name}", accepted(*BOTH).vector(comment, "rollback", pin=pin)
        comment = f"an older copy {where}, accepted by one authoriser, and then by the recovery identity"
        yield f"ok_ruled_by_recovery_too_{name}", accepted("founder", "recovery").vector(comment, pin=pin)
        used = project.pin(len(project.log), two_person=True)
        comment = f"an older copy {where}, accepted by a recovery identity that was put out since"
        yield f"hostile_ruled_by_gone_{name}", accepted("recovery").vector(comment, "rollback", pin=used)
        used = project.pin(len(project.log), restores=1, authorisers=("recovery",), two_person=True)
        comment = f"an older copy {where}, accepted by the recovery identity with a number that was pinned"
        yield f"hostile_ruled_played_back_{name}", accepted("recovery").vector(comment, "rollback", pin=used)
    unruled = behind.pin(6, authorisers=(*BOTH, "recovery"))
    scene = before.cut(5)
    scene.append(ref.RESTORE, 1)
    comment = "accepted by one authoriser, seen by one who had pinned less than the rule"
    yield "ok_ruled_unseen", scene.vector(comment, pin=unruled)
    for author, expect in (("founder", "rollback"), ("recovery", "ok")):
        scene = behind.copy()
        for name in ("sixth", "seventh"):
            scene.let_in(name, ref.USE, author="recovery")
        scene.append(ref.RESTORE, 1, author=author)
        kind = "ok" if expect == "ok" else "hostile"
        comment = f"a restore by the {author} in the place of the pinned record, where two have to agree"
        yield f"{kind}_ruled_at_the_head_{author}", scene.vector(comment, expect, pin=pin)


def regranted() -> Named:
    """One authoriser rewrites the log from before the rule, so that it holds the capability *recovery* there."""
    with_recovery, _, before, pin = ruled()
    project = Project.begin("ruled alone")
    project.let_in("second", ref.AUTHORISE)
    alone = project.copy()
    project.append(ref.POLICY, 1)
    for name in ("third", "fourth"):
        project.append(ref.APPROVAL, project.let_in(name, ref.USE), author="second")
    yield "ok_ruled_alone_pinned", project.vector("two have to agree, and nobody has the capability *recovery*")
    alone_pin = project.pin(len(project.log), two_person=True)
    for name, where, whole, older, used in (
        ("beside_recovery", "beside a recovery identity", with_recovery, before.cut(4), pin),
        ("alone", "without a recovery identity", project, alone, alone_pin),
    ):
        assert whole.vector("what such a machine pins")["head"] == str(used)
        scene = older.copy()
        scene.let_in("third", ref.AUTHORISE, author="second")
        scene.put_out("second", author="third")
        scene.let_in("second", ref.RECOVERY, author="third", name="again")
        assert scene.append(ref.RESTORE, 1, author="second") < used.length - 1
        comment = f"one authoriser has itself let in again as a recovery identity, {where}, and accepts that"
        yield f"hostile_ruled_regranted_{name}", scene.vector(comment, "rollback", pin=used)
        for machine in ("fourth", "fifth", "sixth", "seventh"):
            scene.let_in(machine, ref.USE, author="second")
        comment = f"the same, {where}, with as many records behind as were pinned, and more"
        assert len(scene.log) > used.length
        yield f"hostile_ruled_regranted_{name}_grown", scene.vector(comment, "rollback", pin=used)


def texts() -> Named:
    """Pins as text."""
    _, older, pin = restored()
    plain, full = str(older.pin()), str(Pin(pin.project, pin.length, pin.head, 3, authorisers=pin.authorisers))
    one, two = (machine.hex() for machine in pin.authorisers)
    restores_only = str(Pin(pin.project, pin.length, pin.head, 3))
    for name, comment, text in (
        ("beginning", "the project id alone", plain),
        ("authorisers", "with authorisers", str(pin)),
        ("restores", "with restores", restores_only),
        ("full", "with both", full),
        ("two_person", "with two persons alone", f"{plain} 0 two-person"),
        ("two_person_restores", "with restores and two persons", f"{plain} 3 two-person"),
        ("two_person_authorisers", "with two persons and authorisers", f"{plain} 0 two-person {one} {two}"),
        ("two_person_full", "with everything", f"{plain} 3 two-person {one} {two}"),
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
        ("two_person_without_number", "two persons without a number of restores", f"{plain} two-person"),
        ("two_person_first", "two persons before the number of restores", f"{plain} two-person 0"),
        ("two_person_last", "two persons behind an authoriser", f"{plain} 0 {one} two-person"),
        ("two_person_between", "two persons between authorisers", f"{plain} 0 {one} two-person {two}"),
        ("two_person_twice", "two persons named twice", f"{plain} 0 two-person two-person"),
        ("two_person_upper", "two persons in capital letters", f"{plain} 0 Two-Person"),
        ("two_person_spaced", "two persons without a hyphen", f"{plain} 0 two person"),
        ("two_person_flag", "two persons as a number", f"{plain} 0 1"),
        ("two_person_no", "two persons denied", f"{plain} 0 one-person"),
        ("two_person_glued", "two persons and an authoriser without a space", f"{plain} 0 two-person{one}"),
        ("two_person_two_spaces", "two spaces before two persons", f"{plain} 0  two-person"),
        ("two_person_space_behind", "a space behind two persons", f"{plain} 0 two-person "),
        ("two_person_zeros", "zeros before the number of restores and two persons", f"{plain} 00 two-person"),
        ("two_person_descending", "two persons, authorisers in another order", f"{plain} 0 two-person {two} {one}"),
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


FAMILIES = (logs, restores, unaccepted, under_the_rule, regranted, texts)
