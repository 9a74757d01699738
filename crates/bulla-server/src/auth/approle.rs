//! `AppRole`s, as Vault's `auth/approle` has them.

mod endpoints;
mod login;
mod role;
mod secret;

pub(super) use endpoints::endpoints;
pub use login::{LoginRequest, log_in};
pub use role::{AppRoleRequest, AppRoleView, RoleIdView, read_approle, role_id, write_approle};
pub use secret::{
    NewSecretRequest, NewSecretView, SecretAccessorRequest, SecretRequest, SecretView, create_secret, destroy_accessor,
    destroy_secret, list_secrets, look_up_accessor, look_up_secret,
};
