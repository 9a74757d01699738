"""Scenarios for `audit.md`, and a second implementation to check them with."""
