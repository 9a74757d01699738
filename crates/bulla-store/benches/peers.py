"""One measurement of one peer, in a process of its own: `peers.py PEER WORK SECONDS FOLDER`.

Prints one JSON object: microseconds of wall time and of CPU time for one operation.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

KIB = 1_024
SIZES = {"1KiB": KIB, "1MiB": KIB * KIB, "64MiB": 64 * KIB * KIB}
# So many names are written and read in turn, as ours are.
NAMES = 1_000


def fleche(folder: str, signed: bool) -> tuple[Callable[[int, bytes], object], Callable[[int], object]]:
    """Its signed value files. A name is a digest of the value there, so each name has a value of its own."""
    if signed:
        os.environ["FLECHE_SECRET_KEY"] = "0b" * 32
    from fleche.storage.pickle_file import ValuePickleFile

    storage = ValuePickleFile.with_pickle(root=folder)
    digests: dict[int, str] = {}

    def put(name: int, value: bytes) -> None:
        digests[name] = storage.save(name.to_bytes(8, "big") + value[8:])

    return put, lambda name: storage.load(digests[name])


def diskcache(folder: str) -> tuple[Callable[[int, bytes], object], Callable[[int], object]]:
    """Its plain cache with the default settings."""
    import diskcache

    cache = diskcache.Cache(folder)
    return cache.set, cache.__getitem__


def joblib(folder: str) -> tuple[Callable[[int, bytes], object], Callable[[int], object]]:
    """A memoised function: a put is a call that is computed, a get one that is not."""
    import joblib

    held = {"value": b""}

    def compute(name: int) -> bytes:
        return held["value"]

    memoised = joblib.Memory(folder, verbose=0).cache(compute)

    def put(name: int, value: bytes) -> None:
        held["value"] = value
        memoised.call(name)

    return put, memoised


PEERS = {
    "fleche": lambda folder: fleche(folder, signed=True),
    "fleche-unsigned": lambda folder: fleche(folder, signed=False),
    "diskcache": diskcache,
    "joblib": joblib,
}


def measure(operation: Callable[[int], object], names: int, seconds: float) -> tuple[float, float]:
    """Repeats an operation over the names, and returns what one took."""
    begun, used, done = time.perf_counter(), time.process_time(), 0
    while done == 0 or time.perf_counter() - begun < seconds:
        operation(done % names)
        done += 1
    return (time.perf_counter() - begun) * 1e6 / done, (time.process_time() - used) * 1e6 / done


def main(peer: str, work: str, seconds: str, folder: str) -> None:
    """Fills the cache, then measures."""
    verb, size = work.split("-")
    value = bytes(range(256)) * (SIZES[size] // 256)
    names = NAMES if size == "1KiB" else 4
    put, get = PEERS[peer](folder)
    for name in range(names):
        put(name, value)
    # What was put once is not computed again: each put has a name of its own there.
    fresh = iter(range(names, sys.maxsize))
    operations = {
        "get": get,
        "put": (lambda _: put(next(fresh), value)) if peer == "joblib" else (lambda name: put(name, value)),
    }
    wall, cpu = measure(operations[verb], names, float(seconds))
    size_on_disk = sum(file.stat().st_blocks * 512 for file in Path(folder).rglob("*") if file.is_file())
    print(json.dumps({"wall": wall, "cpu": cpu, "disk_per_payload": size_on_disk / (names * len(value))}))


if __name__ == "__main__":
    main(*sys.argv[1:])
