use super::{create_key, forget_keys, list_keys, named, revoke_key, roll_key, show_key};
use crate::Call;
use crate::auth::fields::parse;
use crate::auth::{MADE, USERS};
use crate::table::{Audit, Capability, Data, Draft, Endpoint, NoContent};

/// Finishes the beginning of an endpoint that changes keys. Below a user's path it is about their keys only, so that a role for some users suffices.
fn changing(draft: Draft, capability: Capability) -> Draft {
    draft.on("users/{name}").permission(USERS, capability).audit(Audit::Administer).fails_with(&[404])
}

/// Finishes the beginning of an endpoint that shows keys.
fn showing(draft: Draft, capability: Capability) -> Draft {
    changing(draft, capability).audit(Audit::Look)
}

pub(in crate::auth) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = Vec::from(all());
    endpoints.extend(one());
    endpoints
}

fn all() -> [Endpoint; 3] {
    [
        changing(Endpoint::write("keys.create", "/v1/keys").also("/v1/users/{name}/keys"), Capability::Create)
            .summary("Makes an API key, whose secret is shown once.")
            .json(|call: Call, request| async move {
                let access = call.session()?.guard().access();
                let made = create_key(access, call.principal()?, call.optional_param("name"), request).await?;
                call.record(MADE, &made.view.id);
                Ok(Data::new(made))
            }),
        showing(Endpoint::list("keys.list", "/v1/keys").also("/v1/users/{name}/keys"), Capability::List)
            .summary("Lists the ids of API keys, those that have ended too.")
            .plain(|call: Call| async move {
                let owner = call.optional_param("name").map(|name| parse("name", name)).transpose()?;
                list_keys(call.session()?.guard().access(), owner.as_ref()).await.map(Data::new)
            }),
        changing(Endpoint::write("keys.forget", "/v1/keys/forget"), Capability::Delete)
            .summary("Forgets API keys that ended some time ago.")
            .json(
                |call: Call, request| async move { forget_keys(call.session()?.guard(), request).await.map(Data::new) },
            ),
    ]
}

fn one() -> [Endpoint; 3] {
    [
        showing(Endpoint::get("keys.show", "/v1/keys/{id}").also("/v1/users/{name}/keys/{id}"), Capability::Read)
            .summary("Shows an API key, without its secret.")
            .plain(|call: Call| async move {
                let access = call.session()?.guard().access();
                let id = named(access, call.optional_param("name"), call.param("id")).await?;
                show_key(access, id).await.map(Data::new)
            }),
        changing(
            Endpoint::write("keys.roll", "/v1/keys/{id}/roll").also("/v1/users/{name}/keys/{id}/roll"),
            Capability::Update,
        )
        .summary("Makes a successor of an API key, which is good beside it for a while.")
        .json(|call: Call, request| async move {
            let access = call.session()?.guard().access();
            let id = named(access, call.optional_param("name"), call.param("id")).await?;
            let made = roll_key(access, call.principal()?, id, request).await?;
            call.record(MADE, &made.view.id);
            Ok(Data::new(made))
        }),
        changing(
            Endpoint::write("keys.revoke", "/v1/keys/{id}/revoke").also("/v1/users/{name}/keys/{id}/revoke"),
            Capability::Update,
        )
        .summary("Revokes an API key, for a reason.")
        .json(|call: Call, request| async move {
            let access = call.session()?.guard().access();
            let id = named(access, call.optional_param("name"), call.param("id")).await?;
            revoke_key(access, id, request).await.map(|()| NoContent)
        }),
    ]
}
