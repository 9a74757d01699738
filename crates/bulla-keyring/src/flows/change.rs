//! The run of a change: callback after callback, under the lock of the key.

use std::sync::Arc;

use super::key::Key;
use super::running::{Polled, Running, within};
use super::{CallbackReport, CallbackStatus, Change, ChangeReport, ChangedKey, FlowError, KeyFlows, OnChange, Result};
use crate::source::SecretPair;

/// How many changes of one key may lie within each other.
const MAX_DEPTH: usize = 16;

/// Gives the lock back where the run does not come to its end.
struct Held(Arc<Running>);

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.0.take_lock());
    }
}

pub(super) async fn run(
    flows: &KeyFlows,
    key: &Arc<Key>,
    old: Option<SecretPair>,
    new: Option<SecretPair>,
) -> Result<ChangeReport> {
    let outer = within(key);
    let depth = outer.as_ref().map_or(0, |outer| outer.depth + 1);
    if depth == MAX_DEPTH {
        return Err(FlowError::Nested(key.name.clone()));
    }
    let lock = if outer.is_none() { Some(flows.lock().acquire(&key.name).await?) } else { None };
    let callbacks = key.callbacks();
    let names = callbacks.iter().map(|(name, _)| name.clone());
    let running = Arc::new(Running::new(Arc::clone(key), new, depth, names, lock));
    let held = Held(Arc::clone(&running));
    let report = run_callbacks(flows, &running, &callbacks, old).await;
    if let Some(lock) = held.0.take_lock() {
        lock.give_back().await;
    }
    let report = report?;
    let failed = report.failures().next().is_some();
    if failed && key.definition.on_callback_error().fails() { Err(FlowError::Callbacks(report)) } else { Ok(report) }
}

async fn run_callbacks(
    flows: &KeyFlows,
    running: &Arc<Running>,
    callbacks: &[(String, OnChange)],
    old: Option<SecretPair>,
) -> Result<ChangeReport> {
    let key = &running.key;
    // So that callbacks are told the path of an earlier lifetime, if this one has used none.
    key.recall(flows.states()).await?;
    let pending = |(name, _): &(String, OnChange)| CallbackReport {
        name: name.clone(),
        status: CallbackStatus::Pending,
        error: None,
    };
    let mut report = ChangeReport { key: key.name.clone(), callbacks: callbacks.iter().map(pending).collect() };
    for (at, ((_, callback), reported)) in callbacks.iter().zip(&mut report.callbacks).enumerate() {
        running.keep_lock().await?;
        running.set_status(at, CallbackStatus::InProgress);
        let told = ChangedKey::new(flows.clone(), Arc::clone(running));
        let change = Change { old: old.clone(), new: running.new.clone(), key: told };
        let done = Polled::new(callback.call(change), Arc::clone(running)).await;
        reported.status = if done.is_ok() { CallbackStatus::Succeeded } else { CallbackStatus::Failed };
        reported.error = done.err();
        running.set_status(at, reported.status);
        if reported.error.is_some() && !key.definition.on_callback_error().goes_on() {
            break;
        }
    }
    // Values under which something may still be sealed that nobody has dealt with are kept until the next forward path.
    if report.succeeded() && !running.has_adopted() {
        key.alter(|cell| cell.retired = cell.pair.is_some() && cell.pair != running.new);
    }
    Ok(report)
}
