//! How a worker is, as metrics: its slots, its hearing, and its breakers.

use std::sync::Arc;

use tokio::sync::watch;

use crate::breaker::Breakers;
use crate::metrics::{
    BREAKER_STATE, Registry, SLOTS, SLOTS_USED, Samples, Source, WORKER_RECEIVING,
};
use crate::model::{BreakerState, Dependency, WorkerState};

pub(super) struct Figures {
    state: watch::Receiver<WorkerState>,
    breakers: Breakers,
}

impl Figures {
    /// Shown for as long as this is kept.
    pub(super) fn show(
        registry: &Registry,
        state: watch::Receiver<WorkerState>,
        breakers: Breakers,
    ) -> Arc<Self> {
        let figures = Arc::new(Self { state, breakers });
        registry.add(&figures);
        figures
    }
}

impl Source for Figures {
    fn collect(&self, samples: &mut Samples) {
        let state = *self.state.borrow();
        let category = [state.category.name()];
        samples.count(&SLOTS, &category, state.slots as u64);
        samples.count(&SLOTS_USED, &category, state.busy as u64);
        let is_receiving = f64::from(u8::from(state.is_receiving));
        samples.number(&WORKER_RECEIVING, &category, is_receiving);
        for dependency in Dependency::ALL {
            let names = BreakerState::ALL.map(BreakerState::name);
            let now = self.breakers.state(dependency).name();
            samples.one_of(&BREAKER_STATE, dependency.name(), names, now);
        }
    }
}
