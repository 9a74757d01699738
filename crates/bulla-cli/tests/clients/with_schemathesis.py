"""Has Schemathesis try every endpoint that a server describes. Ends with what it found."""

import json
import os
import subprocess
import sys
import tempfile
import urllib.request

# What is mounted where in a new project.
MOUNTS = {"transit": "transit", "kv2": "secret", "cubbyhole": "cubbyhole"}
# These end the token, or the mounts, that all else needs.
APART = r"/(revoke|revoke-self|revoke-accessor|remount|machines/.*/revoke|sys/mounts/.*)$"
# All checks but these. OpenAPI cannot say which names are names, nor that there is a method LIST. As with Vault, numbers and truth values may come
# as text. Who is let in where is another test.
UNSAID = "positive_data_acceptance,allow_header_conformance,negative_data_rejection,ignored_auth"


def described(address):
    """Returns the description that is served, of somebody who is signed in, and with the mounts that there are."""
    with urllib.request.urlopen(address + "/v1/openapi.json") as answer:
        described = json.load(answer)
    paths = {}
    for path, operations in described["paths"].items():
        kind = path.split("{", 1)[1].split("_mount}")[0] if "_mount}" in path else None
        if kind is not None and kind not in MOUNTS:
            continue
        for operation in operations.values():
            if isinstance(operation, dict):
                # Every request brings the token. Without, a stranger would soon be told to wait, and not what it is about.
                operation["security"] = []
                kept = [one for one in operation.get("parameters", []) if one["name"] != f"{kind}_mount"]
                operation["parameters"] = kept
        paths[path.replace(f"{{{kind}_mount}}", MOUNTS.get(kind, ""))] = operations
    described["paths"] = paths
    return described


def main():
    address, token = os.environ["VAULT_ADDR"], os.environ["VAULT_TOKEN"]
    with tempfile.TemporaryDirectory() as folder:
        schema = os.path.join(folder, "openapi.json")
        with open(schema, "w", encoding="utf-8") as file:
            json.dump(described(address), file)
        command = [
            os.path.join(os.path.dirname(sys.executable), "st"), "run", schema, "--url", address,
            "-H", f"X-Vault-Token: {token}", "--checks", "all", "--exclude-checks", UNSAID,
            "--exclude-path-regex", APART, "--max-examples", os.environ.get("BULLA_TEST_EXAMPLES", "10"),
            "--phases", "coverage,fuzzing", "--workers", "1", "--no-color", "--seed", "1",
        ]
        return subprocess.run(command, cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
