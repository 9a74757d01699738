//! Who may do what, over HTTP: tokens, `AppRole`s and policies as Vault has them; users, roles, API keys and bindings beside them.
//!
//! Each operation is a function from a request to an answer, over the [`Access`](bulla_guard::access::Access) of a project and the
//! [`Principal`](bulla_guard::access::Principal) who asks; [`endpoints()`] brings them into the table of the server. What differs from Vault, and why,
//! is in `docs/auth.md`. Nobody hands out more than they have: that is enforced by
//! [`Access::given_by`](bulla_guard::access::Access::given_by), below this.

pub mod approle;
pub mod bindings;
pub mod capabilities;
mod fields;
pub mod keys;
pub mod limits;
pub mod policies;
pub mod roles;
mod seal;
mod time;
pub mod token;
pub mod users;

pub use fields::{Grant, KeyList, Lifetime, Texts};

use crate::Endpoint;

/// To see to users, their keys, tokens and bindings.
const USERS: &str = "manage:users";
/// What a record calls the id of a credential that was made.
const MADE: &str = "made";
/// What a record calls the id of a credential that was ended.
const ENDED: &str = "ended";
/// To see to roles and policies.
const ROLES: &str = "manage:roles";

/// Returns the endpoints. They need a [`Door`](crate::Door) that has a session.
#[must_use]
pub fn endpoints() -> Vec<Endpoint> {
    [
        token::endpoints(),
        approle::endpoints(),
        policies::endpoints(),
        capabilities::endpoints(),
        seal::endpoints(),
        users::endpoints(),
        roles::endpoints(),
        keys::endpoints(),
        bindings::endpoints(),
        limits::endpoints(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
