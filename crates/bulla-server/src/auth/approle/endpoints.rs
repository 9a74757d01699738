use serde_json::{Map, Value};

use super::login::{LoginRequest, sign_in};
use super::role::no_chosen_id;
use super::{
    create_secret, destroy_accessor, destroy_secret, list_secrets, log_in, look_up_accessor, look_up_secret,
    read_approle, role_id, write_approle,
};
use crate::auth::fields::name;
use crate::auth::{ENDED, KeyList, MADE, USERS};
use crate::table::{Audit, Capability, Data, Draft, Endpoint, NoContent};
use crate::{ApiError, Call};

/// Finishes the beginning of an endpoint that changes an `AppRole`.
fn changing(draft: Draft, capability: Capability) -> Draft {
    draft.on("approles/{name}").permission(USERS, capability).audit(Audit::Administer).fails_with(&[404])
}

/// Finishes the beginning of an endpoint that shows an `AppRole`.
fn showing(draft: Draft, capability: Capability) -> Draft {
    changing(draft, capability).audit(Audit::Look)
}

pub(in crate::auth) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = roles();
    endpoints.extend(secrets());
    endpoints.push(
        Endpoint::write("approle.login", "/v1/auth/approle/login")
            .summary("Logs a program in by a role id and a secret, for a token.")
            .open_to_all()
            .audit(Audit::SignIn)
            .json(|call: Call, request: LoginRequest| async move {
                let id = call.request_id();
                if let Some(role_id) = &request.role_id {
                    call.record("role_id", role_id);
                }
                let made = log_in(call.session()?.guard(), &sign_in(&call, id.as_str()), request).await?;
                call.record(MADE, made.accessor());
                Ok(made)
            }),
    );
    endpoints
}

fn roles() -> Vec<Endpoint> {
    const ROLE: &str = "/v1/auth/approle/role/{name}";
    const ROLE_ID: &str = "/v1/auth/approle/role/{name}/role-id";
    vec![
        showing(Endpoint::list("approle.list", "/v1/auth/approle/role"), Capability::List)
            .summary("Lists the AppRoles.")
            .plain(|call: Call| async move {
                let names = call.session()?.guard().access().approles().await?;
                // As Vault says that there is nothing.
                if names.is_empty() { Err(ApiError::nothing()) } else { Ok(Data::new(KeyList::of(names))) }
            }),
        showing(Endpoint::get("approle.read", ROLE), Capability::Read).summary("Shows an AppRole.").plain(
            |call: Call| async move {
                read_approle(call.session()?.guard().access(), &name(&call)?).await.map(Data::new)
            },
        ),
        changing(Endpoint::write("approle.write", ROLE), Capability::Update)
            .summary("Writes an AppRole; what is not said stays as it is.")
            .json(|call: Call, request| async move {
                let access = call.session()?.guard().access();
                write_approle(access, call.principal()?, &name(&call)?, request).await.map(|()| NoContent)
            }),
        changing(Endpoint::delete("approle.delete", ROLE), Capability::Delete)
            .summary("Deletes an AppRole; its secrets let nobody in any more.")
            .plain(|call: Call| async move {
                call.session()?.guard().access().delete_approle(&name(&call)?).await?;
                Ok(NoContent)
            }),
        showing(Endpoint::get("approle.role-id", ROLE_ID), Capability::Read)
            .summary("Shows the role id, which is no secret.")
            .plain(|call: Call| async move {
                role_id(call.session()?.guard().access(), &name(&call)?).await.map(Data::new)
            }),
        changing(Endpoint::write("approle.set-role-id", ROLE_ID), Capability::Update)
            .summary("Is refused: role ids are drawn.")
            .json(|_: Call, _: Map<String, Value>| async move { Err::<NoContent, _>(no_chosen_id()) }),
    ]
}

fn secrets() -> Vec<Endpoint> {
    const SECRETS: &str = "/v1/auth/approle/role/{name}/secret-id";
    let write = |id, path| Endpoint::write(id, path);
    vec![
        changing(write("approle.secret.create", SECRETS), Capability::Write)
            .summary("Makes a secret of an AppRole, which is shown once.")
            .json(|call: Call, request| async move {
                let made = create_secret(call.session()?.guard(), call.principal()?, &name(&call)?, request).await?;
                call.record(MADE, &made.secret_id_accessor);
                Ok(Data::new(made))
            }),
        showing(Endpoint::list("approle.secret.list", SECRETS), Capability::List)
            .summary("Lists the accessors of the secrets of an AppRole.")
            .plain(|call: Call| async move {
                list_secrets(call.session()?.guard().access(), &name(&call)?).await.map(Data::new)
            }),
        showing(write("approle.secret.lookup", "/v1/auth/approle/role/{name}/secret-id/lookup"), Capability::Update)
            .summary("Shows what is known of a secret.")
            .json(|call: Call, request| async move {
                look_up_secret(call.session()?.guard(), &name(&call)?, request).await.map(Data::new)
            }),
        changing(write("approle.secret.destroy", "/v1/auth/approle/role/{name}/secret-id/destroy"), Capability::Update)
            .summary("Destroys a secret.")
            .json(|call: Call, request| async move {
                let access = call.session()?.guard().access();
                call.record(ENDED, destroy_secret(access, &name(&call)?, request).await?.as_str());
                Ok(NoContent)
            }),
        showing(
            write("approle.secret.lookup-accessor", "/v1/auth/approle/role/{name}/secret-id-accessor/lookup"),
            Capability::Update,
        )
        .summary("Shows what is known of a secret, by its accessor.")
        .json(|call: Call, request| async move {
            look_up_accessor(call.session()?.guard(), &name(&call)?, request).await.map(Data::new)
        }),
        changing(
            write("approle.secret.destroy-accessor", "/v1/auth/approle/role/{name}/secret-id-accessor/destroy"),
            Capability::Update,
        )
        .summary("Destroys a secret, by its accessor.")
        .json(|call: Call, request| async move {
            let access = call.session()?.guard().access();
            call.record(ENDED, destroy_accessor(access, &name(&call)?, request).await?.as_str());
            Ok(NoContent)
        }),
    ]
}
