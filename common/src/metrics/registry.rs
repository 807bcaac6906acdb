//! Whoever has numbers: asked at each scrape, and forgotten once they are gone.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::samples::Samples;

/// Somebody who counts.
pub trait Source: Send + Sync {
    fn collect(&self, samples: &mut Samples);
}

/// A handle, cheap to clone: the sources of one process.
#[derive(Clone, Default)]
pub struct Registry {
    sources: Arc<Mutex<Vec<Weak<dyn Source>>>>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

impl Registry {
    /// For as long as somebody else keeps the source.
    pub fn add<S: Source + 'static>(&self, source: &Arc<S>) {
        let source: Weak<S> = Arc::downgrade(source);
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.retain(|source| source.strong_count() > 0);
        sources.push(source);
    }

    pub fn collect(&self) -> Samples {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let sources: Vec<_> = sources.iter().filter_map(Weak::upgrade).collect();
        let mut samples = Samples::default();
        for source in sources {
            source.collect(&mut samples);
        }
        samples
    }
}
