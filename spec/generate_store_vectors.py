"""Writes `vectors/store/`, one scenario a file, or checks with `--check` what lies there.

As with the sealed value, every file follows from the name of its scenario, and our own reader must
reach the outcome that a vector promises before it is written.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

sys.dont_write_bytecode = True  # leaves nothing beside the sources

import vector_files  # noqa: E402
from store_vectors import scenes  # noqa: E402


def verified() -> Iterator[tuple[str, str]]:
    """Verified vectors as file names and texts."""
    for vector in (vector for family in scenes.FAMILIES for vector in family()):
        vector.verify()
        yield vector.file_name, vector.to_json()


if __name__ == "__main__":
    sys.exit(vector_files.run("store", __doc__, verified()))
