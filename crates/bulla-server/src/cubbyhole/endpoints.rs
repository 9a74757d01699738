//! The endpoints of cubbyholes, for the table of the server.

use http::StatusCode;

use crate::kv::{ListRequest, SecretJson, list_draft};
use crate::table::{Audit, Data, Endpoint, Kind, NoContent};
use crate::{ApiError, Call, TokenOwner};

/// The kind of the mount where each token has secrets of its own.
pub const CUBBYHOLE: Kind = Kind("cubbyhole");

/// Returns the endpoints, with paths below the mount. Whoever has a token may do everything there: nobody else sees it.
#[must_use]
pub fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("cubbyhole.read", "{path..}")
            .summary("Reads a secret of the caller's token.")
            .any_credential()
            .audit(Audit::Reveal)
            .fails_with(&[404])
            .plain(|call: Call| async move {
                let whose = owner(&call)?;
                super::read(call.project().entries(), &whose, call.param("path")).await.map(Data::new)
            }),
        Endpoint::write("cubbyhole.write", "{path..}")
            .summary("Writes a secret of the caller's token.")
            .any_credential()
            .audit(Audit::Change)
            .fails_with(&[413, 507])
            .json(|call: Call, data: SecretJson| async move {
                let whose = owner(&call)?;
                super::write(call.project().entries(), &whose, call.param("path"), &data).await?;
                Ok(NoContent)
            }),
        Endpoint::delete("cubbyhole.delete", "{path..}")
            .summary("Removes a secret of the caller's token.")
            .any_credential()
            .audit(Audit::Change)
            .plain(|call: Call| async move {
                let whose = owner(&call)?;
                super::delete(call.project().entries(), &whose, call.param("path")).await?;
                Ok(NoContent)
            }),
        list_draft(Endpoint::list("cubbyhole.list", "{path..}")).any_credential().plain(|call: Call| async move {
            let (whose, request) = (owner(&call)?, ListRequest::of(&call)?);
            super::list(call.project().entries(), &whose, call.param("path"), &request).await.map(Data::new)
        }),
    ]
}

/// Returns whose cubbyhole it is.
fn owner(call: &Call) -> Result<TokenOwner, ApiError> {
    call.admitted().token_owner().ok_or_else(|| {
        ApiError::new(StatusCode::FORBIDDEN, "no_token", "a cubbyhole belongs to a token, and this credential is none")
            .with_hint("sign in for a token")
    })
}
