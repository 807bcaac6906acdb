//! A nats-server of our own, for one machine: found, configured, started, watched, stopped.

mod binary;
mod config;
mod server;

pub(crate) use config::Config;
pub(crate) use server::NatsServer;
