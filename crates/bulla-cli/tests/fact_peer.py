"""Writes what FACT's scheme writes, with the package `cryptography`: a JSON description on standard input, files in the folder that is named.

`files` are encrypted as files are, by their names; `entries` are those of the cache, each with its value, as one JSON text on standard output.
"""

import base64
import hashlib
import json
import pathlib
import sys

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC


def cipher(asked):
    if "fernet_key" in asked:
        return Fernet(asked["fernet_key"].encode())
    derived = PBKDF2HMAC(algorithm=hashes.SHA256(), length=32, salt=b"fact_salt_2024", iterations=100_000)
    return Fernet(base64.urlsafe_b64encode(derived.derive(asked["passphrase"].encode())))


def entry(fernet, value, sensitive):
    text = json.dumps(value, default=str)
    data = base64.urlsafe_b64encode(fernet.encrypt(text.encode())).decode() if sensitive else text
    return {"encrypted": sensitive, "data": data, "checksum": hashlib.sha256(text.encode()).hexdigest()}


asked = json.load(sys.stdin)
fernet = cipher(asked)
for name, text in asked.get("files", {}).items():
    path = pathlib.Path(sys.argv[1], name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(fernet.encrypt(text.encode()))
entries = asked.get("entries", {})
json.dump({name: entry(fernet, made["value"], made["sensitive"]) for name, made in entries.items()}, sys.stdout)
