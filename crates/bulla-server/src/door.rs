//! The door of a project's own guard.

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use bulla::Session;
use bulla_guard::access::{self, CertificateFields, ParameterValue, Permission, PrincipalKind, RequestPath, Resource};
use bulla_guard::admission::{Admitted, Ask, Denied, Need, Presented, Record};
use bulla_guard::audit::{self, Class, Code};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

use crate::ApiError;
use crate::admission::{Admission, Brought, Door, Head, Outcome, TokenOwner};
use crate::peer::{Address, ClientCertificate};
use crate::table::{Audit, Capability, Endpoint, Requires, Verb};

/// The door that lets in whom a project's guard knows, and records it in the audit log.
///
/// A token or API key counts before a client certificate, and that before the user of a Unix socket.
#[derive(Debug)]
pub struct SessionDoor(Arc<Session>);

impl SessionDoor {
    /// Guards with a session.
    #[must_use]
    pub const fn new(session: Arc<Session>) -> Self {
        Self(session)
    }
}

#[async_trait]
impl Door for SessionDoor {
    async fn admit(&self, head: &Head<'_>) -> Result<Box<dyn Admission>, ApiError> {
        let fields = head.peer.certificate.as_deref().map(fields);
        let resource = head.object.parse::<Resource>().ok();
        // What is listed ends with a slash, as policies write it.
        let listed = (head.verb == Verb::List).then(|| format!("{}/", head.resource));
        let path = listed.as_deref().unwrap_or(head.resource).parse::<RequestPath>().ok();
        let ask = ask(head, presented(head, fields.as_ref()), resource.as_ref(), path.as_ref())?;
        let admitted = self.0.guard().admit(&ask).await?;
        let name = admitted.principal().map_or("anonymous", |principal| principal.id()).to_owned();
        Ok(Box::new(SessionAdmission { admitted, name }))
    }

    fn session(&self) -> Option<&Arc<Session>> {
        Some(&self.0)
    }
}

/// Somebody who was let in by the guard.
struct SessionAdmission {
    admitted: Admitted,
    name: String,
}

#[async_trait]
impl Admission for SessionAdmission {
    fn principal(&self) -> &str {
        &self.name
    }

    fn details(&self) -> &(dyn Any + Send + Sync) {
        &self.admitted
    }

    fn token_owner(&self) -> Option<TokenOwner> {
        let principal = self.admitted.principal().filter(|principal| principal.kind() == PrincipalKind::Token)?;
        // It may be renewed, and what it owns must not go before it does.
        Some(TokenOwner { id: principal.credential()?.as_str().to_owned(), expires: None })
    }

    fn may(&self, capability: Capability) -> bool {
        as_good(capability).first().is_some_and(|capability| self.admitted.may(*capability))
    }

    fn add_identifier(&self, name: Code, identifier: &[u8]) {
        self.admitted.add_identifier(name, identifier);
    }

    fn set_batch(&self, batch: audit::Batch) {
        self.admitted.set_batch(batch);
    }

    async fn begin(&self, brought: &Brought<'_>) -> Result<(), ApiError> {
        if !self.admitted.wants_parameters() {
            return Ok(self.admitted.begin(&[]).await?);
        }
        let parameters = parameters(brought).ok_or_else(ApiError::forbidden)?;
        Ok(self.admitted.begin(&parameters).await?)
    }

    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        self.admitted.verdict().map(limit_headers).unwrap_or_default()
    }

    async fn finish(&self, outcome: &Outcome<'_>) -> Result<(), ApiError> {
        let went = if outcome.has_answered { audit::Outcome::Success } else { audit::Outcome::Failure };
        let is_partial = outcome.has_answered && outcome.status.as_u16() >= 400;
        let code = outcome.code.or(is_partial.then_some("partial"));
        Ok(self.admitted.finish(went, code, outcome.elapsed).await?)
    }
}

/// Makes of the head of a request what the guard is asked.
fn ask<'a>(
    head: &Head<'a>,
    presented: Option<Presented<'a>>,
    resource: Option<&'a Resource>,
    path: Option<&'a RequestPath>,
) -> Result<Ask<'a>, ApiError> {
    let endpoint = head.endpoint;
    let need = match endpoint.requires() {
        Requires::Nothing => Need::Nothing,
        Requires::Credential => Need::Credential,
        Requires::Permission(permission, capability) => Need::Permission {
            // A name that is no permission is one that nobody has.
            permission: permission.parse::<Permission>().map_err(|_| ApiError::forbidden())?,
            resource,
            path,
            capabilities: as_good(capability),
        },
    };
    Ok(Ask {
        presented,
        source: head.peer.source(),
        action: endpoint.id().parse().unwrap_or(Code::new("request")),
        class: class(endpoint),
        subject: head.resource,
        need,
        record: match endpoint.audit() {
            Audit::Unrecorded => Record::Nothing,
            Audit::Look => Record::Look,
            Audit::Reveal => Record::Reveal,
            Audit::Change => Record::Change,
            Audit::Administer => Record::Administer,
            Audit::SignIn => Record::SignIn,
        },
        route: part(endpoint),
        request: head.id.as_str(),
    })
}

fn presented<'a>(head: &Head<'a>, fields: Option<&'a CertificateFields>) -> Option<Presented<'a>> {
    if let Some(credential) = head.credential {
        return Some(Presented::Bearer(credential.expose()));
    }
    if let Some(fields) = fields {
        return Some(Presented::Certificate(fields));
    }
    match head.peer.address {
        Address::Local { user, group, .. } => Some(Presented::Peer { uid: user, gid: group }),
        Address::Network(_) => None,
    }
}

fn fields(certificate: &ClientCertificate) -> CertificateFields {
    CertificateFields {
        common_name: certificate.common_name.clone(),
        dns: certificate.dns_names.clone(),
        uris: certificate.uris.clone(),
        emails: certificate.mail_addresses.clone(),
        serial: certificate.serial.clone(),
        issuer: certificate.issuer.clone(),
    }
}

/// Returns the capabilities of policies of which one is enough.
fn as_good(capability: Capability) -> &'static [access::Capability] {
    match capability {
        Capability::Create => &[access::Capability::Create],
        Capability::Read => &[access::Capability::Read],
        Capability::Update => &[access::Capability::Update],
        Capability::Write => &[access::Capability::Update, access::Capability::Create],
        Capability::Patch => &[access::Capability::Patch],
        Capability::Delete => &[access::Capability::Delete],
        Capability::List => &[access::Capability::List],
        Capability::Sudo => &[access::Capability::Sudo],
    }
}

/// Returns the first part of an endpoint's id: what it belongs to.
pub(crate) fn part(endpoint: &Endpoint) -> &'static str {
    endpoint.id().split('.').next().unwrap_or_default()
}

fn class(endpoint: &Endpoint) -> Class {
    if endpoint.audit() == Audit::SignIn {
        return Class::Authentication;
    }
    match part(endpoint) {
        "transit" => Class::Key,
        "kv" | "kv1" | "kv2" | "cubbyhole" | "store" => Class::Store,
        "token" | "approle" | "policy" | "users" | "roles" | "keys" | "bindings" | "limits" => Class::Grant,
        "machines" => Class::Machine,
        "audit" => Class::Log,
        _ => Class::Configuration,
    }
}

/// Reads what a request brings, as policies see it: the members of its body, and what stands after `?`.
fn parameters(brought: &Brought<'_>) -> Option<Vec<(String, ParameterValue)>> {
    let body = brought.body?;
    let mut parameters = Vec::new();
    if !body.is_empty() {
        let Ok(Value::Object(members)) = serde_json::from_slice(body) else { return None };
        parameters.extend(members.into_iter().map(|(name, value)| (name, parameter(value))));
    }
    let texts = brought.query.iter().filter(|(name, _)| *name != "list");
    parameters.extend(texts.map(|(name, text)| (name.to_owned(), ParameterValue::Text(text.to_owned()))));
    Some(parameters)
}

fn parameter(value: Value) -> ParameterValue {
    match value {
        Value::Null => ParameterValue::Null,
        Value::Bool(flag) => ParameterValue::Flag(flag),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => ParameterValue::Integer(integer),
            None => ParameterValue::Number(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => ParameterValue::Text(text),
        Value::Array(values) => ParameterValue::List(values.into_iter().map(parameter).collect()),
        Value::Object(members) => {
            ParameterValue::Map(members.into_iter().map(|(name, value)| (name, parameter(value))).collect())
        }
    }
}

fn limit_headers(verdict: &bulla_guard::limits::Verdict) -> Vec<(HeaderName, HeaderValue)> {
    let header = |(name, value): (&'static str, String)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_str(&value).ok()?))
    };
    verdict.fields().into_iter().filter_map(header).collect()
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        let code = denied.code();
        let retry = denied.retry_after().map_or(1, |wait| {
            u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(u32::from(wait.subsec_nanos() > 0)).max(1)
        });
        match denied {
            Denied::NoCredential => Self::new(StatusCode::FORBIDDEN, code, "permission denied")
                .with_hint("send a token or API key in `X-Vault-Token` or `Authorization: Bearer`"),
            // Of what is wrong with it, strangers learn nothing.
            Denied::BadCredential => Self::new(StatusCode::FORBIDDEN, code, "permission denied"),
            Denied::Forbidden => Self::forbidden(),
            Denied::TooSoon(_) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, code, denied.to_string()).with_retry_after(retry)
            }
            Denied::TooMany(verdict) => {
                let error = Self::new(StatusCode::TOO_MANY_REQUESTS, code, "too many requests");
                let headers = limit_headers(&verdict).into_iter();
                headers.fold(error, |error, (name, value)| error.with_header(name, value))
            }
            Denied::Unavailable(message) => Self::busy(code, message, retry),
            Denied::Unrecorded(_) => Self::busy(code, "the audit log cannot be written", retry)
                .with_hint("nothing is done that cannot be recorded"),
            Denied::OutcomeUnrecorded(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, code, "it was done, and that cannot be recorded")
                    .with_hint("look what is there before it is done again")
            }
            _ => Self::internal(),
        }
    }
}
