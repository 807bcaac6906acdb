//! Why a call to what runs elsewhere came to nothing, as a task has to know it.

use std::time::Duration;

use flotilla_common::breaker::BreakerOpen;
use flotilla_common::model::{Failure, Outcome};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It was not called: its breaker lets nothing through.
    #[error(transparent)]
    BreakerOpen(#[from] BreakerOpen),
    /// It may go well another time; `after` is the wish of whoever was called.
    #[error("{failure}")]
    Passing {
        failure: Failure,
        after: Option<Duration>,
    },
    /// No repetition can go well.
    #[error("{0}")]
    Permanent(Failure),
}

impl CallError {
    /// A failure that may pass, without a word on when.
    pub fn passing(failure: Failure) -> Self {
        Self::Passing {
            failure,
            after: None,
        }
    }
}

impl From<CallError> for Outcome {
    fn from(error: CallError) -> Self {
        match error {
            CallError::BreakerOpen(open) => open.into(),
            CallError::Passing { failure, after } => Self::Retry { failure, after },
            CallError::Permanent(failure) => Self::Reject(failure),
        }
    }
}
