"""Writes `vectors/store/`, one scenario a file, or checks with `--check` what lies there.

As with the sealed value, every file follows from the name of its scenario, and our own reader must
reach the outcome that a vector promises before it is written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

sys.dont_write_bytecode = True  # leaves nothing beside the sources

from store_vectors import scenes  # noqa: E402

FOLDER = Path(__file__).parent / "vectors" / "store"


def all_files() -> dict[str, bytes]:
    """Verified vectors as files, by name."""
    files: dict[str, bytes] = {}
    for vector in (vector for family in scenes.FAMILIES for vector in family()):
        vector.verify()
        if vector.file_name in files:
            raise AssertionError(f"two vectors are called {vector.file_name}")
        files[vector.file_name] = vector.to_json().encode("ascii")
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
    found = list(differences(files)) if check else []
    for difference in found:
        print(difference, file=sys.stderr)
    hostile = sum(name.startswith("hostile_") for name in files)
    print(f"{len(files)} vectors, {hostile} of them hostile")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
