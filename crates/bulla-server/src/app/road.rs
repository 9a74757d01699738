//! The road of a request: path, headers, admission, body, handler, record, answer.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use bulla_guard::input::{Bounds, Query};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

use super::App;
use crate::admission::{Admitted, Credential, Head, Outcome};
use crate::answer::{Answer, AnswerBody};
use crate::body::RequestBody;
use crate::mounts::Mount;
use crate::peer::Peer;
use crate::table::{Endpoint, Found, Input, RequestPath, Requires, Verb, segment_of_resource};
use crate::{ApiError, Call, RequestId};

/// Which endpoints a listener has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    All,
    Probes,
}

/// What is known of a request once it is answered.
#[derive(Debug, Default)]
struct Seen {
    endpoint: Option<Arc<Endpoint>>,
    principal: Option<Arc<Admitted>>,
}

impl App {
    /// Answers a request that came from within the process, on the same road as those from the network.
    pub async fn call(self: &Arc<Self>, request: Request<Bytes>, peer: Peer) -> Response<AnswerBody> {
        let (parts, bytes) = request.into_parts();
        let body = RequestBody::memory(bytes, self.bodies.clone());
        self.answer(parts, body, Arc::new(peer), Scope::All).await
    }

    /// Answers a request from the network.
    pub(crate) async fn serve(
        self: &Arc<Self>,
        request: Request<Incoming>,
        peer: Arc<Peer>,
        scope: Scope,
    ) -> Response<AnswerBody> {
        let (parts, body) = request.into_parts();
        let body = RequestBody::wire(body, self.bodies.clone());
        self.answer(parts, body, peer, scope).await
    }

    /// Makes the answer to a request that is refused before it is looked at.
    pub(crate) fn refuse(&self, error: ApiError) -> Response<AnswerBody> {
        complete(error.into_answer(), false, &self.ids.next())
    }

    async fn answer(
        self: &Arc<Self>,
        mut parts: Parts,
        body: RequestBody,
        peer: Arc<Peer>,
        scope: Scope,
    ) -> Response<AnswerBody> {
        let began = Instant::now();
        let id = self.ids.next();
        let is_chunked = parts.version <= Version::HTTP_11 && parts.headers.contains_key(header::TRANSFER_ENCODING);
        let mut seen = Seen::default();
        let walked = self.walk(&mut parts, body, &peer, scope, &id, began, &mut seen).await;
        let mut answer = walked.unwrap_or_else(ApiError::into_answer);
        if parts.method == Method::HEAD {
            answer.body.clear();
        }
        self.note(&peer, &id, &answer, began, &seen);
        complete(answer, is_chunked, &id)
    }

    #[expect(clippy::too_many_arguments, reason = "called in one place, with what that place has")]
    async fn walk(
        self: &Arc<Self>,
        parts: &mut Parts,
        body: RequestBody,
        peer: &Arc<Peer>,
        scope: Scope,
        id: &RequestId,
        began: Instant,
        seen: &mut Seen,
    ) -> Result<Answer, ApiError> {
        check_head(parts)?;
        let path = RequestPath::parse(parts.uri.path())?;
        let query = Query::parse(parts.uri.query().unwrap_or_default(), &Bounds::DEFAULT)?;
        let segments = path.segments();
        let mounts;
        let (found, mount) = match self.table.find(&segments) {
            Some(found) => (found, None),
            None => {
                mounts = self.routes().await?;
                self.find(&mounts, &segments).ok_or_else(no_path)?
            }
        };
        let lists = matches!(parts.method, Method::GET | Method::HEAD) && asks_for_a_list(&query)?;
        let verb = Verb::of(&parts.method, lists);
        let answered = verb.and_then(|verb| Some((verb, found.answer(verb)?)));
        let endpoint = answered.as_ref().and_then(|(_, (index, _))| self.table.at(*index));
        if scope == Scope::Probes && !endpoint.is_some_and(|endpoint| endpoint.is_probe()) {
            return Err(no_path());
        }
        let (Some((verb, (_, parameters))), Some(endpoint)) = (answered, endpoint) else {
            return other_method(&parts.method, &found.allow());
        };
        seen.endpoint = Some(endpoint.clone());
        if path.ends_with_slash() && verb != Verb::List {
            if found.answer(Verb::List).is_some() {
                return other_method(&parts.method, &found.allow());
            }
            return Err(no_path().with_hint("only what is listed can end with a slash"));
        }
        check_query(&query, endpoint)?;
        check_headers(&parts.headers)?;
        if matches!(endpoint.input(), Input::Json(_) | Input::Nothing) && body.announced() != Some(0) {
            check_content(&parts.headers)?;
        }

        let permit = match self.in_flight.clone().try_acquire_owned() {
            Ok(permit) => Some(permit),
            // A server that is full is alive, and has to say so.
            Err(_) if endpoint.is_probe() => None,
            Err(_) => return Err(ApiError::busy("busy", "too many requests at once", 1)),
        };
        let resource = resource(&segments);
        let mounted = mount.map(|mount| &**mount);
        let object = object(endpoint.object(), mounted, &parameters);
        let credential = Credential::of(&parts.headers)?;
        let head = Head { endpoint, verb, resource: &resource, object: &object, mount: mounted, credential, peer, id };
        let admitted = Arc::new(Admitted::ask(&*self.door, &head).await?);
        seen.principal = Some(admitted.clone());

        let own = credential.filter(|_| endpoint.requires() == Requires::Credential);
        let own = own.map(|credential| credential.expose().into());
        let call = Call {
            app: self.clone(),
            endpoint: endpoint.clone(),
            verb,
            parameters,
            query,
            headers: without_credentials(std::mem::take(&mut parts.headers)),
            mount: mount.cloned(),
            peer: peer.clone(),
            admitted: admitted.clone(),
            own,
            id: id.clone(),
        };
        let handled = endpoint.handler()(call, body);
        let work = async move {
            let result = caught(handled).await;
            let (status, code) = match &result {
                Ok(answer) => (answer.status, answer.code),
                Err(error) => (error.status(), Some(error.code())),
            };
            let has_answered = result.is_ok();
            admitted.finish(&Outcome { has_answered, status, code, elapsed: began.elapsed() }).await?;
            let mut answer = result.unwrap_or_else(ApiError::into_answer);
            answer.headers.extend(admitted.headers());
            answer.body.held = permit.map(|permit| Box::new(permit) as Box<dyn Send + Sync>);
            Ok(answer)
        };
        let is_bounded = !matches!(endpoint.input(), Input::Stream);
        let limit = is_bounded.then_some(self.times.request);
        if endpoint.writes() {
            // What changes something is not left half done because the client left.
            let work = tokio::spawn(work);
            let running = "the request takes long, and goes on";
            let late = || {
                ApiError::new(StatusCode::GATEWAY_TIMEOUT, "still_running", running)
                    .with_hint("look what is there before it is done again")
            };
            within(limit, late, async { work.await.unwrap_or_else(|_| Err(ApiError::internal())) }).await
        } else {
            within(limit, || ApiError::busy("too_slow", "the request took too long", 5), work).await
        }
    }

    fn find<'a, 'p>(
        &'a self,
        mounts: &'a crate::mounts::Mounts,
        segments: &[&'p str],
    ) -> Option<(Found<'a, 'p>, Option<&'a Arc<Mount>>)> {
        let rest = segments.strip_prefix(&["v1"])?;
        let (mount, depth) = mounts.find(rest)?;
        Some((self.table.find_in(mount.kind(), rest.get(depth..)?)?, Some(mount)))
    }

    /// Finds the endpoint that would answer a path below `/v1/`, and the name of what it would act on.
    pub(crate) fn answering(&self, path: &str, verb: Verb) -> Option<(&Arc<Endpoint>, String)> {
        let path = RequestPath::parse(&format!("/v1/{path}")).ok()?;
        let (mounts, segments) = (self.mounts.load_full(), path.segments());
        let (found, mount) = self.find(&mounts, &segments)?;
        let (index, parameters) = found.answer(verb)?;
        let endpoint = self.table.at(index)?;
        Some((endpoint, object(endpoint.object(), mount.map(|mount| &**mount), &parameters)))
    }

    /// Runs what may have to wait for a disk.
    ///
    /// The embedded drivers block the thread that polls them until a write is on the disk. That thread gives its other work away first, and no
    /// more than [`Limits::writes`](crate::Limits::writes) do at once. A read takes microseconds: giving work away would cost more.
    pub(crate) async fn work<T>(
        &self,
        endpoint_writes: bool,
        work: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<T, ApiError> {
        if !endpoint_writes {
            return work.await;
        }
        let _permit = self.writes.acquire().await.map_err(|_| ApiError::internal())?;
        giving_away(work).await
    }

    /// Counts a request, and writes it to the log: what it was, not what it was about.
    fn note(&self, peer: &Peer, id: &RequestId, answer: &Answer, began: Instant, seen: &Seen) {
        let took = began.elapsed();
        let endpoint = seen.endpoint.as_deref();
        self.metrics.answered(endpoint.map(Endpoint::index), answer.status.as_u16(), took);
        let endpoint = endpoint.map_or("none", Endpoint::id);
        let status = answer.status.as_u16();
        let code = answer.code.unwrap_or_default();
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if status >= 500 {
            let who = seen.principal.as_ref().map_or("", |admitted| admitted.principal());
            tracing::warn!(id = id.as_str(), endpoint, status, code, took, who, peer = %peer, "a request failed");
        } else if tracing::enabled!(tracing::Level::DEBUG) {
            let who = seen.principal.as_ref().map_or("", |admitted| admitted.principal());
            tracing::debug!(id = id.as_str(), endpoint, status, code, took, who, peer = %peer, "a request was answered");
        }
    }
}

/// Polls what may block, after the thread has given its other work away.
pub(crate) async fn giving_away<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        return work.await;
    }
    poll_fn(|cx| block_in_place(|| work.as_mut().poll(cx))).await
}

/// Says that a path leads nowhere.
fn no_path() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "no_path", "there is nothing at this path")
        .with_hint("`/v1/openapi.json` describes the paths there are")
}

fn other_method(method: &Method, allow: &str) -> Result<Answer, ApiError> {
    let allowed = HeaderValue::from_str(allow).map_err(|_| ApiError::internal())?;
    if method == Method::OPTIONS {
        return Ok(Answer::empty(StatusCode::NO_CONTENT).with_header(header::ALLOW, allowed));
    }
    let error =
        ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path does not take that method");
    Err(error.with_hint(format!("it takes {allow}")).with_header(header::ALLOW, allowed))
}

/// Names what a request is about, as policies do.
fn resource(segments: &[&str]) -> String {
    let segments = segments.strip_prefix(&["v1"]).unwrap_or(segments);
    let mut resource = String::with_capacity(64);
    for segment in segments {
        segment_of_resource(&mut resource, segment);
    }
    resource
}

/// Names what a request acts on. What stands in a segment of the path stays in one segment: a slash in it makes a name that no pattern stands for.
fn object(template: &str, mount: Option<&Mount>, parameters: &[(&'static str, String)]) -> String {
    let mut object = String::new();
    for part in template.split('/').filter(|part| !part.is_empty()) {
        let name = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
        match name.map(|name| name.strip_suffix("..").ok_or(name)) {
            None => segment_of_resource(&mut object, part),
            Some(Err("mount")) => push_all(&mut object, mount.map_or("", Mount::path)),
            Some(Ok(tail)) => push_all(&mut object, value(parameters, tail)),
            Some(Err(name)) if value(parameters, name).is_empty() => {}
            Some(Err(name)) => segment_of_resource(&mut object, value(parameters, name)),
        }
    }
    object
}

fn push_all(object: &mut String, path: &str) {
    path.split('/').filter(|segment| !segment.is_empty()).for_each(|segment| segment_of_resource(object, segment));
}

fn value<'p>(parameters: &'p [(&'static str, String)], name: &str) -> &'p str {
    parameters.iter().find(|(parameter, _)| *parameter == name).map_or("", |(_, value)| value)
}

fn check_head(parts: &Parts) -> Result<(), ApiError> {
    let hosts = parts.headers.get_all(header::HOST).iter().count();
    if hosts > 1 || (hosts == 0 && parts.version == Version::HTTP_11) {
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "bad_host", "a request names one host"));
    }
    // hyper sees to it that the last coding is `chunked`; what was done before that, nobody undoes here.
    let mut codings = parts.headers.get_all(header::TRANSFER_ENCODING).iter();
    if codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        let problem = "transfer-encoding: a body comes in chunks, or as it is";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "bad_transfer_encoding", problem));
    }
    Ok(())
}

/// Says whether `?list=true` is there.
fn asks_for_a_list(query: &Query) -> Result<bool, ApiError> {
    match query.text("list") {
        Some("" | "true" | "1") => Ok(true),
        None | Some("false" | "0") => Ok(false),
        Some(_) => Err(ApiError::field("list", "is neither true nor false")),
    }
}

/// Refuses parameters that nobody reads.
fn check_query(query: &Query, endpoint: &Endpoint) -> Result<(), ApiError> {
    let known: Vec<&str> = endpoint.query().iter().copied().chain(["list"]).collect();
    Ok(query.only(&known)?)
}

fn check_headers(headers: &HeaderMap) -> Result<(), ApiError> {
    let says = |name: &str, nothing: &[&str]| {
        headers.get(name).is_some_and(|value| !nothing.iter().any(|nothing| value.as_bytes() == nothing.as_bytes()))
    };
    if says("x-vault-namespace", &["", "/", "root", "root/"]) {
        let error =
            ApiError::new(StatusCode::BAD_REQUEST, "no_namespaces", "x-vault-namespace: there are no namespaces here");
        return Err(error.with_hint("leave the header away; a project of its own keeps tenants apart"));
    }
    if says("x-vault-wrap-ttl", &["", "0"]) {
        let error =
            ApiError::new(StatusCode::BAD_REQUEST, "no_wrapping", "x-vault-wrap-ttl: answers are not wrapped here");
        return Err(error.with_hint("leave the header away"));
    }
    Ok(())
}

/// Checks what a body says that it is. `curl -d` calls everything a form, and Vault's own client says nothing: both are parsed as JSON.
fn check_content(headers: &HeaderMap) -> Result<(), ApiError> {
    const JSON: [&str; 3] = ["application/json", "application/merge-patch+json", "application/x-www-form-urlencoded"];
    let refused = |name: &str| {
        let error = ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            format!("{name}: a body is JSON here, as it is"),
        );
        Err(error.with_hint("send it as application/json"))
    };
    if headers.get(header::CONTENT_ENCODING).is_some_and(|value| value != "identity") {
        return refused("content-encoding");
    }
    let Some(media_type) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let media_type = media_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if JSON.iter().any(|json| media_type.eq_ignore_ascii_case(json)) { Ok(()) } else { refused("content-type") }
}

fn without_credentials(mut headers: HeaderMap) -> HeaderMap {
    for name in ["x-vault-token", "authorization", "proxy-authorization", "cookie"] {
        headers.remove(name);
    }
    headers
}

/// Turns a panic of a handler, which is a defect of ours, into an answer: the connection and its other streams live on.
async fn caught(handled: impl Future<Output = Result<Answer, ApiError>>) -> Result<Answer, ApiError> {
    let mut handled = pin!(handled);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| handled.as_mut().poll(cx))) {
        Ok(poll) => poll,
        Err(panic) => {
            // Its message may hold anything.
            drop::<Box<dyn Any + Send>>(panic);
            Poll::Ready(Err(ApiError::internal()))
        }
    })
    .await
}

async fn within(
    limit: Option<std::time::Duration>,
    late: impl FnOnce() -> ApiError,
    work: impl Future<Output = Result<Answer, ApiError>>,
) -> Result<Answer, ApiError> {
    match limit {
        None => work.await,
        Some(limit) => match tokio::time::timeout(limit, work).await {
            Ok(result) => result,
            Err(_) => Err(late()),
        },
    }
}

/// Completes an answer with what every answer has.
fn complete(answer: Answer, is_chunked: bool, id: &RequestId) -> Response<AnswerBody> {
    let Answer { status, headers, body, .. } = answer;
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let all = response.headers_mut();
    for (name, value) in headers {
        all.append(name, value);
    }
    all.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    all.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    all.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        all.insert("x-request-id", id);
    }
    // Where a length and chunks are both announced, proxies differ on where the request ends. hyper shows the chunks only; so nothing that
    // follows a chunked body on its connection is taken for a request.
    if is_chunked {
        all.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
