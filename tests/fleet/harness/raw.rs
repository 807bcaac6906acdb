//! Publishes bytes that no well-behaved client would send.

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::Nats;

/// Publishes a message with these very header bytes, version line and all.
pub(crate) async fn publish(nats: &Nats, subject: &str, headers: &[u8], body: &[u8]) {
    let stream = TcpStream::connect(("127.0.0.1", nats.port())).await;
    let mut stream = BufReader::new(stream.unwrap());
    let hello = "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\n";
    let (headers_len, total) = (headers.len(), headers.len() + body.len());
    let publish = format!("HPUB {subject} {headers_len} {total}\r\n");
    for part in [hello.as_bytes(), publish.as_bytes(), headers, body] {
        stream.write_all(part).await.unwrap();
    }
    // The server's PONG says that it has taken what came before.
    stream.write_all(b"\r\nPING\r\n").await.unwrap();
    let mut line = String::new();
    while !line.starts_with("PONG") {
        line.clear();
        stream.read_line(&mut line).await.unwrap();
        assert!(!line.starts_with("-ERR") && !line.is_empty(), "{line}");
    }
}
