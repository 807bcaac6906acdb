//! A nats-server as `deploy/nats` has it: TLS, and a user for each role, with keys made for this
//! test alone; and its users, of whom the server's refusals are heard.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::{ConnectOptions, Event, HeaderMap, Message, ServerError, Subscriber};
use bytes::Bytes;
use futures::StreamExt;

use super::command_line::run;
use super::{Nats, eventually};

const ANSWER_TIME_MAX: Duration = Duration::from_secs(20);

pub(crate) struct Secured {
    pub(crate) nats: Nats,
}

impl Secured {
    /// With these users beside those of the roles: `shop=publisher.query`.
    pub(crate) async fn start(users: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("flotilla-nats-").tempdir();
        let dir = dir.unwrap();
        prepare(dir.path(), users).await;
        // Its port for monitoring is any that is free.
        let arguments = ["--http_port", "-1"].map(str::to_owned).to_vec();
        let nats = Nats::start_in(dir, arguments).await;
        Self { nats }
    }

    pub(crate) fn url(&self) -> String {
        format!("tls://127.0.0.1:{}", self.nats.port())
    }

    pub(crate) fn ca_setting(&self) -> String {
        format!("nats.tls_ca_file={}", fixture("ca.pem").display())
    }

    pub(crate) fn seed(&self, user: &str) -> PathBuf {
        self.nats.dir().join(format!("{user}.nk"))
    }

    /// Flags of a program that is to be this user.
    pub(crate) fn flags(&self, user: &str) -> Vec<String> {
        [
            format!("nats.url={}", self.url()),
            self.ca_setting(),
            format!("nats.nkey_seed_file={}", self.seed(user).display()),
            format!("nats.inbox_prefix=_INBOX_{user}"),
        ]
        .into_iter()
        .flat_map(|setting| ["--set".to_owned(), setting])
        .collect()
    }

    /// What the server has refused anybody.
    pub(crate) fn refusals(&self) -> Vec<String> {
        let said = self.nats.said();
        let lines = said.lines().filter(|line| line.contains("Violation"));
        lines.map(str::to_owned).collect()
    }

    pub(crate) async fn user(&self, name: &str) -> User {
        let refusals = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&refusals);
        let seed = std::fs::read_to_string(self.seed(name)).unwrap();
        let nats = ConnectOptions::new()
            .nkey(seed.trim().to_owned())
            .custom_inbox_prefix(format!("_INBOX_{name}"))
            .add_root_certificates(fixture("ca.pem"))
            .event_callback(move |event| {
                if let Event::ServerError(ServerError::Other(text)) = event {
                    heard.lock().unwrap().push(text);
                }
                std::future::ready(())
            })
            .connect(self.url())
            .await
            .unwrap();
        User { nats, refusals }
    }
}

/// The files of `deploy/nats`; with more users, the one that lists them is made anew.
async fn prepare(dir: &Path, users: &[&str]) {
    let deployed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/nats");
    for name in ["server.conf", "cluster.conf", "authorization.conf"] {
        std::fs::copy(deployed.join(name), dir.join(name)).unwrap();
    }
    for name in ["ca.pem", "server.pem", "server.key"] {
        std::fs::copy(fixture(name), dir.join(name)).unwrap();
    }
    let more: Vec<&str> = users.iter().flat_map(|user| ["--user", user]).collect();
    let path = dir.display().to_string();
    let keys = [&["nats", "keys", "--dir", &path][..], &more].concat();
    run(&keys).await.ends_with(0).says("keys.conf");
    if !users.is_empty() {
        let config = [&["nats", "config"][..], &more].concat();
        let made = run(&config).await.ends_with(0);
        std::fs::write(dir.join("authorization.conf"), made.out).unwrap();
    }
}

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

/// Somebody who knows the protocol, and is allowed what the server lets this user do.
pub(crate) struct User {
    pub(crate) nats: async_nats::Client,
    refusals: Arc<Mutex<Vec<String>>>,
}

impl User {
    /// Whether the server refuses to take a message.
    pub(crate) async fn is_refused(&self, subject: &str, body: impl Into<Bytes>) -> bool {
        self.question(subject, HeaderMap::new(), body.into()).await;
        self.everything_is_heard().await;
        self.was_refused("publish", subject)
    }

    /// Whether the server refuses a subscription.
    pub(crate) async fn is_deaf_to(&self, subject: &str) -> bool {
        let _subscriber = self.nats.subscribe(subject.to_owned()).await.unwrap();
        self.everything_is_heard().await;
        self.was_refused("subscription", subject)
    }

    /// What is answered, or `None` where the server refuses to take the question.
    pub(crate) async fn ask(&self, subject: &str, body: impl Into<Bytes>) -> Option<Message> {
        self.ask_with(subject, HeaderMap::new(), body).await
    }

    pub(crate) async fn ask_with(
        &self,
        subject: &str,
        headers: HeaderMap,
        body: impl Into<Bytes>,
    ) -> Option<Message> {
        let mut answers = self.question(subject, headers, body.into()).await;
        let answered = tokio::time::timeout(ANSWER_TIME_MAX, async {
            tokio::select! {
                answer = answers.next() => answer,
                () = self.refusal("publish", subject) => None,
            }
        });
        answered
            .await
            .unwrap_or_else(|_| panic!("neither answered nor refused: {subject}"))
    }

    /// Publishes, and names where the answer is to go.
    pub(crate) async fn tell(&self, subject: &str, reply: &str, body: &'static str) {
        let (subject, reply) = (subject.to_owned(), reply.to_owned());
        let sent = self
            .nats
            .publish_with_reply(subject.clone(), reply, body.into());
        sent.await.unwrap();
        self.everything_is_heard().await;
        assert!(!self.was_refused("publish", &subject), "{subject}");
    }

    async fn question(&self, subject: &str, headers: HeaderMap, body: Bytes) -> Subscriber {
        let inbox = self.nats.new_inbox();
        let answers = self.nats.subscribe(inbox.clone()).await.unwrap();
        let subject = subject.to_owned();
        let sent = self
            .nats
            .publish_with_reply_and_headers(subject, inbox, headers, body);
        sent.await.unwrap();
        answers
    }

    /// The server answers in order: its word about this comes after all that went before.
    pub(crate) async fn everything_is_heard(&self) {
        let inbox = self.nats.new_inbox();
        let mut echo = self.nats.subscribe(inbox.clone()).await.unwrap();
        self.nats
            .publish(inbox.clone(), Bytes::new())
            .await
            .unwrap();
        tokio::select! {
            _ = echo.next() => {}
            // Few may speak to themselves.
            () = self.refusal("publish", &inbox) => {}
        }
    }

    async fn refusal(&self, kind: &str, subject: &str) {
        eventually("the server has refused", async || {
            self.was_refused(kind, subject)
        })
        .await;
    }

    fn was_refused(&self, kind: &str, subject: &str) -> bool {
        // As it is written: two inboxes may differ in nothing but the case of a letter.
        let subject = format!("\"{subject}\"");
        let is_it = |text: &String| {
            let about = text.to_lowercase();
            about.contains("permissions violation")
                && about.contains(kind)
                && text.contains(&subject)
        };
        self.refusals.lock().unwrap().iter().any(is_it)
    }
}
