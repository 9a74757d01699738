"""Writes `vectors/audit/`, one scenario a file, or checks with `--check` what lies there.

Before a vector is written, our own reader must find in it what it promises.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

sys.dont_write_bytecode = True  # leaves nothing beside the sources

import vector_files  # noqa: E402
from audit_vectors import scenarios  # noqa: E402


def verified() -> Iterator[tuple[str, str]]:
    """Verified vectors as file names and texts."""
    for name, vector in (named for family in scenarios.FAMILIES for named in family()):
        yield f"{name}.json", json.dumps(vector, indent=1) + "\n"


if __name__ == "__main__":
    sys.exit(vector_files.run("audit", __doc__, verified()))
