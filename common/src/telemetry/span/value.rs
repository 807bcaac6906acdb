//! The value of an attribute.

use std::borrow::Cow;

use super::super::wire::{Write, length, varint_length};

/// Those that attributes of ours have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    Text(Cow<'a, str>),
    Number(i64),
    Flag(bool),
}

/// `AnyValue`'s fields.
const TEXT: u64 = 1;
const FLAG: u64 = 2;
const NUMBER: u64 = 3;

impl Value<'_> {
    /// An attribute, as a field of what has it.
    pub(super) fn write(&self, into: &mut Vec<u8>, field: u64, name: &str) {
        let value = match self {
            Self::Text(text) => length(text.len()),
            Self::Flag(_) => 2,
            Self::Number(number) => 1 + varint_length(number.cast_unsigned()),
        };
        into.message(field, length(name.len()) + length(value));
        into.bytes(1, name.as_bytes());
        into.message(2, value);
        match self {
            Self::Text(text) => into.bytes(TEXT, text.as_bytes()),
            Self::Flag(flag) => into.number(FLAG, u64::from(*flag)),
            Self::Number(number) => into.number(NUMBER, number.cast_unsigned()),
        }
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Value<'_> {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

/// Fractions and lists are told as text: no call of ours has any.
impl<'a> From<&'a opentelemetry::Value> for Value<'a> {
    fn from(value: &'a opentelemetry::Value) -> Self {
        match value {
            opentelemetry::Value::Bool(flag) => Self::Flag(*flag),
            opentelemetry::Value::I64(number) => Self::Number(*number),
            other => Self::Text(other.as_str()),
        }
    }
}
