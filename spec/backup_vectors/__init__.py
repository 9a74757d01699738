"""Scenarios for `backup.md`, and a second implementation to check them with."""
