"""The scenarios of fleche directories, and the files that they become."""

from __future__ import annotations

import json
import logging
import os
import pickle
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleche.call import DigestedCall
from fleche.digest import Digest, digest
from fleche.storage.pickle_file import CallPickleFile, ValuePickleFile, register_serializer
from seal_vectors.scene import json_bytes

from . import reference
from .reference import Opened, Refused, sign, stored_gzip

OLD = "deadbeefcafe0123456789abcdef0123456789abcdef0123456789abcdef0123"
NEW = "aabbccdd0011223344556677aabbccdd0011223344556677aabbccdd00112233"
MAX_LEN = 1 << 20
ONE = b"\x80\x04K\x01."

# Which protocol `pickle` takes by itself depends on the version of Python.
register_serializer("protocol-4", lambda: (lambda value: pickle.dumps(value, protocol=4), pickle.loads))
# Its refusals are expected here.
logging.getLogger("fleche").setLevel(logging.CRITICAL)

# Written by fleche 0.22.2 with `compress`: how hard zlib works, and the time, are not the same everywhere.
SIGNED_GZIP = bytes.fromhex(
    "1f8b0800ecbf036b02ff95c7b11185200c00500b076100cf8383e4279d858b8404f417dae8000e60a9fb5a3881af7b477b8fcdeb1cf6b9b84d96e26492"
    "ffdab9afbf7af539070d96c1aacf0c0958152308a3fe02030ab126f6c583594c241589840c09c862a90fa661b1198f000000"
)
UNSIGNED_GZIP = bytes.fromhex(
    "1f8b0800ecbf036b02ff6b6099aac300013d1aa579c599e979a9293a0af85953f400a5e2fb2b37000000"
)


@dataclass(frozen=True)
class Vector:
    """A file, the keys at hand, and what a reader must answer."""

    name: str
    comment: str
    file: bytes
    keys: str | None
    expect: str
    max_len: int = MAX_LEN

    @property
    def file_name(self) -> str:
        """Name of the file, which says whether it opens."""
        return f"{'ok' if self.expect == 'ok' else 'hostile'}_{self.name}.json"

    def read(self) -> tuple[str, Opened | None]:
        """Outcome, as our own reader finds it."""
        try:
            keys = None if self.keys is None else reference.parse_keys(self.keys)
            return "ok", reference.read(self.file, keys, self.max_len)
        except Refused as refused:
            return str(refused), None

    def told_by_fleche(self) -> str:
        """What fleche itself does with the file."""
        name = "0" * 64
        with tempfile.TemporaryDirectory() as root:
            (Path(root) / name).write_bytes(self.file)
            try:
                _storage(ValuePickleFile, root, self.keys).get(name)
            except Exception:  # noqa: BLE001 - whatever it raises
                return "refuses"
        return "opens"

    def verify(self) -> None:
        """Fails unless our own reader reaches the promised outcome."""
        outcome, opened = self.read()
        if outcome != self.expect:
            raise AssertionError(f"{self.name}: the reader says {outcome}")
        if opened is not None and self.told_by_fleche() != "opens":
            raise AssertionError(f"{self.name}: fleche does not open it")

    def to_json(self) -> str:
        """The file of this vector: ASCII, members in the order of the specification."""
        members: dict[str, object] = {"comment": self.comment}
        if self.keys is not None:
            members["keys"] = self.keys
        members |= {"max_len": self.max_len, "file": json_bytes(self.file)}
        _, opened = self.read()
        if opened is not None:
            members["payload"] = json_bytes(opened.payload)
            members |= {"signed": opened.signed, "verified_by": opened.verified_by}
            members |= {"gzipped": opened.gzipped, "kind": opened.kind, "name": _name(opened.payload)}
        members |= {"fleche": self.told_by_fleche(), "expect": self.expect}
        return json.dumps(members, indent=2) + "\n"


def _name(payload: bytes) -> str | None:
    """The name that fleche has for a payload of ours, unless that takes more than reading it."""
    value = pickle.loads(payload)
    if isinstance(value, DigestedCall):
        return str(value.to_lookup_key())
    return None if isinstance(value, set) else str(digest(value))


def _storage(make: Any, root: str, keys: str | None) -> Any:
    if keys is None:
        os.environ.pop("FLECHE_SECRET_KEY", None)
    else:
        os.environ["FLECHE_SECRET_KEY"] = keys
    return make.with_serializer("protocol-4", root=root)


def _saved(make: Any, value: object, keys: str | None) -> bytes:
    """The file that fleche writes for a value; of those that it is split into, the one of its own name."""
    with tempfile.TemporaryDirectory() as root:
        name = _storage(make, root, keys).save(value)
        return (Path(root) / str(name)).read_bytes()


VALUES: dict[str, object] = {
    "one": 1,
    "none": None,
    "text": "größe",
    "bytes_with_stops": b"." * 70,
    "float": -1.0,
    "list": [1, [2, "x"], (True, None)],
    "notebook": {"status": "secure", "data": [1, 2, 3]},
    "large_integer": -(2**100),
    "set": {7},
}

CALL = DigestedCall(
    name="simulate",
    arguments={"steps": digest(1_000), "model": digest("small")},
    result=Digest("5" * 64),
    metadata={"runtime": {"walltime": 1.5}},
    module="lab.models",
    version=3,
    code_digest=digest("code"),
)


def honest() -> Iterator[Vector]:
    """What fleche writes."""
    for name, value in VALUES.items():
        yield Vector(f"{name}_signed", "Written by fleche, signed.", _saved(ValuePickleFile, value, OLD), OLD, "ok")
    one, call = _saved(ValuePickleFile, 1, OLD), _saved(CallPickleFile, CALL, OLD)
    yield Vector("call_signed", "The record of a call, written by fleche.", call, OLD, "ok")
    yield Vector("unsigned_without_keys", "No signature, and no keys.", _saved(ValuePickleFile, 1, None), None, "ok")
    yield Vector("signed_without_keys", "A signature that nobody verifies.", one, None, "ok")
    yield Vector("rotated", "The second key verifies.", one, f"{NEW}:{OLD}", "ok")
    yield Vector("upper_case_keys", "Hex of either case is a key.", one, OLD.upper(), "ok")
    yield Vector("spaces_round_keys", "White space round a key is none of it.", one, f"{NEW}: {OLD}\n", "ok")
    short = _saved(ValuePickleFile, 1, "c0ffee")
    yield Vector("short_key", "A key of three bytes verifies what it signed.", short, "c0ffee", "ok")
    yield Vector("gzip_signed", "Written by fleche, signed and gzipped.", SIGNED_GZIP, OLD, "ok")
    yield Vector("gzip_unsigned_without_keys", "Gzipped, no signature, no keys.", UNSIGNED_GZIP, None, "ok")
    yield Vector("gzip_stored", "A gzip stream of stored blocks.", stored_gzip(one), OLD, "ok")
    yield Vector("as_long_as_allowed", "Not a byte too long.", one, OLD, "ok", len(one))


def altered() -> Iterator[Vector]:
    """What somebody without the keys can make of it."""
    one = _saved(ValuePickleFile, 1, OLD)
    for at in (0, 2, 4, 5, 40, 68):
        file = one[:at] + bytes([one[at] ^ 1]) + one[at + 1 :]
        digits = set(file[-64:]) <= reference.HEX
        expect = "bad_signature" if digits and file[4:5] == b"." else None
        expect = expect or ("trailing_bytes" if b"." in file else "not_a_pickle")
        yield Vector(f"flipped_{at}", f"The lowest bit of byte {at} is another.", file, OLD, expect)
    yield Vector("prefixed", "As the notebook tampers.", b"malicious_payload" + one, OLD, "bad_signature")
    yield Vector("other_key", "Signed under a key that is not at hand.", one, NEW, "bad_signature")
    yield Vector("unsigned", "No signature, where there is a key.", ONE, OLD, "unsigned")
    yield Vector("unsigned_gzip", "The same, gzipped.", UNSIGNED_GZIP, OLD, "unsigned")
    yield Vector("upper_case_signature", "Another spelling of the signature.", one[:5] + one[5:].upper(), OLD, "trailing_bytes")
    yield Vector("cut_signature", "A digit too few.", one[:-1], OLD, "trailing_bytes")
    yield Vector("digit_behind", "A digit too many.", one + b"0", OLD, "trailing_bytes")
    yield Vector("line_end_behind", "A line end behind the signature.", one + b"\n", OLD, "trailing_bytes")
    yield Vector("digit_behind_without_keys", "The same without keys.", one + b"0", None, "trailing_bytes")
    yield Vector("signed_twice", "A signature behind a signature.", one + sign(one, bytes.fromhex(OLD)), OLD, "trailing_bytes")
    yield Vector("half_a_signature", "STOP, and 32 digits.", ONE + b"0" * 32, OLD, "trailing_bytes")
    yield Vector("empty", "No byte at all.", b"", OLD, "not_a_pickle")
    yield Vector("no_stop", "64 digits, and no pickle in front of them.", b"0" * 64, OLD, "not_a_pickle")
    yield Vector("no_stop_without_keys", "Bytes without an end.", b"\x80\x04K\x01", None, "not_a_pickle")
    other = ONE + sign(b"\x80\x04K\x02.", bytes.fromhex(OLD))
    yield Vector("signature_of_another", "The signature of another payload.", other, OLD, "bad_signature")
    yield Vector("too_long", "A byte more than is allowed.", one, OLD, "file_too_large", len(one) - 1)


def gzipped() -> Iterator[Vector]:
    """What can be done with gzip."""
    one = _saved(ValuePickleFile, 1, OLD)
    whole = stored_gzip(one)
    yield Vector("gzip_cut", "The stream ends early.", whole[:-1], OLD, "bad_gzip")
    yield Vector("gzip_header_only", "Only how a stream begins.", whole[:2], OLD, "bad_gzip")
    yield Vector("gzip_wrong_sum", "The checksum is another's.", whole[:-8] + bytes(4) + whole[-4:], OLD, "bad_gzip")
    yield Vector("gzip_wrong_length", "It states another length.", whole[:-4] + bytes(4), OLD, "bad_gzip")
    yield Vector("gzip_padded", "Zero bytes behind the stream, which fleche skips.", whole + bytes(2), OLD, "trailing_bytes")
    halves = stored_gzip(one[:20]) + stored_gzip(one[20:])
    yield Vector("gzip_in_two", "Two streams, which fleche joins.", halves, OLD, "trailing_bytes")
    yield Vector("gzip_in_gzip", "A stream within a stream.", stored_gzip(whole), OLD, "trailing_bytes")
    yield Vector("gzip_bomb", "It inflates to more than is allowed.", stored_gzip(bytes(5_000) + one), OLD, "file_too_large", 5_068)
    signed_outside = whole + sign(whole, bytes.fromhex(OLD))
    yield Vector("gzip_signed_outside", "The signature is behind the stream.", signed_outside, OLD, "trailing_bytes")
    yield Vector("gzip_altered", "Altered within the stream, sums made anew.", stored_gzip(b"N" + one), OLD, "bad_signature")


def keys() -> Iterator[Vector]:
    """Texts that are no keys."""
    one = _saved(ValuePickleFile, 1, OLD)
    anybodys = ONE + sign(ONE, b"")
    yield Vector("trailing_colon", "The empty key behind the colon verifies anybody's file.", anybodys, f"{OLD}:", "invalid_hex_keys")
    yield Vector("leading_colon", "The first key is empty, and would sign.", anybodys, f":{OLD}", "invalid_hex_keys")
    yield Vector("two_colons", "An empty key between two.", anybodys, f"{OLD}::{NEW}", "invalid_hex_keys")
    yield Vector("no_keys_at_all", "A text of nothing, which fleche takes for no protection.", ONE, "", "invalid_hex_keys")
    yield Vector("zero_key", "A key of zeros is the empty one to HMAC.", anybodys, f"{OLD}:{'00' * 32}", "invalid_hex_keys")
    yield Vector("spaces_for_a_key", "White space that fleche reads as an empty key.", anybodys, f"{OLD}: ", "invalid_hex_keys")
    yield Vector("odd_hex", "Half a byte.", one, f"{OLD}:abc", "invalid_hex_keys")
    yield Vector("no_hex", "A key as it is, not in hex.", one, "correct horse", "invalid_hex_keys")
    yield Vector("long_key", "A byte more than a key may have.", one, f"{OLD}:{'0f' * 1_025}", "invalid_hex_keys")
    yield Vector("space_in_a_key", "White space within a key, which fleche skips.", one, f"{OLD[:8]} {OLD[8:]}", "invalid_hex_keys")


FAMILIES: tuple[Callable[[], Iterator[Vector]], ...] = (honest, altered, gzipped, keys)
