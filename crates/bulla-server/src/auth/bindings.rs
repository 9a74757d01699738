//! Bindings: which user or roles a client certificate, a local user or group, or a machine has.

use bulla_guard::access::{Access, AccessError, Binding, BindingName, BindingSubject, CertificateRule, Principal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fields::{name, parse};
use super::{Grant, KeyList, USERS};
use crate::table::{Audit, Capability, Data, Draft, Endpoint, NoContent};
use crate::{ApiError, Call};

/// What a binding is to be: one of `certificate`, `uid`, `gid` and `machine`, and a user, roles, or both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BindingRequest {
    /// Whoever shows a client certificate that is so.
    pub certificate: Option<Certificate>,
    /// Local processes of this user of the operating system.
    pub uid: Option<u32>,
    /// Local processes of this group of the operating system.
    pub gid: Option<u32>,
    /// The machine with this fingerprint.
    pub machine: Option<String>,
    /// The user that they are.
    pub user: Option<String>,
    /// Roles that they have beside or without a user.
    pub roles: Option<Vec<Grant>>,
}

/// What a client certificate must be. All that is given must match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Certificate {
    /// The common name of its subject.
    pub common_name: Option<String>,
    /// A DNS name of it; `*.` at the beginning stands for any one label.
    pub dns: Option<String>,
    /// A URI of it; `/*` at the end stands for any one segment, `/**` for one or more.
    pub uri: Option<String>,
    /// A mail address of it.
    pub email: Option<String>,
    /// Its serial number, in lower-case hexadecimal digits.
    pub serial: Option<String>,
    /// Its issuer, as RFC 4514 writes it.
    pub issuer: Option<String>,
}

/// A binding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BindingView {
    /// Its name.
    pub name: String,
    /// A client certificate.
    pub certificate: Option<Certificate>,
    /// A user of the operating system.
    pub uid: Option<u32>,
    /// A group of the operating system.
    pub gid: Option<u32>,
    /// The fingerprint of a machine.
    pub machine: Option<String>,
    /// The user that they are.
    pub user: Option<String>,
    /// Roles that they have beside or without a user.
    pub roles: Vec<Grant>,
}

/// Writes a binding, in place of one of the same name.
///
/// # Errors
/// 400 for what is not as it must be, and a user or role that is not there; 403 for more than the caller has.
pub async fn bind(
    access: &Access,
    caller: &Principal,
    name: &BindingName,
    request: BindingRequest,
) -> Result<(), ApiError> {
    let of = match (request.certificate, request.uid, request.gid, request.machine) {
        (Some(rule), None, None, None) => BindingSubject::Certificate(rule.into()),
        (None, Some(uid), None, None) => BindingSubject::Uid(uid),
        (None, None, Some(gid), None) => BindingSubject::Gid(gid),
        (None, None, None, Some(machine)) => BindingSubject::Machine(parse("machine", &machine)?),
        _ => return Err(ApiError::field("certificate", "give one of certificate, uid, gid and machine")),
    };
    let user = request.user.as_deref().map(|user| parse("user", user)).transpose()?;
    let binding = Binding { of, user, grants: Grant::parse_all(request.roles)? };
    access.given_by(caller).bind(name, &binding).await.map_err(ApiError::of_body)
}

/// Shows a binding.
///
/// # Errors
/// 404 if there is none.
pub async fn show_binding(access: &Access, name: &BindingName) -> Result<BindingView, ApiError> {
    let found = access.bindings().await?.into_iter().find(|(known, _)| known == name);
    let (name, binding) = found.ok_or_else(|| AccessError::UnknownBinding(name.clone()))?;
    let mut view = BindingView {
        name: name.to_string(),
        certificate: None,
        uid: None,
        gid: None,
        machine: None,
        user: binding.user.as_ref().map(ToString::to_string),
        roles: binding.grants.iter().map(Grant::from).collect(),
    };
    match binding.of {
        BindingSubject::Certificate(rule) => view.certificate = Some(rule.into()),
        BindingSubject::Uid(uid) => view.uid = Some(uid),
        BindingSubject::Gid(gid) => view.gid = Some(gid),
        BindingSubject::Machine(machine) => view.machine = Some(machine.to_string()),
        // A subject of a later version, of which this one knows nothing to show.
        _ => {}
    }
    Ok(view)
}

impl From<Certificate> for CertificateRule {
    fn from(rule: Certificate) -> Self {
        let Certificate { common_name, dns, uri, email, serial, issuer } = rule;
        Self { common_name, dns, uri, email, serial, issuer }
    }
}

impl From<CertificateRule> for Certificate {
    fn from(rule: CertificateRule) -> Self {
        let CertificateRule { common_name, dns, uri, email, serial, issuer } = rule;
        Self { common_name, dns, uri, email, serial, issuer }
    }
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    const BINDING: &str = "/v1/bindings/{name}";
    let on = |draft: Draft, capability| draft.on("bindings/{name}").permission(USERS, capability).fails_with(&[404]);
    let showing = |draft, capability| on(draft, capability).audit(Audit::Look);
    let changing = |draft, capability| on(draft, capability).audit(Audit::Administer);
    vec![
        showing(Endpoint::list("bindings.list", "/v1/bindings"), Capability::List)
            .summary("Lists the bindings.")
            .plain(|call: Call| async move {
                let bindings = call.session()?.guard().access().bindings().await?;
                Ok(Data::new(KeyList::of(bindings.iter().map(|(name, _)| name))))
            }),
        showing(Endpoint::get("bindings.show", BINDING), Capability::Read).summary("Shows a binding.").plain(
            |call: Call| async move {
                show_binding(call.session()?.guard().access(), &name(&call)?).await.map(Data::new)
            },
        ),
        changing(Endpoint::write("bindings.put", BINDING), Capability::Update)
            .summary("Says which user or roles a certificate, local user, group or machine has.")
            .json(|call: Call, request| async move {
                let access = call.session()?.guard().access();
                bind(access, call.principal()?, &name(&call)?, request).await.map(|()| NoContent)
            }),
        changing(Endpoint::delete("bindings.delete", BINDING), Capability::Delete)
            .summary("Deletes a binding.")
            .plain(|call: Call| async move {
                let access = call.session()?.guard().access();
                access.given_by(call.principal()?).unbind(&name(&call)?).await?;
                Ok(NoContent)
            }),
    ]
}
