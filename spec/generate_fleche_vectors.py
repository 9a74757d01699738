"""Writes `vectors/fleche/`, one scenario a file, or checks with `--check` what lies there.

What is honest was written by fleche itself; our own reader must reach the outcome that a vector
promises before it is written, and fleche must open what we say opens.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

sys.dont_write_bytecode = True  # leaves nothing beside the sources

import vector_files  # noqa: E402
from fleche_vectors import scenes  # noqa: E402


def verified() -> Iterator[tuple[str, str]]:
    """Verified vectors as file names and texts."""
    for vector in (vector for family in scenes.FAMILIES for vector in family()):
        vector.verify()
        yield vector.file_name, vector.to_json()


if __name__ == "__main__":
    sys.exit(vector_files.run("fleche", __doc__, verified()))
