"""Scenarios of the sealed store, and a second implementation of `store.md`."""
