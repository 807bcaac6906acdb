//! What the server tells of streams and consumers that somebody deletes: nobody has to ask for each whether it is
//! still there.

use std::fmt;
use std::time::Duration;

use async_nats::Subscriber;
use futures::future::try_join_all;
use futures::stream::{SelectAll, select_all};
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::watch;

use super::subjects::tasks_stream;
use super::{Broker, BrokerError};
use crate::model::Category;

/// What goes together is told of together: a stream goes with its consumers, and each is told of.
const TOGETHER: Duration = Duration::from_millis(100);

pub struct Deletions {
    told: SelectAll<Subscriber>,
    connections: watch::Receiver<u64>,
}

impl fmt::Debug for Deletions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deletions").finish_non_exhaustive()
    }
}

impl Broker {
    /// Those from now on.
    pub async fn deletions(&self) -> Result<Deletions, BrokerError> {
        let connections = self.connections();
        let subscribing = advisories().map(|subject| self.client.subscribe(subject));
        let told = try_join_all(subscribing).await;
        let told =
            told.map_err(|error| BrokerError::other("listening for what is deleted", error))?;
        Ok(Deletions {
            told: select_all(told),
            connections,
        })
    }
}

impl Deletions {
    /// Until something may be missing: it was deleted, or the connection was lost meanwhile, and with it the
    /// word of what was.
    pub async fn next(&mut self) {
        tokio::select! {
            told = self.told.next() => if told.is_none() {
                // The connection has ended for good: nothing is told any more.
                std::future::pending::<()>().await;
            },
            changed = self.connections.changed() => if changed.is_err() {
                std::future::pending::<()>().await;
            },
        }
        tokio::time::sleep(TOGETHER).await;
        while self.told.next().now_or_never().flatten().is_some() {}
        self.connections.mark_unchanged();
    }
}

/// Any stream, and of consumers those that take tasks: others come and go with whoever reads.
pub(super) fn advisories() -> impl Iterator<Item = String> {
    let of = |what: &str| format!("$JS.EVENT.ADVISORY.{what}");
    let consumers = Category::all()
        .map(move |category| of(&format!("CONSUMER.DELETED.{}.*", tasks_stream(category))));
    [of("STREAM.DELETED.*")].into_iter().chain(consumers)
}
