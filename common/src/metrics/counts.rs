//! A tally as families: the same for a process and for the whole fleet.

use super::family::Family;
use super::samples::Samples;
use super::table::{
    DEAD_LETTERS, FLEET_DEAD_LETTERS, FLEET_TASK_ATTEMPTS, FLEET_TASK_ATTEMPTS_LOST,
    FLEET_TASK_REDELIVERIES, FLEET_TASK_RUN, FLEET_TASK_WAIT, FLEET_TASKS_ENDED, TASK_ATTEMPTS,
    TASK_ATTEMPTS_LOST, TASK_REDELIVERIES, TASK_RUN, TASK_WAIT, TASKS_ENDED,
};
use crate::model::Tally;

struct Names {
    ended: &'static Family,
    attempts: &'static Family,
    redeliveries: &'static Family,
    lost: &'static Family,
    dead_letters: &'static Family,
    wait: &'static Family,
    run: &'static Family,
}

const OF_PROCESS: Names = Names {
    ended: &TASKS_ENDED,
    attempts: &TASK_ATTEMPTS,
    redeliveries: &TASK_REDELIVERIES,
    lost: &TASK_ATTEMPTS_LOST,
    dead_letters: &DEAD_LETTERS,
    wait: &TASK_WAIT,
    run: &TASK_RUN,
};

const OF_FLEET: Names = Names {
    ended: &FLEET_TASKS_ENDED,
    attempts: &FLEET_TASK_ATTEMPTS,
    redeliveries: &FLEET_TASK_REDELIVERIES,
    lost: &FLEET_TASK_ATTEMPTS_LOST,
    dead_letters: &FLEET_DEAD_LETTERS,
    wait: &FLEET_TASK_WAIT,
    run: &FLEET_TASK_RUN,
};

pub fn add_tally(samples: &mut Samples, tally: &Tally, is_of_fleet: bool) {
    let names = if is_of_fleet { OF_FLEET } else { OF_PROCESS };
    for (lane, counts) in tally.lanes() {
        let (category, priority) = (lane.category.name(), lane.priority.name());
        for (outcome, count) in [
            ("completed", counts.completed),
            ("failed", counts.failed),
            ("cancelled", counts.cancelled),
            ("expired", counts.expired),
        ] {
            samples.count(names.ended, &[category, priority, outcome], count);
        }
        for (result, count) in [
            ("completed", counts.completed),
            ("failed", counts.failed),
            ("retried", counts.retried),
            ("deferred", counts.deferred),
        ] {
            samples.count(names.attempts, &[category, priority, result], count);
        }
        let lane = [category, priority];
        samples.count(names.redeliveries, &lane, counts.redelivered);
        samples.count(names.lost, &lane, counts.lost);
        samples.count(names.dead_letters, &lane, counts.dead_letters);
        samples.durations(names.wait, &lane, &counts.wait);
        samples.durations(names.run, &lane, &counts.run);
    }
}
