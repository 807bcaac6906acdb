//! What outlives a restart, in the broker: the state with the last event that is in it, each
//! stretch of the series once it is over, and the outcomes that were counted by their records.

use flotilla_common::broker::{Broker, BrokerError, Kept};
use futures::future::try_join_all;

use crate::series::Stretch;
use crate::state::State;
use crate::tasks::Outcomes;

/// Places asked for at once.
const LOADS_MAX: usize = 64;

pub(crate) async fn load(broker: &Broker) -> Result<(State, Outcomes), BrokerError> {
    let mut state: State = broker.load_kept(Kept::Snapshot).await?.unwrap_or_default();
    for history in state.histories() {
        let name = history.range().name();
        let places: Vec<u64> = (0..history.places()).collect();
        let mut saved = Vec::new();
        for places in places.chunks(LOADS_MAX) {
            let loads = places.iter();
            let loads = loads.map(|place| broker.load_kept::<Stretch>(Kept::Stretch(name, *place)));
            saved.extend(try_join_all(loads).await?.into_iter().flatten());
        }
        history.load(saved);
    }
    let outcomes: Outcomes = broker.load_kept(Kept::Outcomes).await?.unwrap_or_default();
    Ok((state, outcomes))
}

/// The stretches first: they follow from what the state is then ahead of.
pub(crate) async fn save(
    broker: &Broker,
    state: &mut State,
    outcomes: &Outcomes,
) -> Result<(), BrokerError> {
    for history in state.histories() {
        let name = history.range().name();
        for (place, stretch) in history.unsaved() {
            broker.keep(Kept::Stretch(name, place), stretch).await?;
        }
        history.saved();
    }
    broker.keep(Kept::Snapshot, state).await?;
    broker.keep(Kept::Outcomes, outcomes).await
}
