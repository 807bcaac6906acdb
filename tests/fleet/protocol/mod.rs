//! The wire contract, held against a running fleet: what old clients send is accepted, what they
//! read is there, and every message is what its schema says.

mod document;
mod golden;
mod schemas;
mod stored;
mod validator;
