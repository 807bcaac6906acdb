//! What operators do to a breaker, whatever the fleet has seen of its dependency.

use jiff::Timestamp;

use super::shared::event_id;
use crate::broker::{Broker, BrokerError, WriteError};
use crate::model::{Circuit, CircuitStage, Dependency, Event, EventBody, Instance};

/// Whoever writes at the same time is done after so many attempts.
const ATTEMPTS_MAX: usize = 10;
/// The log of the fleet is told so many times, where it does not take it at once.
const TELLS_MAX: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Closes it: calls go through again, and failures are counted from none.
    Reset,
    /// Opens it, until somebody resets it.
    HoldOpen,
}

impl Order {
    const fn stage(self) -> CircuitStage {
        match self {
            Self::Reset => CircuitStage::Closed,
            Self::HoldOpen => CircuitStage::Held,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Reset => "reset by an operator",
            Self::HoldOpen => "held open by an operator",
        }
    }

    /// Writes it where the whole fleet follows it, and tells the log. Answers how the breaker
    /// stands then; one that stands so already is left alone.
    pub async fn carry_out(
        self,
        broker: &Broker,
        by: &Instance,
        dependency: Dependency,
        why: Option<&str>,
    ) -> Result<Circuit, BrokerError> {
        for _ in 0..ATTEMPTS_MAX {
            let shared = broker.circuit(dependency).await?;
            let (circuit, revision) = match shared {
                Some(shared) => (shared.value, shared.revision),
                None => (Circuit::untouched(dependency), 0),
            };
            if circuit.stage == self.stage() {
                return Ok(circuit);
            }
            let ordered = self.apply(&circuit, by, why);
            match broker.set_circuit(&ordered, revision).await {
                Ok(revision) => {
                    tell(broker, by, &ordered, revision).await;
                    return Ok(ordered);
                }
                Err(WriteError::Conflict) => {}
                Err(WriteError::Broker(error)) => return Err(error),
                Err(WriteError::TooLarge(_)) => break,
            }
        }
        Err(BrokerError::Unavailable {
            doing: format!("changing the breaker of {}", dependency.name()),
        })
    }

    fn apply(self, circuit: &Circuit, by: &Instance, why: Option<&str>) -> Circuit {
        let words = self.words();
        Circuit {
            stage: self.stage(),
            failures: match self {
                Self::Reset => 0,
                Self::HoldOpen => circuit.failures,
            },
            since: Timestamp::now(),
            cause: why.map_or_else(|| words.to_owned(), |why| format!("{words}: {why}")),
            by: by.id.clone(),
            dependency: circuit.dependency,
        }
    }
}

/// The fleet obeys what is written. Only the log lacks it where that takes nothing.
async fn tell(broker: &Broker, by: &Instance, circuit: &Circuit, revision: u64) {
    let event = Event {
        from: by.clone(),
        body: EventBody::Breaker(circuit.transition()),
    };
    let id = event_id(circuit.dependency, revision);
    for _ in 0..TELLS_MAX {
        match broker.publish_event(&event, &id).await {
            Ok(()) => return,
            Err(error) => tracing::warn!(%error, "a breaker's change is not told yet"),
        }
    }
}
