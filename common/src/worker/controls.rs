//! What the fleet shares, as this worker follows it: what operators set for the category, known
//! before the first task, and the state of the breakers.

use std::time::Duration;

use futures::StreamExt;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::breaker::Breakers;
use crate::broker::{Broker, BrokerError, Change};
use crate::model::{Category, Control};

/// After the broker has broken off, it is asked again for the state as it is then.
const FOLLOW_AGAIN_AFTER: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) struct Controls {
    pub(super) control: watch::Receiver<Control>,
    _following: AbortOnDropHandle<()>,
}

impl Controls {
    pub(super) async fn follow(
        broker: &Broker,
        category: Category,
        breakers: Breakers,
    ) -> Result<Self, BrokerError> {
        let known = broker.category_control(category).await?;
        let (sender, control) = watch::channel(known.value);
        let following = follow(broker.clone(), category, breakers, sender, known.revision);
        Ok(Self {
            control,
            _following: AbortOnDropHandle::new(tokio::spawn(following)),
        })
    }
}

async fn follow(
    broker: Broker,
    category: Category,
    breakers: Breakers,
    control: watch::Sender<Control>,
    mut revision: u64,
) {
    loop {
        match broker.follow_controls(category).await {
            Ok(mut changes) => {
                while let Some(Ok(change)) = changes.next().await {
                    match change {
                        Change::Circuit(shared) => breakers.adopt(&shared),
                        Change::Category(shared) if shared.revision == revision => {}
                        Change::Category(shared) => {
                            revision = shared.revision;
                            tracing::info!(%category, control = ?shared.value, "an operator has changed how the category runs");
                            control.send_replace(shared.value);
                        }
                    }
                }
            }
            Err(error) => tracing::debug!(%error, "cannot follow what operators set"),
        }
        tokio::time::sleep(FOLLOW_AGAIN_AFTER).await;
    }
}
