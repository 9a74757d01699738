"""What the scenarios begin with, and what must be accepted."""

from __future__ import annotations

from collections.abc import Iterator

from keyring_vectors import reference as ref
from keyring_vectors.scene import Project

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
    later.begin_epoch("founder", "second", "user")
    later.let_in("recovery", ref.RECOVERY)
    for name, algorithm, newest in KEYS:
        later.put_key(name, algorithm, newest + 1, made=newest)
        later.put_value(name, newest + 1, algorithm, row=2)
    comment = "a second epoch, a grant under it, and keys that were described anew and rotated"
    yield "ok_second_epoch", later.vector(comment, machine="recovery", keys=ALL_KEYS)


def reserved() -> Named:
    """Keys of Bulla itself, which no user seals under or opens with."""
    project = Project.begin("reserved")
    project.put_key("sys/audit", 4, 1)
    project.put_key("sys/other", 1, 1)
    for name in ("sys/audit", "sys/other"):
        project.put_value(name, 1, 1, expect="reserved_name")
        project.ask("seal", name, "reserved_name", number=1)
        project.ask("export", name, "reserved_name", number=1)
        project.ask("hmac", name, "reserved_name", message="00")
    yield "hostile_reserved", project.vector("keys of Bulla itself", keys={"sys/other": "reserved_name"})


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


FAMILIES = (good, reserved, values)
