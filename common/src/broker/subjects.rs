//! Every subject, stream and consumer name of the fleet, in one place.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE;

use crate::model::{Category, Dependency, DocumentKey, Priority, TaskId};

/// Metrics reports and breaker changes of all processes.
pub(super) const EVENTS: &str = "fleet.events";
/// Where all processes that keep an index are called at once.
pub(super) const INDEX_CALLS: &str = "fleet.indexes";
/// Where the stats service answers.
pub const STATS_REQUEST: &str = "fleet.stats";
/// Where it finds tasks.
pub const TASKS_REQUEST: &str = "fleet.tasks";
/// Where it tells what happened when.
pub const SERIES_REQUEST: &str = "fleet.series";

/// Why a dead letter died, as JSON, beside the headers that the task came with.
pub(super) const DEAD_LETTER_HEADER: &str = "Flotilla-Dead-Letter";

/// What is known of a task without its record's body, as JSON.
pub(super) const RECORD_SUMMARY: &str = "Flotilla-Task";

pub(super) const RESULTS_STREAM: &str = "RESULTS";
pub(super) const DEAD_STREAM: &str = "DEAD";
/// Tasks that were cancelled or expired, to be run again.
pub(super) const ENDED_STREAM: &str = "ENDED";
pub(super) const EVENTS_STREAM: &str = "EVENTS";
pub(super) const STATS_STREAM: &str = "STATS";
/// What operators set, and the breakers that the fleet shares: one message per subject.
pub(super) const CONTROL_STREAM: &str = "CONTROL";
/// Tasks for later: schedules, and what has fired and is on its way into its queue.
pub(super) const SCHED_STREAM: &str = "SCHED";
pub(super) const SCHED_SUBJECTS: [&str; 4] = [
    "schedules.once.*",
    "schedules.recurring.*",
    "due.*.*",
    "due.*.*.*",
];
/// The indexed documents: the latest version of each, or its tombstone.
pub(super) const DOCUMENTS_STREAM: &str = "DOCUMENTS";
/// The object that holds the body of a message that was too large for it.
pub const OBJECT_HEADER: &str = "Flotilla-Object";
/// What is too large for a message, in the layout of every client's object store.
pub(super) const OBJECTS_STREAM: &str = "OBJ_flotilla";
pub(super) const OBJECT_METAS: &str = "$O.flotilla.M.>";
pub(super) const OBJECT_PIECES: &str = "$O.flotilla.C.";
/// What is known of a document without its body, as JSON.
pub(super) const SUMMARY_HEADER: &str = "Flotilla-Document";
/// What the stats service keeps: its state, the outcomes by their records, and what happened when.
pub(super) const STATS_SUBJECTS: [&str; 3] =
    ["stats.snapshot", "stats.outcomes", "stats.series.*.*"];

/// How the streams of tasks begin.
pub(super) const TASKS_STREAMS: &str = "TASKS_";

pub(super) fn tasks_stream(category: Category) -> String {
    format!("{TASKS_STREAMS}{}", category.name().to_uppercase())
}

/// The durable consumer of a priority: `scraping_normal`.
pub(super) fn consumer(category: Category, priority: Priority) -> String {
    format!("{category}_{priority}")
}

/// Every category and priority there is.
pub(super) fn lanes() -> impl Iterator<Item = (Category, Priority)> {
    Category::all().flat_map(|category| Priority::ALL.map(|priority| (category, priority)))
}

/// Where an id would stand in the subject of a stored task that came without one. No id has this sign.
pub(super) const NO_ID: &str = "~";

/// Whether a subject is a place for answers, and nothing else.
pub(super) fn is_inbox(subject: &str) -> bool {
    subject.starts_with("_INBOX") && !subject.contains(['*', '>'])
}

/// Where a task without an id in its subject is published.
pub(super) fn lane_subject(category: Category, priority: Priority) -> String {
    format!("tasks.{category}.{priority}")
}

/// All subjects that tasks of a priority are published on.
pub(super) fn lane_subjects(category: Category, priority: Priority) -> [String; 2] {
    let subject = lane_subject(category, priority);
    [subject.clone(), format!("{subject}.*")]
}

/// What tasks of a priority are stored under, which is one pattern whether they came with an id or
/// not: with two filters the server compares all that waits, for every task that it hands out.
pub(super) fn queued(category: Category, priority: Priority) -> String {
    format!("tasks.{category}.{priority}.*")
}

/// The tasks that came without an id, as they are published and as they are stored.
pub(super) fn without_id(category: Category) -> [String; 2] {
    let published = format!("tasks.{category}.*");
    let stored = format!("tasks.{category}.{{{{wildcard(1)}}}}.{NO_ID}");
    [published, stored]
}

/// Where a task is published: `tasks.<category>.<priority>.<task_id>`.
pub(super) fn task_subject(category: Category, priority: Priority, id: &TaskId) -> String {
    // Made for every task, like that of its record: without formatting it is made in half the time.
    [
        "tasks.",
        category.name(),
        ".",
        priority.name(),
        ".",
        id.as_str(),
    ]
    .concat()
}

/// What the broker is to queue at a time.
pub(super) fn once_schedule(id: &TaskId) -> String {
    format!("schedules.once.{id}")
}

/// All of those.
pub(super) fn once_schedule_any() -> String {
    "schedules.once.*".to_owned()
}

/// What the broker is to queue again and again.
pub(super) fn recurring_schedule(id: &str) -> String {
    format!("schedules.recurring.{id}")
}

/// Where a schedule fires a task of this id.
pub(super) fn due_task(category: Category, priority: Priority, id: &TaskId) -> String {
    format!("due.{category}.{priority}.{id}")
}

/// Where a schedule fires tasks that get an id each.
pub(super) fn due_lane(category: Category, priority: Priority) -> String {
    format!("due.{category}.{priority}")
}

/// The parts of what a schedule fires at.
pub(super) fn parse_due(subject: &str) -> Option<(Category, Priority, Option<&str>)> {
    parse_lane(subject.strip_prefix("due.")?)
}

/// Where a task's record is stored.
pub(super) fn result(category: Category, id: &TaskId) -> String {
    ["results.", category.name(), ".", id.as_str()].concat()
}

/// Where the server repeats a record once it is stored. Watchers listen here and not on
/// [`result`], where a write that the server goes on to refuse would be heard as well.
pub(super) fn outcome(category: &str, id: &str) -> String {
    format!("outcomes.{category}.{id}")
}

/// Where the pieces of a task's answer are said while it is made.
pub(super) fn tokens(category: &str, id: &TaskId) -> String {
    format!("tokens.{category}.{id}")
}

/// The category and the task that a record is of.
pub(super) fn parse_result(subject: &str) -> Option<(Category, TaskId)> {
    let (category, id) = subject.strip_prefix("results.")?.split_once('.')?;
    let category = Category::named(category)?;
    Some((category, id.parse().ok()?))
}

pub(super) fn dead_letter(category: Category, id: &TaskId) -> String {
    format!("dead.{category}.{id}")
}

pub(super) fn ended(category: Category, id: &TaskId) -> String {
    format!("ended.{category}.{id}")
}

/// Where all workers of a category are called at once.
pub(super) fn worker_calls(category: Category) -> String {
    format!("fleet.workers.{category}")
}

/// Where attempts are handed to whoever serves a category in a process of its own.
pub(super) fn handlers(category: Category) -> String {
    format!("handlers.{category}")
}

/// Where they are told to stop.
pub(super) fn handler_stop(category: Category, id: &TaskId) -> String {
    format!("handlers.{category}.stop.{id}")
}

pub(super) fn handler_stops(category: Category) -> String {
    format!("handlers.{category}.stop.*")
}

/// Where an object is described.
pub(super) fn object_meta(name: &str) -> String {
    format!("$O.flotilla.M.{}", BASE64_URL_SAFE.encode(name))
}

/// Where the pieces of an object are.
pub(super) fn object_pieces(nuid: &str) -> String {
    format!("{OBJECT_PIECES}{nuid}")
}

pub(super) fn document(key: &DocumentKey) -> String {
    format!("documents.{key}")
}

/// All documents, or those of a brand, which is named by its token.
pub(super) fn documents(brand: Option<&str>) -> String {
    format!("documents.{}.*", brand.unwrap_or("*"))
}

pub(super) fn parse_document(subject: &str) -> Option<DocumentKey> {
    DocumentKey::parse(subject.strip_prefix("documents.")?)
}

/// What operators set for a category.
pub(super) fn category_control(category: Category) -> String {
    format!("control.category.{category}")
}

/// What services tell each other beside that, by a name of theirs.
pub(super) fn note(name: &str) -> String {
    format!("control.note.{name}")
}

/// A breaker as the fleet shares it.
pub(super) fn circuit(dependency: Dependency) -> String {
    format!("control.breaker.{}", dependency.name())
}

/// All tasks of a category, as they are stored.
pub(super) fn tasks_of(category: Category) -> String {
    format!("tasks.{category}.*.*")
}

/// The records of a category.
pub(super) fn results_of(category: Category) -> String {
    format!("results.{category}.*")
}

/// What the server repeats of them.
pub(super) fn outcomes_of(category: Category) -> String {
    outcome(category.name(), "*")
}

pub(super) fn tokens_of(category: Category) -> String {
    format!("tokens.{category}.*")
}

pub(super) fn dead_letters_of(category: Category) -> String {
    format!("dead.{category}.*")
}

pub(super) fn ended_of(category: Category) -> String {
    format!("ended.{category}.*")
}

/// The parts of a task subject: category, priority and, where it has one, the id's token.
pub(super) fn parse_task(subject: &str) -> Option<(Category, Priority, Option<&str>)> {
    parse_lane(subject.strip_prefix("tasks.")?)
}

fn parse_lane(rest: &str) -> Option<(Category, Priority, Option<&str>)> {
    let mut tokens = rest.split('.');
    let category = tokens.next()?;
    let category = Category::named(category)?;
    let priority = tokens.next()?;
    let priority = Priority::ALL.into_iter().find(|p| p.name() == priority)?;
    let id = tokens.next().filter(|id| *id != NO_ID);
    tokens.next().is_none().then_some((category, priority, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_subjects_parse_back() {
        let id: TaskId = "a-1".parse().unwrap();
        for category in Category::all() {
            for priority in Priority::ALL {
                let subject = task_subject(category, priority, &id);
                assert_eq!(
                    parse_task(&subject),
                    Some((category, priority, Some("a-1")))
                );
                for subject in [
                    lane_subject(category, priority),
                    queued(category, priority).replace('*', NO_ID),
                ] {
                    assert_eq!(parse_task(&subject), Some((category, priority, None)));
                }
            }
        }
    }

    #[test]
    fn no_id_is_taken_for_none() {
        assert!(NO_ID.parse::<TaskId>().is_err());
    }

    #[test]
    fn what_is_of_a_category_is_of_any_of_its_tasks() {
        let any = |subject: String| subject.replace("a-1", "*");
        let id: TaskId = "a-1".parse().unwrap();
        for category in Category::BUILT_IN {
            assert_eq!(any(result(category, &id)), results_of(category));
            assert_eq!(any(outcome(category.name(), "a-1")), outcomes_of(category));
            assert_eq!(any(tokens(category.name(), &id)), tokens_of(category));
            assert_eq!(any(dead_letter(category, &id)), dead_letters_of(category));
            assert_eq!(any(ended(category, &id)), ended_of(category));
            let task = task_subject(category, Priority::Low, &id).replace("low", "*");
            assert_eq!(any(task), tasks_of(category));
        }
    }

    #[test]
    fn other_subjects_are_no_tasks() {
        for subject in [
            "tasks",
            "tasks.scraping",
            "tasks.scraping.urgent",
            "tasks.x.normal",
            "tasks.query.low.a.b",
            "results.query.a",
        ] {
            assert_eq!(parse_task(subject), None, "{subject}");
        }
    }
}
