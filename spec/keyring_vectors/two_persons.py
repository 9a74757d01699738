"""Scenarios of the two-person rule: what waits, who approves, and what becomes void."""

from __future__ import annotations

from keyring_vectors import reference as ref
from keyring_vectors.base import Named
from keyring_vectors.scene import Project, identity

POLICY_AT, WAITING_AT = 6, 7


def guarded() -> Project:
    """Three may authorise, one may recover, one may use; the rule is on."""
    project = Project.begin("guarded")
    project.let_in("second", ref.AUTHORISE)
    project.let_in("recovery", ref.RECOVERY)
    project.let_in("user", ref.USE)
    assert project.append(ref.POLICY, 1) == POLICY_AT
    return project


def waiting(author: str = "founder", capability: int = ref.AUTHORISE) -> Project:
    """The same, and a grant that waits."""
    project = guarded()
    assert project.let_in("third", capability, author=author) == WAITING_AT
    return project


def good() -> Named:
    """What must be accepted."""
    yield "ok_two_person", guarded().vector("the two-person rule is on")
    project = waiting()
    yield "ok_waiting", project.vector("a grant waits", machine="second")
    yield (
        "hostile_waiting_opens",
        project.vector("a machine that waits, with a data key", "no_grant", machine="third"),
    )
    project.append(ref.APPROVAL, WAITING_AT, author="second")
    yield "ok_approved", project.vector("a grant was approved", machine="third")
    project.append(ref.REVOCATION, identity("second").fingerprint, 0, 0, author="third")
    yield "ok_approved_acts", project.vector("who was approved puts the approver out", machine="third")

    project = waiting()
    project.append(ref.APPROVAL, WAITING_AT, author="recovery")
    yield "ok_approved_by_recovery", project.vector("the recovery identity approves", machine="third")
    project = waiting(author="recovery")
    yield "ok_recovery_alone", project.vector("a grant by the recovery identity waits for nobody", machine="third")
    project = waiting()
    project.let_in("fourth", ref.USE)
    project.append(ref.APPROVAL, WAITING_AT + 1, author="second")
    yield "ok_second_waiting", project.vector("the second of two that wait was approved", machine="fourth")

    project = guarded()
    project.append(ref.POLICY, 0)
    yield "ok_policy_waits", project.vector("the end of the rule waits")
    project.let_in("third", ref.USE)
    yield "ok_policy_still_on", project.vector("meanwhile a grant waits", machine="user")
    project.append(ref.APPROVAL, WAITING_AT, author="second")
    yield "ok_policy_approved", project.vector("the end of the rule was approved; the grant waits still")
    late = project.copy()
    late.append(ref.APPROVAL, WAITING_AT + 1, author="second")
    yield "ok_approved_behind_the_rule", late.vector("what has waited is approved behind the rule", machine="third")
    project.let_in("fourth", ref.USE)
    yield "ok_behind_the_rule", project.vector("behind the rule a grant takes effect at once", machine="fourth")
    project = guarded()
    project.append(ref.POLICY, 0, author="recovery")
    project.let_in("third", ref.USE)
    yield "ok_policy_by_recovery", project.vector("the recovery identity ends the rule at once", machine="third")
    project = Project.begin("guarded")
    project.append(ref.POLICY, 0)
    yield "ok_policy_of_no_change", project.vector("a policy that changes nothing")

    project = guarded()
    project.put_out("user")
    project.begin_epoch("founder", "second", "recovery", author="second")
    yield "ok_alone_under_the_rule", project.vector("one alone puts out, and begins an epoch", machine="second")
    project = waiting()
    project.put_out("third", author="second")
    yield "ok_waiting_put_out", project.vector("a machine that waited was put out: its grant is void")
    project = waiting()
    project.put_out("founder", author="second")
    yield "ok_author_put_out", project.vector("who had asked was put out: the grant is void", machine="second")
    project = waiting()
    project.let_in("fourth", ref.USE, author="second")
    project.put_out("founder", author="second")
    project.append(ref.APPROVAL, WAITING_AT + 1, author="recovery")
    yield (
        "ok_others_still_wait",
        project.vector("what others had asked for waits still, and was approved", machine="fourth"),
    )
    project = waiting(capability=ref.USE)
    project.begin_epoch("founder", "second", "recovery", "user", "third")
    project.append(ref.APPROVAL, WAITING_AT, author="second")
    yield "ok_approved_in_a_later_epoch", project.vector("approved in a later epoch than asked for", machine="third")


def hostile() -> Named:
    """Records that must be refused."""

    def refused(name: str, comment: str, project: Project) -> tuple[str, dict]:
        last = len(project.log) - 1
        return f"hostile_{name}", project.vector(f"two persons: {comment}", "trust_log", position=last)

    for name, comment, author, position in (
        ("approved_by_author", "who asked approves", "founder", WAITING_AT),
        ("approved_by_user", "one that may only use approves", "user", WAITING_AT),
        ("approved_by_waiting", "who waits approves itself", "third", WAITING_AT),
        ("approved_by_stranger", "a stranger approves", "stranger", WAITING_AT),
        ("approved_policy_in_force", "what waits no more is approved", "second", POLICY_AT),
        ("approved_grant_in_force", "a grant that never waited is approved", "second", 5),
        ("approved_nothing", "a position without a record", "second", 99),
        ("approved_itself", "an approval of its own position", "second", WAITING_AT + 1),
    ):
        project = waiting()
        project.append(ref.APPROVAL, position, author=author)
        yield refused(name, comment, project)

    project = waiting()
    project.append(ref.APPROVAL, WAITING_AT, author="second")
    project.append(ref.APPROVAL, WAITING_AT, author="recovery")
    yield refused("approved_twice", "approved a second time", project)
    project = waiting()
    project.put_out("third", author="second")
    project.append(ref.APPROVAL, WAITING_AT, author="second")
    yield refused("approved_void_machine", "approved behind the revocation of the machine", project)
    project = waiting()
    project.put_out("founder", author="second")
    project.append(ref.APPROVAL, WAITING_AT, author="second")
    yield refused("approved_void_author", "approved behind the revocation of who asked", project)
    project = waiting()
    project.put_out("founder", author="second")
    project.let_in("founder", ref.AUTHORISE, author="recovery")
    project.append(ref.APPROVAL, WAITING_AT, author="second")
    yield refused("approved_void_author_back", "who asked was put out, and is back: void all the same", project)
    project = guarded()
    project.append(ref.POLICY, 0)
    project.put_out("founder", author="second")
    project.append(ref.APPROVAL, WAITING_AT, author="second")
    yield refused("approved_void_policy", "a policy of one that was put out", project)
    project = guarded()
    project.append(ref.POLICY, 0)
    project.append(ref.APPROVAL, WAITING_AT)
    yield refused("policy_approved_by_author", "who asked for the end of the rule approves it", project)
    project = waiting()
    project.let_in("fourth", ref.USE, author="recovery", name="third")
    project.append(ref.APPROVAL, WAITING_AT, author="second")
    yield refused("approved_name_taken", "another has the name by now", project)
    project = waiting()
    project.let_in("third", ref.USE, author="recovery", name="again")
    project.append(ref.APPROVAL, WAITING_AT, author="second")
    yield refused("approved_machine_in", "the machine is in by now", project)
    project = waiting()
    project.let_in("fourth", ref.USE, author="third")
    yield refused("waiting_grants", "a machine that waits lets another in", project)
    project = waiting()
    project.begin_epoch("third", author="third")
    yield refused("waiting_begins_epoch", "a machine that waits begins an epoch", project)
    project = guarded()
    project.let_in("user", ref.AUTHORISE)
    yield refused("waiting_machine_is_in", "a grant for a machine that is in", project)
    for name, comment, content in (
        ("policy_2", "a policy of 2", (2,)),
        ("policy_empty", "a policy of nothing", ()),
        ("policy_text", "a policy in words", ("on",)),
    ):
        project = guarded()
        project.append(ref.POLICY, *content)
        yield refused(name, comment, project)


FAMILIES = (good, hostile)
