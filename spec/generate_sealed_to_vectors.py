"""Writes `vectors/sealed_to/`, one scenario a file, or checks with `--check` what lies there.

Before a vector is written, our own opener must reach the outcome that it promises.
"""

from __future__ import annotations

import sys

sys.dont_write_bytecode = True  # leaves nothing beside the sources

import vector_files  # noqa: E402
from sealed_to_vectors import scenarios  # noqa: E402

if __name__ == "__main__":
    sys.exit(vector_files.run("sealed_to", __doc__, scenarios.verified()))
