//! The endpoints of engines, for the table of the server.

use std::future::Future;

use super::{
    EnableRequest, EngineView, EngineViews, Engines, InternalMount, InternalMounts, Migration, RemountRequest,
    Remounted, TuneRequest, TuneResponse, auth_tune, auth_way, auth_ways,
};
use crate::table::{Audit, Capability, Data, Draft, Endpoint, NoContent};
use crate::{ApiError, Call};

/// To see and to change what is mounted.
const ADMIN: &str = "admin:system";

/// Returns the endpoints, over the engines of a project.
#[must_use]
pub fn endpoints(engines: &Engines) -> Vec<Endpoint> {
    let mut endpoints = reading(engines);
    endpoints.extend(changing(engines));
    endpoints.extend(for_interfaces(engines));
    endpoints.extend(ways_to_sign_in());
    endpoints
}

/// Completes an endpoint that only asks.
fn ask<T, F>(draft: Draft, engines: &Engines, question: impl Fn(Engines, Call) -> F + Send + Sync + 'static) -> Endpoint
where
    T: serde::Serialize + schemars::JsonSchema + Send + 'static,
    F: Future<Output = Result<T, ApiError>> + Send + 'static,
{
    let engines = engines.clone();
    draft.audit(Audit::Look).plain(move |call| {
        let answer = question(engines.clone(), call);
        async move { Ok(Data::new(answer.await?)) }
    })
}

fn look(id: &'static str, path: &'static str) -> Draft {
    Endpoint::get(id, path).permission(ADMIN, Capability::Read)
}

fn administer(draft: Draft) -> Draft {
    draft.permission(ADMIN, Capability::Sudo).audit(Audit::Administer)
}

fn reading(engines: &Engines) -> Vec<Endpoint> {
    let list = look("mounts.list", "/v1/sys/mounts").summary("Lists the engines that are mounted.");
    let show = look("mounts.show", "/v1/sys/mounts/{path..}").summary("Shows an engine.");
    let tune = look("mounts.read-tune", "/v1/sys/mounts/{path..}/tune").summary("Shows how an engine is set.");
    let migration =
        look("mounts.migration", "/v1/sys/remount/status/{id}").summary("Says how far a move is.").fails_with(&[404]);
    vec![
        ask::<EngineViews, _>(list, engines, |engines, _| async move { engines.list().await }),
        ask::<EngineView, _>(show, engines, |engines, call| async move { engines.show(call.param("path")).await }),
        ask::<TuneResponse, _>(
            tune,
            engines,
            |engines, call| async move { engines.read_tune(call.param("path")).await },
        ),
        ask::<Migration, _>(
            migration,
            engines,
            |engines, call| async move { engines.migration(call.param("id")).await },
        ),
    ]
}

fn changing(engines: &Engines) -> Vec<Endpoint> {
    let enabled = engines.clone();
    let disabled = engines.clone();
    let tuned = engines.clone();
    let moved = engines.clone();
    vec![
        administer(Endpoint::write("mounts.enable", "/v1/sys/mounts/{path..}")).summary("Mounts an engine.").json(
            move |call: Call, request: EnableRequest| {
                let engines = enabled.clone();
                async move {
                    let path = call.param("path");
                    call.app().may_mount(path)?;
                    engines.enable(path, &request).await?;
                    call.app().catch_up().await;
                    Ok(NoContent)
                }
            },
        ),
        administer(Endpoint::delete("mounts.disable", "/v1/sys/mounts/{path..}"))
            .summary("Unmounts an engine, and has its secrets removed.")
            .plain(move |call: Call| {
                let engines = disabled.clone();
                async move {
                    engines.disable(call.param("path"), call.app().now()).await?;
                    call.app().catch_up().await;
                    Ok(NoContent)
                }
            }),
        administer(Endpoint::write("mounts.tune", "/v1/sys/mounts/{path..}/tune"))
            .summary("Changes how an engine is set.")
            .json(move |call: Call, request: TuneRequest| {
                let engines = tuned.clone();
                async move {
                    engines.tune(call.param("path"), &request).await?;
                    call.app().catch_up().await;
                    Ok(NoContent)
                }
            }),
        administer(Endpoint::write("mounts.remount", "/v1/sys/remount"))
            .summary("Moves an engine to another path.")
            .json(move |call: Call, request: RemountRequest| {
                let engines = moved.clone();
                async move {
                    call.app().may_mount(request.to.as_deref().unwrap_or_default())?;
                    let moved: Remounted = engines.remount(&request).await?;
                    call.app().catch_up().await;
                    Ok(Data::new(moved))
                }
            }),
    ]
}

fn for_interfaces(engines: &Engines) -> Vec<Endpoint> {
    let list = Endpoint::get("mounts.internal", "/v1/sys/internal/ui/mounts")
        .open_to_all()
        .summary("Lists, for user interfaces, what everybody may see of what is mounted.");
    let show = Endpoint::get("mounts.internal-at", "/v1/sys/internal/ui/mounts/{path..}")
        .any_credential()
        .summary("Shows, for a client, the engine that a path lies in.");
    vec![
        ask::<InternalMounts, _>(list, engines, |engines, _| async move { engines.internal().await }),
        ask::<InternalMount, _>(
            show,
            engines,
            |engines, call| async move { engines.internal_at(call.param("path")).await },
        ),
    ]
}

fn ways_to_sign_in() -> Vec<Endpoint> {
    vec![
        look("auth-mounts.list", "/v1/sys/auth")
            .summary("Lists the ways to sign in.")
            .audit(Audit::Look)
            .plain(|_| async { Ok(Data::new(auth_ways())) }),
        look("auth-mounts.show", "/v1/sys/auth/{path..}")
            .summary("Shows a way to sign in.")
            .audit(Audit::Look)
            .plain(|call: Call| async move { auth_way(call.param("path")).map(Data::new) }),
        look("auth-mounts.read-tune", "/v1/sys/auth/{path..}/tune")
            .summary("Shows how a way to sign in is set.")
            .audit(Audit::Look)
            .plain(|call: Call| async move { auth_tune(call.param("path")).map(Data::new) }),
    ]
}
