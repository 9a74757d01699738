"""Scenarios of `keyring.md`, and the second implementation that they are checked against."""
