"""A second implementation of the sealed value, and the scenarios that try the first one."""
