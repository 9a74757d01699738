//! Named keys, as the transit secrets engine of Vault and OpenBao shows them.
