use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::rt::bounds::Http2ServerConnExec;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::activity::{Activity, Verdict, Watched};
use super::{Phase, Shared};
use crate::answer::AnswerBody;
use crate::app::Scope;
use crate::peer::{Peer, forwarded};
use crate::tls::Session;
use crate::{ApiError, App};

/// Window of an HTTP/2 stream, and of all streams of a connection: what a client may send before anybody reads it.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;

/// How much of an answer waits in memory for a slow reader of HTTP/2.
const SEND_BUFFER: usize = 256 << 10;

/// Streams that a client may open and reset before it is put out.
const RESET_STREAMS: usize = 64;

/// How long a connection without a request may take to end once it was asked to.
const LEAVING: Duration = Duration::from_millis(250);

/// Serves a connection of the network: with TLS, unless there is no certificate or it is for probes.
pub(super) async fn network(
    stream: TcpStream,
    mut peer: Peer,
    shared: Arc<Shared>,
    scope: Scope,
    phases: watch::Receiver<Phase>,
) {
    let Some(tls) = shared.tls.clone().filter(|_| scope == Scope::All) else {
        return plain(stream, peer, shared, scope, phases).await;
    };
    let handshake = timeout(shared.app.times().handshake, tls.accept(stream));
    let (stream, session) = match handshake.await {
        Ok(Ok(accepted)) => accepted,
        failed => {
            shared.app.metrics().failed_handshakes.fetch_add(1, Relaxed);
            let error = match failed {
                Ok(Err(error)) => error.to_string(),
                _ => "it took too long".to_owned(),
            };
            return tracing::debug!(error, "a TLS handshake failed");
        }
    };
    peer.is_encrypted = true;
    peer.certificate.clone_from(session.certificate());
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    serve(stream, is_http2, peer, Some(session), shared, scope, phases).await;
}

/// Serves a connection without TLS. It speaks HTTP/1.1: what a client and a server agree on by TLS, they cannot agree on here.
pub(super) async fn plain<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    peer: Peer,
    shared: Arc<Shared>,
    scope: Scope,
    phases: watch::Receiver<Phase>,
) {
    serve(stream, false, peer, None, shared, scope, phases).await;
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    is_http2: bool,
    peer: Peer,
    session: Option<Session>,
    shared: Arc<Shared>,
    scope: Scope,
    phases: watch::Receiver<Phase>,
) {
    let activity = Activity::new(!is_http2);
    let stream = TokioIo::new(Watched::new(stream, activity.clone()));
    let app = shared.app.clone();
    let one = Arc::new(One { peer: Arc::new(peer), session, shared, activity: activity.clone(), scope });
    let service = service_fn(move |request: Request<Incoming>| {
        let one = one.clone();
        async move { Ok::<_, Infallible>(one.answer(request).await) }
    });
    let limits = app.limits();
    if is_http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(u32::try_from(limits.headers).unwrap_or(u32::MAX))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .max_pending_accept_reset_streams(RESET_STREAMS)
            .max_local_error_reset_streams(RESET_STREAMS);
        drive(builder.serve_connection(stream, service), &activity, &app, phases).await;
    } else {
        let mut builder = http1::Builder::new();
        // Time-outs are of `Activity`: hyper's for headers would also end connections that wait for a request.
        builder.header_read_timeout(None).max_buf_size(limits.headers.max(8 << 10)).max_header_size(limits.headers);
        drive(builder.serve_connection(stream, service), &activity, &app, phases).await;
    }
}

/// What the requests of one connection share.
struct One {
    peer: Arc<Peer>,
    session: Option<Session>,
    shared: Arc<Shared>,
    activity: Arc<Activity>,
    scope: Scope,
}

impl One {
    async fn answer(&self, request: Request<Incoming>) -> Response<AnswerBody> {
        let in_flight = self.activity.request();
        let app = &self.shared.app;
        let mut peer = self.peer.clone();
        let said = forwarded(request.headers(), peer.address, &self.shared.proxies);
        if let Ok(Some(address)) = said {
            Arc::make_mut(&mut peer).forwarded = Some(address);
        }
        let is_trusted = match (&self.session, &self.shared.tls) {
            (Some(session), Some(tls)) => tls.still_trusts(session, app.now()),
            _ => true,
        };
        let mut response = if said.is_err() {
            let problem = "x-forwarded-for: what the proxy says is no list of addresses";
            app.refuse(ApiError::new(http::StatusCode::BAD_REQUEST, "bad_forwarded", problem))
        } else if is_trusted {
            app.serve(request, peer, self.scope).await
        } else {
            let error = ApiError::new(
                http::StatusCode::FORBIDDEN,
                "certificate_refused",
                "the client certificate is not valid any more",
            );
            app.refuse(error)
        };
        let held = response.body_mut().held.take();
        response.body_mut().held = Some(Box::new((held, in_flight)));
        response
    }
}

/// A connection that can be asked to end.
trait Ends: Future<Output = hyper::Result<()>> {
    fn end(self: Pin<&mut Self>);
}

impl<I, S> Ends for http1::Connection<I, S>
where
    S: hyper::service::HttpService<Incoming, ResBody = AnswerBody>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S> Ends for http2::Connection<I, S, TokioExecutor>
where
    S: hyper::service::HttpService<Incoming, ResBody = AnswerBody>,
    TokioExecutor: Http2ServerConnExec<S::Future, AnswerBody>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Drives a connection until it ends, is asked to, or is given up.
async fn drive(connection: impl Ends, activity: &Activity, app: &App, mut phases: watch::Receiver<Phase>) {
    let times = app.times();
    let mut connection = pin!(connection);
    // Often enough for a time-out to be at most half as long again.
    let pause = (times.headers.min(times.idle).min(times.send) / 2).max(Duration::from_millis(10));
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + pause, pause);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut known = Phase::Running;
    let mut is_idle = false;
    loop {
        tokio::select! {
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(error = error.to_string(), "a connection broke off");
                }
                return;
            }
            phase = phases.wait_for(|phase| *phase > known) => match phase.map(|phase| *phase) {
                Ok(Phase::Leaving) => {
                    known = Phase::Leaving;
                    connection.as_mut().end();
                    ticks = tokio::time::interval_at(tokio::time::Instant::now() + LEAVING, LEAVING);
                }
                // The server itself is gone.
                _ => return,
            },
            // A client that is silent does not keep the server from leaving.
            _ = ticks.tick() => if known == Phase::Leaving && activity.is_idle() { return } else { match activity.verdict(times) {
                Verdict::Fine => is_idle = false,
                Verdict::Stalled => {
                    app.metrics().stalled.fetch_add(1, Relaxed);
                    return tracing::debug!("a connection stalls, and is closed");
                }
                // It was asked to end a while ago, and did not.
                Verdict::Idle if is_idle => return,
                Verdict::Idle => {
                    is_idle = true;
                    connection.as_mut().end();
                }
            }},
        }
    }
}
