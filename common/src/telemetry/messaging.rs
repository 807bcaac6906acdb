//! The spans of a task on its way through the broker: sent, and processed. Of a task that is traced they
//! are most, so that what all those of a lane have in common is written once.

use std::sync::OnceLock;

use jiff::Timestamp;

use super::send::Sent;
use super::span::{Kind, Span, number, write_attribute};
use crate::model::{CUSTOM_MAX, Category, Priority, SpanId, TraceContext};

const CATEGORIES_MAX: usize = Category::BUILT_IN.len() + CUSTOM_MAX;

/// What is done with the message. The number is its place in the table.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operation {
    Send = 0,
    Process = 1,
}

/// What the spans of one operation on one lane have in common.
struct Common {
    name: String,
    /// As they are in a span.
    attributes: Vec<u8>,
}

impl Operation {
    const COUNT: usize = 2;

    const fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Process => "process",
        }
    }

    const fn kind(self) -> Kind {
        match self {
            Self::Send => Kind::Producer,
            Self::Process => Kind::Consumer,
        }
    }

    pub(super) fn span(
        self,
        task: Sent<'_>,
        context: &TraceContext,
        parent: Option<SpanId>,
        at: (Timestamp, Timestamp),
    ) -> Span {
        let common = Common::of(self, task.category, task.priority);
        Span::new(context, parent, common.name.as_str(), self.kind(), at)
            .with_written(&common.attributes)
            .with("messaging.message.id", task.id.as_str())
            .with("messaging.message.body.size", number(task.body_bytes))
    }
}

impl Common {
    fn of(operation: Operation, category: Category, priority: Priority) -> &'static Self {
        const PRIORITIES: usize = Priority::ALL.len();
        static KNOWN: [[[OnceLock<Common>; PRIORITIES]; CATEGORIES_MAX]; Operation::COUNT] =
            [const { [const { [const { OnceLock::new() }; PRIORITIES] }; CATEGORIES_MAX] };
                Operation::COUNT];
        let lanes = &KNOWN[operation as usize];
        let known = &lanes[category.index()][priority.index()];
        known.get_or_init(|| Self::new(operation, category, priority))
    }

    fn new(operation: Operation, category: Category, priority: Priority) -> Self {
        // Where a task waits, without its id.
        let destination = format!("tasks.{category}.{priority}");
        let operation = operation.name();
        let mut attributes = Vec::new();
        for (name, value) in [
            ("messaging.system", "nats"),
            ("messaging.operation.type", operation),
            ("messaging.operation.name", operation),
            ("messaging.destination.name", &destination),
        ] {
            write_attribute(&mut attributes, name, value);
        }
        Self {
            name: format!("{operation} {destination}"),
            attributes,
        }
    }
}
