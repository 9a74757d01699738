//! Secrets with versions.
