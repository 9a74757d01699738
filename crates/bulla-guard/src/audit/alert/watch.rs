//! Rules over the stream of events. What is remembered is bounded.

use std::collections::{BTreeMap, VecDeque};

use bulla_backend::Timestamp;

use super::{Alert, AlertKind, AlertRules, Threshold};
use crate::audit::event::{Class, Level, Outcome};
use crate::audit::logged::LoggedEvent;

/// Most subjects that are remembered; the oldest half is forgotten then.
const MAX_SUBJECTS: usize = 10_000;

type Subject = (AlertKind, String);

/// Watches events, in the order of the log. The same events give the same alerts.
#[derive(Debug, Clone)]
pub struct AlertWatch {
    rules: AlertRules,
    /// When the last failures of somebody were, as many as make an alert.
    failures: BTreeMap<Subject, VecDeque<Timestamp>>,
    /// When an alert was raised last, and how many were not since.
    raised: BTreeMap<Subject, (Timestamp, u64)>,
}

impl AlertWatch {
    /// Begins to watch.
    #[must_use]
    pub const fn new(rules: AlertRules) -> Self {
        Self { rules, failures: BTreeMap::new(), raised: BTreeMap::new() }
    }

    /// Looks at an event; returns what somebody has to hear of.
    pub fn observe(&mut self, index: u64, event: &LoggedEvent) -> Vec<Alert> {
        let mut found = Vec::new();
        if event.class == Class::Authentication && event.outcome == Some(Outcome::Failure) {
            let sides = [
                (AlertKind::PrincipalFailures, event.principal, self.rules.principal_failures),
                (AlertKind::AddressFailures, event.address, self.rules.address_failures),
            ];
            for (kind, who, threshold) in sides {
                if let (Some(who), Some(threshold)) = (who, threshold) {
                    found.extend(self.count(kind, who.to_string(), threshold, event.time));
                }
            }
        }
        if event.class == Class::SecurityViolation && event.level >= self.rules.violations {
            let subject = event.resource.as_ref().map_or_else(String::new, ToString::to_string);
            let detail = event
                .field("detail")
                .map_or_else(|| event.action.to_string(), |detail| format!("{}: {detail}", event.action));
            found.push(Alert::new(
                AlertKind::Violation,
                event.time,
                event.level,
                format!("{} {subject}", event.action),
                detail,
            ));
        }
        if event.class == Class::Machine && event.action.as_str() == "authorize" {
            found.extend(self.unexpected(event));
        }
        if event.class == Class::Log && event.action.as_str() == "gap" {
            let lost = event.field("lost").map_or_else(String::new, ToString::to_string);
            let detail = format!("{lost} events could not be logged");
            found.push(Alert::new(AlertKind::Gap, event.time, Level::Error, "audit log".to_owned(), detail));
        }
        let raised = found.into_iter().filter_map(|alert| self.raise(Alert { index: Some(index), ..alert }));
        raised.collect()
    }

    /// Lets an alert through, unless one of its kind about its subject was raised a short while ago.
    pub fn raise(&mut self, mut alert: Alert) -> Option<Alert> {
        forget(&mut self.raised, |(time, _)| *time);
        let subject = (alert.kind, alert.subject.clone());
        if let Some((time, suppressed)) = self.raised.get_mut(&subject) {
            // A clock that was set back does not silence anybody for longer.
            if alert.time >= *time && alert.time < time.saturating_add(self.rules.quiet) {
                *suppressed += 1;
                return None;
            }
            alert.suppressed = *suppressed;
        }
        self.raised.insert(subject, (alert.time, 0));
        Some(alert)
    }

    fn count(&mut self, kind: AlertKind, who: String, threshold: Threshold, time: Timestamp) -> Option<Alert> {
        forget(&mut self.failures, |times| times.back().copied().unwrap_or_default());
        let times = self.failures.entry((kind, who.clone())).or_default();
        times.push_back(time);
        while times.len() > threshold.count.max(1) {
            times.pop_front();
        }
        let since = times.front().copied().unwrap_or_default();
        let is_often = times.len() >= threshold.count && time < since.saturating_add(threshold.window);
        is_often.then(|| {
            let seconds = threshold.window.as_secs();
            let detail = format!("{} failed sign-ins within {seconds} seconds", threshold.count);
            Alert::new(kind, time, Level::Error, who, detail)
        })
    }

    fn unexpected(&self, event: &LoggedEvent) -> Option<Alert> {
        let expected = self.rules.authorisers.as_ref()?;
        let author = event.field("authoriser").map_or_else(|| "unknown".to_owned(), ToString::to_string);
        let machine = event.resource.as_ref().map_or_else(String::new, ToString::to_string);
        let detail = format!("{author} has let in {machine}");
        (!expected.contains(&author))
            .then(|| Alert::new(AlertKind::UnexpectedAuthoriser, event.time, Level::Critical, author, detail))
    }
}

/// Forgets the older half if there is too much.
fn forget<V>(remembered: &mut BTreeMap<Subject, V>, time: impl Fn(&V) -> Timestamp) {
    if remembered.len() >= MAX_SUBJECTS {
        let mut times: Vec<Timestamp> = remembered.values().map(&time).collect();
        let middle = times.len() / 2;
        let (_, median, _) = times.select_nth_unstable(middle);
        let median = *median;
        remembered.retain(|_, value| time(value) > median);
    }
}
