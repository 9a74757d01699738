//! The endpoints of engines with secrets, for the table of the server.

use super::{ListRequest, SecretJson, Unsigned, Way, v1};
use crate::engines::Engine;
use crate::table::{Audit, Capability, Data, Draft, Endpoint, Kind, NoContent};
use crate::{ApiError, Call};

/// The kind of mounts whose secrets have no versions.
pub const KV1: Kind = Kind("kv1");
/// The kind of mounts whose secrets have versions.
pub const KV2: Kind = Kind("kv2");

const READ: &str = "read:secrets";
const WRITE: &str = "write:secrets";
/// What grants name a secret by.
const SECRET: &str = "secrets/{mount}/{path..}";

/// Returns the endpoints of secrets with versions, with paths below the mount.
#[must_use]
pub fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = config();
    endpoints.extend(data());
    endpoints.extend(versions());
    endpoints.extend(metadata());
    endpoints
}

/// Returns the endpoints of secrets without versions, with paths below the mount.
#[must_use]
pub fn v1_endpoints() -> Vec<Endpoint> {
    vec![
        look(Endpoint::get("kv1.read", "{path..}")).summary("Reads a secret.").audit(Audit::Reveal).plain(
            |call: Call| async move {
                let read = v1::read(call.project().entries(), engine(&call)?, call.param("path")).await?;
                Ok(Data::new(read.data).with_lease(read.lease_duration))
            },
        ),
        change(Endpoint::write("kv1.write", "{path..}"), Capability::Write).summary("Writes a secret.").json(
            |call: Call, data: SecretJson| async move {
                let (store, engine, path) = (call.project().entries(), engine(&call)?, call.param("path"));
                v1::write_as(store, engine, path, &data, way(&call)?).await?;
                Ok(NoContent)
            },
        ),
        change(Endpoint::delete("kv1.delete", "{path..}"), Capability::Delete).summary("Removes a secret.").plain(
            |call: Call| async move {
                v1::delete(call.project().entries(), engine(&call)?, call.param("path")).await?;
                Ok(NoContent)
            },
        ),
        list_draft(Endpoint::list("kv1.list", "{path..}")).on(SECRET).permission(READ, Capability::List).plain(
            |call: Call| async move {
                let request = ListRequest::of(&call)?;
                v1::list(call.project().entries(), engine(&call)?, call.param("path"), &request).await.map(Data::new)
            },
        ),
    ]
}

/// Says what all lists of secrets have.
pub(crate) fn list_draft(draft: Draft) -> Draft {
    let summary = "Lists the secrets and folders in a folder.";
    draft.summary(summary).query(&["after", "limit"]).audit(Audit::Look).fails_with(&[404])
}

fn look(draft: Draft) -> Draft {
    draft.on(SECRET).permission(READ, Capability::Read).audit(Audit::Look).fails_with(&[404])
}

fn change(draft: Draft, capability: Capability) -> Draft {
    draft.on(SECRET).permission(WRITE, capability).audit(Audit::Change).fails_with(&[413, 507])
}

/// Returns the engine that the path leads into.
fn engine(call: &Call) -> Result<&Engine, ApiError> {
    call.mount()?.engine().ok_or_else(ApiError::nothing)
}

/// Returns in which way the caller may write: make secrets, change them, or both.
fn way(call: &Call) -> Result<Way, ApiError> {
    match (call.admitted().may(Capability::Create), call.admitted().may(Capability::Update)) {
        (true, true) => Ok(Way::Any),
        (true, false) => Ok(Way::New),
        (false, true) => Ok(Way::Replace),
        (false, false) => Err(ApiError::forbidden()),
    }
}

impl ListRequest {
    /// Reads which part of a list is asked for.
    pub(crate) fn of(call: &Call) -> Result<Self, ApiError> {
        let after = call.query().text("after").map(str::to_owned);
        Ok(Self { after, limit: number(call, "limit")?.map(Unsigned) })
    }
}

/// Reads a number of the query. One that is empty is none.
fn number(call: &Call, name: &str) -> Result<Option<u64>, ApiError> {
    match call.query().text(name) {
        None | Some("") => Ok(None),
        Some(_) => Ok(call.query().number(name, 0..=u64::MAX)?),
    }
}

fn config() -> Vec<Endpoint> {
    vec![
        look(Endpoint::get("kv2.read-config", "config"))
            .summary("Shows the settings of all secrets of a mount.")
            .plain(|call: Call| async move {
                super::read_config(call.project().entries(), engine(&call)?).await.map(Data::new)
            }),
        change(Endpoint::write("kv2.write-config", "config"), Capability::Update)
            .summary("Changes the settings of all secrets of a mount.")
            .audit(Audit::Administer)
            .json(|call: Call, request| async move {
                super::write_config(call.project().entries(), engine(&call)?, &request).await?;
                Ok(NoContent)
            }),
    ]
}

fn data() -> Vec<Endpoint> {
    vec![
        look(Endpoint::get("kv2.read", "data/{path..}"))
            .summary("Reads a version of a secret.")
            .query(&["version"])
            .audit(Audit::Reveal)
            .plain(|call: Call| async move {
                let (store, now, version) = (call.project().entries(), call.app().now(), number(&call, "version")?);
                let read = super::read_data(store, engine(&call)?, call.param("path"), version, now).await?;
                let status = read.status();
                Ok(Data::new(read).with_status(status))
            }),
        change(Endpoint::write("kv2.write", "data/{path..}"), Capability::Write)
            .summary("Writes a new version of a secret.")
            .json(|call: Call, request| async move {
                let (store, engine, path) = (call.project().entries(), engine(&call)?, call.param("path"));
                let (way, now) = (way(&call)?, call.app().now());
                super::write_data_as(store, engine, path, &request, way, now).await.map(Data::new)
            }),
        change(Endpoint::patch("kv2.patch", "data/{path..}"), Capability::Patch)
            .summary("Writes a new version of a secret, by a merge patch of the newest.")
            .fails_with(&[404, 413, 507])
            .json(|call: Call, request| async move {
                let (store, now) = (call.project().entries(), call.app().now());
                let patched = super::patch_data(store, engine(&call)?, call.param("path"), &request, now).await?;
                let status = patched.status();
                Ok(Data::new(patched).with_status(status))
            }),
        change(Endpoint::delete("kv2.delete", "data/{path..}"), Capability::Delete)
            .summary("Deletes the newest version of a secret, which can be undeleted.")
            .plain(|call: Call| async move {
                let (store, now) = (call.project().entries(), call.app().now());
                super::delete_data(store, engine(&call)?, call.param("path"), now).await?;
                Ok(NoContent)
            }),
        look(Endpoint::get("kv2.subkeys", "subkeys/{path..}"))
            .summary("Shows the names in a version of a secret, without what they stand for.")
            .query(&["version", "depth"])
            .plain(|call: Call| async move {
                let (store, now) = (call.project().entries(), call.app().now());
                let (version, depth) = (number(&call, "version")?, number(&call, "depth")?.unwrap_or(0));
                let path = call.param("path");
                let read = super::read_subkeys(store, engine(&call)?, path, version, depth, now).await?;
                let status = read.status();
                Ok(Data::new(read).with_status(status))
            }),
    ]
}

fn versions() -> Vec<Endpoint> {
    vec![
        change(Endpoint::write("kv2.delete-versions", "delete/{path..}"), Capability::Update)
            .summary("Deletes versions of a secret, which can be undeleted.")
            .json(|call: Call, request| async move {
                let (store, now) = (call.project().entries(), call.app().now());
                super::delete_versions(store, engine(&call)?, call.param("path"), &request, now).await?;
                Ok(NoContent)
            }),
        change(Endpoint::write("kv2.undelete-versions", "undelete/{path..}"), Capability::Update)
            .summary("Makes deleted versions of a secret readable again.")
            .json(|call: Call, request| async move {
                let (store, now) = (call.project().entries(), call.app().now());
                super::undelete_versions(store, engine(&call)?, call.param("path"), &request, now).await?;
                Ok(NoContent)
            }),
        change(Endpoint::write("kv2.destroy-versions", "destroy/{path..}"), Capability::Update)
            .summary("Removes versions of a secret for good.")
            .json(|call: Call, request| async move {
                let store = call.project().entries();
                super::destroy_versions(store, engine(&call)?, call.param("path"), &request).await?;
                Ok(NoContent)
            }),
    ]
}

fn metadata() -> Vec<Endpoint> {
    vec![
        look(Endpoint::get("kv2.read-metadata", "metadata/{path..}"))
            .summary("Shows what is known of a secret and its versions.")
            .plain(|call: Call| async move {
                super::read_metadata(call.project().entries(), engine(&call)?, call.param("path")).await.map(Data::new)
            }),
        list_draft(Endpoint::list("kv2.list", "metadata/{path..}"))
            .on(SECRET)
            .permission(READ, Capability::List)
            .plain(|call: Call| async move {
                let request = ListRequest::of(&call)?;
                super::list(call.project().entries(), engine(&call)?, call.param("path"), &request).await.map(Data::new)
            }),
        change(Endpoint::write("kv2.write-metadata", "metadata/{path..}"), Capability::Write)
            .summary("Changes what is known of a secret.")
            .json(|call: Call, request| async move {
                let (store, engine, path) = (call.project().entries(), engine(&call)?, call.param("path"));
                super::write_metadata_as(store, engine, path, &request, way(&call)?, call.app().now()).await?;
                Ok(NoContent)
            }),
        change(Endpoint::patch("kv2.patch-metadata", "metadata/{path..}"), Capability::Patch)
            .summary("Changes what is known of a secret, by a merge patch.")
            .fails_with(&[404])
            .json(|call: Call, request| async move {
                let (store, now) = (call.project().entries(), call.app().now());
                super::patch_metadata(store, engine(&call)?, call.param("path"), &request, now).await?;
                Ok(NoContent)
            }),
        change(Endpoint::delete("kv2.delete-metadata", "metadata/{path..}"), Capability::Delete)
            .summary("Removes a secret with all of its versions.")
            .plain(|call: Call| async move {
                super::delete_metadata(call.project().entries(), engine(&call)?, call.param("path")).await?;
                Ok(NoContent)
            }),
    ]
}
