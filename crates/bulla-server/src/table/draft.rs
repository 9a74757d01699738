use std::future::Future;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::endpoint::{BODY, Input, LARGE_BODY, Names};
use super::{Audit, Capability, Endpoint, Requires, Respond, Verb};
use crate::answer::Answer;
use crate::app::giving_away;
use crate::body::{BodyReader, RequestBody};
use crate::{ApiError, Call, json};

/// A body of more bytes than these is work for a while.
const LONG: usize = 64 << 10;

/// An endpoint that lacks its handler.
///
/// Unless it says otherwise, it requires nothing less than the permission `admin:system`.
#[derive(Debug)]
#[must_use]
pub struct Draft {
    id: &'static str,
    verbs: &'static [Verb],
    paths: Vec<&'static str>,
    summary: &'static str,
    query: &'static [&'static str],
    requires: Requires,
    object: &'static str,
    audit: Audit,
    writes: Option<bool>,
    probe: bool,
    body_limit: usize,
    failures: &'static [u16],
    names: Option<Names>,
}

impl Draft {
    pub(super) fn new(id: &'static str, verbs: &'static [Verb], path: &'static str) -> Self {
        Self {
            id,
            verbs,
            paths: vec![path],
            summary: "",
            query: &[],
            requires: Requires::Permission("admin:system", Capability::Sudo),
            object: "",
            audit: Audit::Administer,
            writes: None,
            probe: false,
            body_limit: BODY,
            failures: &[],
            names: None,
        }
    }

    /// Has it answer on another path too.
    pub fn also(mut self, path: &'static str) -> Self {
        self.paths.push(path);
        self
    }

    /// Says what it does, in one sentence.
    pub fn summary(self, summary: &'static str) -> Self {
        Self { summary, ..self }
    }

    /// Names the parameters of the query that it reads. Others are refused.
    pub fn query(self, names: &'static [&'static str]) -> Self {
        Self { query: names, ..self }
    }

    /// Says what permission it takes, and which capability in Vault's policies is as good.
    pub fn permission(self, permission: &'static str, capability: Capability) -> Self {
        Self { requires: Requires::Permission(permission, capability), ..self }
    }

    /// Names what it acts on, as roles are granted for it: `keys/{mount}/{name}`, with what stands in the path. `{mount}` is where the endpoint is mounted.
    pub fn on(self, object: &'static str) -> Self {
        Self { object, ..self }
    }

    /// Lets in whoever has a valid credential.
    pub fn any_credential(self) -> Self {
        Self { requires: Requires::Credential, ..self }
    }

    /// Lets in everybody.
    pub fn open_to_all(self) -> Self {
        Self { requires: Requires::Nothing, ..self }
    }

    /// Says how it is recorded.
    pub fn audit(self, audit: Audit) -> Self {
        Self { audit, ..self }
    }

    /// Says what its record names, beyond its path. It is blinded there, as identifiers are.
    pub(crate) fn names(self, names: Names) -> Self {
        Self { names: Some(names), ..self }
    }

    /// Says whether it may have to wait for a disk. It does if it is recorded as a change, unless told otherwise.
    pub fn writes(self, writes: bool) -> Self {
        Self { writes: Some(writes), ..self }
    }

    /// Puts it on the listener for probes too, and answers it when the server is full.
    pub fn probe(self) -> Self {
        Self { probe: true, ..self }
    }

    /// Lets its body be 64 MiB long: for values and batches.
    pub fn large(self) -> Self {
        Self { body_limit: LARGE_BODY, ..self }
    }

    /// Names the statuses with which it fails, besides those that any request can get.
    pub fn fails_with(self, statuses: &'static [u16]) -> Self {
        Self { failures: statuses, ..self }
    }

    /// Completes it with what handles a JSON object. An absent body is an empty object.
    pub fn json<Q, A, F, Fut>(self, handler: F) -> Endpoint
    where
        Q: DeserializeOwned + JsonSchema + Send + 'static,
        A: Respond,
        F: Fn(Call, Q) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<A, ApiError>> + Send + 'static,
    {
        let limit = self.body_limit;
        let handler = Arc::new(handler);
        let input = Input::Json(|generator| generator.subschema_for::<Q>());
        self.complete::<A>(input, move |call, body| {
            let handler = handler.clone();
            Box::pin(async move {
                let bytes = body.collect(limit).await?;
                let request: Q = json::parse(&bytes, limit)?;
                call.begin(Some(&bytes)).await?;
                // A batch keeps a thread for long: its other work is given away.
                let is_long = bytes.len() > LONG;
                drop(bytes);
                let (id, app) = (call.request_id(), call.app().clone());
                let waits = call.endpoint().writes() || is_long;
                Ok(app.work(waits, handler(call, request)).await?.answer(&id))
            })
        })
    }

    /// Completes it with what needs no body. One that is sent must be empty, or an empty object.
    pub fn plain<A, F, Fut>(self, handler: F) -> Endpoint
    where
        A: Respond,
        F: Fn(Call) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<A, ApiError>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        self.complete::<A>(Input::Nothing, move |call, body| {
            let handler = handler.clone();
            Box::pin(async move {
                let bytes = body.collect(BODY).await?;
                json::parse::<json::Empty>(&bytes, BODY)?;
                call.begin(Some(&bytes)).await?;
                let (id, app, writes) = (call.request_id(), call.app().clone(), call.endpoint().writes());
                Ok(app.work(writes, handler(call)).await?.answer(&id))
            })
        })
    }

    /// Completes it with what reads the body piece by piece, however long it is.
    pub fn stream<A, F, Fut>(self, handler: F) -> Endpoint
    where
        A: Respond,
        F: Fn(Call, BodyReader) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<A, ApiError>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        self.complete::<A>(Input::Stream, move |call, body| {
            let handler = handler.clone();
            Box::pin(async move {
                call.begin(None).await?;
                let (id, writes) = (call.request_id(), call.endpoint().writes());
                let handled = handler(call, body.reader());
                Ok(if writes { giving_away(handled).await? } else { handled.await? }.answer(&id))
            })
        })
    }

    fn complete<A: Respond>(
        self,
        input: Input,
        handler: impl Fn(Call, RequestBody) -> super::endpoint::Handled + Send + Sync + 'static,
    ) -> Endpoint {
        let waits = matches!(self.audit, Audit::Change | Audit::Administer | Audit::SignIn);
        Endpoint {
            index: 0,
            kind: None,
            id: self.id,
            verbs: self.verbs,
            paths: self.paths,
            summary: self.summary,
            query: self.query,
            requires: self.requires,
            object: self.object,
            audit: self.audit,
            writes: self.writes.unwrap_or(waits),
            probe: self.probe,
            body_limit: self.body_limit,
            failures: self.failures,
            names: self.names,
            input,
            output: A::DESCRIBE,
            status: A::STATUS,
            handler: Arc::new(handler),
        }
    }
}

/// What a handler answers when it makes the whole answer itself.
impl Respond for Answer {
    const STATUS: u16 = 200;

    fn answer(self, _: &crate::RequestId) -> Answer {
        self
    }
}
