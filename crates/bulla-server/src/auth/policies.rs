//! Policies, as Vault's `sys/policies/acl` and the older `sys/policy` have them.

use bulla_guard::access::{Access, PolicyName, Principal};
use data_encoding::BASE64;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fields::name;
use super::{KeyList, ROLES};
use crate::table::{Audit, Capability, Data, Draft, Endpoint, NoContent};
use crate::{ApiError, Call};

/// What a policy is to say.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyRequest {
    /// Its text, in HCL or JSON; or that in base64.
    #[serde(alias = "rules")]
    pub policy: Option<String>,
}

/// A policy, as `sys/policies/acl` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PolicyView {
    /// Its name.
    pub name: String,
    /// Its text as it was written; `root` has none.
    pub policy: String,
}

/// A policy, as `sys/policy` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RulesView {
    /// Its name.
    pub name: String,
    /// Its text as it was written; `root` has none.
    pub rules: String,
}

/// All policies, as `sys/policy` lists them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PolicyList {
    /// Their names.
    pub keys: Vec<String>,
    /// The same.
    pub policies: Vec<String>,
}

/// Writes a policy, in place of one of the same name.
///
/// # Errors
/// 400 for a text that is none; 403 for who may not do everything, nor has `sudo` on its path.
pub async fn write_policy(
    access: &Access,
    caller: &Principal,
    name: &PolicyName,
    request: PolicyRequest,
) -> Result<(), ApiError> {
    let text = request.policy.filter(|text| !text.trim().is_empty());
    let text = text.ok_or_else(|| ApiError::field("policy", "it is missing"))?;
    // No text of a policy is base64: it has a `{`.
    let decoded = BASE64.decode(text.trim().as_bytes()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(access.given_by(caller).put_policy(name, decoded.as_deref().unwrap_or(&text)).await?)
}

/// Returns the text of a policy.
///
/// # Errors
/// 404 if there is none.
pub async fn read_policy(access: &Access, name: &PolicyName) -> Result<String, ApiError> {
    if name.as_str() == "root" {
        return Ok(String::new());
    }
    Ok(access.policy(name).await?.text().to_owned())
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    const ACL: &str = "/v1/sys/policies/acl/{name}";
    const OLD: &str = "/v1/sys/policy/{name}";
    const ALL: &str = "/v1/sys/policy";
    let on = |draft: Draft, capability| draft.on("policies/{name}").permission(ROLES, capability).fails_with(&[404]);
    let showing = |draft, capability| on(draft, capability).audit(Audit::Look);
    let changing = |draft, capability| on(draft, capability).audit(Audit::Administer);
    vec![
        showing(Endpoint::list("policy.list", "/v1/sys/policies/acl"), Capability::List)
            .summary("Lists the policies.")
            .plain(|call: Call| async move {
                Ok(Data::new(KeyList::of(call.session()?.guard().access().policies().await?)))
            }),
        showing(Endpoint::get("policy.read", ACL), Capability::Read).summary("Shows a policy.").plain(
            |call: Call| async move {
                let name = name(&call)?;
                let policy = read_policy(call.session()?.guard().access(), &name).await?;
                Ok(Data::new(PolicyView { name: name.to_string(), policy }))
            },
        ),
        showing(Endpoint::list("policy.old.list", ALL), Capability::List)
            .summary("Lists the policies, as of old.")
            .plain(old_list),
        showing(Endpoint::get("policy.old.list-by-get", ALL), Capability::Read)
            .summary("Lists the policies, as of old.")
            .plain(old_list),
        showing(Endpoint::get("policy.old.read", OLD), Capability::Read).summary("Shows a policy, as of old.").plain(
            |call: Call| async move {
                let name = name(&call)?;
                let rules = read_policy(call.session()?.guard().access(), &name).await?;
                Ok(Data::new(RulesView { name: name.to_string(), rules }))
            },
        ),
        changing(Endpoint::write("policy.write", ACL).also(OLD), Capability::Write)
            .summary("Writes a policy, for those who may do everything.")
            .json(|call: Call, request| async move {
                let access = call.session()?.guard().access();
                write_policy(access, call.principal()?, &name(&call)?, request).await.map(|()| NoContent)
            }),
        changing(Endpoint::delete("policy.delete", ACL).also(OLD), Capability::Delete)
            .summary("Deletes a policy, for those who may do everything.")
            .plain(|call: Call| async move {
                let access = call.session()?.guard().access();
                access.given_by(call.principal()?).delete_policy(&name(&call)?).await?;
                Ok(NoContent)
            }),
    ]
}

async fn old_list(call: Call) -> Result<Data<PolicyList>, ApiError> {
    let KeyList { keys } = KeyList::of(call.session()?.guard().access().policies().await?);
    Ok(Data::new(PolicyList { policies: keys.clone(), keys }))
}
