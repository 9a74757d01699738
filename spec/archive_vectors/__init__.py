"""Scenarios for `archive.md`, and a second implementation to check them with."""
