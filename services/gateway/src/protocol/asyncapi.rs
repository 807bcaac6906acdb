//! The contract as AsyncAPI 3.0: channels, messages, and who says what.

use std::collections::BTreeSet;

use flotilla_common::model::{Call, Category, Does, PROTOCOL, Priority};
use serde_json::{Map, Value, json};

use super::Contract;
use super::messages::{self, Message};

/// The fleet, as the one whose messages are described, takes these or says them.
#[derive(Clone, Copy)]
enum Action {
    Receive,
    Send,
}

/// The document while it is made.
#[derive(Default)]
struct Document {
    channels: Map<String, Value>,
    operations: Map<String, Value>,
    messages: Map<String, Value>,
}

pub(super) fn document(contract: &Contract) -> Value {
    let mut document = Document::default();
    document.tasks(messages::tasks(&contract.schemas));
    let said: [(&str, &str, &str, Message); 5] = [
        (
            "outcomes",
            "outcomes.{category}.{task_id}",
            "A task's record, once it is stored.",
            messages::record(),
        ),
        (
            "results",
            "results.{category}.{task_id}",
            "The same as the stream RESULTS keeps it: read it by a direct get.",
            messages::record(),
        ),
        (
            "tokens",
            "tokens.{category}.{task_id}",
            "A question's answer while it is made, where its payload says `stream`.",
            messages::token(),
        ),
        (
            "dead",
            "dead.{category}.{task_id}",
            "Dead letters, as the stream DEAD keeps them.",
            messages::dead_letter(),
        ),
        (
            "events",
            "fleet.events",
            "What all processes report, as the stream EVENTS keeps it.",
            messages::fleet_event(),
        ),
    ];
    for (name, address, about, message) in said {
        document.channel(name, address, about, [message]);
        document.operation(name, Action::Send, about, json!({}));
    }
    document.calls(contract);
    let mut names = BTreeSet::new();
    let messages = Value::Object(document.messages);
    contract.schemas.reach(&messages, &mut names);
    let schemas: Map<_, _> = contract
        .schemas
        .0
        .iter()
        .filter(|(name, _)| names.contains(*name))
        .map(|(name, schema)| (name.clone(), schema.clone()))
        .collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Flotilla",
            "version": PROTOCOL.to_string(),
            "description": "A fleet of task consumers over NATS JetStream. PROTOCOL.md says what is guaranteed, and what may change.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"nats": {"host": "127.0.0.1:4222", "protocol": "nats"}},
        "channels": document.channels,
        "operations": document.operations,
        "components": {"messages": messages, "schemas": schemas},
    })
}

impl Document {
    fn tasks(&mut self, tasks: Vec<Message>) {
        let with_id =
            "A task under an id of the publisher's own; the PubAck says that it is stored.";
        let without = "A task; its id follows from the PubAck's sequence.";
        let messages: Vec<_> = tasks.into_iter().map(|task| self.message(task)).collect();
        for (name, address, about) in [
            ("tasks", "tasks.{category}.{priority}", without),
            (
                "named-tasks",
                "tasks.{category}.{priority}.{task_id}",
                with_id,
            ),
        ] {
            self.put_channel(name, address.into(), about, &messages);
            self.operation(name, Action::Receive, about, json!({}));
        }
    }

    fn calls(&mut self, contract: &Contract) {
        let calls = contract.calls();
        let common = [messages::refusal(), messages::elsewhere()];
        let common = common.map(|message| self.message(message));
        let mut replies = common.to_vec();
        let submissions = messages::submissions().into_iter();
        let submissions: Vec<_> = submissions.map(|one| self.message(one)).collect();
        for call in &Call::ALL {
            let about = calls.about(call);
            let requests = match calls.request(call) {
                None => submissions.clone(),
                Some(payload) => vec![self.message(Message {
                    name: format!("{}-request", call.name),
                    about: "What is asked.",
                    payload,
                    headers: None,
                })],
            };
            let reply = Message {
                name: format!("{}-reply", call.name),
                about: "The answer.",
                payload: calls.reply(call),
                headers: None,
            };
            let reply = self.message(reply);
            replies.push(reply.clone());
            let address = match call.does {
                Does::Ask | Does::Submit => {
                    // The priority may be left out.
                    call.subject().replace('>', "{category}.{priority}")
                }
                Does::Carry(_) | Does::Describe => call.subject(),
            };
            self.put_channel(call.name, address.into(), &about, &requests);
            let in_replies =
                |name: &String| json!({"$ref": format!("#/channels/replies/messages/{name}")});
            let answers: Vec<_> = [&reply]
                .into_iter()
                .chain(&common)
                .map(in_replies)
                .collect();
            let more = json!({
                "bindings": {"nats": {"queue": "q", "bindingVersion": "0.1.0"}},
                "reply": {
                    "address": {
                        "description": "The requester's inbox.",
                        "location": "$message.header#/reply",
                    },
                    "channel": {"$ref": "#/channels/replies"},
                    "messages": answers,
                },
                "tags": [{"name": call.scope.name()}],
            });
            self.operation(call.name, Action::Receive, &about, more);
        }
        let about = "The inbox that a request names.";
        self.put_channel("replies", Value::Null, about, &replies);
    }

    fn channel<const N: usize>(
        &mut self,
        name: &str,
        address: &str,
        about: &str,
        said: [Message; N],
    ) {
        let messages = said.map(|message| self.message(message));
        self.put_channel(name, address.into(), about, &messages);
    }

    fn put_channel(&mut self, name: &str, address: Value, about: &str, messages: &[String]) {
        let one = |name: &String| {
            let target = json!({"$ref": format!("#/components/messages/{name}")});
            (name.clone(), target)
        };
        let messages: Map<_, _> = messages.iter().map(one).collect();
        let mut channel = json!({"address": address, "description": about, "messages": messages});
        let parameters = parameters(address.as_str().unwrap_or_default());
        if !parameters.is_empty() {
            channel["parameters"] = parameters.into();
        }
        self.channels.insert(name.to_owned(), channel);
    }

    fn operation(&mut self, name: &str, action: Action, about: &str, more: Value) {
        let action = match action {
            Action::Receive => "receive",
            Action::Send => "send",
        };
        let mut operation = json!({
            "action": action,
            "channel": {"$ref": format!("#/channels/{name}")},
            "summary": about,
        });
        if let (Some(operation), Value::Object(more)) = (operation.as_object_mut(), more) {
            operation.extend(more);
        }
        self.operations.insert(name.to_owned(), operation);
    }

    /// Its name.
    fn message(&mut self, message: Message) -> String {
        let mut described = json!({
            "name": message.name,
            "summary": message.about,
            "payload": message.payload,
        });
        if let Some(headers) = message.headers {
            described["headers"] = headers;
        }
        self.messages.insert(message.name.clone(), described);
        message.name
    }
}

fn parameters(address: &str) -> Map<String, Value> {
    let all = [
        (
            "category",
            json!({"description": "What kind of work it is.", "examples": Category::BUILT_IN.map(Category::name)}),
        ),
        (
            "priority",
            json!({"description": "How urgent it is.", "enum": Priority::ALL.map(Priority::name)}),
        ),
        (
            "task_id",
            json!({"description": "1 to 128 characters of A-Z a-z 0-9 _ -"}),
        ),
    ];
    all.into_iter()
        .filter(|(name, _)| address.contains(&format!("{{{name}}}")))
        .map(|(name, parameter)| (name.to_owned(), parameter))
        .collect()
}
