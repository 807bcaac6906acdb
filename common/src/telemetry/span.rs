//! A span as it is exported: made from what is known, often when it is long over.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::model::{SpanId, TraceContext, TraceId};

/// As OTLP numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Internal = 1,
    Server = 2,
    Client = 3,
    Producer = 4,
    Consumer = 5,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Text(Cow<'static, str>),
    Number(i64),
    Flag(bool),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    pub(super) context: TraceContext,
    pub(super) parent: Option<SpanId>,
    pub(super) name: Cow<'static, str>,
    pub(super) kind: Kind,
    /// Nanoseconds since 1970.
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) attributes: Vec<(&'static str, Value)>,
    pub(super) links: Vec<TraceContext>,
    /// The class of what went wrong, never its message, which may tell what is private.
    pub(super) error: Option<Cow<'static, str>>,
}

impl Span {
    /// From one time to another. A clock that was set back, and another machine's, make no span
    /// that ends before it began; nor as it began, which Jaeger takes for a wrong clock as well.
    pub fn new(
        context: TraceContext,
        parent: Option<SpanId>,
        name: impl Into<Cow<'static, str>>,
        kind: Kind,
        (start, end): (Timestamp, Timestamp),
    ) -> Self {
        let start = nanoseconds(start);
        Self {
            context,
            parent,
            name: name.into(),
            kind,
            start,
            end: nanoseconds(end).max(start + 1),
            attributes: Vec::with_capacity(10),
            links: Vec::new(),
            error: None,
        }
    }

    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }

    #[must_use]
    pub fn maybe(self, name: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    #[must_use]
    pub fn linked(mut self, to: Option<TraceContext>) -> Self {
        self.links.extend(to);
        self
    }

    /// It went wrong, with an error of this class.
    #[must_use]
    pub fn failed(mut self, class: impl Into<Cow<'static, str>>) -> Self {
        self.fail(class);
        self
    }

    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        self.attributes.push((name, value.into()));
    }

    pub fn fail(&mut self, class: impl Into<Cow<'static, str>>) {
        let class = class.into();
        self.set("error.type", class.clone());
        self.error = Some(class);
    }

    /// Now, unless its clock was set back since it began.
    pub(super) fn end_now(&mut self) {
        self.end = nanoseconds(Timestamp::now()).max(self.start + 1);
    }

    pub fn context(&self) -> &TraceContext {
        &self.context
    }

    pub fn trace(&self) -> TraceId {
        self.context.trace
    }
}

fn nanoseconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_nanosecond()).unwrap_or_default()
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<Cow<'static, str>> for Value {
    fn from(text: Cow<'static, str>) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl From<$number> for Value {
            fn from(number: $number) -> Self {
                Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
            }
        }
    )*};
}

numbers!(u16, u32, u64, usize, i64);
