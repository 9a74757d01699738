"""Scenarios of the settings of a key and the states of its versions."""

from __future__ import annotations

from keyring_vectors import named_keys
from keyring_vectors import reference as ref
from keyring_vectors.base import Named
from keyring_vectors.named_keys import (
    DELETING,
    DELETION,
    DESTROYED,
    DESTROYING,
    DISABLED,
    EXPORTABLE,
    LOWEST_TO_OPEN,
    LOWEST_TO_SEAL,
    MOST_USES,
    ORIGIN,
    PERIOD,
)
from keyring_vectors.scene import TIME, Project, version_key
from seal_vectors import reference as seal

NAME, NEWEST = "letters", 5
SAFE = {**dict.fromkeys(range(1, NEWEST + 1), "ok")}


def letters(settings: dict | None = None, **fields: object) -> Project:
    """A project of one machine with one key of five versions."""
    project = Project.begin("letters")
    for number in range(1, NEWEST + 1):
        project.put_new_version(NAME, named_keys.AES256_GCM, number)
    body = project.description(NAME, named_keys.AES256_GCM, NEWEST)
    said = (
        dict(zip(Project.DESCRIPTION, body, strict=True))
        | {"settings": {} if settings is None else settings}
        | fields
    )
    project.put_description(NAME, list(said.values()))
    return project


def asked(
    settings: dict, codes: dict[int, str], seals: str = "ok", **fields: object
) -> tuple[Project, dict[str, str]]:
    """The same with a value for each version, and what should come of it."""
    project = letters(settings, **fields)
    for number, expect in (SAFE | codes).items():
        project.put_value(NAME, number, named_keys.AES256_GCM, expect=expect)
    return project, {NAME: seals}


def states() -> Named:
    """Versions that open, and versions that do not."""
    gone, off, low, unknown = "version_destroyed", "version_disabled", "below_minimum", "unknown_version"
    for name, comment, settings, codes, seals in (
        ("ok_settings_none", "no settings", {}, {}, "ok"),
        ("ok_setting_lowest_to_open", "the lowest version to open", {LOWEST_TO_OPEN: 3}, {1: low, 2: low}, "ok"),
        ("ok_setting_first_to_open", "the first is the lowest to open", {LOWEST_TO_OPEN: 1}, {}, "ok"),
        ("ok_setting_newest_to_seal", "the newest is the lowest to seal under", {LOWEST_TO_SEAL: 5}, {}, "ok"),
        ("ok_setting_period_0", "a period of nothing", {PERIOD: 0}, {}, "ok"),
        (
            "ok_setting_newest_to_open",
            "only the newest opens",
            {LOWEST_TO_OPEN: 5},
            dict.fromkeys(range(1, 5), low),
            "ok",
        ),
        ("ok_setting_disabled", "disabled versions", {DISABLED: [[1, 1], [3, 4]]}, {1: off, 3: off, 4: off}, "ok"),
        ("ok_setting_newest_disabled", "the newest version is disabled", {DISABLED: [[5, 5]]}, {5: off}, off),
        (
            "ok_setting_destroying",
            "versions to be destroyed",
            {DESTROYING: [[1, TIME + 1], [2, TIME]]},
            {1: gone, 2: gone},
            "ok",
        ),
        ("ok_setting_destroying_begun", "an end that has begun", {DESTROYING: [[4, 0]]}, {4: gone}, "ok"),
        ("ok_setting_destroyed", "destroyed versions", {DESTROYED: [[1, 3]]}, {1: gone, 2: gone, 3: gone}, "ok"),
        (
            "ok_setting_disabled_and_destroyed",
            "disabled, and then destroyed",
            {DISABLED: [[1, 2]], DESTROYED: [[2, 2]]},
            {1: off, 2: gone},
            "ok",
        ),
        (
            "ok_setting_disabled_and_destroying",
            "disabled, and to be destroyed",
            {DISABLED: [[1, 2]], DESTROYING: [[2, TIME + 9]]},
            {1: off, 2: gone},
            "ok",
        ),
        (
            "ok_setting_disabled_and_low",
            "disabled, and below the minimum",
            {LOWEST_TO_OPEN: 3, DISABLED: [[2, 2]]},
            {1: low, 2: off},
            "ok",
        ),
        (
            "ok_setting_destroyed_and_low",
            "destroyed, and below the minimum",
            {LOWEST_TO_OPEN: 3, DESTROYED: [[1, 1]]},
            {1: gone, 2: low},
            "ok",
        ),
        ("ok_setting_period", "a period", {PERIOD: 86_400_000}, {}, "ok"),
        ("ok_setting_uses", "a maximum of uses", {MOST_USES: 1_000}, {}, "ok"),
        ("ok_setting_deletion_allowed", "deletion allowed", {DELETION: 1}, {}, "ok"),
        (
            "ok_setting_deleting",
            "a key that waits for its end",
            {DELETION: 1, DELETING: TIME + 9},
            dict.fromkeys(SAFE, "key_deleted"),
            "key_deleted",
        ),
        (
            "ok_setting_deleted",
            "a key whose end has begun",
            {DELETING: 0},
            dict.fromkeys(SAFE, "key_deleted"),
            "key_deleted",
        ),
        (
            "ok_setting_many",
            "many settings",
            {
                LOWEST_TO_OPEN: 2,
                LOWEST_TO_SEAL: 4,
                PERIOD: 3_600_000,
                EXPORTABLE: 2,
                DELETION: 1,
                DISABLED: [[3, 3]],
                DESTROYING: [[2, TIME + 5]],
                DESTROYED: [[1, 1]],
            },
            {1: gone, 2: gone, 3: off},
            "ok",
        ),
    ):
        project, _ = asked(settings, codes)
        yield name, project.vector(f"settings: {comment}", keys={NAME: seals})
    project = Project.begin("letters")
    project.put_new_version(NAME, named_keys.AES256_GCM, 600)
    most = [[at, at] for at in range(1, 512, 2)]
    project.put_description(NAME, project.description(NAME, named_keys.AES256_GCM, 600, settings={DISABLED: most}))
    project.put_value(NAME, 600, named_keys.AES256_GCM)
    yield "ok_setting_256_ranges", project.vector("settings: as many ranges as there may be", keys={NAME: "ok"})
    more = [*most, [513, 513]]
    project.put_description(NAME, project.description(NAME, named_keys.AES256_GCM, 600, settings={DISABLED: more}))
    project.values[0] |= {"expect": "corrupt"}
    del project.values[0]["message"]
    yield "hostile_setting_257_ranges", project.vector("settings: a range too many", keys={NAME: "corrupt"})
    project, keys = asked({}, {1: unknown, 2: unknown}, first=3)
    yield "ok_first", project.vector("versions below the first are gone, though their rows are there", keys=keys)
    project, keys = asked({LOWEST_TO_OPEN: 4}, {1: unknown, 2: unknown, 3: low}, first=3)
    yield "ok_first_and_lowest", project.vector("versions below the first, and below the minimum", keys=keys)
    project, keys = asked({}, {5: unknown}, newest=4, newest_id=letters().key_version(NAME, 4).id)
    yield "ok_version_left_behind", project.vector("a version that no description names yet", keys=keys)


def destroyed_rows() -> Named:
    """Rows of versions that were destroyed, and descriptions that forget it."""
    project, keys = asked({DESTROYED: [[2, 2]]}, {2: "version_destroyed"})
    row = ref.decode(project.documents["key_versions"][version_key(NAME, 2)])
    empty = ref.encode([*row[:9], b""])
    project.put("key_versions", version_key(NAME, 2), empty)
    yield "ok_destroyed_row", project.vector("the material of a version was destroyed", keys=keys)
    project, keys = asked({}, {2: "corrupt"})
    project.put("key_versions", version_key(NAME, 2), empty)
    yield "hostile_destroyed_row_forgotten", project.vector("destroyed, and an older description put back", keys=keys)
    project.append(ref.FLOOR, NAME, NEWEST + 1)
    for value in project.values:
        value["expect"] = "rollback"
        value.pop("message", None)
    comment = "destroyed, and an older description put back, below its floor"
    yield "hostile_destroyed_below_floor", project.vector(comment, keys={NAME: "rollback"})


def chosen() -> Named:
    """Versions that are chosen to seal under, and versions that are handed out."""
    for name, comment, settings, codes in (
        ("none", "without leave", {}, {5: "ok", 4: "below_minimum", 1: "below_minimum"}),
        ("some", "from the third on", {LOWEST_TO_SEAL: 3}, {5: "ok", 4: "ok", 3: "ok", 2: "below_minimum"}),
        ("disabled", "a disabled one", {LOWEST_TO_SEAL: 3, DISABLED: [[3, 3]]}, {4: "ok", 3: "version_disabled"}),
        ("destroyed", "a destroyed one", {LOWEST_TO_SEAL: 3, DESTROYED: [[3, 3]]}, {4: "ok", 3: "version_destroyed"}),
        ("low", "one that would not open", {LOWEST_TO_OPEN: 4, LOWEST_TO_SEAL: 3}, {4: "ok", 3: "below_minimum"}),
        (
            "deleted",
            "of a key that was deleted",
            {LOWEST_TO_SEAL: 3, DELETING: TIME},
            {5: "key_deleted", 4: "key_deleted"},
        ),
    ):
        project = letters(settings)
        for number, expect in codes.items():
            project.ask("seal", NAME, expect, number=number)
        yield f"ok_chosen_{name}", project.vector(f"a version chosen to seal under: {comment}")

    for name, comment, settings, expect in (
        ("not", "a key that may not", {}, "not_exportable"),
        ("yes", "a key that may", {EXPORTABLE: 1}, "ok"),
        ("never", "a key that never may", {EXPORTABLE: 2}, "not_exportable"),
    ):
        project = letters(settings)
        material = {"result": project.key_version(NAME, 2).material.hex()} if expect == "ok" else {}
        project.ask("export", NAME, expect, number=2, **material)
        yield f"ok_export_{name}", project.vector(f"handed out: {comment}")
    project = letters({EXPORTABLE: 1})
    project.put_new_version(NAME, named_keys.AES256_GCM, 2, never=1)
    project.ask("export", NAME, "not_exportable", number=2)
    project.ask("export", NAME, number=3, result=project.key_version(NAME, 3).material.hex())
    comment = "a version that was made never to be handed out, under a description that allows it"
    yield "hostile_export_version_never", project.vector(comment)


def malformed() -> Named:
    """Descriptions under the right key that no writer would have written."""
    lists = {DISABLED: "disabled", DESTROYED: "destroyed"}
    bad = [
        ("unknown", "a setting that there is not", {12: 1}),
        ("zero", "a setting of number 0", {0: 1}),
        ("text", "a setting by name", {"period": 1}),
        ("open_beyond", "the lowest to open is above the newest", {LOWEST_TO_OPEN: 6}),
        ("open_zero", "the lowest to open is 0", {LOWEST_TO_OPEN: 0}),
        ("seal_beyond", "the lowest to seal under is above the newest", {LOWEST_TO_SEAL: 6}),
        ("seal_zero", "the lowest to seal under is 0", {LOWEST_TO_SEAL: 0}),
        ("period_text", "a period in words", {PERIOD: "day"}),
        ("uses_list", "a list of uses", {MOST_USES: [1]}),
        ("export_default", "the default is written: not exportable", {EXPORTABLE: 0}),
        ("export_3", "exportable is 3", {EXPORTABLE: 3}),
        ("deletion_default", "the default is written: deletion not allowed", {DELETION: 0}),
        ("deletion_2", "deletion allowed is 2", {DELETION: 2}),
        ("origin_default", "the default is written: generated", {ORIGIN: 1}),
        ("origin_3", "an origin that there is not", {ORIGIN: 3}),
        ("destroying_empty", "an empty list of ends", {DESTROYING: []}),
        ("destroying_order", "ends in another order", {DESTROYING: [[3, TIME], [2, TIME]]}),
        ("destroying_twice", "two ends of one version", {DESTROYING: [[2, TIME], [2, TIME + 1]]}),
        ("destroying_beyond", "the end of a version that there is not", {DESTROYING: [[6, TIME]]}),
        ("destroying_zero", "the end of version 0", {DESTROYING: [[0, TIME]]}),
        ("destroying_one", "an end without a time", {DESTROYING: [[2]]}),
        ("destroying_flat", "an end that is no pair", {DESTROYING: [2, TIME]}),
        ("deleting_list", "a list of ends of the key", {DELETING: [TIME]}),
    ]
    for setting, name in lists.items():
        bad += [
            (f"{name}_empty", f"{name}: an empty list", {setting: []}),
            (f"{name}_reversed", f"{name}: a range that is reversed", {setting: [[3, 2]]}),
            (f"{name}_overlap", f"{name}: ranges that overlap", {setting: [[1, 3], [3, 4]]}),
            (f"{name}_touch", f"{name}: ranges that touch", {setting: [[1, 2], [3, 4]]}),
            (f"{name}_order", f"{name}: ranges in another order", {setting: [[4, 4], [1, 1]]}),
            (f"{name}_beyond", f"{name}: a range beyond the newest", {setting: [[3, 6]]}),
            (f"{name}_below", f"{name}: a range below the first", {setting: [[0, 1]]}),
            (f"{name}_three", f"{name}: a range of three", {setting: [[1, 2, 3]]}),
        ]
    for name, comment, settings in bad:
        yield from corrupt(f"setting_{name}", f"settings: {comment}", letters(settings))
    for name, comment, fields in (
        ("use_case", "the other use case", {"use": 2}),
        ("use_case_3", "a use case that there is not", {"use": 3}),
        ("algorithm", "an algorithm that there is not", {"algorithm": 9}),
        ("algorithm_0", "algorithm 0", {"algorithm": 0}),
        ("algorithm_of_versions", "another algorithm than its versions have", {"algorithm": 2}),
        ("serial_0", "a serial number of 0", {"serial": 0}),
        ("first_0", "a first version of 0", {"first": 0}),
        ("first_beyond", "a first version above the newest", {"first": 6}),
        ("newest_0", "no version", {"first": 0, "newest": 0}),
        ("id_short", "an id that is too short", {"newest_id": bytes(7)}),
        ("version", "a description of the future", {"version": 2}),
        ("settings_list", "settings that are a list", {"settings": []}),
        ("rotated_text", "a time in words", {"rotated": "now"}),
        ("serial_text", "a serial number in words", {"serial": "one"}),
    ):
        yield from corrupt(f"description_{name}", f"a description: {comment}", letters(**fields))
    whole = letters().description(NAME, 1, NEWEST)
    settings_map = bytes.fromhex("a1") + ref.encode(PERIOD) + ref.encode(86_400_000)
    twice = b"\xa2" + settings_map[1:] * 2
    unordered = b"\xa2" + ref.encode(DELETION) + ref.encode(1) + settings_map[1:]
    long_key = b"\xa1\x18\x03" + ref.encode(86_400_000)
    for name, comment, message in (
        ("cut", "without its end", ref.encode(whole)[:-1]),
        ("extended", "a byte behind the end", ref.encode(whole) + b"\0"),
        ("nine_items", "without settings", ref.encode(whole[:9])),
        ("eleven_items", "an item too many", ref.encode([*whole, 0])),
        ("long_form", "a longer form of a number", ref.encode(whole).replace(b"\x8a\x01", b"\x8a\x18\x01", 1)),
        ("setting_twice", "a setting that comes twice", ref.encode(whole)[:-1] + twice),
        ("settings_unordered", "settings in another order", ref.encode(whole)[:-1] + unordered),
        ("settings_long_key", "a longer form of the number of a setting", ref.encode(whole)[:-1] + long_key),
        ("settings_indefinite", "settings of indefinite length", ref.encode(whole)[:-1] + b"\xbf\xff"),
        ("settings_nested", "settings nested deep", ref.encode(whole)[:-1] + b"\xa1\x08" + b"\x81" * 4096),
        ("float", "a float for a time", ref.encode(whole).replace(ref.encode(TIME), b"\xfb" + bytes(8), 1)),
        ("empty", "nothing", b""),
    ):
        project = letters()
        project.put_sealed_description(NAME, message)
        yield from corrupt(f"description_{name}", f"a description: {comment}", project)
    for suite, log2 in ((1, 16), (2, 16), (4, 16), (3, 12)):
        project = letters()
        project.put_sealed_description(NAME, ref.encode(whole), suite=suite, log2=log2)
        comment = f"a description: sealed with suite {suite} and chunks of 2^{log2} bytes"
        yield from corrupt(f"description_suite_{suite}_chunk_{log2}", comment, project)
    for suite, log2 in ((2, 16), (3, 16), (4, 16), (1, 12)):
        project = letters()
        key = project.key_version(NAME, NEWEST)
        row = [1, NEWEST, key.id, 1, 1, 0, TIME + NEWEST, 1, 1]
        project.put_version(NAME, row, key.material, seal.Suite(suite), log2)
        comment = f"a version: sealed with suite {suite} and chunks of 2^{log2} bytes"
        yield from corrupt(f"version_suite_{suite}_chunk_{log2}", comment, project)


def corrupt(name: str, comment: str, project: Project) -> Named:
    """A key that is corrupt, and values that therefore do not open."""
    project.put_value(NAME, NEWEST, named_keys.AES256_GCM, expect="corrupt")
    yield f"hostile_{name}", project.vector(comment, keys={NAME: "corrupt"})


FAMILIES = (states, destroyed_rows, chosen, malformed)
