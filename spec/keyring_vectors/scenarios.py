"""All scenarios, by subject."""

from __future__ import annotations

from keyring_vectors import (
    algorithms,
    backups,
    base,
    epochs,
    keys,
    logs,
    pins,
    rotations,
    settings,
    team,
    two_persons,
    written,
)

SUBJECTS = (base, logs, team, two_persons, pins, keys, settings, algorithms, backups, epochs, rotations, written)
FAMILIES = tuple(family for subject in SUBJECTS for family in subject.FAMILIES)
