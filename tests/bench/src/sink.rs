//! A collector that costs next to nothing: a process of its own that reads what is exported over HTTP,
//! drops it, and says yes. What it takes of the machine can be seen, and is not the fleet's.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;

use crate::process::Usage;

/// The argument that makes a process of this program one.
pub(crate) const ARGUMENT: &str = "--sink";

/// Ends when this is dropped.
pub(crate) struct Sink {
    child: Child,
    pub(crate) endpoint: String,
}

impl Sink {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut endpoint = String::new();
        let said = child.stdout.as_mut().context("it has an output")?;
        BufReader::new(said).read_line(&mut endpoint)?;
        let endpoint = endpoint.trim_end().to_owned();
        Ok(Self { child, endpoint })
    }

    pub(crate) fn usage(&self) -> Option<Usage> {
        Usage::of(self.child.id())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Until whoever started it is gone.
pub(crate) fn run() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(&stream));
        }
    });
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

/// One request after the other, as long as there are any.
fn serve(mut stream: &TcpStream) -> io::Result<()> {
    let mut requests = BufReader::with_capacity(256 * 1_024, stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if requests.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(bytes) = line.strip_prefix("content-length:") {
                length = bytes.trim().parse().map_err(io::Error::other)?;
            }
        }
        io::copy(&mut requests.by_ref().take(length), &mut io::sink())?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
}
