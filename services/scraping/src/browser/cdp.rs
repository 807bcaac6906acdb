//! The Chrome DevTools Protocol, as much as we speak of it: commands with answers, and the
//! events of each tab, over one websocket.
//!
//! Spoken here and not through the crate chromiumoxide, because that answers every challenge for
//! a password itself, a web server's as well as our proxy's, lets intercepted requests go when it
//! does, and takes hold of every tab of a browser, also of those that are not ours.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_tungstenite::WebSocketStream;
use async_tungstenite::tokio::{ConnectStream, connect_async_with_config};
use async_tungstenite::tungstenite::Message;
use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A browser that works answers within milliseconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// A page's HTML comes as one message, and can grow threefold when it is escaped.
const MESSAGE_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Events of one tab that wait to be looked at; what is more is dropped with its request.
const EVENTS_MAX: usize = 4096;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("connecting to the browser: {0}")]
    Connect(String),
    #[error("the connection to the browser is gone")]
    Closed,
    #[error("the browser did not answer {0} in time")]
    Silent(&'static str),
    #[error("the browser refused {method}: {message}")]
    Refused {
        method: &'static str,
        message: String,
    },
}

#[derive(Debug)]
pub(super) struct Event {
    pub(super) method: String,
    pub(super) params: Value,
}

#[derive(Debug)]
pub(super) struct Connection {
    outgoing: mpsc::Sender<String>,
    routes: Arc<Mutex<Routes>>,
    next_id: AtomicU64,
    task: JoinHandle<()>,
}

/// Where what the browser says goes to.
#[derive(Debug, Default)]
struct Routes {
    is_closed: bool,
    answers: HashMap<u64, oneshot::Sender<Value>>,
    /// By session, and by browser context for what concerns no session.
    listeners: HashMap<String, mpsc::Sender<Event>>,
}

impl Connection {
    pub(super) async fn open(url: &str) -> Result<Self, Error> {
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let connecting = connect_async_with_config(url, Some(config));
        let connected = timeout(ANSWER_TIMEOUT, connecting).await;
        let (socket, _) = connected
            .map_err(|_| Error::Silent("the handshake"))?
            .map_err(|error| Error::Connect(error.to_string()))?;
        let (outgoing, commands) = mpsc::channel(64);
        let routes = Arc::<Mutex<Routes>>::default();
        let task = tokio::spawn(run(socket, commands, Arc::clone(&routes)));
        Ok(Self {
            outgoing,
            routes,
            next_id: AtomicU64::new(1),
            task,
        })
    }

    pub(super) fn is_closed(&self) -> bool {
        lock(&self.routes).is_closed
    }

    /// One command to the browser, or to the tab of a session.
    pub(super) async fn call(
        &self,
        session: Option<&str>,
        method: &'static str,
        params: Value,
    ) -> Result<Value, Error> {
        self.call_within(ANSWER_TIMEOUT, session, method, params)
            .await
    }

    pub(super) async fn call_within(
        &self,
        within: Duration,
        session: Option<&str>,
        method: &'static str,
        params: Value,
    ) -> Result<Value, Error> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut command = json!({"id": id, "method": method, "params": params});
        if let Some(session) = session {
            command["sessionId"] = session.into();
        }
        let (answer, answered) = oneshot::channel();
        {
            let mut routes = lock(&self.routes);
            if routes.is_closed {
                return Err(Error::Closed);
            }
            routes.answers.insert(id, answer);
        }
        // Also when this is dropped while it waits.
        let _forget = Forget {
            id,
            routes: &self.routes,
        };
        let calling = async {
            let sent = self.outgoing.send(command.to_string()).await;
            sent.map_err(|_| Error::Closed)?;
            answered.await.map_err(|_| Error::Closed)
        };
        let mut answer = timeout(within, calling)
            .await
            .map_err(|_| Error::Silent(method))??;
        match answer.get("error") {
            Some(error) => Err(Error::Refused {
                method,
                message: error["message"].as_str().unwrap_or_default().to_owned(),
            }),
            None => Ok(answer["result"].take()),
        }
    }

    /// Events of these sessions and contexts from now on.
    pub(super) fn listen(&self) -> (Listener, mpsc::Receiver<Event>) {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let listener = Listener {
            routes: Arc::clone(&self.routes),
            keys: Vec::new(),
            sender,
        };
        (listener, events)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Dropped, it hears no more.
#[derive(Debug)]
pub(super) struct Listener {
    routes: Arc<Mutex<Routes>>,
    keys: Vec<String>,
    sender: mpsc::Sender<Event>,
}

impl Listener {
    pub(super) fn add(&mut self, key: &str) {
        let mut routes = lock(&self.routes);
        if !routes.is_closed {
            routes.listeners.insert(key.to_owned(), self.sender.clone());
            self.keys.push(key.to_owned());
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut routes = lock(&self.routes);
        for key in &self.keys {
            routes.listeners.remove(key);
        }
    }
}

struct Forget<'a> {
    id: u64,
    routes: &'a Mutex<Routes>,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        lock(self.routes).answers.remove(&self.id);
    }
}

/// No code panics while it holds the lock.
fn lock(routes: &Mutex<Routes>) -> MutexGuard<'_, Routes> {
    routes.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn run(
    socket: WebSocketStream<ConnectStream>,
    mut commands: mpsc::Receiver<String>,
    routes: Arc<Mutex<Routes>>,
) {
    let (mut sink, mut stream) = socket.split();
    loop {
        tokio::select! {
            command = commands.recv() => {
                let Some(command) = command else { break };
                if sink.send(Message::text(command)).await.is_err() {
                    break;
                }
            }
            message = stream.next() => match message {
                Some(Ok(Message::Text(text))) => deliver(&text, &routes),
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => {}
            },
        }
    }
    let mut routes = lock(&routes);
    routes.is_closed = true;
    // Whoever waits hears of it.
    routes.answers.clear();
    routes.listeners.clear();
}

fn deliver(text: &str, routes: &Mutex<Routes>) {
    let Ok(mut message) = serde_json::from_str::<Value>(text) else {
        return;
    };
    let mut routes = lock(routes);
    if let Some(id) = message["id"].as_u64() {
        if let Some(answer) = routes.answers.remove(&id) {
            // The caller may have given up.
            let _ = answer.send(message);
        }
        return;
    }
    let key = message["sessionId"].as_str();
    let key = key.or_else(|| message["params"]["targetInfo"]["browserContextId"].as_str());
    let listener = key.and_then(|key| routes.listeners.get(key)).cloned();
    drop(routes);
    if let (Some(listener), Some(method)) = (listener, message["method"].as_str()) {
        let method = method.to_owned();
        let params = message["params"].take();
        let _ = listener.try_send(Event { method, params });
    }
}
