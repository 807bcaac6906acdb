//! An HTTP client that knows nothing: one request a connection, and the answer as it comes.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Value,
    /// The body as it came.
    pub(crate) text: String,
}

pub(crate) async fn get(address: &str, path: &str) -> Answer {
    send(address, &format!("GET {path} HTTP/1.1\r\n"), "").await
}

pub(crate) async fn post(address: &str, path: &str, body: &str) -> Answer {
    request(address, "POST", path, body).await
}

/// With one more header, as a line of its own.
pub(crate) async fn post_with(address: &str, path: &str, header: &str, body: &str) -> Answer {
    let head = format!("POST {path} HTTP/1.1\r\n{header}\r\ncontent-type: application/json\r\n");
    send(address, &head, body).await
}

pub(crate) async fn request(address: &str, method: &str, path: &str, body: &str) -> Answer {
    let head = format!("{method} {path} HTTP/1.1\r\ncontent-type: application/json\r\n");
    send(address, &head, body).await
}

pub(crate) async fn send(address: &str, head: &str, body: &str) -> Answer {
    send_as(address, &format!("{head}host: {address}\r\n"), body).await
}

/// With a head that names the host itself.
pub(crate) async fn send_as(address: &str, head: &str, body: &str) -> Answer {
    let mut connection = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!("{head}connection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head: head.to_lowercase(),
        body: serde_json::from_str(body).unwrap_or(Value::Null),
        text: body.to_owned(),
    }
}
