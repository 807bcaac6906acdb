//! Why a call to ChromaDB came to nothing.

use std::time::Duration;

use flotilla_common::model::Failure;

use crate::CallError;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not reached, too slow, overloaded, broken, or not to be understood.
    #[error("ChromaDB {cause}")]
    Unavailable {
        cause: String,
        after: Option<Duration>,
    },
    /// By somebody who has less time than a call may take.
    #[error("ChromaDB does not answer within {0:?}")]
    GivenUp(Duration),
    /// What was named does not exist.
    #[error("ChromaDB has no such thing (any more): {0}")]
    Missing(String),
    #[error("ChromaDB refuses the request with status {status}: {message}")]
    Refused { status: u16, message: String },
    /// Vectors of different embedders cannot be compared.
    #[error(
        "the collection {name} in ChromaDB is not ours: it has {found}, where {wanted} is needed; remove it, or set another chromadb.collection_prefix"
    )]
    Foreign {
        name: String,
        found: String,
        wanted: String,
    },
    /// ChromaDB would take one of them and say nothing.
    #[error("chunk {0} is twice in one batch")]
    Duplicate(String),
    #[error("a request to ChromaDB cannot be written: {0}")]
    Unwritable(String),
}

impl Error {
    pub(super) fn unavailable(cause: impl Into<String>) -> Self {
        Self::Unavailable {
            cause: cause.into(),
            after: None,
        }
    }

    /// Whether the server is to blame, which is what its breaker counts. One that is busy for a
    /// moment is not: whoever has time for a whole call finds out.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

impl From<Error> for CallError {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Unavailable { after, .. } => Self::Passing {
                failure: Failure::new("store_unavailable", message),
                after,
            },
            // Whoever deletes a collection while it is used may do so again; the next attempt
            // makes it anew.
            Error::Missing(_) | Error::GivenUp(_) => {
                Self::passing(Failure::new("store_unavailable", message))
            }
            Error::Refused { .. }
            | Error::Foreign { .. }
            | Error::Duplicate(_)
            | Error::Unwritable(_) => Self::Permanent(Failure::new("store_refused", message)),
        }
    }
}
