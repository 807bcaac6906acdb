//! What every service of the fleet stands on, in one direction:
//! [`model`] (data and rules, no I/O) ← [`metrics`] (what is counted, by name) ← [`telemetry`]
//! (traces) ← [`broker`] (the only code that talks to NATS)
//! ← [`breaker`] (what guards dependencies) ← [`worker`] (pulls, schedules and runs tasks)
//! ← [`service`] (configuration, life cycle). Beside them [`outbound`], how our HTTP clients begin.

pub mod breaker;
pub mod broker;
pub mod metrics;
pub mod model;
pub mod outbound;
pub mod service;
pub mod telemetry;
pub mod worker;

/// What all programs but `flotilla-pdf` allocate with: that one bounds its address space, of which this
/// takes some in advance.
pub use mimalloc::MiMalloc as Allocator;
