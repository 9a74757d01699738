//! The endpoints of a mount, for the table of the server.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

use super::keys::ListKeysRequest;
use super::{Answer, DecryptRequest, ExportRequest, Number, RewrapRequest, VerifyRequest, wrapped};
use crate::app::giving_away;
use crate::table::{Audit, Capability, Data, Draft, Endpoint, Kind, NoContent, Respond};
use crate::{ApiError, Call, RequestId};

/// The kind of mounts that are the transit API.
pub const TRANSIT: Kind = Kind("transit");

/// What is acted on. Without a name in the path it is the mount.
const KEY: &str = "keys/{mount}/{name}";

/// To use keys, and to see which there are.
const USE: &str = "use:keys";
/// To hand out keys.
const EXPORT: &str = "export:keys";
/// To make, change and delete keys.
const MANAGE: &str = "manage:keys";

/// What the endpoints of a mount are to know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TransitOptions {
    /// Whether encrypting under a key that is not there makes it, for whoever may encrypt there. Not unless it is said.
    pub create_by_encrypting: bool,
}

impl<T: Serialize + JsonSchema + Send + 'static> Respond for Answer<T> {
    const STATUS: u16 = 200;
    const DESCRIBE: Option<fn(&mut SchemaGenerator) -> Schema> = Data::<T>::DESCRIBE;

    fn answer(self, id: &RequestId) -> crate::Answer {
        let data = match self.data {
            Some(data) => Data::new(data),
            None => Data::none(),
        };
        self.warnings.into_iter().fold(data.with_status(self.status), Data::with_warning).answer(id)
    }
}

/// Returns the endpoints, with paths below the mount.
#[must_use]
pub fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = keys();
    endpoints.extend(copies());
    endpoints.extend(values());
    endpoints.extend(one_way());
    endpoints
}

/// Begins an endpoint that uses keys.
fn using(id: &'static str, path: &'static str) -> Draft {
    Endpoint::write(id, path).on(KEY).permission(USE, Capability::Update).audit(Audit::Reveal)
}

/// Begins an endpoint that changes keys.
fn changing(id: &'static str, path: &'static str) -> Draft {
    Endpoint::write(id, path).on(KEY).permission(MANAGE, Capability::Update).audit(Audit::Change).fails_with(&[409])
}

fn mount(call: &Call) -> Result<&str, ApiError> {
    Ok(call.mount()?.path())
}

fn keys() -> Vec<Endpoint> {
    vec![
        Endpoint::list("transit.keys.list", "keys")
            .on(KEY)
            .summary("Lists the keys of the mount.")
            .query(&["after", "limit"])
            .permission(USE, Capability::List)
            .audit(Audit::Look)
            .fails_with(&[404])
            .plain(|call: Call| async move {
                let after = call.query().text("after").map(str::to_owned);
                let limit = call.query().text("limit").filter(|limit| !limit.is_empty());
                let limit = limit.map(|limit| limit.parse().map(Number)).transpose();
                let limit = limit.map_err(|_| ApiError::field("limit", "is no whole number"))?;
                super::list_keys(call.project(), mount(&call)?, ListKeysRequest { after, limit }).await
            }),
        Endpoint::get("transit.keys.read", "keys/{name}")
            .on(KEY)
            .summary("Shows a key, without its material.")
            .permission(USE, Capability::Read)
            .audit(Audit::Look)
            .fails_with(&[404])
            .plain(
                |call: Call| async move { super::read_key(call.project(), mount(&call)?, call.param("name")).await },
            ),
        Endpoint::write("transit.keys.create", "keys/{name}")
            .on(KEY)
            .summary("Makes a key; one that is there stays as it is.")
            .permission(MANAGE, Capability::Write)
            .audit(Audit::Change)
            .json(|call: Call, request| async move {
                super::create_key(call.project(), mount(&call)?, call.param("name"), request).await
            }),
        Endpoint::delete("transit.keys.delete", "keys/{name}")
            .on(KEY)
            .summary("Deletes a key, and with it whatever was encrypted under it.")
            .permission(MANAGE, Capability::Delete)
            .audit(Audit::Change)
            .plain(|call: Call| async move {
                super::delete_key(call.project(), mount(&call)?, call.param("name")).await.map(|_| NoContent)
            }),
        Endpoint::delete("transit.keys.soft-delete", "keys/{name}/soft-delete")
            .on(KEY)
            .summary("Puts a key out of use, and has it deleted in seven days.")
            .permission(MANAGE, Capability::Delete)
            .audit(Audit::Change)
            .plain(|call: Call| async move {
                super::soft_delete_key(call.project(), mount(&call)?, call.param("name")).await.map(|_| NoContent)
            }),
        changing("transit.keys.soft-delete-restore", "keys/{name}/soft-delete-restore")
            .summary("Takes back a key that was put out of use.")
            .plain(|call: Call| async move {
                super::restore_deleted_key(call.project(), mount(&call)?, call.param("name")).await.map(|_| NoContent)
            }),
        changing("transit.keys.configure", "keys/{name}/config").summary("Changes how a key may be used.").json(
            |call: Call, request| async move {
                super::configure_key(call.project(), mount(&call)?, call.param("name"), request).await
            },
        ),
        changing("transit.keys.rotate", "keys/{name}/rotate").summary("Makes a new version of a key.").plain(
            |call: Call| async move { super::rotate_key(call.project(), mount(&call)?, call.param("name")).await },
        ),
        changing("transit.keys.trim", "keys/{name}/trim").summary("Removes old versions of a key for good.").json(
            |call: Call, request| async move {
                super::trim_key(call.project(), mount(&call)?, call.param("name"), request).await
            },
        ),
    ]
}

fn copies() -> Vec<Endpoint> {
    vec![
        changing("transit.keys.import", "keys/{name}/import")
            .summary("Makes a key of material that the client brings.")
            .json(|call: Call, request| async move {
                super::import_key(call.project(), mount(&call)?, call.param("name"), request).await.map(|_| NoContent)
            }),
        changing("transit.keys.import-version", "keys/{name}/import_version")
            .summary("Brings the next version of a key that was imported.")
            .json(|call: Call, request| async move {
                let name = call.param("name");
                super::import_key_version(call.project(), mount(&call)?, name, request).await.map(|_| NoContent)
            }),
        Endpoint::get("transit.wrapping-key", "wrapping_key")
            .on(KEY)
            .summary("Shows the key that material is wrapped with to be imported.")
            .permission(MANAGE, Capability::Read)
            .audit(Audit::Look)
            // The first call makes it.
            .writes(true)
            .plain(|call: Call| async move { super::wrapping_key(call.project()).await }),
        Endpoint::get("transit.export", "export/{part}/{name}")
            .on(KEY)
            .also("export/{part}/{name}/{version}")
            .summary("Hands out a key.")
            .query(&["format"])
            .permission(EXPORT, Capability::Read)
            .audit(Audit::Reveal)
            .fails_with(&[404])
            .plain(|call: Call| async move {
                let (part, name, version) = (call.param("part"), call.param("name"), call.optional_param("version"));
                let request = ExportRequest { format: call.query().text("format").map(str::to_owned) };
                super::export_key(call.project(), mount(&call)?, part, name, version, request).await
            }),
        Endpoint::get("transit.backup", "backup/{name}")
            .on(KEY)
            .summary("Makes a sealed backup of a key.")
            .permission(MANAGE, Capability::Read)
            .audit(Audit::Reveal)
            .fails_with(&[404])
            .plain(
                |call: Call| async move { super::back_up_key(call.project(), mount(&call)?, call.param("name")).await },
            ),
        changing("transit.restore", "restore")
            .also("restore/{name}")
            .summary("Restores a key from a backup.")
            .large()
            .json(|call: Call, request| async move {
                let name = call.optional_param("name");
                super::restore_key(call.project(), mount(&call)?, name, request).await.map(|_| NoContent)
            }),
    ]
}

fn values() -> Vec<Endpoint> {
    vec![
        using("transit.encrypt", "encrypt/{name}").summary("Encrypts a plaintext, or a batch.").large().json(
            |call: Call, request| async move {
                let may_create =
                    call.mount()?.options::<TransitOptions>().is_some_and(|known| known.create_by_encrypting);
                let name = call.param("name");
                let work = super::encrypt(call.project(), mount(&call)?, name, may_create, request);
                // A key that is made has to reach the disk first.
                let answer = if may_create { giving_away(work).await? } else { work.await? };
                call.admitted().set_batch(answer.digest(|made| &made.ciphertext));
                Ok(answer)
            },
        ),
        using("transit.decrypt", "decrypt/{name}").summary("Decrypts a ciphertext, or a batch.").large().json(
            |call: Call, request: DecryptRequest| async move {
                let items = request.batch_input.iter().flat_map(|batch| &batch.0);
                call.admitted().set_batch(wrapped::digest(items.map(|item| item.ciphertext.as_ref())));
                super::decrypt(call.project(), mount(&call)?, call.param("name"), request).await
            },
        ),
        using("transit.rewrap", "rewrap/{name}")
            .summary("Brings ciphertexts under another version, without showing what is in them.")
            .large()
            .json(|call: Call, request: RewrapRequest| async move {
                let items = request.batch_input.iter().flat_map(|batch| &batch.0);
                call.admitted().set_batch(wrapped::digest(items.map(|item| item.ciphertext.as_ref())));
                super::rewrap(call.project(), mount(&call)?, call.param("name"), request).await
            }),
        using("transit.datakey", "datakey/{form}/{name}")
            .summary("Draws a key for use elsewhere, and encrypts it.")
            .json(|call: Call, request| async move {
                super::data_key(call.project(), mount(&call)?, call.param("form"), call.param("name"), request).await
            }),
    ]
}

fn one_way() -> Vec<Endpoint> {
    vec![
        using("transit.sign", "sign/{name}")
            .also("sign/{name}/{algorithm}")
            .summary("Signs a message, or a batch.")
            .large()
            .json(|call: Call, request| async move {
                let (name, algorithm) = (call.param("name"), call.optional_param("algorithm"));
                let answer = super::sign(call.project(), mount(&call)?, name, algorithm, request).await?;
                call.admitted().set_batch(answer.digest(|made| &made.signature));
                Ok(answer)
            }),
        using("transit.verify", "verify/{name}")
            .also("verify/{name}/{algorithm}")
            .summary("Verifies signatures or HMACs.")
            .large()
            .json(|call: Call, request: VerifyRequest| async move {
                let (name, algorithm) = (call.param("name"), call.optional_param("algorithm"));
                let items = request.batch_input.iter().flat_map(|batch| &batch.0);
                let shown = items.map(|item| item.signature.as_ref().or(item.hmac.as_ref()));
                call.admitted().set_batch(wrapped::digest(shown));
                super::verify(call.project(), mount(&call)?, name, algorithm, request).await
            }),
        using("transit.hmac", "hmac/{name}")
            .also("hmac/{name}/{algorithm}")
            .summary("Computes the HMAC of a message, or of a batch.")
            .large()
            .json(|call: Call, request| async move {
                let (name, algorithm) = (call.param("name"), call.optional_param("algorithm"));
                let answer = super::hmac(call.project(), mount(&call)?, name, algorithm, request).await?;
                call.admitted().set_batch(answer.digest(|made| &made.hmac));
                Ok(answer)
            }),
        using("transit.hash", "hash")
            .also("hash/{algorithm}")
            .summary("Hashes a message.")
            .large()
            .audit(Audit::Look)
            .json(|call: Call, request| async move { super::hash(call.optional_param("algorithm"), &request) }),
        using("transit.random", "random")
            .also("random/{first}")
            .also("random/{first}/{second}")
            .summary("Draws random bytes.")
            .json(|call: Call, request| async move {
                let (first, second) = (call.optional_param("first"), call.optional_param("second"));
                super::random(call.project(), first, second, &request)
            }),
    ]
}
