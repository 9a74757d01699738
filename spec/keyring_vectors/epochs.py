"""Scenarios of epochs: versions that were born in an older one, and what becomes of keys in a new one."""

from __future__ import annotations

from keyring_vectors import named_keys
from keyring_vectors import reference as ref
from keyring_vectors.algorithms import MESSAGE, NAMES, outside
from keyring_vectors.base import Named
from keyring_vectors.named_keys import AES256_GCM, ED25519, HMAC_SHA256, LOWEST_TO_SEAL, MOST_USES
from keyring_vectors.scene import TIME, Project, drawn, version_key
from seal_vectors import reference as seal

NAME = "letters"


def two_epochs(newest: int = 2) -> Project:
    """A project of two epochs, whose key was made in the first."""
    project = Project.begin("epochs")
    project.put_key(NAME, AES256_GCM, newest)
    project.begin_epoch("founder")
    return project


def described(project: Project, newest: int, **fields: object) -> None:
    """Describes the key in the second epoch."""
    project.put_description(NAME, project.description(NAME, AES256_GCM, newest, **fields))


def births() -> Named:
    """Authentic rows of versions that say when they were born."""
    for name, comment, born, epoch in (
        ("never", "born in epoch 0", 0, 2),
        ("never_in_older_epoch", "born in epoch 0, wrapped in epoch 1", 0, 1),
        ("above_epoch", "born in the current epoch, wrapped in the one before", 2, 1),
        ("above_all", "born in an epoch that there is not", 3, 2),
        ("far_above", "born in the last epoch that a number can say", (1 << 64) - 1, 2),
    ):
        project = two_epochs()
        key = project.key_version(NAME, 2)
        project.put_version(NAME, [1, 2, key.id, AES256_GCM, 1, 0, TIME + 2, born, epoch], key.material)
        described(project, 2)
        project.put_value(NAME, 2, AES256_GCM, expect="corrupt")
        yield f"hostile_born_{name}", project.vector(f"a version {comment}", keys={NAME: "corrupt"})
    project = two_epochs()
    project.put_new_version(NAME, AES256_GCM, 2, born=1)
    row = ref.decode(project.documents["key_versions"][version_key(NAME, 2)])
    project.put("key_versions", version_key(NAME, 2), ref.encode([*row[:7], 2, *row[8:]]))
    described(project, 2)
    project.put_value(NAME, 2, AES256_GCM, expect="corrupt")
    comment = "a version wrapped anew, and then said to be born in the current epoch"
    yield "hostile_born_again", project.vector(comment, keys={NAME: "corrupt"})


def wrapped_anew() -> Named:
    """Versions of an older epoch under the current data key: they open, and are not sealed under."""
    project = two_epochs()
    for number in (1, 2):
        project.put_new_version(NAME, AES256_GCM, number, born=1)
        project.put_value(NAME, number, AES256_GCM)
    described(project, 2)
    for number, code in ((2, "old_epoch"), (1, "below_minimum")):
        project.ask("seal", NAME, code, number=number)
    comment = "a version of an older epoch, wrapped anew and named as the newest"
    yield "hostile_newest_wrapped_anew", project.vector(comment, keys={NAME: "old_epoch"})

    project = two_epochs()
    for number in (1, 2):
        project.put_new_version(NAME, AES256_GCM, number, born=1)
    for number in (3, 4):
        project.put_new_version(NAME, AES256_GCM, number)
    described(project, 4, settings={LOWEST_TO_SEAL: 1})
    for number, code in ((4, "ok"), (3, "ok"), (2, "old_epoch"), (1, "old_epoch")):
        project.ask("seal", NAME, code, number=number)
    comment = "versions chosen to seal under, of which some are older and were wrapped anew"
    yield "hostile_chosen_wrapped_anew", project.vector(comment, keys={NAME: "ok"})


def planted() -> Named:
    """Versions of an older epoch behind the newest, which nobody makes the newest."""
    for ahead in (1, 2):
        project = two_epochs()
        project.put_new_version(NAME, AES256_GCM, 3)
        described(project, 3)
        project.put_value(NAME, 3, AES256_GCM)
        project.put_new_version(NAME, AES256_GCM, 3 + ahead, born=1)
        project.put_value(NAME, 3 + ahead, AES256_GCM, expect="unknown_version")
        project.ask("seal", NAME, "not_found", number=3 + ahead)
        project.ask("newest", NAME, result=3)
        comment = f"a version of an older epoch, wrapped anew {ahead} behind the newest"
        yield f"hostile_planted_{ahead}_ahead", project.vector(comment, keys={NAME: "ok"})

    for name, comment, births, expect in (
        ("ok_due", "with nothing behind it", (), 3),
        ("ok_due_left_behind", "and a version that another process has made", (2,), 3),
        ("hostile_due_planted", "and a version of an older epoch behind it", (1,), 4),
        ("hostile_due_planted_twice", "and two versions of an older epoch behind it", (1, 1), 5),
        ("hostile_due_planted_far", "and a version of an older epoch 2 behind it", (None, 1), 3),
        ("hostile_due_planted_before", "a version of an older epoch behind it, and one that was made", (1, 2), 5),
    ):
        project = used_up()
        for number, born in enumerate(births, start=3):
            if born is not None:
                project.put_new_version(NAME, ED25519, number, born=born)
        project.ask("sign", NAME)
        project.ask("newest", NAME, result=expect)
        yield name, project.vector(f"a newest version that is used up, {comment}")
    project = used_up()
    project.put("key_versions", version_key(NAME, 3), b"planted")
    project.ask("sign", NAME)
    project.ask("newest", NAME, result=4)
    yield "hostile_due_garbage", project.vector("a newest version that is used up, and no version behind it")
    project = used_up()
    key = project.key_version(NAME, 3)
    project.put_version(NAME, [1, 3, key.id, ED25519, 1, 1, TIME + 3, 2, 2], key.material)
    project.ask("sign", NAME)
    project.ask("newest", NAME, result=4)
    comment = "a newest version that is used up, and behind it one that is never handed out"
    yield "hostile_due_other_flag", project.vector(comment)


def used_up() -> Project:
    """A key that signs, whose newest version is used up."""
    project = Project.begin("epochs")
    project.begin_epoch("founder")
    project.put_key(NAME, ED25519, 2, settings={MOST_USES: 5})
    project.put("key_uses", project.key_version(NAME, 2).id, ref.encode([1, 5]))
    return project


def renewals() -> Named:
    """Rotations that are taken up: what is the newest version behind them."""
    for name, comment, planted_at, expect in (
        ("ok_renewal", "a key is renewed", (), 3),
        ("hostile_renewal_planted", "past a version of an older epoch behind the newest", (3,), 4),
        ("hostile_renewal_planted_twice", "past two of them", (3, 4), 5),
        ("hostile_renewal_planted_far", "to a number that is free, before a planted one", (4,), 3),
    ):
        for how, epoch in (("", 1), ("_anew", 2)):
            if epoch == 2 and not planted_at:
                continue
            project = Project.begin("epochs")
            project.put_key(NAME, AES256_GCM, 2, settings={LOWEST_TO_SEAL: 1})
            project.begin_epoch("founder")
            for number in planted_at:
                key = project.key_version(NAME, number)
                row = [1, number, key.id, AES256_GCM, 1, 0, TIME + number, 1, epoch]
                project.put_version(NAME, row, key.material)
            project.ask("seal", NAME, "old_epoch", number=2)
            for _ in range(2):
                project.ask("resume", NAME)
                project.ask("newest", NAME, result=expect)
            project.ask("seal", NAME, number=expect)
            for number in {2, *planted_at} - {expect}:
                code = "not_found" if number > expect else "below_minimum"
                project.ask("seal", NAME, code, number=number)
            keys = {NAME: "old_epoch"}
            yield f"{name}{how}", project.vector(f"a rotation is taken up: {comment}", keys=keys)

    project = two_epochs()
    forged = drawn("forged")
    forged_id = seal.KeyVersion.from_outside(forged).id
    project.put_version(NAME, [1, 3, forged_id, AES256_GCM, 2, 0, TIME + 3, 1, 1], forged)
    project.put("key_ids", forged_id, ref.encode([1, NAME, 3]))
    settings = {named_keys.ORIGIN: named_keys.OUTSIDE}
    said = project.description(NAME, AES256_GCM, 3, newest_id=forged_id, settings=settings)
    project.put_description(NAME, said, epoch=1)
    for _ in range(2):
        project.ask("seal", NAME, "old_epoch", number=3)
        project.ask("resume", NAME)
    project.ask("newest", NAME, result=3)
    project.ask("seal", NAME, "old_epoch", number=3)
    comment = "a key that somebody who was put out describes as one with material from outside, of their own"
    yield "hostile_renewal_said_outside", project.vector(comment, keys={NAME: "old_epoch"})


def from_outside() -> Named:
    """Keys with material from outside in a new epoch: they open, and are sealed under once it was brought anew."""
    name = NAMES[HMAC_SHA256]
    project, material = outside(HMAC_SHA256, 32)
    project.begin_epoch("founder")
    other = drawn("outside/other")
    ids = {secret: seal.KeyVersion.from_outside(secret).id for secret in (material, other)}

    def hmac(scene: Project, secret: bytes = material, expect: str = "ok") -> None:
        tag = {"result": tag_of(secret)} if expect == "ok" else {}
        scene.ask("hmac", name, expect, message=MESSAGE.hex(), **tag)

    def tag_of(secret: bytes) -> str:
        return (ids[secret] + seal.hmac_sha256(secret, MESSAGE)).hex()

    def row(secret: bytes, number: int, born: int) -> list:
        return [1, number, ids[secret], HMAC_SHA256, 2, 0, TIME + 2, born, 2]

    def renewed() -> Project:
        scene = project.copy()
        settings = {named_keys.ORIGIN: named_keys.OUTSIDE}
        said = scene.description(name, HMAC_SHA256, 2, newest_id=ids[material], settings=settings)
        scene.put_description(name, said)
        scene.put_version(name, row(material, 2, 1), material)
        return scene

    def verify(scene: Project) -> None:
        scene.ask("verify_hmac", name, message=MESSAGE.hex(), signature=tag_of(material), result=True)

    scene = project.copy()
    scene.ask("bring", name, "old_epoch", material=material.hex())
    verify(scene)
    hmac(scene, expect="old_epoch")
    comment = "material from outside, whose key was not described in the new epoch yet"
    yield "hostile_outside_old", scene.vector(comment)
    scene = project.copy()
    scene.ask("resume", name)
    scene.ask("newest", name, result=2)
    verify(scene)
    hmac(scene, expect="old_epoch")
    scene.ask("bring", name, material=material.hex(), result=2)
    hmac(scene)
    scene.ask("newest", name, result=2)
    yield "ok_outside_resumed", scene.vector("material from outside in a new epoch, and brought once more")
    scene = renewed()
    verify(scene)
    hmac(scene, expect="old_epoch")
    yield "hostile_outside_not_brought", scene.vector("material from outside in a new epoch opens, and does not seal")
    scene = renewed()
    scene.ask("bring", name, material=other.hex(), result=3)
    verify(scene)
    hmac(scene, other)
    scene.ask("newest", name, result=3)
    yield "ok_outside_brought_other", scene.vector("other material was brought in a new epoch")
    scene = renewed()
    scene.put_version(name, row(material, 2, 2), material)
    hmac(scene)
    yield "ok_outside_brought", scene.vector("the same material was brought in a new epoch")
    scene = renewed()
    scene.put_version(name, row(material, 2, 1), other)
    scene.ask("verify_hmac", name, message=MESSAGE.hex(), signature=tag_of(material), result=False)
    hmac(scene, expect="old_epoch")
    scene.ask("bring", name, material=material.hex(), result=2)
    verify(scene)
    hmac(scene)
    comment = "the material of a version was forged by one of the epoch before, and brought once more"
    yield "hostile_outside_forged", scene.vector(comment)
    for what, born, secret in (
        ("forged", 1, material),
        ("forged_now", 2, material),
        ("planted", 1, other),
        ("left_behind", 2, other),
    ):
        scene = renewed()
        scene.put_version(name, row(other, 3, born), secret)
        scene.put("key_ids", ids[other], ref.encode([1, name, 3]))
        scene.ask("bring", name, material=other.hex(), result=3)
        hmac(scene, other)
        scene.ask("newest", name, result=3)
        kind = "ok" if what == "left_behind" else "hostile"
        comment = f"a version of the id of what is brought lies behind the newest: {what.replace('_', ' ')}"
        yield f"{kind}_outside_behind_{what}", scene.vector(comment)


FAMILIES = (births, wrapped_anew, planted, renewals, from_outside)
