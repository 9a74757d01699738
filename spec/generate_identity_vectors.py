"""Writes `vectors/identity/`, one scenario a file, or checks with `--check` what lies there.

Before a vector is written, our own reader must reach the outcome that it promises.
"""

from __future__ import annotations

import sys

sys.dont_write_bytecode = True  # leaves nothing beside the sources

import vector_files  # noqa: E402
from identity_vectors import scenarios  # noqa: E402

if __name__ == "__main__":
    sys.exit(vector_files.run("identity", __doc__, scenarios.verified()))
