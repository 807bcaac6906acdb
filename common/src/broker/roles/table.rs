//! What each role does. What is not written here is not allowed.

use super::super::deletions::advisories;
use super::super::facts::stream_names;
use super::super::streams::{StreamLimits, schedules, streams};
use super::super::subjects::{
    CONTROL_STREAM, DEAD_STREAM, DOCUMENTS_STREAM, ENDED_STREAM, EVENTS, EVENTS_STREAM,
    INDEX_CALLS, OBJECT_METAS, OBJECT_PIECES, OBJECTS_STREAM, RESULTS_STREAM, SCHED_STREAM,
    SERIES_REQUEST, STATS_REQUEST, STATS_STREAM, STATS_SUBJECTS, TASKS_REQUEST, category_control,
    dead_letters_of, documents, ended_of, handler_stops, handlers, lane_subjects, note,
    once_schedule_any, outcome, outcomes_of, recurring_schedule, results_of, tasks_of,
    tasks_stream, tokens_of, worker_calls,
};
use super::grants::{API, Answers};
use super::{Grants, OUTSIDE_API, Role};
use crate::model::{Call, Category, Does, Priority};

/// Where the server's own account would answer the doctor.
const ABOUT_SERVER: &str = "$SYS.REQ.SERVER.PING.VARZ";
/// Requests that tell figures and states, and nothing that a task says.
const FIGURES: [&str; 8] = [
    "category-list",
    "queue-list",
    "breaker-list",
    "health-get",
    "worker-list",
    "stats-get",
    "series-get",
    "protocol-get",
];
const ANY_BREAKER: &str = "control.breaker.*";

pub(super) fn of(role: Role) -> Grants {
    let mut grants = Grants::default();
    let g = &mut grants;
    match role {
        Role::Gateway => gateway(g),
        Role::Stats => stats(g),
        Role::Worker(category) => worker(g, category),
        Role::Publisher(Some(category)) => publish(g, category),
        Role::Publisher(None) => {
            every(|category| publish(g, category));
            // A schedule names what it fires at in a header, where no permission looks: only who
            // may publish every category may schedule.
            g.publish(once_schedule_any());
            g.publish(recurring_schedule("*"));
        }
        Role::Reader(Some(category)) => read(g, category),
        Role::Reader(None) => {
            every(|category| read(g, category));
            g.subscribe(outcome("*", "*"));
            // The gateway does not ask whose a task is.
            call(g, "task-get");
            call(g, "task-list");
        }
        Role::Operator => {
            gateway(g);
            stats(g);
            every(|category| worker(g, category));
            g.list(API);
            g.publish(ABOUT_SERVER);
            for call in Call::ALL {
                g.publish(call.subject());
            }
        }
        Role::Handler(category) => {
            g.subscribe(handlers(category));
            g.subscribe(handler_stops(category));
            g.answers = Answers::AsItGoes;
        }
        Role::Monitor => {
            g.list(OUTSIDE_API);
            g.publish(STATS_REQUEST);
            g.publish(SERIES_REQUEST);
            for name in FIGURES {
                call(g, name);
            }
            g.publish("$SRV.>");
            g.subscribe("$JS.EVENT.ADVISORY.>");
        }
        Role::Admin => {
            g.publish(">");
            g.subscribe(">");
        }
    }
    grants
}

fn every(mut each: impl FnMut(Category)) {
    for category in Category::all() {
        each(category);
    }
}

/// What all services do: report, share breakers, follow what is set, store what is large.
fn service(g: &mut Grants) {
    g.ask_account();
    g.publish(EVENTS);
    g.look_up(CONTROL_STREAM, "control.*.*");
    g.follow(CONTROL_STREAM);
    g.publish(ANY_BREAKER);
    objects(g);
}

/// One bucket for all: its layout is that of every client's object store, whose names and pieces
/// tell no categories apart.
fn objects(g: &mut Grants) {
    g.publish(OBJECT_METAS);
    g.publish(format!("{OBJECT_PIECES}*"));
    g.browse(OBJECTS_STREAM);
    g.look_up(OBJECTS_STREAM, OBJECT_METAS);
    g.scan(OBJECTS_STREAM);
    g.remove(OBJECTS_STREAM);
    g.purge(OBJECTS_STREAM);
}

fn make_topology(g: &mut Grants) {
    // Only the names matter here.
    let limits = StreamLimits::default();
    for stream in streams(&limits).iter().chain([&schedules(&limits)]) {
        g.make(&stream.name);
    }
    every(|category| g.make_consumers(category));
    // What is deleted is made anew.
    for subject in advisories() {
        g.subscribe(subject);
    }
}

fn gateway(g: &mut Grants) {
    service(g);
    make_topology(g);
    every(|category| {
        submit(g, category);
        follow_tasks(g, category);
        end_tasks(g, category);
        g.publish(category_control(category));
        read(g, category);
        g.publish(worker_calls(category));
    });
    // Who waits for a task by its id alone need not know its category.
    g.subscribe(outcome("*", "*"));
    schedule(g);
    g.browse(SCHED_STREAM);
    for (stream, subjects) in [(DEAD_STREAM, "dead.*.*"), (ENDED_STREAM, "ended.*.*")] {
        g.look_up(stream, subjects);
        g.browse(stream);
    }
    g.remove(DEAD_STREAM);
    list_documents(g);
    g.publish(documents(None));
    g.follow(EVENTS_STREAM);
    for question in [STATS_REQUEST, TASKS_REQUEST, SERIES_REQUEST] {
        g.publish(question);
    }
    for call in Call::ALL {
        g.subscribe(call.subject());
    }
    g.serve(&[]);
}

fn stats(g: &mut Grants) {
    service(g);
    for stream in [EVENTS_STREAM, RESULTS_STREAM] {
        g.follow(stream);
        g.inspect(stream);
    }
    for subject in STATS_SUBJECTS {
        g.look_up(STATS_STREAM, subject);
        g.publish(subject);
    }
    every(|category| {
        g.look_up(RESULTS_STREAM, &results_of(category));
        look_into_queue(g, category);
    });
    // How much is stored is told as metrics.
    for stream in stream_names() {
        g.inspect(&stream);
    }
    // Tasks for later are found as well.
    g.browse(SCHED_STREAM);
    g.serve(&[STATS_REQUEST, TASKS_REQUEST, SERIES_REQUEST]);
}

fn worker(g: &mut Grants, category: Category) {
    service(g);
    g.take_tasks(category);
    look_into_queue(g, category);
    // What no client can read is found, and ended, by the server's own API (`quarantine`).
    g.scan(&tasks_stream(category));
    end_tasks(g, category);
    g.publish(dead_letters_of(category));
    every(|other| {
        if Role::Worker(category).reads_records(other) {
            g.look_up(RESULTS_STREAM, &results_of(other));
        }
    });
    g.subscribe(worker_calls(category));
    g.answers = Answers::Once;
    // Where others do the work: the attempts go to them.
    g.publish(handlers(category));
    g.publish(handler_stops(category));
    match category {
        Category::Scraping => {
            // Pages of a site, and what is read of them.
            parent(g, Category::Scraping);
            submit(g, Category::Embedding);
        }
        Category::Query => {
            g.follow(DOCUMENTS_STREAM);
            g.inspect(DOCUMENTS_STREAM);
            g.look_up(DOCUMENTS_STREAM, &documents(None));
            g.subscribe(INDEX_CALLS);
            g.publish(tokens_of(category));
        }
        Category::Embedding => {
            list_documents(g);
            g.publish(documents(None));
            // Which embedder is in use; with another one than before, all is embedded anew.
            g.publish(note("*"));
            submit(g, Category::Maintenance);
        }
        Category::Batch => every(|category| parent(g, category)),
        Category::Maintenance => maintain(g),
        Category::Custom(_) => {}
    }
}

/// Its sweep looks through everything that could still name an object.
fn maintain(g: &mut Grants) {
    parent(g, Category::Embedding);
    list_documents(g);
    g.publish(documents(None));
    g.remove(DOCUMENTS_STREAM);
    for stream in [SCHED_STREAM, DEAD_STREAM, ENDED_STREAM] {
        g.scan(stream);
    }
    every(|category| {
        g.scan(&tasks_stream(category));
        g.count_tasks(category);
        g.look_up(RESULTS_STREAM, &results_of(category));
        g.publish(worker_calls(category));
    });
    g.look_up(OBJECTS_STREAM, &format!("{OBJECT_PIECES}*"));
    // Leases, and its own schedules.
    g.publish(note("*"));
    schedule(g);
    g.publish(INDEX_CALLS);
    g.publish(STATS_REQUEST);
    // How full everything is.
    let limits = StreamLimits::default();
    for stream in streams(&limits) {
        g.inspect(&stream.name);
    }
}

/// Tasks under ids of one's own choice.
fn submit(g: &mut Grants, category: Category) {
    for priority in Priority::ALL {
        let [_, with_id] = lane_subjects(category, priority);
        g.publish(with_id);
    }
    // How large a task may be.
    g.inspect(&tasks_stream(category));
}

/// Submits, and looks what became of it.
fn parent(g: &mut Grants, category: Category) {
    submit(g, category);
    g.look_up(&tasks_stream(category), &tasks_of(category));
    g.look_up(RESULTS_STREAM, &results_of(category));
    g.count_tasks(category);
}

/// All that waits in a queue: the bodies too.
fn look_into_queue(g: &mut Grants, category: Category) {
    let stream = tasks_stream(category);
    g.inspect(&stream);
    g.browse(&stream);
    g.count_tasks(category);
}

fn follow_tasks(g: &mut Grants, category: Category) {
    look_into_queue(g, category);
    g.look_up(&tasks_stream(category), &tasks_of(category));
}

/// Outcomes, and what is kept of a task that can run again.
fn end_tasks(g: &mut Grants, category: Category) {
    g.publish(results_of(category));
    g.publish(ended_of(category));
    g.remove(&tasks_stream(category));
}

fn schedule(g: &mut Grants) {
    g.publish(once_schedule_any());
    g.publish(recurring_schedule("*"));
    g.inspect(SCHED_STREAM);
    g.look_up(SCHED_STREAM, &once_schedule_any());
    g.look_up(SCHED_STREAM, &recurring_schedule("*"));
    g.look_up(SCHED_STREAM, "due.*.*.*");
    g.purge(SCHED_STREAM);
}

fn list_documents(g: &mut Grants) {
    g.inspect(DOCUMENTS_STREAM);
    g.follow(DOCUMENTS_STREAM);
    g.browse(DOCUMENTS_STREAM);
    g.look_up(DOCUMENTS_STREAM, &documents(None));
}

/// From outside the fleet: tasks, and requests for their outcomes, which come as answers. No reading
/// besides, and no object store, where one header may wipe the bucket.
fn publish(g: &mut Grants, category: Category) {
    for priority in Priority::ALL {
        for subject in lane_subjects(category, priority) {
            g.publish(subject);
        }
    }
    for call in Call::ALL {
        if matches!(call.does, Does::Ask | Does::Submit) {
            let of_category = call.subject().replace(">", category.name());
            g.publish(format!("{of_category}.*"));
            g.publish(of_category);
        }
    }
    call(g, "protocol-get");
}

/// A request that the gateway answers.
fn call(g: &mut Grants, name: &str) {
    let call = Call::ALL.into_iter().find(|call| call.name == name);
    debug_assert!(call.is_some(), "there is no call {name}");
    if let Some(call) = call {
        g.publish(call.subject());
    }
}

/// Outcomes as they come, and of tasks whose ids are known.
fn read(g: &mut Grants, category: Category) {
    g.look_up(RESULTS_STREAM, &results_of(category));
    g.subscribe(outcomes_of(category));
    g.subscribe(tokens_of(category));
}
