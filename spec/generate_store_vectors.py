"""Writes the vectors of the store, one scenario a file, or checks with `--check` what lies there.

Entries go to `vectors/store/`, what lies beside them to `vectors/store_settings/` and
`vectors/store_quarantine/`.

As with the sealed value, every file follows from the name of its scenario, and our own reader must
reach the outcome that a vector promises before it is written.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

sys.dont_write_bytecode = True  # leaves nothing beside the sources

import vector_files  # noqa: E402
from store_vectors import beside, scenes  # noqa: E402


def verified() -> Iterator[tuple[str, str]]:
    """Verified vectors as file names and texts."""
    for vector in (vector for family in scenes.FAMILIES for vector in family()):
        vector.verify()
        yield vector.file_name, vector.to_json()


if __name__ == "__main__":
    families = {
        "store": verified(),
        "store_settings": (vector.to_file() for vector in beside.settings_vectors()),
        "store_quarantine": (vector.to_file() for vector in beside.record_vectors()),
    }
    codes = [vector_files.run(folder, __doc__, files) for folder, files in families.items()]
    sys.exit(max(codes))
