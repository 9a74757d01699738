"""Writes `vectors/seal/`, one scenario a file, or checks with `--check` what lies there.

Every file follows from the name of its scenario: materials, ids, salts and messages are SHAKE-256
of it. Before a vector is written, our own opener must reach the outcome that it promises.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

sys.dont_write_bytecode = True  # leaves nothing beside the sources

import vector_files  # noqa: E402
from seal_vectors import altered, forged, good, misdirected, text  # noqa: E402

MODULES = (good, misdirected, altered, forged, text)


def verified() -> Iterator[tuple[str, str]]:
    """Verified vectors as file names and texts."""
    families = (family for module in MODULES for family in module.FAMILIES)
    for vector in (vector for family in families for vector in family()):
        vector.verify()
        yield vector.file_name, vector.to_json()


if __name__ == "__main__":
    sys.exit(vector_files.run("seal", __doc__, verified()))
