"""Writes `vectors/keyring/`, one scenario a file, or checks with `--check` what lies there.

Before a vector is written, our own opener must find in it what it promises.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

sys.dont_write_bytecode = True  # leaves nothing beside the sources

from keyring_vectors import scenarios  # noqa: E402

FOLDER = Path(__file__).parent / "vectors" / "keyring"


def all_files() -> dict[str, bytes]:
    """Verified vectors as files, by name."""
    files: dict[str, bytes] = {}
    for name, vector in (named for family in scenarios.FAMILIES for named in family()):
        if f"{name}.json" in files:
            raise AssertionError(f"two vectors are called {name}")
        files[f"{name}.json"] = (json.dumps(vector, indent=1) + "\n").encode("ascii")
    return files


def write(files: dict[str, bytes]) -> None:
    """Writes all files and removes the vectors that are no longer generated."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for stale in FOLDER.glob("*.json"):
        if stale.name not in files:
            stale.unlink()
    for name, content in files.items():
        (FOLDER / name).write_bytes(content)


def differences(files: dict[str, bytes]) -> Iterator[str]:
    """What differs between the generated files and those on disk."""
    on_disk = {path.name: path for path in FOLDER.glob("*")}
    for name in sorted(files.keys() | on_disk.keys()):
        if name not in on_disk:
            yield f"missing: {name}"
        elif name not in files:
            yield f"extra: {name}"
        elif on_disk[name].read_bytes() != files[name]:
            yield f"differs: {name}"


def main() -> int:
    """Writes or checks the vectors, and says how many there are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    check = parser.parse_args().check
    files = all_files()
    if not check:
        write(files)
    found = list(differences(files))
    print("\n".join(found) or f"{len(files)} vectors, {sum(n.startswith('hostile') for n in files)} hostile")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
