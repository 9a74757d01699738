//! Computing what is missing, once (spec, "Computing").

mod early;
mod flight;

use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bulla_backend::{DocumentKey, Timestamp};
use zeroize::Zeroizing;

pub(crate) use self::flight::Flights;
use self::flight::{Boarding, Leader, Outcome};
use crate::lease::Lease;
use crate::settled::Settled;
use crate::{ExpectedVersion, GetOptions, Namespace, PutOptions, StoreError, Value};

/// How long a process waits before it looks again whether another one has computed a value: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));

/// Lets time pass. Whoever waits for others does so through it, so that tests need not wait.
///
/// It must wake the task and not keep its thread, or what the thread does otherwise is late.
pub trait Waiter: Send + Sync {
    /// Returns what is ready once so much time has passed.
    fn wait(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// How to get a value that is computed where it is missing.
#[derive(Debug, Clone, PartialEq)]
pub struct ComputeOptions {
    /// How to put what was computed. What is expected there, and the time it took, are not looked at.
    pub put: PutOptions,
    /// How long after its end an entry may still be returned, while somebody computes it anew. It is there for so long only if nothing
    /// removed it: expired entries are the first to go.
    pub grace: Duration,
    /// How eagerly an entry is computed anew before it expires: 1 is the optimum of its authors, more is earlier, 0 is never.
    pub earliness: f64,
    /// How long a computation is waited for that gives no sign of life; it gives one every third of that as long as it is polled. At least a
    /// second, and at most an hour.
    pub lease: Duration,
    /// How long to wait for the computations of others, at most.
    pub patience: Duration,
}

impl Default for ComputeOptions {
    fn default() -> Self {
        Self {
            put: PutOptions::default(),
            grace: Duration::ZERO,
            earliness: 1.0,
            lease: Duration::from_secs(15),
            patience: Duration::from_mins(10),
        }
    }
}

/// A value, and how it was had.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Computed {
    /// The value. It is the caller's to wipe, if it is secret.
    pub bytes: Vec<u8>,
    /// How it was had.
    pub by: ComputedBy,
}

impl fmt::Debug for Computed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Computed").field("by", &self.by).finish_non_exhaustive()
    }
}

/// How a value was had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ComputedBy {
    /// It was there.
    Earlier,
    /// It was there, expired, and others compute it anew.
    EarlierAndExpired,
    /// It was computed by this call.
    ThisCall,
    /// It was computed by another call, which this one waited for.
    AnotherCall,
}

/// What there is of a value before it is computed.
enum Found {
    /// What is returned without ado.
    Good(Vec<u8>),
    /// What is returned unless this call is the one to compute it: the value, the version that is live, and how it counts.
    Spare(Vec<u8>, Option<u64>, ComputedBy),
    Nothing,
}

impl Namespace {
    /// Reads a value; where it is missing, computes and puts it. Of many who ask at the same time, in however many processes, one computes,
    /// and the others wait for its result; or, if there is a value that expired less than [`ComputeOptions::grace`] ago, take that.
    ///
    /// An entry that took long to compute, and expires soon, is computed anew by one of its readers before it does, while the others go on
    /// reading it. Which reader, and when, is left to chance so that few do it at the same time: *probabilistic early expiration* (Vattani,
    /// Chierichetti and Lowenstein, VLDB 2015).
    ///
    /// A failed computation reaches all who wait for it, and is not kept; where the entry was computed anew before it expired and still lives,
    /// they get its value. One that is dropped, or whose process dies, is taken over by another
    /// call: at once in the same process, else when its lease ends. A value that others put meanwhile is taken in place of the computed one. A
    /// computation may ask for other values in the same way.
    ///
    /// # Errors
    /// [`StoreError::ComputationFailed`]; [`StoreError::ComputationBusy`] if others compute for longer than the caller waits;
    /// [`StoreError::ComputationCycle`] if the computation needs its own result; and as [`Namespace::get`] and [`Namespace::put`].
    pub async fn get_or_compute<F, C, E>(
        &self,
        name: &[u8],
        options: &ComputeOptions,
        waiter: &dyn Waiter,
        compute: F,
    ) -> Result<Computed, StoreError>
    where
        F: FnOnce() -> C + Send,
        C: Future<Output = Result<Vec<u8>, E>> + Send,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let until = self.store.clock.now().saturating_add(options.patience);
        loop {
            let found = self.find(name, options).await?;
            if let Found::Good(bytes) = found {
                return Ok(Computed { bytes, by: ComputedBy::Earlier });
            }
            let settled = match self.settled_to_put().await {
                // Nothing could be put, so nothing is computed: what there is has to do.
                Err(error) if error.leaves_entries() || error.is_forbidden() => {
                    return match found {
                        Found::Spare(bytes, _, by) => Ok(Computed { bytes, by }),
                        _ => Err(error),
                    };
                }
                settled => settled?,
            };
            let key = self.slot(&settled, name)?.key;
            match self.state.flights.board(&key) {
                Boarding::Leader(mut leader) => {
                    let live = match &found {
                        Found::Spare(_, live, _) => *live,
                        _ => None,
                    };
                    let claimed = match (self.claim(&mut leader, &key, options).await, &found) {
                        // Where nothing can be written, what there is is all there will be.
                        (Err(error), Found::Spare(..)) if error.is_forbidden() => None,
                        (claimed, _) => claimed?,
                    };
                    let Some(lease) = claimed else {
                        // Another process computes.
                        if let Found::Spare(bytes, _, by) = found {
                            return Ok(Computed { bytes, by });
                        }
                        let Some(bytes) = self.await_others(name, &key, &mut leader, options, waiter, until).await?
                        else {
                            continue;
                        };
                        return Ok(Computed { bytes, by: ComputedBy::AnotherCall });
                    };
                    return self.lead(name, live, leader, lease, options, waiter, compute).await;
                }
                Boarding::Follower(flight) => {
                    if let Found::Spare(bytes, _, by) = found {
                        return Ok(Computed { bytes, by });
                    }
                    let Some(landing) = flight.landing() else {
                        return Err(StoreError::ComputationCycle(self.place(name)));
                    };
                    let left = Duration::from_millis(until.0.saturating_sub(self.store.clock.now().0));
                    match first_of(landing, waiter.wait(left)).await {
                        First::Left(Some(outcome)) => return self.outcome(name, &outcome),
                        // Whoever computed gave up.
                        First::Left(None) => {}
                        First::Right(()) => return Err(StoreError::ComputationBusy(self.place(name))),
                    }
                }
            }
        }
    }

    /// Returns the settings by which the value will be put: a lease, too, lies under the name as these say. They are made where there are none
    /// and none are missing.
    async fn settled_to_put(&self) -> Result<Arc<Settled>, StoreError> {
        let settled = self.settled().await?;
        if settled.version > 0 {
            return Ok(settled);
        }
        Ok(self.sealing().await?.1)
    }

    /// Looks for a value, and decides whether it is good enough.
    async fn find(&self, name: &[u8], options: &ComputeOptions) -> Result<Found, StoreError> {
        match self.get(name, &GetOptions::default()).await {
            Ok(Value { stat, bytes }) => Ok(match (stat.expires, stat.compute_time) {
                (Some(expires), Some(took))
                    if early::is_due(self.store.clock.now(), expires, took, options.earliness, early::chance()?) =>
                {
                    Found::Spare(bytes, Some(stat.version), ComputedBy::Earlier)
                }
                _ => Found::Good(bytes),
            }),
            Err(StoreError::NotFound(_)) if !options.grace.is_zero() => {
                let expired = self.expired(name, options.grace).await?;
                Ok(expired.map_or(Found::Nothing, |bytes| Found::Spare(bytes, None, ComputedBy::EarlierAndExpired)))
            }
            Err(StoreError::NotFound(_)) => Ok(Found::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Reads a value that expired less than `grace` ago. What is refused, or gone, is none.
    async fn expired(&self, name: &[u8], grace: Duration) -> Result<Option<Vec<u8>>, StoreError> {
        let settled = self.reading().await?;
        let now = self.store.clock.now();
        let in_grace = |expires: Timestamp| expires <= now && now < expires.saturating_add(grace);
        let found = match self.look_up(&settled, name).await {
            Err(error) if error.is_integrity_failure() => return Ok(None),
            found => found?.filter(|(present, _)| present.entry.stat.expires.is_some_and(in_grace)),
        };
        let Some((mut present, _)) = found else { return Ok(None) };
        self.was_read(&settled, name);
        match &present.entry.blob {
            None => Ok(Some(std::mem::take(&mut present.value))),
            Some(blob) => Ok(self.read_blob(name, blob, present.entry.stat.len).await.ok()),
        }
    }

    /// Takes the lease on computing a value; `None` if another process holds it.
    async fn claim(
        &self,
        leader: &mut Leader<'_>,
        key: &DocumentKey,
        options: &ComputeOptions,
    ) -> Result<Option<Lease<'_>>, StoreError> {
        let lease = Lease::claim(&self.store, key, options.lease, leader.orphan()).await?;
        leader.holds(lease.as_ref().map(Lease::hold));
        Ok(lease)
    }

    /// Waits until another process has put the value; `None` if it seems to have given up.
    async fn await_others(
        &self,
        name: &[u8],
        key: &DocumentKey,
        leader: &mut Leader<'_>,
        options: &ComputeOptions,
        waiter: &dyn Waiter,
        until: Timestamp,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let mut pause = PAUSES.0;
        loop {
            if self.store.clock.now() >= until {
                return Err(StoreError::ComputationBusy(self.place(name)));
            }
            waiter.wait(pause).await;
            pause = (pause * 2).min(PAUSES.1);
            match self.get(name, &GetOptions::default()).await {
                Ok(Value { bytes, .. }) => {
                    leader.land(&Arc::new(Ok(Zeroizing::new(bytes.clone()))));
                    return Ok(Some(bytes));
                }
                Err(StoreError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
            if let Some(lease) = Lease::claim(&self.store, key, options.lease, None).await? {
                // The next round takes it again, and looks once more before it computes.
                lease.give_back().await;
                return Ok(None);
            }
        }
    }

    /// Computes a value and puts it, while others wait for this call.
    #[expect(clippy::too_many_arguments, reason = "what one call of `get_or_compute` has in its hands")]
    async fn lead<F, C, E>(
        &self,
        name: &[u8],
        live: Option<u64>,
        mut leader: Leader<'_>,
        mut lease: Lease<'_>,
        options: &ComputeOptions,
        waiter: &dyn Waiter,
        compute: F,
    ) -> Result<Computed, StoreError>
    where
        F: FnOnce() -> C + Send,
        C: Future<Output = Result<Vec<u8>, E>> + Send,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        // Another process may have put it, and given the lease back, since this one looked.
        let put_by_others = match self.get(name, &GetOptions::default()).await {
            Ok(Value { stat, bytes }) => (Some(stat.version) != live).then_some(bytes),
            Err(_) => None,
        };
        let result = match put_by_others {
            Some(bytes) => Ok(Computed { bytes, by: ComputedBy::AnotherCall }),
            None => {
                let began = self.store.clock.now();
                let mut computing = pin!(leader.watch(compute()));
                let computed = loop {
                    match first_of(computing.as_mut(), waiter.wait(lease.duration() / 3)).await {
                        First::Left(computed) => break computed,
                        // Where another process took the computation over, whoever is first has put the value.
                        First::Right(()) => {
                            if lease.renew().await.unwrap_or(false) {
                                leader.holds(Some(lease.hold()));
                            }
                        }
                    }
                };
                match computed {
                    Ok(bytes) => self.put_computed(name, live, bytes, began, options).await,
                    Err(error) => match self.still_live(name, live).await {
                        Some(bytes) => Ok(Computed { bytes, by: ComputedBy::Earlier }),
                        None => {
                            let source = Arc::<dyn Error + Send + Sync>::from(error.into());
                            Err(StoreError::ComputationFailed { place: self.place(name), source })
                        }
                    },
                }
            }
        };
        let outcome: Outcome = match &result {
            Ok(computed) => Ok(Zeroizing::new(computed.bytes.clone())),
            Err(StoreError::ComputationFailed { source, .. }) => Err(Arc::clone(source)),
            Err(error) => Err(Arc::from(Box::<dyn Error + Send + Sync>::from(error.to_string()))),
        };
        lease.give_back().await;
        leader.land(&Arc::new(outcome));
        result
    }

    /// Reads the value that was to be computed anew before it expires, if it, or one that others put, still lives.
    async fn still_live(&self, name: &[u8], live: Option<u64>) -> Option<Vec<u8>> {
        live?;
        self.get(name, &GetOptions::default()).await.ok().map(|value| value.bytes)
    }

    /// Puts what was computed, unless others put the value meanwhile: then theirs is returned.
    async fn put_computed(
        &self,
        name: &[u8],
        live: Option<u64>,
        bytes: Vec<u8>,
        began: Timestamp,
        options: &ComputeOptions,
    ) -> Result<Computed, StoreError> {
        let took = Duration::from_millis(self.store.clock.now().0.saturating_sub(began.0));
        let bytes = Zeroizing::new(bytes);
        let mut put = PutOptions {
            expected: live.map_or(ExpectedVersion::Absent, ExpectedVersion::Version),
            compute_time: Some(took),
            ..options.put.clone()
        };
        loop {
            match self.put(name, &bytes, &put).await {
                Ok(_) => return Ok(Computed { bytes: bytes.to_vec(), by: ComputedBy::ThisCall }),
                Err(StoreError::VersionMismatch { found: Some(_), .. }) => {
                    match self.get(name, &GetOptions::default()).await {
                        Ok(Value { bytes, .. }) => return Ok(Computed { bytes, by: ComputedBy::AnotherCall }),
                        Err(StoreError::NotFound(_)) => put.expected = ExpectedVersion::Absent,
                        Err(error) => return Err(error),
                    }
                }
                // What was to be replaced has expired meanwhile, or was removed.
                Err(StoreError::VersionMismatch { .. }) => put.expected = ExpectedVersion::Absent,
                Err(error) => return Err(error),
            }
        }
    }

    fn outcome(&self, name: &[u8], outcome: &Outcome) -> Result<Computed, StoreError> {
        match outcome {
            Ok(bytes) => Ok(Computed { bytes: bytes.to_vec(), by: ComputedBy::AnotherCall }),
            Err(source) => Err(StoreError::ComputationFailed { place: self.place(name), source: Arc::clone(source) }),
        }
    }
}

/// Which of two was ready first.
enum First<L, R> {
    Left(L),
    Right(R),
}

/// Waits for whichever is ready first; the left one, if both are.
async fn first_of<L: Future, R: Future>(left: L, right: R) -> First<L::Output, R::Output> {
    let (mut left, mut right) = (pin!(left), pin!(right));
    poll_fn(|context| {
        if let Poll::Ready(output) = left.as_mut().poll(context) {
            return Poll::Ready(First::Left(output));
        }
        right.as_mut().poll(context).map(First::Right)
    })
    .await
}
