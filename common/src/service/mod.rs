//! What makes a program of a service: configuration, logs, signals, exit codes.

mod context;
mod log;
mod main;
mod ops;
mod persist;
mod readiness;
mod running;
mod serve;
mod settings;

pub use crate::model::duration;
pub use context::{Context, Fleet, StartError, Telemetry};
pub use log::Config as LogConfig;
pub use main::{Flags, main, observed, program, report_failure, stop_on_signals};
pub use ops::{Config as OpsConfig, Ops};
pub use persist::persist;
pub use readiness::{Presence, Readiness};
pub use running::{Begin, Running, configured};
pub use serve::serve;
pub use settings::{Settings, SettingsError};
