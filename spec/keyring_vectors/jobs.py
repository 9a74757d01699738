"""The journal and the lease of a rotation; written from `jobs.md` alone."""

from __future__ import annotations

from keyring_vectors import named_keys
from keyring_vectors import reference as ref
from keyring_vectors.trust_log import Walk
from seal_vectors import reference as seal

NAME = b"rotation"
OWED, KEYS = 2, 4
PHASES = range(4, 8)
LONGEST = 60_000
COUNTS = ("keys", "versions", "damaged", "external", "started", "changed")


def context(project: bytes, job: str = "rotation") -> bytes:
    """What a journal is bound to."""
    return seal.Context("bulla/keyring/job", project, {"job": job}).encoded


def begun(epoch: int, phase: int, now: int) -> dict:
    """A rotation of which no journal says more."""
    counts = dict.fromkeys(COUNTS, 0)
    return {"epoch": epoch, "phase": phase} | counts | {"started": now, "changed": now}


def rotation(documents: ref.Documents, walk: Walk, now: int) -> dict | None:
    """How far the rotation is, if there ever was one."""
    current = len(walk.epochs)
    if walk.owed:
        return begun(current + 1, OWED, now)
    if current == 1:
        return None
    return journal(documents, walk) or begun(current, KEYS, now)


def journal(documents: ref.Documents, walk: Walk) -> dict | None:
    """What the journal says, if there is one of the current epoch."""
    stored = documents.get("jobs", {}).get(NAME, b"")
    try:
        _, epoch, sealed = ref.shaped(stored, 1, int, bytes)
        if epoch != len(walk.epochs):
            return None
        message = named_keys.open_under(walk, epoch, sealed, seal.Suite.AUTHENTICATED, context(walk.project))
        fields = ref.shaped(message, 1, int, bytes, int, int, int, int, int, int)
    except (ValueError, TypeError, ref.Refused, seal.Refused):
        return None
    if fields[1] not in PHASES:
        return None
    return {"epoch": epoch, "phase": fields[1], **dict(zip(COUNTS, fields[3:], strict=True))}


def stands(stored: bytes | None, now: int) -> bool:
    """Whether a lease keeps others from the work."""
    try:
        *_, expires = ref.shaped(stored or b"", 1, int, bytes, 32, int)
    except ValueError:
        return False
    return len(ref.decode(stored)[2]) == 16 and now < expires <= now + LONGEST


def resume(documents: ref.Documents, walk: Walk, now: int) -> None:
    """Takes the rotation up, if nobody else does."""
    if stands(documents.get("leases", {}).get(NAME), now):
        raise ref.Refused("busy")
