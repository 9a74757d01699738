//! A driver whose server is killed at a chosen call, and work that meets that at many of them.

use std::future::poll_fn;
use std::ops::RangeInclusive;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bulla_backend::{
    BackendError, Capabilities, ChangeMark, Collection, Document, DocumentKey, Documents, ErrorKind, Expected,
    ListQuery, Page, PostgresDocuments, PostgresServer, Result, Revision, Write,
};

use super::server::Server;

/// Longest that work may go on once its server is gone: a new connection is refused at once, and none is waited for that long.
const PATIENCE: Duration = Duration::from_secs(12);

/// When the server dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// Nothing of the call was sent.
    Before,
    /// The call is on its way: it may be done, or not, and it may be answered, or not.
    UnderWay,
    /// The call is done, and the answer is lost.
    Done,
}

impl Moment {
    const ALL: [Self; 3] = [Self::Before, Self::UnderWay, Self::Done];
}

/// Where in the work the server dies, and when it did.
#[derive(Debug, Default)]
struct Plan {
    at: Option<(u64, Moment)>,
    calls: u64,
    /// When it died, and whether the call was answered all the same.
    died: Option<(Instant, bool)>,
}

/// Counts the calls of a driver, and kills its server at one of them.
#[derive(Debug)]
pub(super) struct Killing {
    documents: Arc<dyn Documents>,
    server: Arc<Mutex<Server>>,
    plan: Mutex<Plan>,
}

impl Killing {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap()
    }

    /// Counts from here on, up to the call at which the server dies.
    fn arm(&self, at: Option<(u64, Moment)>) {
        *self.plan() = Plan { at, ..Plan::default() };
    }

    fn kill(&self, answered: bool) {
        self.server.lock().unwrap().kill();
        self.plan().died = Some((Instant::now(), answered));
    }

    async fn call<T>(&self, operation: &'static str, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let moment = {
            let mut plan = self.plan();
            plan.calls += 1;
            plan.at.filter(|(at, _)| *at == plan.calls).map(|(_, moment)| moment)
        };
        match moment {
            None => call.await,
            Some(Moment::Before) => {
                self.kill(false);
                call.await
            }
            Some(Moment::UnderWay) => {
                let mut call = pin!(call);
                // The driver begins with the first look at it, and goes on by itself.
                let first = poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await;
                self.kill(false);
                let done = match first {
                    Poll::Ready(done) => done,
                    Poll::Pending => call.await,
                };
                if let Some((_, answered)) = &mut self.plan().died {
                    *answered = done.is_ok();
                }
                done
            }
            Some(Moment::Done) => {
                let done = call.await;
                self.kill(false);
                done.and(Err(BackendError::new(ErrorKind::Io, operation, "the server was killed before it answered")))
            }
        }
    }
}

#[async_trait]
impl Documents for Killing {
    fn capabilities(&self) -> Capabilities {
        self.documents.capabilities()
    }

    async fn get(&self, collection: Collection, key: &DocumentKey) -> Result<Option<Document>> {
        self.call("read a document", self.documents.get(collection, key)).await
    }

    async fn put(
        &self,
        collection: Collection,
        key: &DocumentKey,
        value: &[u8],
        expected: Expected,
    ) -> Result<Revision> {
        self.call("write a document", self.documents.put(collection, key, value, expected)).await
    }

    async fn delete(&self, collection: Collection, key: &DocumentKey, expected: Expected) -> Result<bool> {
        self.call("delete a document", self.documents.delete(collection, key, expected)).await
    }

    async fn list(&self, collection: Collection, query: &ListQuery) -> Result<Page> {
        self.call("list documents", self.documents.list(collection, query)).await
    }

    async fn commit(&self, writes: &[Write]) -> Result<Vec<Option<Revision>>> {
        self.call("commit", self.documents.commit(writes)).await
    }

    async fn change_mark(&self, collection: Collection) -> Result<Option<ChangeMark>> {
        self.call("read a change mark", self.documents.change_mark(collection)).await
    }
}

/// A fresh schema on a server that is killed.
pub(super) struct Place {
    url: String,
}

impl Place {
    fn new(server: &Server) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self { url: format!("{}?schema=place{number}", server.url()) }
    }

    /// Opens it with connections of its own, as another process does.
    pub(super) fn documents(&self) -> Arc<dyn Documents> {
        let server = PostgresServer::new(self.url.parse().unwrap());
        Arc::new(pollster::block_on(PostgresDocuments::open(&server, "", true)).unwrap())
    }
}

/// Work that the server's death interrupts, and what must hold when another has completed it.
pub(super) struct Work<B, W, C> {
    pub(super) name: &'static str,
    /// At how many calls the server dies, unless the environment asks for others.
    pub(super) kills: usize,
    /// How many calls it has, so that a change of them is seen.
    pub(super) calls: RangeInclusive<u64>,
    /// Prepares a place; what it does with the driver that it is given is not counted.
    pub(super) begin: B,
    /// Does it, or says why it could not, beginning with the stable code.
    pub(super) work: W,
    /// Completes it in another process, and checks everything; hears whether the work said that it was done.
    pub(super) complete: C,
}

impl<B, W, C> Work<B, W, C> {
    /// Does the work once in peace, and then again and again with the server killed at a call of it.
    pub(super) fn sweep<S>(&self)
    where
        B: Fn(&Place, Arc<dyn Documents>) -> S,
        W: Fn(&S) -> std::result::Result<(), String>,
        C: Fn(&S, &Place, bool, &str),
    {
        // As safe as the default, and faster to start again: what the server had written is synced at once, not file by file.
        let server = Arc::new(Mutex::new(Server::start(&["recovery_init_sync_method=syncfs"])));
        let clock = Instant::now();
        let prepare = || {
            let place = Place::new(&server.lock().unwrap());
            let (documents, server) = (place.documents(), Arc::clone(&server));
            let killing = Arc::new(Killing { documents, server, plan: Mutex::default() });
            let scene = (self.begin)(&place, Arc::clone(&killing) as Arc<dyn Documents>);
            (place, killing, scene)
        };
        let (place, killing, scene) = prepare();
        killing.arm(None);
        (self.work)(&scene).unwrap();
        let calls = killing.plan().calls;
        assert!(self.calls.contains(&calls), "{} has {calls} calls", self.name);
        (self.complete)(&scene, &place, true, "in peace");

        let (mut done_at, mut answered, mut longest) = (Vec::new(), 0, Duration::ZERO);
        let points = points(calls, self.kills);
        for &(at, moment) in &points {
            let at_call = format!("{}, call {at} of {calls}, {moment:?}", self.name);
            let (place, killing, scene) = prepare();
            killing.arm(Some((at, moment)));
            let done = (self.work)(&scene);
            let Some((died, was_answered)) = killing.plan().died else { panic!("{at_call}: it was not reached") };
            let took = died.elapsed();
            assert!(took < PATIENCE, "{at_call}: {took:?} until it was given up");
            longest = longest.max(took);
            answered += usize::from(was_answered);
            match &done {
                Ok(()) => done_at.push(format!("{at} {moment:?}")),
                // Nobody else is there: a conflict could only be one with itself.
                Err(error) => {
                    assert!(error.starts_with("backend:") || error.starts_with("stale:"), "{at_call}: {error}");
                }
            }
            server.lock().unwrap().start_again();
            (self.complete)(&scene, &place, done.is_ok(), &at_call);
        }
        eprintln!(
            "{}: {} kills at its {calls} calls in {:?}; it was done all the same at {done_at:?}, the killed call was answered \
             {answered} times; longest from the kill to the end {longest:?}",
            self.name,
            points.len(),
            clock.elapsed(),
        );
    }
}

/// Chooses calls, spread over all of them, and the moments of the kills.
fn points(calls: u64, kills: usize) -> Vec<(u64, Moment)> {
    let asked = std::env::var("BULLA_TEST_ROUNDS");
    let kills = match asked.as_deref() {
        Ok("all") => return (1..=calls).flat_map(|at| Moment::ALL.map(|moment| (at, moment))).collect(),
        Ok(number) => number.parse().expect("a number, or `all`"),
        Err(_) => kills,
    };
    let last = u64::try_from(kills).unwrap().saturating_sub(1).max(1);
    let spread = (0..=last).map(|point| 1 + point * (calls - 1) / last);
    spread.zip(Moment::ALL.into_iter().cycle()).take(kills).collect()
}
