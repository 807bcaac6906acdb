//! What stats knows, as metrics: the fleet as a whole, where processes tell of themselves alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use flotilla_common::broker::Storage;
use flotilla_common::metrics::{
    FLEET_BREAKER_STATE, FLEET_DEPENDENCY, FLEET_INSTANCES, FLEET_OLDEST_RUNNABLE, FLEET_PAUSED,
    FLEET_RUNNABLE, FLEET_SLOTS, FLEET_SLOTS_USED, FLEET_TASKS, FLEET_WANTED_SLOTS, Registry,
    STATS_INDEX_LAG, STATS_LAG, STATS_LOOK_AGE, STORAGE_BYTES, STORAGE_LIMIT, STREAM_BYTES,
    STREAM_LIMIT, STREAM_MESSAGES, STREAM_MESSAGES_LIMIT, Samples, Source, add_tally,
};
use flotilla_common::model::{
    BreakerState, Category, Condition, Dependency, Lane, SeenInstance, Snapshot,
};
use flotilla_common::service::Fleet;
use jiff::Timestamp;

use crate::queues::{Look, Queue};
use crate::tasks::Waiting;

/// The services that every fleet has beside its workers.
const ALWAYS_EXPECTED: [&str; 2] = ["gateway", "stats"];

/// All of one moment.
pub(crate) struct Told {
    pub(crate) snapshot: Snapshot,
    pub(crate) look: Option<Look>,
    pub(crate) waiting: BTreeMap<Lane, Waiting>,
    /// The last event and the last record that were taken in.
    pub(crate) event: u64,
    pub(crate) record: u64,
}

pub(crate) struct Figures {
    /// Those that have to be there for the fleet to be whole.
    expected: BTreeSet<&'static str>,
    /// Those of them that need not be there while there is nothing to do.
    on_demand: BTreeSet<&'static str>,
    told: Mutex<Option<Told>>,
}

impl Figures {
    /// Shown once there is something to tell, and for good: what the fleet has done outlives who
    /// counted it.
    pub(crate) fn show(registry: &Registry, fleet: &Fleet) -> Arc<Self> {
        let names = |categories: &[Category]| categories.iter().map(|c| c.name()).collect();
        let mut expected: BTreeSet<_> = names(&fleet.categories);
        expected.extend(ALWAYS_EXPECTED);
        let figures = Arc::new(Self {
            expected,
            on_demand: names(&fleet.on_demand),
            told: Mutex::default(),
        });
        registry.keep(&figures);
        figures
    }

    pub(crate) fn tell(&self, told: Told) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
    }

    /// Whether it is a loss that none of its processes lives.
    fn is_needed(&self, service: &str, works: &[(&Queue, Work)]) -> bool {
        let of_service = |queue: &Queue| queue.lane.category.name() == service;
        !self.on_demand.contains(service)
            || works
                .iter()
                .any(|(queue, work)| of_service(queue) && work.runnable > 0)
    }
}

/// What there is to do in a lane.
#[derive(Debug, Clone, Copy)]
struct Work {
    /// In the slots of the live workers.
    running: u64,
    waiting: Waiting,
    /// Handed out, and neither running nor backing off: a worker has had no slot for it, or has been
    /// lost. It runs next.
    due: u64,
    /// What a free slot would start.
    runnable: u64,
}

impl Told {
    /// By lane, once somebody has looked. The sources are of about the same time: what moves meanwhile
    /// may be off by a little.
    fn works(&self) -> impl Iterator<Item = (&Queue, Work)> {
        let queues = self.look.iter().flat_map(|look| &look.queues);
        queues.map(|queue| {
            let running = running(&self.snapshot, queue.lane);
            let waiting = self.waiting.get(&queue.lane).copied();
            (queue, Work::of(queue, running, waiting.unwrap_or_default()))
        })
    }
}

impl Work {
    fn of(queue: &Queue, running: u64, waiting: Waiting) -> Self {
        let due = queue.in_flight.saturating_sub(running + waiting.later);
        Self {
            running,
            waiting,
            due,
            runnable: if queue.is_paused {
                0
            } else {
                queue.waiting + due
            },
        }
    }
}

impl Source for Figures {
    fn collect(&self, samples: &mut Samples) {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(told) = told.as_ref() else { return };
        let snapshot = &told.snapshot;
        add_tally(samples, &snapshot.tally, true);
        let works: Vec<(&Queue, Work)> = told.works().collect();
        instances(
            samples,
            &self.expected,
            |service| self.is_needed(service, &works),
            snapshot,
        );
        slots(samples, snapshot);
        breakers(samples, snapshot);
        dependencies(samples, snapshot);
        let Some(look) = &told.look else { return };
        samples.number(&STATS_LOOK_AGE, &[], look.at.elapsed().as_secs_f64());
        // What came since the look has been taken in as well.
        let lag = |last: u64, taken| last.saturating_sub(taken);
        samples.count(&STATS_LAG, &[], lag(look.last_event, told.event));
        samples.count(&STATS_INDEX_LAG, &[], lag(look.last_record, told.record));
        let now = Timestamp::now();
        for (queue, work) in works {
            tasks(samples, queue, work, now);
        }
        if let Some(storage) = &look.storage {
            streams(samples, storage);
        }
    }
}

/// In the slots of the live workers.
fn running(snapshot: &Snapshot, lane: Lane) -> u64 {
    let workers = snapshot.live_workers();
    let of_category = workers.filter(|worker| worker.category == lane.category);
    let running = of_category.map(|worker| worker.running[lane.priority.index()] as u64);
    running.sum()
}

fn tasks(samples: &mut Samples, queue: &Queue, work: Work, now: Timestamp) {
    let lane = [queue.lane.category.name(), queue.lane.priority.name()];
    for (state, count) in [
        ("waiting", queue.waiting),
        ("running", work.running),
        ("backing_off", work.waiting.later),
        ("due", work.due),
    ] {
        samples.count(&FLEET_TASKS, &[lane[0], lane[1], state], count);
    }
    samples.count(&FLEET_PAUSED, &lane, u64::from(queue.is_paused));
    samples.count(&FLEET_RUNNABLE, &lane, work.runnable);
    samples.count(
        &FLEET_WANTED_SLOTS,
        &lane[..1],
        work.running + work.runnable,
    );
    let since = first(queue, work).filter(|_| !queue.is_paused);
    // Our clock and the broker's may differ a little.
    let age = since.map_or(0.0, |since| now.duration_since(since).as_secs_f64());
    samples.number(&FLEET_OLDEST_RUNNABLE, &lane, age.max(0.0));
}

fn first(queue: &Queue, work: Work) -> Option<Timestamp> {
    let since = queue.waiting_since.into_iter();
    let since = since.chain(work.waiting.due_since);
    // Since when something handed back is due nobody knows: not for longer than it has been there.
    since.min().or(queue.oldest_at.filter(|_| work.due > 0))
}

/// That none is alive is told of what is needed alone: an autoscaler may have sent the others home.
fn instances(
    samples: &mut Samples,
    expected: &BTreeSet<&'static str>,
    is_needed: impl Fn(&str) -> bool,
    snapshot: &Snapshot,
) {
    for service in expected {
        for state in ["alive", "missing", "deaf", "unserved"] {
            if state != "alive" || is_needed(service) {
                samples.count(&FLEET_INSTANCES, &[service, state], 0);
            }
        }
    }
    for seen in &snapshot.instances {
        let service = seen.instance.service.as_str();
        if expected.contains(service) {
            samples.count(&FLEET_INSTANCES, &[service, state(seen)], 1);
        }
    }
}

fn state(seen: &SeenInstance) -> &'static str {
    match (seen.is_alive, seen.worker) {
        (false, _) => "missing",
        (true, Some(worker)) if !worker.is_receiving => "deaf",
        (true, Some(worker)) if worker.lacks_handlers => "unserved",
        (true, _) => "alive",
    }
}

fn slots(samples: &mut Samples, snapshot: &Snapshot) {
    for worker in snapshot.live_workers() {
        let category = [worker.category.name()];
        samples.count(&FLEET_SLOTS, &category, worker.slots as u64);
        samples.count(&FLEET_SLOTS_USED, &category, worker.busy as u64);
    }
}

fn breakers(samples: &mut Samples, snapshot: &Snapshot) {
    let states = BreakerState::ALL.map(BreakerState::name);
    for breaker in &snapshot.breakers {
        let (dependency, state) = (breaker.dependency.name(), breaker.state.name());
        samples.one_of(&FLEET_BREAKER_STATE, dependency, states, state);
    }
}

/// Of those that anybody has asked.
fn dependencies(samples: &mut Samples, snapshot: &Snapshot) {
    let mut worst: BTreeMap<Dependency, Condition> = BTreeMap::new();
    for probed in snapshot
        .alive()
        .flat_map(|seen| &seen.probes)
        .flat_map(|probes| &probes.answers)
    {
        let said = worst.entry(probed.dependency).or_insert(probed.condition);
        *said = said.or_weightier(probed.condition);
    }
    let conditions = Condition::ALL.map(Condition::name);
    for (dependency, condition) in worst {
        let dependency = dependency.name();
        samples.one_of(&FLEET_DEPENDENCY, dependency, conditions, condition.name());
    }
}

fn streams(samples: &mut Samples, storage: &Storage) {
    samples.count(&STORAGE_BYTES, &[], storage.bytes);
    if let Some(max) = storage.bytes_max {
        samples.count(&STORAGE_LIMIT, &[], max);
    }
    for stream in &storage.streams {
        let name = [stream.name.as_str()];
        samples.count(&STREAM_BYTES, &name, stream.bytes);
        samples.count(&STREAM_MESSAGES, &name, stream.messages);
        for (family, max) in [
            (&STREAM_LIMIT, stream.bytes_max),
            (&STREAM_MESSAGES_LIMIT, stream.messages_max),
        ] {
            if let Some(max) = max {
                samples.count(family, &name, max);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use flotilla_common::metrics::Value;
    use flotilla_common::model::Priority;

    use super::*;

    fn queue(is_paused: bool) -> Queue {
        Queue {
            lane: Lane {
                category: Category::Query,
                priority: Priority::High,
            },
            waiting: 5,
            in_flight: 9,
            oldest_at: Timestamp::from_second(10).ok(),
            waiting_since: Timestamp::from_second(70).ok(),
            is_paused,
        }
    }

    fn told(is_paused: bool) -> impl Fn(&'static flotilla_common::metrics::Family, &[&str]) -> f64 {
        let mut samples = Samples::default();
        let waiting = Waiting {
            later: 4,
            due: 2,
            due_since: Timestamp::from_second(60).ok(),
        };
        let now = Timestamp::from_second(100).unwrap();
        let queue = queue(is_paused);
        tasks(&mut samples, &queue, Work::of(&queue, 3, waiting), now);
        move |family, labels| match samples.get(family, labels) {
            Some(Value::Number(number)) => *number,
            other => panic!("{other:?} of {family:?}"),
        }
    }

    #[test]
    fn runnable_is_what_a_slot_would_start() {
        let lane = ["query", "high"];
        let of = told(false);
        for (state, count) in [
            ("waiting", 5.0),
            ("running", 3.0),
            ("backing_off", 4.0),
            ("due", 2.0),
        ] {
            assert_eq!(
                of(&FLEET_TASKS, &["query", "high", state]),
                count,
                "{state}"
            );
        }
        assert_eq!(
            (
                of(&FLEET_RUNNABLE, &lane),
                of(&FLEET_OLDEST_RUNNABLE, &lane)
            ),
            (7.0, 40.0)
        );
        assert_eq!(of(&FLEET_WANTED_SLOTS, &["query"]), 10.0);
        let of = told(true);
        // What runs still has its slots.
        assert_eq!(of(&FLEET_WANTED_SLOTS, &["query"]), 3.0);
        assert_eq!(
            (
                of(&FLEET_RUNNABLE, &lane),
                of(&FLEET_OLDEST_RUNNABLE, &lane)
            ),
            (0.0, 0.0)
        );
        assert_eq!(of(&FLEET_PAUSED, &lane), 1.0);
    }

    #[test]
    fn none_alive_is_told_of_what_is_needed() {
        let figures = |on_demand| {
            let fleet = Fleet {
                categories: vec![Category::Query, Category::Batch],
                on_demand,
            };
            Figures::show(&Registry::default(), &fleet)
        };
        let queue = queue(false);
        let busy = [(&queue, Work::of(&queue, 0, Waiting::default()))];
        let always = figures(vec![]);
        assert!(always.is_needed("query", &[]) && always.is_needed("stats", &[]));
        let on_demand = figures(vec![Category::Query, Category::Batch]);
        assert!(!on_demand.is_needed("query", &[]));
        // Somebody has to come for what waits.
        assert!(on_demand.is_needed("query", &busy));
        assert!(!on_demand.is_needed("batch", &busy));
        assert!(on_demand.is_needed("gateway", &[]));
    }
}
