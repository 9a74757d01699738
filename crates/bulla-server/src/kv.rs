//! Secrets with versions, as the key-value secrets engines of Vault and OpenBao show them.
