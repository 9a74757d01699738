use bulla_guard::admission::{Ask, Denied, Guard, Need, Record};
use bulla_guard::audit::{Class, Code};
use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::auth::token::authenticated;
use crate::door::part;
use crate::table::Auth;
use crate::transit::SecretText;
use crate::{ApiError, Call};

/// Who logs in, and with what.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LoginRequest {
    /// The role id.
    pub role_id: Option<String>,
    /// The secret.
    pub secret_id: Option<SecretText>,
}

/// Logs a program in, for a token.
///
/// # Errors
/// 400 if role id and secret are not good together, whatever is wrong with them; 429 for a source that guesses.
pub async fn log_in(guard: &Guard, ask: &Ask<'_>, request: LoginRequest) -> Result<Auth, ApiError> {
    let missing = |field| ApiError::field(field, "it is missing");
    let role_id = request.role_id.ok_or_else(|| missing("role_id"))?;
    let secret = request.secret_id.ok_or_else(|| missing("secret_id"))?;
    let issued = guard.login_approle(ask, &role_id, secret.expose()).await.map_err(|denied| match denied {
        Denied::BadCredential => ApiError::new(StatusCode::BAD_REQUEST, denied.code(), "invalid role or secret ID"),
        denied => denied.into(),
    })?;
    Ok(Auth::new(authenticated(&issued.token, issued.secret.expose().into(), guard.now())))
}

/// Makes what the guard is asked of somebody who signs in with a secret that is in the body.
pub(super) fn sign_in<'a>(call: &'a Call, id: &'a str) -> Ask<'a> {
    Ask {
        presented: None,
        source: call.peer().source(),
        action: call.endpoint().id().parse().unwrap_or(Code::new("sign_in")),
        class: Class::Authentication,
        subject: "auth/approle/login",
        need: Need::Nothing,
        record: Record::SignIn,
        route: part(call.endpoint()),
        request: id,
    }
}
