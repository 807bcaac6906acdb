//! Traces as a real Jaeger tells them, held against the rules of `flotilla_tests::traces`.
//! `./just test-jaeger` gets a Jaeger; `./just test` leaves these out.

mod again;
mod batch;
mod collector;
mod fleet;
mod foreign;
mod later;
mod lost;
mod retries;
mod submitted;

use fleet::Traced;
