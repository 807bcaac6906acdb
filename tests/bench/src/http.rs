//! A connection to the gateway that stays open, with nothing in between that takes time.

use anyhow::Context as _;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
    line: String,
    body: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream: BufReader::new(stream),
            host: address.to_owned(),
            line: String::new(),
            body: Vec::new(),
        })
    }

    pub(crate) async fn post(&mut self, path: &str, body: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_slice(self.send(path, body).await?)?)
    }

    /// The answer as it comes, which has to be a good one, and with its length.
    pub(crate) async fn send(&mut self, path: &str, body: &str) -> anyhow::Result<&[u8]> {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            self.host,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        let is_good = self.read_line().await?.starts_with("HTTP/1.1 200 ");
        let mut length = None;
        loop {
            let line = self.read_line().await?;
            if line == "\r\n" {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = Some(value.trim().parse()?);
            }
        }
        self.body
            .resize(length.context("an answer without a length")?, 0);
        self.stream.read_exact(&mut self.body).await?;
        anyhow::ensure!(is_good, "refused: {}", String::from_utf8_lossy(&self.body));
        Ok(&self.body)
    }

    async fn read_line(&mut self) -> anyhow::Result<&str> {
        self.line.clear();
        self.stream.read_line(&mut self.line).await?;
        anyhow::ensure!(
            !self.line.is_empty(),
            "the gateway has closed the connection"
        );
        Ok(&self.line)
    }
}
