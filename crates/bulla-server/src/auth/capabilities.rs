//! What somebody may do on paths, as Vault's `sys/capabilities` answers it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bulla_guard::access::{Principal, RequestPath, Resource, Rules, SecretText as Presented};
use bulla_guard::admission::Guard;
use schemars::JsonSchema;
use serde::Deserialize;

use super::fields::parse;
use super::{Texts, USERS};
use crate::table::{Audit, Capability, Data, Endpoint, Requires, Verb};
use crate::transit::SecretText;
use crate::{ApiError, App, Call};

/// Most paths of one request.
const MAX_PATHS: usize = 1_000;

/// Asks what somebody may do on some paths.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CapabilitiesRequest {
    /// The paths, behind `/v1/`.
    #[serde(alias = "path")]
    pub paths: Option<Texts>,
    /// Whose token it is about.
    pub token: Option<SecretText>,
    /// The same, by the accessor.
    pub accessor: Option<String>,
}

/// Capabilities by path. Those of the first path are under `capabilities` too.
pub type Capabilities = BTreeMap<String, Vec<String>>;

/// Says what the caller may do on some paths: by its policies, or by its roles, with the capabilities that are as good.
///
/// # Errors
/// 400 for paths that are none.
pub fn own_capabilities(app: &App, caller: &Principal, request: CapabilitiesRequest) -> Result<Capabilities, ApiError> {
    if request.accessor.is_some() {
        return Err(ApiError::field("accessor", "this is about whoever asks"));
    }
    answer(request.paths, caller.rules(), |path| of_roles(app, caller, path))
}

/// Says what the policies of a token allow on some paths.
///
/// # Errors
/// 400 for paths that are none, and for a token that is none.
pub async fn capabilities(guard: &Guard, request: CapabilitiesRequest) -> Result<Capabilities, ApiError> {
    let access = guard.access();
    let token = match (&request.token, &request.accessor) {
        (Some(token), None) => {
            let secret = Presented::parse(token.expose());
            access.find_token(&secret.map_err(|error| ApiError::field("token", error))?).await?
        }
        (None, Some(accessor)) => access.lookup_token(parse("accessor", accessor)?).await?,
        _ => return Err(ApiError::field("token", "either a token or an accessor says whose")),
    };
    let rules: Arc<Rules> = access.rules_of(&token.policies).await?;
    answer(request.paths, &rules, |_| Vec::new())
}

fn answer(
    paths: Option<Texts>,
    rules: &Rules,
    of_roles: impl Fn(&str) -> Vec<&'static str>,
) -> Result<Capabilities, ApiError> {
    let paths = paths.unwrap_or_default().0;
    if paths.is_empty() || paths.len() > MAX_PATHS {
        return Err(ApiError::field("paths", "1 to 1000 of them say what it is about"));
    }
    let mut capabilities = Capabilities::new();
    for (index, text) in paths.iter().enumerate() {
        let path: RequestPath = parse("paths", text.strip_prefix('/').unwrap_or(text))?;
        let mut names = of_roles(path.as_str());
        if rules.is_root() {
            names = vec!["root"];
        } else {
            let by_policy = rules.capabilities(&path);
            names.extend(by_policy.iter().map(|capability| capability.name()).filter(|name| *name != "deny"));
            names.sort_unstable();
            names.dedup();
        }
        if names.is_empty() {
            names.push("deny");
        }
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        if index == 0 {
            capabilities.insert("capabilities".to_owned(), names.clone());
        }
        capabilities.insert(text.clone(), names);
    }
    Ok(capabilities)
}

/// Returns the capabilities that are as good as what roles permit on a path: what each endpoint there takes is known.
fn of_roles(app: &App, caller: &Principal, path: &str) -> Vec<&'static str> {
    let mut names = Vec::new();
    for verb in Verb::ALL {
        let Some((endpoint, object)) = app.answering(path, verb) else { continue };
        let Requires::Permission(permission, capability) = endpoint.requires() else { continue };
        let Ok(permission) = permission.parse() else { continue };
        let allows = match object.parse::<Resource>() {
            Ok(object) => caller.allows(permission, &object),
            Err(_) => caller.rules().everywhere().contains(permission),
        };
        if allows {
            names.push(capability.name());
        }
    }
    names
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let of_others = |id, path| {
        Endpoint::write(id, path)
            .on("tokens")
            .permission(USERS, Capability::Update)
            .audit(Audit::Look)
            .summary("Says what the policies of a token allow on some paths.")
            .json(|call: Call, request| async move {
                capabilities(call.session()?.guard(), request).await.map(Data::new)
            })
    };
    vec![
        Endpoint::write("capabilities.self", "/v1/sys/capabilities-self")
            .any_credential()
            .audit(Audit::Look)
            .summary("Says what the caller may do on some paths.")
            .json(|call: Call, request| async move {
                own_capabilities(call.app(), call.principal()?, request).map(Data::new)
            }),
        of_others("capabilities.token", "/v1/sys/capabilities"),
        of_others("capabilities.accessor", "/v1/sys/capabilities-accessor"),
    ]
}
