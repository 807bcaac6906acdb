//! Circuit breakers that the whole fleet shares. Each process counts failures by itself, and at
//! once; the state is one message per dependency, replaced by compare-and-set: every transition
//! happens once in the fleet, and all processes follow it. Without the broker each process goes
//! by its own judgement.

mod config;
mod machine;
mod order;
mod permit;
mod shared;

pub use config::{Config, Rules};
pub use order::Order;
pub use permit::{Admission, BreakerOpen, Permit};
pub use shared::Breakers;
