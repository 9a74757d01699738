//! Named keys, as clients of Vault see them.

mod bytes;
mod hostile;
mod http;
mod import;
mod keys;
mod model;
mod one_way;
mod openbao;
mod values;
mod world;
