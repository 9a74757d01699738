use super::{
    create_token, list_accessors, look_up_accessor, look_up_self, look_up_token, renew_accessor, renew_self,
    renew_token, revoke_accessor, revoke_self, revoke_token, sweep_tokens,
};
use crate::Call;
use crate::auth::{ENDED, MADE, USERS};
use crate::table::{Audit, Capability, Data, Draft, Endpoint, NoContent};

/// Begins an endpoint about tokens of others.
fn of_others(id: &'static str, path: &'static str) -> Draft {
    Endpoint::write(id, path).on("tokens").permission(USERS, Capability::Update).audit(Audit::Administer)
}

/// Begins an endpoint about what the caller shows.
fn own(id: &'static str, path: &'static str) -> Draft {
    Endpoint::write(id, path).any_credential().audit(Audit::Administer)
}

pub(in crate::auth) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = Vec::from(making());
    endpoints.extend(showing());
    endpoints.extend(renewing());
    endpoints.extend(ending());
    endpoints
}

fn making() -> [Endpoint; 2] {
    [
        of_others("token.create", "/v1/auth/token/create")
            .permission(USERS, Capability::Write)
            .summary("Makes a token, with no more power than its maker has.")
            .json(|call: Call, request| async move {
                let made = create_token(call.session()?.guard(), call.principal()?, false, request).await?;
                call.record(MADE, made.accessor());
                Ok(made)
            }),
        of_others("token.create-orphan", "/v1/auth/token/create-orphan")
            .permission(USERS, Capability::Write)
            .summary("Makes a token that lives on when its maker is revoked.")
            .json(|call: Call, request| async move {
                let made = create_token(call.session()?.guard(), call.principal()?, true, request).await?;
                call.record(MADE, made.accessor());
                Ok(made)
            }),
    ]
}

fn showing() -> [Endpoint; 5] {
    let this = |draft: Draft| {
        draft.any_credential().audit(Audit::Look).summary("Shows somebody what they are known as.").plain(
            |call: Call| async move {
                let guard = call.session()?.guard();
                look_up_self(guard, call.principal()?, call.own_credential()).await.map(Data::new)
            },
        )
    };
    [
        this(Endpoint::get("token.lookup-self", "/v1/auth/token/lookup-self")),
        this(Endpoint::write("token.lookup-self-by-post", "/v1/auth/token/lookup-self")),
        of_others("token.lookup", "/v1/auth/token/lookup")
            .audit(Audit::Look)
            .summary("Shows what is known of a token.")
            .json(|call: Call, request| async move {
                look_up_token(call.session()?.guard(), request).await.map(Data::new)
            }),
        of_others("token.lookup-accessor", "/v1/auth/token/lookup-accessor")
            .audit(Audit::Look)
            .summary("Shows what is known of a token, by its accessor.")
            .json(|call: Call, request| async move {
                look_up_accessor(call.session()?.guard(), request).await.map(Data::new)
            }),
        Endpoint::list("token.accessors", "/v1/auth/token/accessors")
            .on("tokens")
            .permission(USERS, Capability::List)
            .audit(Audit::Look)
            .summary("Lists the accessors of all tokens.")
            .plain(|call: Call| async move { list_accessors(call.session()?.guard()).await.map(Data::new) }),
    ]
}

fn renewing() -> [Endpoint; 3] {
    [
        own("token.renew-self", "/v1/auth/token/renew-self").summary("Renews the token that the request shows.").json(
            |call: Call, request| async move {
                renew_self(call.session()?.guard(), call.principal()?, call.own_credential(), request).await
            },
        ),
        of_others("token.renew", "/v1/auth/token/renew")
            .summary("Renews a token.")
            .json(|call: Call, request| async move { renew_token(call.session()?.guard(), request).await }),
        of_others("token.renew-accessor", "/v1/auth/token/renew-accessor")
            .summary("Renews a token, by its accessor.")
            .json(|call: Call, request| async move { renew_accessor(call.session()?.guard(), request).await }),
    ]
}

fn ending() -> [Endpoint; 4] {
    [
        own("token.revoke-self", "/v1/auth/token/revoke-self")
            .summary("Revokes the token that the request shows, and all that it made.")
            .plain(|call: Call| async move {
                revoke_self(call.session()?.guard().access(), call.principal()?).await.map(|()| NoContent)
            }),
        of_others("token.revoke", "/v1/auth/token/revoke").summary("Revokes a token, and all that it made.").json(
            |call: Call, request| async move {
                call.record(ENDED, revoke_token(call.session()?.guard().access(), request).await?.as_str());
                Ok(NoContent)
            },
        ),
        of_others("token.revoke-accessor", "/v1/auth/token/revoke-accessor")
            .summary("Revokes a token, by its accessor, and all that it made.")
            .json(|call: Call, request| async move {
                call.record(ENDED, revoke_accessor(call.session()?.guard().access(), request).await?.as_str());
                Ok(NoContent)
            }),
        of_others("token.tidy", "/v1/auth/token/tidy")
            .also("/v1/auth/approle/tidy/secret-id")
            .summary("Deletes tokens, and secrets of AppRoles, that are good for nothing any more.")
            .plain(|call: Call| async move { sweep_tokens(call.session()?.guard().access()).await.map(Data::new) }),
    ]
}
