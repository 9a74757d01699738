//! Secrets of one token: nobody else reads them, and they go with it (spec/kv.md, "Cubbyholes").

mod endpoints;

use bulla_store::{Budget, ClearScope, Namespace, Store, WalkEvent};

pub use endpoints::{CUBBYHOLE, endpoints};
use http::StatusCode;

use crate::kv::lenient::Unsigned;
use crate::kv::v1::{read_entry, remove_entry, write_entry};
use crate::kv::{Keys, ListRequest, SecretJson, Way, folder_of, list_names, secret_path};
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
    write_entry(&namespace(store)?, &name_of(owner, path)?, data, owner.expires, Way::Any).await
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
    list_names(&namespace(store)?, &format!("{}{}", prefix_of(&owner.id)?, folder_of(folder)?), request).await
}

/// Removes everything of a token that was revoked, and returns how much there was.
///
/// # Errors
/// Fails if the store cannot be read, or if something is left: call it again.
pub async fn forget(store: &Store, token_id: &str) -> Result<u64, ApiError> {
    let scope = ClearScope::Prefix(prefix_of(token_id)?.into_bytes());
    let counts = namespace(store)?.clear(&scope, &Budget::UNLIMITED, &mut |_: WalkEvent<'_, _>| {}).await?;
    if counts.failed > 0 || counts.kept > 0 {
        return Err(ApiError::lost_race());
    }
    Ok(counts.removed)
}

/// Lists the ids of up to `limit` tokens that have a cubbyhole, in their order, behind one that is given.
///
/// # Errors
/// Fails if the store cannot be read.
pub async fn owners(store: &Store, after: Option<String>, limit: u64) -> Result<Vec<String>, ApiError> {
    let after = after.map(|token_id| prefix_of(&token_id)).transpose()?;
    match list_names(&namespace(store)?, "", &ListRequest { after, limit: Some(Unsigned(limit)) }).await {
        Ok(Keys { keys }) => {
            Ok(keys.into_iter().filter_map(|folder| folder.strip_suffix('/').map(str::to_owned)).collect())
        }
        Err(error) if error.status() == StatusCode::NOT_FOUND => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Returns what the names of all entries of a token begin with.
fn prefix_of(token_id: &str) -> Result<String, ApiError> {
    let is_id = !token_id.is_empty() && token_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if is_id { Ok(format!("{token_id}/")) } else { Err(ApiError::nothing()) }
}

fn name_of(owner: &TokenOwner, path: &str) -> Result<Vec<u8>, ApiError> {
    Ok([prefix_of(&owner.id)?.as_bytes(), secret_path(path)?.as_bytes()].concat())
}

fn namespace(store: &Store) -> Result<Namespace, ApiError> {
    Ok(store.namespace(NAMESPACE)?)
}
