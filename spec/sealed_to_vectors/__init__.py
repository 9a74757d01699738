"""Scenarios of sealing to a public key, and the second implementation that they are checked against."""
