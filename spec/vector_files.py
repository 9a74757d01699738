"""What the generators of vectors share: a folder of files, written or checked."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

VECTORS = Path(__file__).parent / "vectors"


def run(folder: str, description: str | None, vectors: Iterable[tuple[str, str]]) -> int:
    """Writes the vectors, as names and texts, to `folder`, or checks with `--check` what lies there.

    Returns the exit code, and says how many there are.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    check = parser.parse_args().check
    files = _by_name(vectors)
    if not check:
        _write(VECTORS / folder, files)
    found = list(_differences(VECTORS / folder, files)) if check else []
    for difference in found:
        print(difference, file=sys.stderr)
    hostile = sum(name.startswith("hostile_") for name in files)
    print(f"{len(files)} vectors, {hostile} of them hostile")
    return 1 if found else 0


def _by_name(vectors: Iterable[tuple[str, str]]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for name, text in vectors:
        if name in files:
            raise AssertionError(f"two vectors are called {name}")
        files[name] = text.encode("ascii")
    return files


def _write(folder: Path, files: dict[str, bytes]) -> None:
    """Writes all files and removes the vectors that are no longer generated."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.json"):
        if stale.name not in files:
            stale.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)


def _differences(folder: Path, files: dict[str, bytes]) -> Iterator[str]:
    """What differs between the generated files and those on disk."""
    on_disk = {path.name: path for path in folder.glob("*")}
    for name in sorted(files.keys() | on_disk.keys()):
        if name not in on_disk:
            yield f"missing: {name}"
        elif name not in files:
            yield f"extra: {name}"
        elif on_disk[name].read_bytes() != files[name]:
            yield f"differs: {name}"
