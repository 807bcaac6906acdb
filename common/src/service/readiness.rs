//! How far the services of this process are: what whoever started them waits for, and what the
//! probes tell.

use std::collections::BTreeMap;
use std::fmt;

use tokio::sync::watch;

use crate::broker::Broker;
use crate::metrics::{SERVICE_READY, Samples, Source};

#[derive(Debug, Clone, Default)]
pub struct Readiness {
    services: watch::Sender<Services>,
}

#[derive(Debug, Default)]
struct Services {
    announced: u64,
    present: BTreeMap<u64, Service>,
}

#[derive(Debug)]
struct Service {
    name: &'static str,
    /// There once the streams and consumers are.
    broker: Option<Broker>,
    /// Its consumers are bound.
    is_bound: bool,
}

/// A service as its process sees it: gone when this is dropped.
#[derive(Debug)]
pub struct Presence {
    readiness: Readiness,
    id: u64,
}

/// How far a service is. In this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Starting,
    /// Streams and consumers are ensured.
    Started,
    /// It would be at work, and the connection to the broker is lost.
    Disconnected,
    Ready,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "has not ensured its streams and consumers yet",
            Self::Started => "is not at work: no consumer of its is bound, or it hears nothing",
            Self::Disconnected => "is not connected to the broker",
            Self::Ready => "is ready",
        })
    }
}

impl Readiness {
    /// Says that a service begins.
    pub fn announce(&self, name: &'static str) -> Presence {
        let mut id = 0;
        self.services.send_modify(|services| {
            services.announced += 1;
            id = services.announced;
            let service = Service {
                name,
                broker: None,
                is_bound: false,
            };
            services.present.insert(id, service);
        });
        Presence {
            readiness: self.clone(),
            id,
        }
    }

    /// How many services are bound now.
    pub fn count(&self) -> usize {
        self.services.borrow().bound()
    }

    /// Until so many services are.
    pub async fn wait(&self, services: usize) {
        // The sender is ours, so that it cannot be gone.
        let _ = self
            .services
            .subscribe()
            .wait_for(|present| present.bound() >= services)
            .await;
    }

    pub(super) fn stages(&self) -> Vec<(&'static str, Stage)> {
        let services = self.services.borrow();
        let present = services.present.values();
        present
            .map(|service| (service.name, service.stage()))
            .collect()
    }
}

impl Services {
    fn bound(&self) -> usize {
        let present = self.present.values();
        present.filter(|service| service.is_bound).count()
    }
}

impl Service {
    fn stage(&self) -> Stage {
        match &self.broker {
            None => Stage::Starting,
            Some(broker) if !broker.is_connected() => Stage::Disconnected,
            Some(_) if self.is_bound => Stage::Ready,
            Some(_) => Stage::Started,
        }
    }
}

impl Presence {
    /// It has this connection, and what it needs there is ensured.
    pub fn started(&self, broker: &Broker) {
        self.change(|service| service.broker = Some(broker.clone()));
    }

    /// Its consumers are bound, or are not any more.
    pub fn set_bound(&self, is_bound: bool) {
        self.change(|service| service.is_bound = is_bound);
    }

    fn change(&self, change: impl FnOnce(&mut Service)) {
        self.readiness.services.send_modify(|services| {
            if let Some(service) = services.present.get_mut(&self.id) {
                change(service);
            }
        });
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.readiness.services.send_modify(|services| {
            services.present.remove(&self.id);
        });
    }
}

impl Source for Readiness {
    fn collect(&self, samples: &mut Samples) {
        for (name, stage) in self.stages() {
            let is_ready = f64::from(u8::from(stage == Stage::Ready));
            samples.number(&SERVICE_READY, &[name], is_ready);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_service_counts_from_when_it_is_bound_until_it_is_gone() {
        let readiness = Readiness::default();
        let (one, two) = (readiness.announce("one"), readiness.announce("two"));
        assert_eq!(readiness.count(), 0);
        assert_eq!(
            readiness.stages(),
            [("one", Stage::Starting), ("two", Stage::Starting)]
        );
        one.set_bound(true);
        one.set_bound(true);
        two.set_bound(true);
        readiness.wait(2).await;
        two.set_bound(false);
        assert_eq!(readiness.count(), 1);
        drop(one);
        assert_eq!(readiness.count(), 0);
        assert_eq!(readiness.stages().len(), 1);
    }
}
