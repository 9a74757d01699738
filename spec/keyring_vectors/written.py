"""Scenarios of what people carry: requests to be let in, and the words of a recovery identity."""

from __future__ import annotations

from keyring_vectors import reference as ref
from keyring_vectors import texts
from keyring_vectors.base import Named
from keyring_vectors.scene import TIME, drawn, identity

PROJECT = drawn("a project")


def fields(machine: str = "user", **changed: object) -> list:
    """What a request says."""
    said = {
        "version": 1,
        "project": PROJECT,
        "name": "laptop",
        "encryption": identity(machine).xwing.public,
        "signing": identity(machine).signing_public,
        "time": TIME,
    }
    return list((said | changed).values())


def request(said: list, signer: str = "user", label: bytes = texts.LABEL) -> str:
    """A request, signed."""
    body = ref.encode(said)
    return texts.encode_request(body, identity(signer).sign(label + body))


def good_requests() -> Named:
    """Requests that are read."""
    for name, comment, text in (
        ("request", "to a project", request(fields())),
        ("request_anywhere", "to any project", request(fields(project=ref.ZERO))),
        ("request_white", "with white space round it", f"\r\n  {request(fields())}\t\n"),
        ("request_longest_name", "with the longest name", request(fields(name="x" * 128))),
        ("request_replaced", "of another machine, as well signed as any", request(fields("second"), "second")),
    ):
        yield f"ok_{name}", request_vector(comment, text, "ok")


def bad_requests() -> Named:
    """Texts that are no requests."""
    whole = request(fields())
    body = ref.encode(fields())
    signature = identity("user").sign(texts.LABEL + body)

    def spliced(**changed: object) -> str:
        return texts.encode_request(ref.encode(fields(**changed)), signature)

    def raw(data: bytes) -> str:
        return texts.PREFIX + texts.base64.urlsafe_b64encode(data).decode().rstrip("=")

    for name, comment, text in (
        ("empty", "nothing", ""),
        ("prefix_only", "nothing behind the prefix", texts.PREFIX),
        ("version", "another version", whole.replace(":v1:", ":v2:")),
        ("upper_prefix", "a prefix in capital letters", whole.replace("bulla", "BULLA", 1)),
        ("sealed_value", "the prefix of a sealed value", whole.replace("bulla-request:", "bulla:", 1)),
        ("padding", "padding", whole + "="),
        ("inner_space", "a space within", whole[:100] + " " + whole[100:]),
        ("inner_line", "a line end within", whole[:100] + "\n" + whole[100:]),
        (
            "standard_alphabet",
            "an alphabet with other signs",
            texts.PREFIX + whole[len(texts.PREFIX) :].replace("-", "+").replace("_", "/"),
        ),
        ("cut", "without its end", whole[:-4]),
        ("half", "half of it", whole[: len(whole) // 2]),
        ("longer", "bytes behind the end", whole + "AAAA"),
        ("too_long", "longer than any request", whole + "A" * 4096),
        ("twice", "two of them", whole + whole),
        ("altered_name", "another name under the same signature", spliced(name="server")),
        ("altered_project", "another project under the same signature", spliced(project=ref.ZERO)),
        ("altered_time", "another time under the same signature", spliced(time=TIME + 1)),
        ("altered_encryption", "the encryption key of another", spliced(encryption=identity("second").xwing.public)),
        ("altered_signing", "the signing key of another", spliced(signing=identity("second").signing_public)),
        ("other_signer", "signed by another", request(fields(), "second")),
        ("label_of_record", "signed as a record", request(fields(), label=b"bulla/trust-log/signature/v1\0")),
        ("no_label", "signed without a label", request(fields(), label=b"")),
        ("signature_zero", "a signature of zeros", texts.encode_request(body, bytes(64))),
        ("signature_short", "a signature that is too short", texts.encode_request(body, signature[:63])),
        ("future", "a request of the future", request(fields(version=2))),
        ("bad_name", "a name of two segments", request(fields(name="a/b"))),
        ("empty_name", "an empty name", request(fields(name=""))),
        ("long_name", "a name that is too long", request(fields(name="x" * 129))),
        ("name_of_dots", "a name of dots", request(fields(name=".."))),
        ("name_bytes", "a name of bytes", request(fields(name=b"laptop"))),
        ("project_short", "a project id that is too short", request(fields(project=PROJECT[:31]))),
        (
            "encryption_short",
            "an encryption key that is too short",
            request(fields(encryption=identity("user").xwing.public[:-1])),
        ),
        (
            "not_reduced",
            "a coefficient that is not reduced",
            request(fields(encryption=b"\x01\x0d" + identity("user").xwing.public[2:])),
        ),
        ("five_items", "an item too few", request(fields()[:5])),
        ("seven_items", "an item too many", request([*fields(), 0])),
        ("long_form", "a longer form of a number", resigned(body.replace(b"\x86\x01", b"\x86\x18\x01", 1))),
        ("three_parts", "a third part", raw(ref.encode([body, signature, b""]))),
        ("body_nested", "a body that is not a byte string", raw(ref.encode([fields(), signature]))),
        ("extended", "a byte behind the array", raw(ref.encode([body, signature]) + b"\0")),
    ):
        yield f"hostile_request_{name}", request_vector(comment, text, "refused")


def resigned(body: bytes) -> str:
    """A request with any body, signed."""
    return texts.encode_request(body, identity("user").sign(texts.LABEL + body))


def request_vector(comment: str, text: str, expect: str) -> dict:
    """A request as a vector, once our own reader has found what it promises."""
    found, said = "ok", {}
    try:
        _, project, name, encryption, signing, time = texts.read_request(text)
        said = {
            "fingerprint": ref.fingerprint(encryption, signing).hex(),
            "project": None if project == ref.ZERO else project.hex(),
            "name": name,
            "time": time,
        }
    except ValueError:
        found = "refused"
    if found != expect:
        raise AssertionError(f"{comment}: {found}, not {expect}")
    return {"comment": f"a request: {comment}", "request": text, "expect": expect, **said}


def words() -> Named:
    """Words of recovery identities."""
    zeros, sevens, eights, ones = (texts.words_of(bytes([byte]) * 32) for byte in (0, 0x7F, 0x80, 0xFF))
    for name, comment, text in (
        ("words_00", "of zeros", zeros),
        ("words_7f", "of 0x7f", sevens),
        ("words_80", "of 0x80", eights),
        ("words_ff", "of ones", ones),
        ("words_capital", "in capital letters", sevens.upper()),
        ("words_mixed", "in letters of both kinds", eights.title()),
        ("words_white", "with white space of all kinds", "\n " + eights.replace(" ", " \t\r\n ") + " \n"),
    ):
        yield f"ok_{name}", words_vector(comment, text, "ok")
    for name, comment, text in (
        ("empty", "nothing", ""),
        ("checksum", "a wrong checksum", zeros.replace("art", "abandon")),
        (
            "swapped",
            "two words in each other's place",
            " ".join([*reversed(sevens.split()[:2]), *sevens.split()[2:]]),
        ),
        ("unknown", "a word that is not in the list", zeros.replace("art", "bulla")),
        ("short", "23 words", " ".join(zeros.split()[:23])),
        ("long", "25 words", zeros + " abandon"),
        ("twelve", "12 words, which are right as such", "zoo " * 11 + "wrong"),
        ("prefix", "the first letters of words", sevens.replace("winner", "winn")),
        ("joined", "words joined by hyphens", zeros.replace(" ", "-")),
        ("comma", "words with commas", zeros.replace(" ", ", ")),
        ("hex", "the entropy in hex", "7f" * 32),
    ):
        yield f"hostile_words_{name}", words_vector(comment, text, "refused")


def words_vector(comment: str, text: str, expect: str) -> dict:
    """Words as a vector, once our own reader has found what it promises."""
    found, said = "ok", {}
    try:
        said = {"fingerprint": texts.recovery_identity(text).fingerprint.hex()}
    except ValueError:
        found = "refused"
    if found != expect:
        raise AssertionError(f"{comment}: {found}, not {expect}")
    return {"comment": f"recovery words: {comment}", "words": text, "expect": expect, **said}


FAMILIES = (good_requests, bad_requests, words)
