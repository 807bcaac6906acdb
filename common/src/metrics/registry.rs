//! Whoever has numbers: asked at each scrape and push. How something is, is forgotten with it; what
//! has happened stays so.

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
    sources: Arc<Mutex<Vec<Known>>>,
}

enum Known {
    Kept(Arc<dyn Source>),
    Lent(Weak<dyn Source>),
}

impl Known {
    fn source(&self) -> Option<Arc<dyn Source>> {
        match self {
            Self::Kept(source) => Some(Arc::clone(source)),
            Self::Lent(source) => source.upgrade(),
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

impl Registry {
    /// For as long as somebody else keeps the source: one that tells how something is.
    pub fn add<S: Source + 'static>(&self, source: &Arc<S>) {
        let source: Weak<S> = Arc::downgrade(source);
        self.put(Known::Lent(source));
    }

    /// For good: one that counts, as a count stays when whoever counted is gone. It must not hold the
    /// registry, nor anything that has to end.
    pub fn keep<S: Source + 'static>(&self, source: &Arc<S>) {
        let source: Arc<S> = Arc::clone(source);
        self.put(Known::Kept(source));
    }

    fn put(&self, known: Known) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.retain(|known| known.source().is_some());
        sources.push(known);
    }

    pub fn collect(&self) -> Samples {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let sources: Vec<_> = sources.iter().filter_map(Known::source).collect();
        let mut samples = Samples::default();
        for source in sources {
            source.collect(&mut samples);
        }
        samples
    }
}
