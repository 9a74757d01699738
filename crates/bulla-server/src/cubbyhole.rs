//! Secrets of one token: nobody else reads them, and they go with it (spec/kv.md, "Cubbyholes").

mod endpoints;

use bulla_seal::sha256;
use bulla_store::{Budget, ClearScope, Namespace, Store, WalkEvent};
use data_encoding::HEXLOWER;

pub use endpoints::{CUBBYHOLE, endpoints};

use crate::kv::v1::{read_entry, remove_entry, write_entry};
use crate::kv::{Keys, ListRequest, SecretJson, folder_of, list_names, secret_path};
use crate::{ApiError, TokenOwner};

const NAMESPACE: &str = "secrets/cubbyhole";

/// Reads a secret.
///
/// # Errors
/// 404 if there is none; fails if the store cannot be read.
pub async fn read(store: &Store, owner: &TokenOwner, path: &str) -> Result<SecretJson, ApiError> {
    read_entry(&namespace(store)?, &name_of(owner, path)?, path).await
}

/// Writes a secret in place of what is there. It expires when the token ends, if that is known.
///
/// # Errors
/// 400 without data; 413; fails if the store cannot be written.
pub async fn write(store: &Store, owner: &TokenOwner, path: &str, data: &SecretJson) -> Result<(), ApiError> {
    write_entry(&namespace(store)?, &name_of(owner, path)?, data, owner.expires).await
}

/// Removes a secret. Nothing happens if there is none.
///
/// # Errors
/// Fails if the store cannot be written.
pub async fn delete(store: &Store, owner: &TokenOwner, path: &str) -> Result<(), ApiError> {
    remove_entry(&namespace(store)?, &name_of(owner, path)?).await
}

/// Lists the secrets and folders in a folder; folders end with `/`.
///
/// # Errors
/// As [`kv::list`](crate::kv::list()).
pub async fn list(store: &Store, owner: &TokenOwner, folder: &str, request: &ListRequest) -> Result<Keys, ApiError> {
    list_names(&namespace(store)?, &format!("{}{}", prefix_of(&owner.id), folder_of(folder)?), request).await
}

/// Removes everything of a token that was revoked, and returns how much there was.
///
/// # Errors
/// Fails if the store cannot be read, or if something is left: call it again.
pub async fn forget(store: &Store, token_id: &str) -> Result<u64, ApiError> {
    let prefix = prefix_of(token_id);
    let scope = ClearScope::Prefix(prefix.into_bytes());
    let counts = namespace(store)?.clear(&scope, &Budget::UNLIMITED, &mut |_: WalkEvent<'_, _>| {}).await?;
    if counts.failed > 0 || counts.kept > 0 {
        return Err(ApiError::lost_race());
    }
    Ok(counts.removed)
}

/// Returns what the names of all entries of a token begin with.
fn prefix_of(token_id: &str) -> String {
    format!("{}/", HEXLOWER.encode(&sha256(token_id.as_bytes())))
}

fn name_of(owner: &TokenOwner, path: &str) -> Result<Vec<u8>, ApiError> {
    Ok([prefix_of(&owner.id).as_bytes(), secret_path(path)?.as_bytes()].concat())
}

fn namespace(store: &Store) -> Result<Namespace, ApiError> {
    Ok(store.namespace(NAMESPACE)?)
}
