//! One GET, for probes and for what a nats-server tells of itself.

use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const TIME_MAX: Duration = Duration::from_secs(5);

/// The status and the body. In HTTP/1.0, so that what comes is not in chunks.
pub(crate) async fn get(address: &str, path: &str) -> anyhow::Result<(u16, String)> {
    let asking = async {
        let mut connection = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n");
        connection.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
        let status = head.split(' ').nth(1).context("no HTTP status")?;
        Ok((status.parse()?, body.to_owned()))
    };
    tokio::time::timeout(TIME_MAX, asking).await?
}
