//! Subjects that a user may publish or subscribe to, said in the words of what the code does with
//! a stream. The server compares whole tokens: `query_*` is no pattern, so that consumers are
//! listed one by one.

use std::collections::BTreeSet;

use super::super::subjects::{consumer, tasks_stream};
use crate::model::{Category, Priority};

pub(in crate::broker) const API: &str = "$JS.API";

/// Patterns as the server's configuration has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    pub publish: BTreeSet<String>,
    pub subscribe: BTreeSet<String>,
    /// How often it may answer what it is asked, at the inbox that the question names.
    pub answers: Answers,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answers {
    #[default]
    Never,
    Once,
    /// For as long as an attempt may run: signs of life, progress, and the last word.
    AsItGoes,
}

impl Grants {
    pub(super) fn publish(&mut self, subject: impl Into<String>) {
        self.publish.insert(subject.into());
    }

    pub(super) fn subscribe(&mut self, subject: impl Into<String>) {
        self.subscribe.insert(subject.into());
    }

    fn api(&mut self, call: &str) {
        self.publish(format!("{API}.{call}"));
    }

    /// What the account may store; every service ends its connection with this question.
    pub(super) fn ask_account(&mut self) {
        self.api("INFO");
    }

    /// What a stream is, and how much is in it. With a filter it tells subjects, and so ids.
    pub(super) fn inspect(&mut self, stream: &str) {
        self.api(&format!("STREAM.INFO.{stream}"));
    }

    pub(super) fn make(&mut self, stream: &str) {
        self.inspect(stream);
        self.api(&format!("STREAM.CREATE.{stream}"));
        self.api(&format!("STREAM.UPDATE.{stream}"));
    }

    /// The last message of these subjects, and of no others.
    pub(super) fn look_up(&mut self, stream: &str, subjects: &str) {
        self.api(&format!("DIRECT.GET.{stream}.{subjects}"));
    }

    /// Any message of a stream: the question is in the body, where no permission looks.
    pub(super) fn browse(&mut self, stream: &str) {
        self.api(&format!("DIRECT.GET.{stream}"));
    }

    /// The same from the leader, headers and body encoded.
    pub(super) fn scan(&mut self, stream: &str) {
        self.inspect(stream);
        self.api(&format!("STREAM.MSG.GET.{stream}"));
    }

    /// All of a stream in order, and what comes: by a consumer that lives as long as its reader.
    pub(super) fn follow(&mut self, stream: &str) {
        // Without a name in the subject: the consumers of others cannot be replaced.
        self.api(&format!("CONSUMER.CREATE.{stream}"));
        self.api(&format!("CONSUMER.MSG.NEXT.{stream}.*"));
        self.api(&format!("CONSUMER.DELETE.{stream}.*"));
    }

    /// Messages one by one, by their sequence.
    pub(super) fn remove(&mut self, stream: &str) {
        self.api(&format!("STREAM.MSG.DELETE.{stream}"));
    }

    pub(super) fn purge(&mut self, stream: &str) {
        self.api(&format!("STREAM.PURGE.{stream}"));
    }

    /// How much waits in a category, by priority, and how much is handed out.
    pub(super) fn count_tasks(&mut self, category: Category) {
        self.lanes("CONSUMER.INFO", category);
    }

    pub(super) fn make_consumers(&mut self, category: Category) {
        self.count_tasks(category);
        self.lanes("CONSUMER.CREATE", category);
    }

    /// Pulls, and whatever answers them.
    pub(super) fn take_tasks(&mut self, category: Category) {
        self.lanes("CONSUMER.MSG.NEXT", category);
        for priority in Priority::ALL {
            let lane = lane(category, priority);
            // With 9 tokens, and with the 11 or 12 that name domain and account.
            self.publish(format!("$JS.ACK.{lane}.>"));
            self.publish(format!("$JS.ACK.*.*.{lane}.>"));
        }
    }

    fn lanes(&mut self, call: &str, category: Category) {
        for priority in Priority::ALL {
            self.api(&format!("{call}.{}", lane(category, priority)));
        }
    }

    /// What streams and consumers there are, and how they are; by the API of the own account, or
    /// as outsiders call that of the fleet's.
    pub(super) fn list(&mut self, api: &str) {
        for call in [
            "INFO",
            "STREAM.NAMES",
            "STREAM.LIST",
            "STREAM.INFO.*",
            "CONSUMER.NAMES.*",
            "CONSUMER.LIST.*",
            "CONSUMER.INFO.*.*",
        ] {
            self.publish(format!("{api}.{call}"));
        }
    }

    /// Found by `nats service ls`, and by whoever calls it.
    pub(super) fn serve(&mut self, subjects: &[&str]) {
        for subject in subjects {
            self.subscribe(*subject);
        }
        self.subscribe("$SRV.>");
        self.answers = Answers::Once;
    }
}

fn lane(category: Category, priority: Priority) -> String {
    format!(
        "{}.{}",
        tasks_stream(category),
        consumer(category, priority)
    )
}
