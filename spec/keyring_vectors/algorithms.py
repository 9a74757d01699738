"""Scenarios of each algorithm: a key of it, and what does not belong to it."""

from __future__ import annotations

from collections.abc import Callable

from keyring_vectors import named_keys
from keyring_vectors import reference as ref
from keyring_vectors.base import Named
from keyring_vectors.scene import ENCAPSULATIONS, TIME, Project, drawn, kept, version_key
from seal_vectors import reference as seal
from sealed_to_vectors import reference as sealed_to

NAMES = {
    1: "aes256-gcm",
    2: "chacha20-poly1305",
    3: "aes256-det",
    4: "hmac-sha256",
    5: "ed25519",
    6: "ecdsa-p256",
    7: "ml-dsa-65",
    8: "xwing",
}
SUITES = (1, 2, 3)
SIGN = (5, 6, 7)
MESSAGE = b"42 widgets"


def key_of(algorithm: int, newest: int = 2) -> Project:
    """A project of one machine and one key."""
    project = Project.begin(f"algorithm {algorithm}")
    project.put_key(NAMES[algorithm], algorithm, newest)
    return project


def public(project: Project, version: named_keys.Version) -> str:
    """The public key of a version, in hex, or as text."""
    if version.algorithm == named_keys.XWING:
        return named_keys.public_text(project.project, NAMES[version.algorithm], version)
    return named_keys.public_key(version).hex()


def ask(project: Project, algorithm: int, *, ok: str = "ok") -> dict[str, str]:
    """Adds all that can be asked of a key; returns what comes of sealing under it."""
    name = NAMES[algorithm]
    key = project.key_version(name, 2)
    version = named_keys.Version(2, key.id, algorithm, 1, False, 1, key.material)
    signature = project.signed(name, 1, algorithm, MESSAGE) if algorithm in (4, *SIGN) else key.id + bytes(64)
    verified = {"result": True} if ok == "ok" else {}
    if algorithm in SUITES:
        for number in (1, 2):
            project.put_value(name, number, algorithm, expect=ok)
    project.ask("sign", name, ok if algorithm in SIGN else "wrong_use")
    verify = {"message": MESSAGE.hex(), "signature": signature.hex()}
    if algorithm in SIGN:
        project.ask("verify", name, ok, **verify, **verified)
    else:
        project.ask("verify", name, "wrong_use", **verify)
    if algorithm == named_keys.HMAC_SHA256:
        tag = (key.id + seal.hmac_sha256(key.material, MESSAGE)).hex()
        project.ask("hmac", name, ok, message=MESSAGE.hex(), **({"result": tag} if ok == "ok" else {}))
        project.ask("verify_hmac", name, ok, **verify, **verified)
    else:
        project.ask("hmac", name, "wrong_use", message=MESSAGE.hex())
        project.ask("verify_hmac", name, "wrong_use", **verify)
    if algorithm in (*SIGN, named_keys.XWING):
        project.ask("public", name, ok, **({"result": public(project, version)} if ok == "ok" else {}))
    else:
        project.ask("public", name, "wrong_use")
    return {name: ok if algorithm in SUITES else "wrong_use"}


def good() -> Named:
    """A key of each algorithm, and all that can be asked of it."""
    for algorithm, name in NAMES.items():
        project = key_of(algorithm)
        keys = ask(project, algorithm)
        yield f"ok_algorithm_{name.replace('-', '_')}", project.vector(f"a key of {name}", keys=keys)


def signatures() -> Named:
    """Signatures and tags that are not of the message, and values under keys that do not seal."""
    for algorithm in (4, *SIGN):
        name = NAMES[algorithm]
        project = key_of(algorithm)
        operation = "verify_hmac" if algorithm == 4 else "verify"
        whole = project.signed(name, 2, algorithm, MESSAGE)
        older = project.key_version(name, 1).id
        unknown = drawn("unknown id", 8)
        for signature, result in (
            (whole, True),
            (whole[:-1] + bytes([whole[-1] ^ 1]), False),
            (whole[:9] + bytes([whole[9] ^ 1]) + whole[10:], False),
            (whole[:-1], False),
            (whole + b"\0", False),
            (whole[:8], False),
            (older + whole[8:], False),
        ):
            project.ask(operation, name, message=MESSAGE.hex(), signature=signature.hex(), result=result)
        project.ask(operation, name, message=b"43 widgets".hex(), signature=whole.hex(), result=False)
        forged = (unknown + whole[8:]).hex()
        project.ask(operation, name, "unknown_version", message=MESSAGE.hex(), signature=forged)
        if algorithm == named_keys.ECDSA_P256:
            r, s = whole[8:40], int.from_bytes(whole[40:], "big")
            other = whole[:8] + r + (named_keys.CURVE_ORDER - s).to_bytes(32, "big")
            project.ask(operation, name, message=MESSAGE.hex(), signature=other.hex(), result=True)
            for halves in (bytes(64), r + bytes(32), bytes(32) + whole[40:], b"\xff" * 64):
                project.ask(
                    operation, name, message=MESSAGE.hex(), signature=(whole[:8] + halves).hex(), result=False
                )
        comment = f"signatures of {name} that are not of the message"
        yield f"hostile_signatures_{name.replace('-', '_')}", project.vector(comment)
        project = key_of(algorithm)
        project.put_value(name, 2, 1, expect="wrong_use")
        comment = f"a value that was sealed under the material of a key of {name}"
        yield f"hostile_value_under_{name.replace('-', '_')}", project.vector(comment, keys={name: "wrong_use"})
    project = key_of(3)
    project.put_value(NAMES[3], 2, 1, expect="ok")
    comment = "a value of another suite than that of its key opens: the header is authentic"
    yield "ok_value_of_another_suite", project.vector(comment)


def versions() -> Named:
    """Versions that do not belong to the algorithm of their key, authentic as rows."""
    for algorithm in (1, 4, 5, 8):
        name = NAMES[algorithm]
        other = 2 if algorithm == 1 else 5 if algorithm == 4 else 4 if algorithm == 5 else 1
        project = key_of(algorithm)
        key = project.key_version(name, 2)
        project.put_version(name, [1, 2, key.id, other, 1, 0, TIME + 2, 1, 1], key.material)
        if algorithm == 1:
            project.put_value(name, 2, 1, expect="corrupt")
            keys = {name: "corrupt"}
        else:
            operation, extra = {4: ("hmac", {"message": MESSAGE.hex()}), 5: ("sign", {}), 8: ("public", {})}[
                algorithm
            ]
            project.ask(operation, name, "corrupt", **extra)
            keys = {}
        comment = f"a version of {NAMES[other]} in a key of {name}"
        yield f"hostile_version_{NAMES[other]}_in_{name}".replace("-", "_"), project.vector(comment, keys=keys)
    for algorithm, length in ((1, 16), (1, 31), (1, 33), (5, 31), (5, 64), (7, 33), (8, 33), (4, 31), (4, 0)):
        name = NAMES[algorithm]
        project = key_of(algorithm)
        key = project.key_version(name, 2)
        project.put_version(name, [1, 2, key.id, algorithm, 1, 0, TIME + 2, 1, 1], drawn("material", length))
        yield from short(project, algorithm, f"generated_of_{length}", f"generated material of {length} bytes")
    for algorithm, length in ((1, 15), (1, 1025), (4, 15), (4, 1025), (5, 16), (6, 31), (8, 16)):
        project, _ = outside(algorithm, length)
        yield from short(project, algorithm, f"outside_of_{length}", f"material of {length} bytes from outside")
    order = named_keys.CURVE_ORDER
    for what, scalar in (("zero", 0), ("order", order), ("beyond", order + 1), ("all_ones", (1 << 256) - 1)):
        project = key_of(6)
        key = project.key_version(NAMES[6], 2)
        project.put_version(NAMES[6], [1, 2, key.id, 6, 1, 0, TIME + 2, 1, 1], scalar.to_bytes(32, "big"))
        yield from short(project, 6, f"scalar_{what}", f"a scalar that is none: {what}")


def outside(algorithm: int, length: int) -> tuple[Project, bytes]:
    """A project of one machine and one key, whose second version has material from outside."""
    name = NAMES[algorithm]
    material = drawn(f"outside/{algorithm}", length)
    project = key_of(algorithm)
    prk = seal.hmac_sha256(b"bulla/seal/v1", material)
    version_id = seal.hkdf_expand(prk, b"bulla/seal/v1/key-version", 8)
    del project.documents["key_ids"][project.key_version(name, 2).id]
    project.put_version(name, [1, 2, version_id, algorithm, 2, 0, TIME + 2, 1, 1], material)
    project.put("key_ids", version_id, ref.encode([1, name, 2]))
    project.put_description(name, project.description(name, algorithm, 2, newest_id=version_id, settings={7: 2}))
    return project, material


def short(project: Project, algorithm: int, what: str, comment: str) -> Named:
    """A key whose newest version is not sealed, signed or published under."""
    name = NAMES[algorithm]
    keys = {name: "corrupt"} if algorithm in SUITES else {}
    if algorithm == named_keys.HMAC_SHA256:
        project.ask("hmac", name, "corrupt", message=MESSAGE.hex())
    elif algorithm in SIGN:
        project.ask("sign", name, "corrupt")
    elif algorithm == named_keys.XWING:
        project.ask("public", name, "corrupt")
    yield f"hostile_version_{what}_{name}".replace("-", "_"), project.vector(f"{name}: {comment}", keys=keys)


def from_outside() -> Named:
    """Keys with material from outside."""
    for algorithm, length in ((1, 16), (2, 1024), (3, 48)):
        name = NAMES[algorithm]
        project, material = outside(algorithm, length)
        key = seal.KeyVersion.from_outside(material)
        context = seal.Context("user", project.project, {"row": 1})
        header = seal.Header(
            named_keys.SUITE_OF_ALGORITHM[algorithm], 16, key.id, drawn(f"outside/salt/{algorithm}", 24)
        )
        if algorithm == named_keys.AES256_DET:
            salt = seal.deterministic_salt(key, header, context.encoded, MESSAGE)
            header = seal.Header(seal.Suite.AES256_DET, 16, key.id, salt)
        project.put_value(name, 1, algorithm)
        value = project.values[0] | {"sealed": seal.seal(key, context.encoded, header, MESSAGE).hex()}
        project.values.append(value)
        yield (
            f"ok_outside_{length}_{name.replace('-', '_')}",
            project.vector(f"{name}: {length} bytes of material from outside", keys={name: "ok"}),
        )
    for length in (16, 1024):
        project, material = outside(4, length)
        version_id = seal.KeyVersion.from_outside(material).id
        tag = (version_id + seal.hmac_sha256(material, MESSAGE)).hex()
        project.ask("hmac", NAMES[4], message=MESSAGE.hex(), result=tag)
        project.ask("verify_hmac", NAMES[4], message=MESSAGE.hex(), signature=tag, result=True)
        yield f"ok_outside_{length}_hmac_sha256", project.vector(f"hmac-sha256: {length} bytes from outside")
    for algorithm in (*SIGN, 8):
        name = NAMES[algorithm]
        project, material = outside(algorithm, 32)
        version = named_keys.Version(2, seal.KeyVersion.from_outside(material).id, algorithm, 2, False, 1, material)
        project.ask("public", name, result=public(project, version))
        yield f"ok_outside_32_{name.replace('-', '_')}", project.vector(f"{name}: material from outside")


def sealed_to_keys() -> Named:
    """What was sealed to public keys of the project."""
    name = NAMES[named_keys.XWING]

    def inbox(settings: dict | None = None) -> Project:
        project = Project.begin("inbox")
        project.put_key(name, named_keys.XWING, 2, settings=settings or {})
        return project

    def put(project: Project, number: int, expect: str = "ok", *, key: str = name, **changed: object) -> None:
        version = project.key_version(name, number)
        holder = sealed_to.Recipient(project.project, name, version.id, version.material)
        enc = kept(ENCAPSULATIONS, f"inbox/{number}", holder.xwing.encapsulate)
        context = seal.Context("user", project.project, {"row": 1})
        header = seal.Header(
            changed.get("suite", seal.Suite.AES256_GCM), 16, version.id, drawn(f"inbox/salt/{number}", 24)
        )
        value = seal.seal(holder.message_key(enc), context.encoded, header, MESSAGE)
        whole = holder.head(enc) + value
        project.put_value(key, number, 1, expect=expect, message=MESSAGE)
        project.values[-1]["sealed"] = changed.get("change", bytes)(whole).hex()

    project = inbox()
    for number in (1, 2):
        put(project, number)
        put(project, number, suite=seal.Suite.CHACHA20_POLY1305)
    yield "ok_sealed_to", project.vector("values that were sealed to both versions of an xwing key")
    project = inbox()

    def at(place: int) -> Callable[[bytes], bytes]:
        return lambda whole: whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]

    for change, expect in (
        (at(2), "not_sealed"),
        (at(3), "unsupported_version"),
        (lambda whole: whole[:3], "too_short"),
        (lambda whole: whole[:1131], "too_short"),
        (lambda whole: whole[:1132], "too_short"),
        (at(4), "unknown_version"),
        (at(12), "cannot_open"),
        (at(1131), "cannot_open"),
        (at(1132 + 8), "unknown_version"),
        (at(1132 + 40), "cannot_open"),
        (at(1132 + 72), "damaged"),
        (lambda whole: whole + b"\0", "damaged"),
        (lambda whole: whole[1132:], "not_sealed"),
    ):
        put(project, 2, expect, change=change)
    put(project, 2, "unsupported_suite", suite=seal.Suite.AUTHENTICATED)
    yield "hostile_sealed_to", project.vector("values that were sealed to an xwing key, and altered")
    project = inbox({named_keys.DISABLED: [[1, 1]]})
    put(project, 1, "version_disabled")
    put(project, 2)
    yield "ok_sealed_to_disabled", project.vector("sealed to a version that is disabled by now")
    project = inbox()
    project.put_key("letters", 1, 1)
    put(project, 2, "unknown_version", key="letters")
    key_id = project.key_version("letters", 1).id
    put(project, 2, "not_sealed", key="letters", change=lambda whole: whole[:4] + key_id + whole[12:])
    yield "hostile_sealed_to_other_key", project.vector("sealed to one key, and opened with another")


def uses() -> Named:
    """Versions that were used as often as they may be."""
    for name, comment, reserved, expect in (
        ("none", "never used", None, "ok"),
        ("some", "used sometimes", ref.encode([1, 3]), "ok"),
        ("all", "used up", ref.encode([1, 5]), "used_up"),
        ("more", "used more often than there were uses", ref.encode([1, 6]), "used_up"),
        ("most", "used as often as a number can say", ref.encode([1, (1 << 64) - 1]), "used_up"),
        ("malformed_empty", "nothing for a count", b"", "corrupt"),
        ("malformed_text", "a count in words", ref.encode([1, "five"]), "corrupt"),
        ("malformed_future", "a count of the future", ref.encode([2, 1]), "corrupt"),
        ("malformed_extended", "a byte behind a count", ref.encode([1, 1]) + b"\0", "corrupt"),
    ):
        project, material = outside(4, 32)
        version_id = seal.KeyVersion.from_outside(material).id
        settings = {named_keys.ORIGIN: named_keys.OUTSIDE, named_keys.MOST_USES: 5}
        project.put_description(
            NAMES[4], project.description(NAMES[4], 4, 2, newest_id=version_id, settings=settings)
        )
        if reserved is not None:
            project.put("key_uses", version_id, reserved)
        tag = {"result": (version_id + seal.hmac_sha256(material, MESSAGE)).hex()} if expect == "ok" else {}
        project.ask("hmac", NAMES[4], expect, message=MESSAGE.hex(), **tag)
        yield (
            f"{'hostile' if expect == 'corrupt' else 'ok'}_uses_{name}",
            project.vector(f"a version with material from outside: {comment}"),
        )
    project = key_of(5)
    settings = {named_keys.MOST_USES: 5}
    project.put_description(NAMES[5], project.description(NAMES[5], 5, 2, settings=settings))
    project.put("key_uses", project.key_version(NAMES[5], 2).id, ref.encode([1, 5]))
    project.ask("sign", NAMES[5])
    yield "ok_uses_generated", project.vector("a generated version that is used up: the next use makes another")


def moved() -> Named:
    """Rows of a key in another project, or under another name."""
    source, target = Project.begin("source"), Project.begin("target")
    for project in (source, target):
        project.put_key("letters", 1, 1)
        project.put_value("letters", 1, 1)
    for collection, keys, value in (("keys", "corrupt", "corrupt"), ("key_versions", "corrupt", "corrupt")):
        project = target.copy()
        project.documents[collection] = dict(source.documents[collection])
        if value != "ok":
            project.values[0] |= {"expect": value}
            project.values[0].pop("message")
        comment = f"a document moved to another project: {collection}"
        yield f"hostile_moved_{collection}", project.vector(comment, keys={"letters": keys})
    project = target.copy()
    for collection in ("keys", "key_versions", "key_ids"):
        project.documents[collection] = dict(source.documents[collection])
    project.values = [source.values[0] | {"expect": "corrupt"}]
    project.values[0].pop("message")
    comment = "a whole key moved to another project"
    yield "hostile_moved_key", project.vector(comment, keys={"letters": "corrupt"})
    project = target.copy()
    for collection in ("keys", "key_versions", "key_ids"):
        rows = project.documents[collection]
        for key, stored in list(rows.items()):
            if key.startswith(b"letters"):
                rows[key.replace(b"letters", b"figures")] = stored
    key_id = target.key_version("letters", 1).id
    project.put("key_ids", key_id, ref.encode([1, "figures", 1]))
    project.values = [target.values[0] | {"key": "figures", "expect": "corrupt"}]
    project.values[0].pop("message")
    comment = "a whole key copied to another name"
    yield "hostile_copied_key", project.vector(comment, keys={"letters": "ok", "figures": "corrupt"})
    project = target.copy()
    stored = project.documents["key_versions"][version_key("letters", 1)]
    project.put("key_versions", version_key("letters", 2), stored)
    key = target.key_version("letters", 1)
    project.put_description("letters", project.description("letters", 1, 2, newest_id=key.id))
    comment = "a version copied to a higher number, by one who may write descriptions"
    yield "hostile_version_copied_up", project.vector(comment, keys={"letters": "corrupt"})


FAMILIES = (good, signatures, versions, from_outside, sealed_to_keys, uses, moved)
