//! What stands before gateways on Kubernetes, and who calls them there: a list of those that are ready, which
//! learns of changes a moment late, and clients that keep their connections.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// How often the probes are asked: so late is the list.
const PROBE_EVERY: Duration = Duration::from_millis(200);

/// A process as the outside sees it: where it serves its API, and where its probes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) listen: String,
    pub(crate) ops: String,
}

/// Gateways, of which the ready ones get requests.
pub(crate) struct Balancer {
    all: watch::Sender<Vec<Endpoint>>,
    ready: watch::Receiver<Vec<String>>,
    probing: AbortHandle,
}

impl Balancer {
    pub(crate) fn start() -> Self {
        let (all, known) = watch::channel(Vec::<Endpoint>::new());
        let (tell, ready) = watch::channel(Vec::new());
        let probing = tokio::spawn(async move {
            loop {
                let mut now = Vec::new();
                let known = known.borrow().clone();
                for endpoint in known {
                    if status(&endpoint.ops, "/readyz").await == Some(200) {
                        now.push(endpoint.listen);
                    }
                }
                tell.send_replace(now);
                tokio::time::sleep(PROBE_EVERY).await;
            }
        });
        Self {
            all,
            ready,
            probing: probing.abort_handle(),
        }
    }

    pub(crate) fn add(&self, endpoint: Endpoint) {
        self.all.send_modify(|all| all.push(endpoint));
    }

    pub(crate) fn client(&self) -> KeptAlive {
        KeptAlive {
            ready: self.ready.clone(),
            connection: None,
        }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.probing.abort();
    }
}

/// The status of a page; `None` where nobody answers.
pub(crate) async fn status(address: &str, path: &str) -> Option<u16> {
    let mut connection = BufReader::new(TcpStream::connect(address).await.ok()?);
    let answer = exchange(&mut connection, address, "GET", path, "").await;
    Some(answer.ok()?.status)
}

/// A client that repeats nothing: what fails has failed.
pub(crate) struct KeptAlive {
    ready: watch::Receiver<Vec<String>>,
    connection: Option<(String, BufReader<TcpStream>)>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    ends: bool,
}

impl KeptAlive {
    /// Over the connection that it has, or a new one to a gateway that is said to be ready.
    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        body: &str,
    ) -> io::Result<Answer> {
        let (address, mut connection) = match self.connection.take() {
            Some(kept) => kept,
            None => {
                let ready = self.ready.wait_for(|ready| !ready.is_empty()).await;
                let ready = ready.map_err(io::Error::other)?.clone();
                let address = ready[fastrand::usize(..ready.len())].clone();
                let connection = TcpStream::connect(&address).await?;
                (address, BufReader::new(connection))
            }
        };
        let answer = exchange(&mut connection, &address, method, path, body).await?;
        if !answer.ends {
            self.connection = Some((address, connection));
        }
        Ok(answer)
    }
}

async fn exchange(
    connection: &mut BufReader<TcpStream>,
    address: &str,
    method: &str,
    path: &str,
    body: &str,
) -> io::Result<Answer> {
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    connection.write_all(request.as_bytes()).await?;
    let (mut status, mut length, mut ends) = (0, 0, false);
    loop {
        let mut line = String::new();
        if connection.read_line(&mut line).await? == 0 {
            return Err(io::Error::other("the connection ended without an answer"));
        }
        let line = line.trim_end().to_lowercase();
        match line.split_once(": ") {
            _ if line.is_empty() => break,
            Some(("content-length", text)) => length = text.parse().map_err(io::Error::other)?,
            Some(("connection", "close")) => ends = true,
            Some(_) => {}
            None => {
                let code = line.split(' ').nth(1).unwrap_or_default();
                status = code.parse().map_err(io::Error::other)?;
            }
        }
    }
    let mut text = vec![0; length];
    connection.read_exact(&mut text).await?;
    Ok(Answer {
        status,
        body: serde_json::from_slice(&text).unwrap_or_default(),
        ends,
    })
}

/// Everything that went wrong, told by whoever it happened to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Complaints(Arc<std::sync::Mutex<Vec<String>>>);

impl Complaints {
    pub(crate) fn add(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }

    #[track_caller]
    pub(crate) fn are_none(&self) {
        let complaints = self.0.lock().unwrap();
        assert!(complaints.is_empty(), "{complaints:#?}");
    }
}
