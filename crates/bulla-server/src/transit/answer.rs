//! What an operation answers.

use bulla_guard::audit::Batch;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::fields::Number;
use crate::ApiError;

/// An answer: the status of HTTP, what stands under `data`, and what a person should know.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Answer<T> {
    /// The status. That of a batch says whether all of its items went well.
    pub status: StatusCode,
    /// What stands under `data`; without any, the answer has no body.
    pub data: Option<T>,
    /// What stands under `warnings`.
    pub warnings: Vec<String>,
}

impl<T> Answer<T> {
    /// Makes the answer of an operation that went well.
    pub(super) fn ok(data: T) -> Self {
        Self { status: StatusCode::OK, data: Some(data), warnings: Vec::new() }
    }

    pub(super) fn warned(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }
}

impl<T> Answer<T> {
    /// Makes the answer of an operation that has nothing to say.
    pub(super) fn empty() -> Self {
        Self { status: StatusCode::NO_CONTENT, data: None, warnings: Vec::new() }
    }
}

impl<T> Answer<Results<T>> {
    /// Digests what was made of the items of a batch; what failed stands for nothing. `None` of one that was asked by itself.
    pub(super) fn digest(&self, public: impl Fn(&T) -> &str) -> Option<Batch> {
        let Some(Results::Batch { batch_results }) = &self.data else { return None };
        Batch::of(batch_results.iter().map(|item| item.result.as_ref().map_or("", &public)))
    }
}

/// The answer to one item, or to each item of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Results<T> {
    /// To one that was asked by itself.
    One(T),
    /// To the items of a batch, in their order.
    Batch {
        /// The answers.
        batch_results: Vec<ItemResult<T>>,
    },
}

/// The answer to an item of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ItemResult<T> {
    /// What was made of it.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub result: Option<T>,
    /// Why nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the client called the item.
    pub reference: String,
}

/// How the items of a batch went.
#[derive(Debug)]
pub(super) struct Outcomes<T> {
    results: Vec<ItemResult<T>>,
    worst: Option<StatusCode>,
    any_good: bool,
}

impl<T> Outcomes<T> {
    pub(super) fn with_room_for(items: usize) -> Self {
        Self { results: Vec::with_capacity(items), worst: None, any_good: false }
    }

    pub(super) fn push(&mut self, result: Result<T, ApiError>, reference: Option<String>) {
        let reference = reference.unwrap_or_default();
        self.results.push(match result {
            Ok(result) => {
                self.any_good = true;
                ItemResult { result: Some(result), error: None, reference }
            }
            Err(error) => {
                self.worst = self.worst.max(Some(error.status()));
                ItemResult { result: None, error: Some(error.message().to_owned()), reference }
            }
        });
    }

    /// Answers with 400 where an item failed, or with what the client asks for where others went well; with more than 400 where an item failed
    /// for a reason that lies with the server.
    pub(super) fn answer(self, partial_failure: Option<Number>) -> Answer<Results<T>> {
        let Self { results, worst, any_good } = self;
        let mut answer = Answer::ok(Results::Batch { batch_results: results });
        let Some(worst) = worst else { return answer };
        answer.status = if worst.is_server_error() { worst } else { StatusCode::BAD_REQUEST };
        let Some(Number(wanted)) = partial_failure.filter(|_| any_good) else { return answer };
        match u16::try_from(wanted).ok().filter(|wanted| (200..600).contains(wanted)).map(StatusCode::from_u16) {
            Some(Ok(wanted)) => {
                answer.status = wanted;
                answer
            }
            _ => answer
                .warned("partial_failure_response_code: it is no status of HTTP from 200 to 599, and was not used"),
        }
    }

    /// Answers with 200, whatever became of the items: of signatures and HMACs, clients look at each.
    pub(super) fn answer_each(self) -> Answer<Results<T>> {
        let mut answer = Answer::ok(Results::Batch { batch_results: self.results });
        answer.status = self.worst.filter(StatusCode::is_server_error).unwrap_or(StatusCode::OK);
        answer
    }
}
