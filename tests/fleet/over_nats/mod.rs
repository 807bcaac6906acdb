//! The fleet as a client uses it that has a NATS connection and nothing else.

mod ask;
mod calls;
mod discovery;
mod requester;

pub(crate) use requester::client;
