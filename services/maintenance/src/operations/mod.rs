//! The operations, one file each. All of them can be repeated: what was done is not done again.

pub(crate) mod expire;
pub(crate) mod probe;
pub(crate) mod reindex;
pub(crate) mod retire;
pub(crate) mod verify;
mod verify_vectors;

/// A report names so many at most; the counts tell of all.
const NAMED_MAX: usize = 100;
