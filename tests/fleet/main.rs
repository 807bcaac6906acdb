//! The fleet's promises, one file for each behaviour, every test on a nats-server of its own.
//! `TEST_LOG=debug cargo test -p flotilla-tests <name>` shows what happens inside.

mod harness;

mod access;
mod answers;
mod batch;
mod breakers;
mod broker_restart;
mod cancel;
mod chaos;
mod cluster;
mod command_line;
mod dead_letters;
mod deaf;
mod dependencies;
mod dependency_health;
mod doctor;
mod drain;
mod duplicates;
mod entrances;
mod health;
mod lost_lease;
mod maintenance;
mod maintenance_schedules;
mod openai;
mod pause;
mod payload_limits;
mod payloads;
mod poison;
mod priorities;
mod programs;
mod progress;
mod retries;
mod schedules;
mod secured;
mod statistics;
mod streams;
mod sweep;
mod throughput;
mod time_limits;
mod topology;
mod versions;
mod waiting;
mod whole_fleet;
mod why_waiting;
mod worker_lost;
