"""Scenarios of the journal of a rotation (`jobs.md`), and of keys half renewed."""

from __future__ import annotations

from keyring_vectors import jobs, named_keys
from keyring_vectors import reference as ref
from keyring_vectors.base import Named
from keyring_vectors.scene import TIME, Project, drawn, identity, sealed
from seal_vectors import reference as seal

FIELDS = {"phase": 5, "cursor": b"letters\0\0", "keys": 3, "versions": 1_000, "damaged": 1, "external": 2}
TIMES = {"started": TIME - 9_000, "changed": TIME - 1}


def rotated() -> Project:
    """A project whose second epoch has begun."""
    project = Project.begin("rotated")
    project.put_key("letters", named_keys.AES256_GCM, 1)
    project.begin_epoch("founder")
    return project


def message(**changed: object) -> bytes:
    """What a journal says."""
    return ref.encode([1, *(FIELDS | TIMES | changed).values()])


def put_journal(
    project: Project,
    said: bytes,
    *,
    epoch: int = 2,
    under: int | None = None,
    suite: seal.Suite = seal.Suite.AUTHENTICATED,
    bound: bytes | None = None,
) -> None:
    """Writes a journal."""
    key = ref.wrapping_key(project.deks[(under or epoch) - 1])
    state = sealed(key, suite, bound or jobs.context(project.project), said, f"journal/{project.name}")
    project.put("jobs", jobs.NAME, ref.encode([1, epoch, state]))


def read(**changed: object) -> dict:
    """What is read of it."""
    counts = {name: value for name, value in (FIELDS | TIMES | changed).items() if name != "cursor"}
    return {"epoch": 2, **counts}


def journals() -> Named:
    """Journals, and what is none."""
    for phase in range(4, 8):
        project = rotated()
        put_journal(project, message(phase=phase, cursor=b""))
        yield f"ok_journal_{phase}", project.vector(f"a rotation in phase {phase}", rotation=read(phase=phase))
    project = rotated()
    put_journal(project, message())
    yield "ok_journal_cursor", project.vector("a rotation between two documents", rotation=read())
    body = ref.decode(project.documents["jobs"][jobs.NAME])

    def refused(name: str, comment: str, project: Project) -> tuple[str, dict]:
        return f"hostile_journal_{name}", project.vector(
            f"a journal that is none: {comment}", rotation=jobs.begun(2, jobs.KEYS, TIME)
        )

    project = rotated()
    put_journal(project, message(), epoch=1)
    yield refused("of_older_epoch", "of the epoch before", project)
    project = rotated()
    put_journal(project, message(), under=1)
    yield refused("by_past_holder", "by one who has only the older data key", project)
    project = rotated()
    put_journal(project, message(), suite=seal.Suite.AES256_GCM)
    yield refused("of_another_suite", "sealed with another suite", project)
    project = rotated()
    put_journal(project, message(), bound=jobs.context(project.project, "restore"))
    yield refused("of_another_job", "of another job", project)
    project = rotated()
    put_journal(project, message(), bound=jobs.context(project.project[::-1]))
    yield refused("of_another_project", "of another project", project)
    for name, comment, said in (
        ("phase_0", "of phase 0", message(phase=0)),
        ("phase_3", "of a phase that has no journal", message(phase=3)),
        ("phase_8", "of a phase that there is not", message(phase=8)),
        ("cursor_text", "a cursor that is a text", message(cursor="letters")),
        ("version_2", "of the future", b"\x8a\x02" + message()[2:]),
        ("cut", "without its end", message()[:-1]),
        ("extended", "a byte behind the end", message() + b"\0"),
        ("count_text", "a count in words", message(keys="three")),
        ("empty", "of nothing", b""),
    ):
        project = rotated()
        put_journal(project, said)
        yield refused(name, comment, project)
    for name, comment, row in (
        ("altered", "altered", ref.encode([*body[:2], body[2][:-1] + bytes([body[2][-1] ^ 1])])),
        ("epoch_renamed", "of an epoch that there is not", ref.encode([1, 3, body[2]])),
        ("row_of_the_future", "a row of the future", ref.encode([2, *body[1:]])),
        ("row_cut", "a row without its end", ref.encode(body)[:-1]),
        ("row_empty", "an empty row", b""),
        ("row_no_cbor", "a row that is text", b"rotation: done"),
    ):
        project = rotated()
        project.put("jobs", jobs.NAME, row)
        yield refused(name, comment, project)


def leases() -> Named:
    """Leases that keep others from the work, and those that do not."""
    holder, machine = drawn("holder", 16), identity("second").fingerprint
    whole = ref.encode([1, 1, holder, machine, TIME + 15_000])
    for name, comment, stored in (
        ("taken", "that was just taken", whole),
        ("last_moment", "in its last moment", ref.encode([1, 1, holder, machine, TIME + 1])),
        ("longest", "of the longest time", ref.encode([1, 1, holder, machine, TIME + 60_000])),
        ("late_token", "of a great number", ref.encode([1, 1 << 60, holder, machine, TIME + 9])),
    ):
        project = rotated()
        project.put("leases", jobs.NAME, stored)
        project.ask("resume", "letters", "busy")
        yield f"ok_lease_{name}", project.vector(f"a lease {comment}: others wait")
    for name, comment, stored in (
        ("given_back", "that was given back", ref.encode([1, 4, holder, machine, 0])),
        ("past", "that is past", ref.encode([1, 4, holder, machine, TIME - 1])),
        ("now", "that ends now", ref.encode([1, 4, holder, machine, TIME])),
        ("too_long", "that no holder has written", ref.encode([1, 4, holder, machine, TIME + 60_001])),
        ("for_ever", "for ever", ref.encode([1, 4, holder, machine, (1 << 64) - 1])),
        ("version", "of the future", ref.encode([2, 4, holder, machine, TIME + 9])),
        ("holder", "of a holder that is too short", ref.encode([1, 4, holder[1:], machine, TIME + 9])),
        ("machine", "of no machine", ref.encode([1, 4, holder, machine[1:], TIME + 9])),
        ("token", "with a number in words", ref.encode([1, "four", holder, machine, TIME + 9])),
        (
            "token_greatest",
            "that is past, of the greatest number",
            ref.encode([1, (1 << 64) - 1, holder, machine, 0]),
        ),
        ("cut", "without its end", whole[:-1]),
        ("extended", "with a byte behind its end", whole + b"\0"),
        ("empty", "of nothing", b""),
    ):
        project = rotated()
        project.put("leases", jobs.NAME, stored)
        project.ask("resume", "letters")
        yield f"hostile_lease_{name}", project.vector(f"a lease {comment}: it keeps nobody from the work")


def renewed() -> Named:
    """Keys whose rows are of different epochs."""
    project = Project.begin("renewed")
    project.put_key("letters", named_keys.AES256_GCM, 2)
    project.begin_epoch("founder")
    project.put_key("letters", named_keys.AES256_GCM, 3, made=2)
    for number in (1, 2, 3):
        project.put_value("letters", number, named_keys.AES256_GCM)
    comment = "a key renewed, its older versions wrapped as they were"
    yield "ok_renewed", project.vector(comment, keys={"letters": "ok"})
    project.put_new_version("letters", named_keys.AES256_GCM, 1, born=1)
    yield "ok_renewed_half", project.vector("one of its older versions was wrapped again", keys={"letters": "ok"})
    project.ask("seal", "letters", number=3)
    project.ask("seal", "letters", "old_epoch", number=2)
    project.ask("seal", "letters", "old_epoch", number=1)
    fields = {"settings": {named_keys.LOWEST_TO_SEAL: 1}}
    project.put_description("letters", project.description("letters", 1, 3, **fields))
    comment = "of the versions that may be chosen to seal under, those born in the current epoch are"
    yield "ok_renewed_chosen", project.vector(comment, keys={"letters": "ok"})


FAMILIES = (journals, leases, renewed)
