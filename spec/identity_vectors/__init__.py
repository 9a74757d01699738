"""Scenarios of identity files, and the second implementation that they are checked against."""
