//! Every family there is. Names are kept: dashboards, alerts and autoscalers are made of them.

use super::family::{Family, Kind};

macro_rules! families {
    ($($id:ident: $kind:ident $name:literal [$($label:literal)*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub static $id: Family = Family {
                name: $name,
                kind: Kind::$kind,
                labels: &[$($label),*],
                help: $help,
            };
        )*
        /// In the order in which they are written.
        pub static FAMILIES: &[&Family] = &[$(&$id),*];
    };
}

families! {
    BUILD_INFO: State "flotilla_build_info" ["version"]
        "1, for the version that runs.";
    SERVICE_READY: State "flotilla_service_ready" ["service"]
        "Whether a service of this process is at work: connected, and its consumers bound.";
    EVENT_LOOP_LAG: Gauge "flotilla_event_loop_lag_seconds" []
        "How late the last beat of the event loop is.";
    BROKER_CONNECTIONS: Gauge "flotilla_broker_connections" ["state"]
        "Connections to the broker that are up (connected) or being made anew (disconnected).";
    PUBLISHES_REFUSED: Counter "flotilla_publishes_refused_total" ["reason"]
        "Messages that the broker refused to store; a write that came second is not one of them.";

    TASKS_ENDED: Counter "flotilla_tasks_ended_total" ["category" "priority" "outcome"]
        "Tasks that got their outcome here: completed, failed, cancelled or expired.";
    TASK_ATTEMPTS: Counter "flotilla_task_attempts_total" ["category" "priority" "result"]
        "Attempts that ended: completed, failed for good, retried, or deferred at no cost.";
    TASK_REDELIVERIES: Counter "flotilla_task_redeliveries_total" ["category" "priority"]
        "Deliveries of tasks that had been delivered before: retries, deferrals, and ended leases.";
    TASK_ATTEMPTS_LOST: Counter "flotilla_task_attempts_lost_total" ["category" "priority"]
        "Attempts whose worker was lost, as the next one found out.";
    DEAD_LETTERS: Counter "flotilla_dead_letters_total" ["category" "priority"]
        "Dead letters that were stored.";
    TASK_WAIT: Histogram "flotilla_task_wait_seconds" ["category" "priority"]
        "From a task's submission to its first start; the count is that of the tasks started.";
    TASK_RUN: Histogram "flotilla_task_run_seconds" ["category" "priority"]
        "How long handlers ran, by attempt; deferred ones left out.";
    SLOTS: Gauge "flotilla_slots" ["category"]
        "Tasks that this process runs at once.";
    SLOTS_USED: Gauge "flotilla_slots_used" ["category"]
        "Tasks that run in it now.";
    WORKER_RECEIVING: Gauge "flotilla_worker_receiving" ["category"]
        "1, or 0 for a worker that hears nothing of the tasks that wait for it.";
    BREAKER_STATE: State "flotilla_breaker_state" ["dependency" "state"]
        "1 for the state of a circuit breaker as this process has it: closed, open or half_open.";
    TRACE_SPANS: Counter "flotilla_trace_spans_total" ["result"]
        "Spans of traces that were exported, dropped (no room), or failed (not taken).";
    METRIC_EXPORTS: Counter "flotilla_metric_exports_total" ["result"]
        "Pushes of these numbers by OTLP that were exported, failed, or are unsupported (by a collector that takes only traces).";

    HTTP_REQUESTS: Histogram "flotilla_http_request_seconds" ["route" "method" "status"]
        "Until an answer begins, by route template; the count is that of the requests.";
    HTTP_IN_FLIGHT: Gauge "flotilla_http_requests_in_flight" []
        "Requests that are not answered yet.";
    HTTP_STREAMS: Gauge "flotilla_http_streams" []
        "Streams of server-sent events that are open.";

    FLEET_TASKS: Gauge "flotilla_fleet_tasks" ["category" "priority" "state"]
        "Tasks without an outcome: waiting (never started), running, backing_off (retry or deferral to come), due (that time has come).";
    FLEET_RUNNABLE: Gauge "flotilla_fleet_runnable_tasks" ["category" "priority"]
        "Tasks that a free slot would start: waiting and due, without those of paused priorities.";
    FLEET_WANTED_SLOTS: Gauge "flotilla_fleet_wanted_slots" ["category"]
        "Slots that would all be at work now: of tasks that run, and of runnable ones.";
    FLEET_OLDEST_RUNNABLE: Gauge "flotilla_fleet_oldest_runnable_age_seconds" ["category" "priority"]
        "For how long the first of the runnable tasks could have started; 0 where there is none.";
    FLEET_PAUSED: State "flotilla_fleet_paused" ["category" "priority"]
        "1 where an operator has paused the priority.";
    FLEET_TASKS_ENDED: Counter "flotilla_fleet_tasks_ended_total" ["category" "priority" "outcome"]
        "Tasks that got their outcome, in all processes, as the statistics count them.";
    FLEET_TASK_ATTEMPTS: Counter "flotilla_fleet_task_attempts_total" ["category" "priority" "result"]
        "Attempts that ended, in all processes.";
    FLEET_TASK_REDELIVERIES: Counter "flotilla_fleet_task_redeliveries_total" ["category" "priority"]
        "Deliveries of tasks that had been delivered before, in all processes.";
    FLEET_TASK_ATTEMPTS_LOST: Counter "flotilla_fleet_task_attempts_lost_total" ["category" "priority"]
        "Attempts whose worker was lost, in all processes.";
    FLEET_DEAD_LETTERS: Counter "flotilla_fleet_dead_letters_total" ["category" "priority"]
        "Dead letters that were stored, by all processes.";
    FLEET_TASK_WAIT: Histogram "flotilla_fleet_task_wait_seconds" ["category" "priority"]
        "From a task's submission to its first start, in all processes.";
    FLEET_TASK_RUN: Histogram "flotilla_fleet_task_run_seconds" ["category" "priority"]
        "How long handlers ran, by attempt, in all processes.";
    FLEET_SLOTS: Gauge "flotilla_fleet_slots" ["category"]
        "Tasks that the live workers run at once.";
    FLEET_SLOTS_USED: Gauge "flotilla_fleet_slots_used" ["category"]
        "Tasks that run in them now.";
    FLEET_INSTANCES: Gauge "flotilla_fleet_instances" ["service" "state"]
        "Processes of each service that should be there: alive, missing (silent without a goodbye), deaf (alive, and receives no tasks), or unserved (alive, and nobody is there to whom it could hand them).";
    FLEET_BREAKER_STATE: State "flotilla_fleet_breaker_state" ["dependency" "state"]
        "1 for the state of a circuit breaker as the fleet last heard: closed, open or half_open.";
    FLEET_DEPENDENCY: State "flotilla_fleet_dependency_condition" ["dependency" "condition"]
        "1 for the worst that the live processes say of a dependency: up, down, disabled or unknown.";
    STREAM_BYTES: Gauge "flotilla_fleet_stream_bytes" ["stream"]
        "What a stream of the broker holds.";
    STREAM_LIMIT: Gauge "flotilla_fleet_stream_limit_bytes" ["stream"]
        "What it may hold, where that is limited.";
    STREAM_MESSAGES: Gauge "flotilla_fleet_stream_messages" ["stream"]
        "Messages in it; of DEAD: dead letters, of SCHED: what is scheduled.";
    STREAM_MESSAGES_LIMIT: Gauge "flotilla_fleet_stream_limit_messages" ["stream"]
        "Messages that it may hold, where that is limited.";
    STORAGE_BYTES: Gauge "flotilla_fleet_storage_bytes" []
        "What all streams of the account hold.";
    STORAGE_LIMIT: Gauge "flotilla_fleet_storage_limit_bytes" []
        "What they may hold, where the account is limited.";
    STATS_LAG: Gauge "flotilla_stats_lag_events" []
        "Events of the fleet's log that the statistics have yet to take in.";
    STATS_INDEX_LAG: Gauge "flotilla_stats_index_lag_records" []
        "Records that the index of tasks has yet to take in.";
    STATS_LOOK_AGE: Gauge "flotilla_stats_look_age_seconds" []
        "How old the last look at queues and streams is: what says how much waits is as old.";

    PROCESS_CPU: Counter "process_cpu_seconds_total" []
        "Processor time, user and system.";
    PROCESS_MEMORY: Gauge "process_resident_memory_bytes" []
        "Resident memory.";
    PROCESS_FDS: Gauge "process_open_fds" []
        "Open file descriptors.";
    PROCESS_FDS_MAX: Gauge "process_max_fds" []
        "File descriptors that may be open.";
    PROCESS_START: Gauge "process_start_time_seconds" []
        "When the process started, in seconds since 1970.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_as_prometheus_wants_them() {
        let mut names = BTreeSet::new();
        for family in FAMILIES {
            let name = family.name;
            assert!(names.insert(name), "{name} is there twice");
            assert_eq!(
                family.kind == Kind::Counter,
                name.ends_with("_total"),
                "{name}"
            );
            assert!(
                family.kind != Kind::Histogram || family.unit() == Some("seconds"),
                "{name}"
            );
            assert!(family.help.ends_with('.'), "{name}");
            let is_ours = name.starts_with("flotilla_") || name.starts_with("process_");
            assert!(
                is_ours && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
                "{name}"
            );
            for label in family.labels {
                assert!(
                    !["task", "task_id", "id", "tenant", "brand", "le"].contains(label),
                    "{name}"
                );
            }
        }
    }
}
