//! The index against what a list of all tasks would say, in pages, while tasks move.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_common::broker::RecordHead;
use flotilla_common::model::{
    Category, FoundTask, Priority, TaskFilter, TaskId, TaskKey, TaskState, TaskSummary,
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::index::Index;

const STATES: [TaskState; 4] = [
    TaskState::Running,
    TaskState::Retrying,
    TaskState::Completed,
    TaskState::Failed,
];

fn at(micros: u64) -> Timestamp {
    Timestamp::from_second(1_764_000_000).unwrap()
        + SignedDuration::from_micros(i64::try_from(micros).unwrap())
}

fn head(n: u64, revision: u64, state: TaskState) -> RecordHead {
    let is_failed = matches!(state, TaskState::Failed | TaskState::Retrying);
    RecordHead {
        task_id: TaskId::from_sequence(Category::Scraping, n),
        category: Category::Scraping,
        revision,
        stored_at: at(revision * 1_000),
        summary: TaskSummary {
            state,
            priority: Priority::ALL[(n % 5) as usize],
            // Some are of the same microsecond.
            submitted_at: at(n / 2),
            duration_seconds: None,
            until: None,
            attempt: 1,
            retries: 0,
            brand: n.is_multiple_of(3).then(|| "acme".to_owned()),
            error_class: is_failed.then(|| format!("http_{}", 500 + n % 4).into()),
            error: is_failed.then(|| format!("GET /page/{n}: Service Unavailable")),
        },
    }
}

fn filter(json: serde_json::Value) -> TaskFilter {
    serde_json::from_value(json).unwrap()
}

fn pages(
    index: &mut Index,
    filter: &TaskFilter,
    limit: usize,
    mut between: impl FnMut(&mut Index),
) -> Vec<FoundTask> {
    let (mut all, mut below): (Vec<FoundTask>, Option<TaskKey>) = (Vec::new(), None);
    loop {
        let found = index.find(filter, below, limit, false);
        below = found.tasks.last().map(FoundTask::key);
        all.extend(found.tasks);
        if !found.is_cut {
            return all;
        }
        between(index);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_index_is_what_the_records_say(
        writes in prop::collection::vec((1_u64..40, 0_usize..4), 1..120),
        limit in 1_usize..8,
        first in 0_u64..120,
    ) {
        let mut index = Index::new(1_000);
        let mut expected = BTreeMap::new();
        for (n, (task, state)) in writes.iter().enumerate() {
            let head = head(*task, n as u64 + 1, STATES[*state]);
            index.apply(&head);
            index.apply(&head);
            expected.insert(*task, head);
        }
        index.forget_before(first);
        expected.retain(|_, head| head.revision >= first);
        prop_assert_eq!(index.len(), expected.len());
        for (json, takes) in [
            (serde_json::json!({}), (|_: &RecordHead| true) as fn(&RecordHead) -> bool),
            (serde_json::json!({"state": "failed"}), |head| head.summary.state == TaskState::Failed),
            (serde_json::json!({"brand": "acme", "priority": "normal,low"}), |head| {
                head.summary.brand.is_some()
                    && [Priority::Normal, Priority::Low].contains(&head.summary.priority)
            }),
            (serde_json::json!({"error_class": ["http_501"], "text": "service UNAVAIL"}), |head| {
                head.summary.error_class == Some("http_501".into())
            }),
            (serde_json::json!({"text": "/page/7:"}), |head| {
                head.summary.error.as_ref().is_some_and(|error| error.contains("/page/7:"))
            }),
        ] {
            let listed = pages(&mut index, &filter(json.clone()), limit, |_| {});
            let mut wanted: Vec<_> = expected.values().filter(|head| takes(head)).collect();
            wanted.sort_by_key(|head| {
                std::cmp::Reverse(TaskKey::of(head.summary.submitted_at, &head.task_id))
            });
            prop_assert_eq!(listed.len(), wanted.len(), "{}", json);
            for (found, head) in listed.iter().zip(wanted) {
                prop_assert_eq!(&found.task_id, &head.task_id);
                prop_assert_eq!(&found.summary, &head.summary);
                prop_assert_eq!(found.changed_at, head.stored_at);
            }
        }
    }
}

#[test]
fn pages_show_every_task_once_while_all_of_them_move() {
    let mut index = Index::new(1_000);
    for n in 1..=100 {
        index.apply(&head(n, n, TaskState::Running));
    }
    let mut revision = 100;
    let listed = pages(&mut index, &TaskFilter::default(), 7, |index| {
        // Every page, each task is written anew, and some come.
        for n in 1..=100 {
            revision += 1;
            index.apply(&head(n, revision, STATES[(n % 4) as usize]));
        }
        revision += 1;
        index.apply(&head(1_000 + revision, revision, TaskState::Completed));
    });
    let ids: BTreeSet<_> = listed.iter().map(|task| task.task_id.clone()).collect();
    assert_eq!((listed.len(), ids.len()), (100, 100));
}

#[test]
fn the_oldest_go_where_there_are_too_many() {
    let mut index = Index::new(10);
    for n in 1..=25 {
        index.apply(&head(n, n, TaskState::Completed));
    }
    assert_eq!((index.len(), index.dropped()), (10, 15));
    let found = index.find(&TaskFilter::default(), None, 100, true);
    assert_eq!(found.count, 10);
    let left: BTreeSet<_> = found
        .tasks
        .iter()
        .map(|task| task.task_id.clone())
        .collect();
    let newest = (16..=25).map(|n| TaskId::from_sequence(Category::Scraping, n));
    assert_eq!(left, newest.collect());
}
