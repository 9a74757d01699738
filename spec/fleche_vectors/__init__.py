"""Scenarios of fleche directories, and a second reader of `fleche.md`."""
