//! One connection of the browser to the proxy: one request, or one tunnel.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::{Host, Url};

use super::Shared;
use super::account::Ledger;
use super::head::{self, HEAD_BYTES_MAX, Request};
use crate::address::{Kind, Refused, Scope};
use crate::{client, resolver};

/// For the browser to say what it wants, and for silence within a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// The first byte of every TLS connection: nothing else may go through a tunnel.
const TLS_HANDSHAKE: u8 = 0x16;

/// What cannot be served is told to the browser, and to the page's ledger; a connection that
/// breaks concerns nobody else.
pub(super) async fn serve(mut browser: TcpStream, peer: IpAddr, shared: &Shared) {
    let read = timeout(HEAD_TIMEOUT, read_head(&mut browser)).await;
    let Ok(Ok((start, end))) = read else {
        return;
    };
    let request = match Request::parse(&start[..end]) {
        Ok(request) => request,
        Err(error) => return answer(&mut browser, "400 Bad Request", &error.to_string()).await,
    };
    let ledger = request.authorization.as_deref();
    let Some(ledger) = ledger.and_then(|shown| shared.accounts.of(shown, peer)) else {
        return challenge(&mut browser).await;
    };
    let Ok(_place) = ledger.connections.try_acquire() else {
        return answer(
            &mut browser,
            "503 Service Unavailable",
            "too many connections",
        )
        .await;
    };
    tokio::select! {
        () = ledger.closed.cancelled() => {}
        _ = connected(browser, &start[end..], &request, &ledger, shared) => {}
    }
}

async fn connected(
    mut browser: TcpStream,
    rest: &[u8],
    request: &Request,
    ledger: &Ledger,
    shared: &Shared,
) -> io::Result<()> {
    let server = match connect(&request.url, shared).await {
        Ok(server) => server,
        Err(error) => {
            let status = match error {
                client::Error::Refused { .. } => "403 Forbidden",
                client::Error::Timeout { .. } => "504 Gateway Timeout",
                _ => "502 Bad Gateway",
            };
            let why = error.to_string();
            ledger.failed(&request.url, error);
            answer(&mut browser, status, &why).await;
            return Ok(());
        }
    };
    if request.is_connect {
        tunnel(browser, rest, server, ledger).await
    } else {
        forward(browser, rest, request, server, ledger).await
    }
}

/// Judged, resolved once, and connected to what was judged.
async fn connect(url: &Url, shared: &Shared) -> Result<TcpStream, client::Error> {
    let refused = |source| client::Error::Refused {
        url: client::without_secrets(url),
        source,
    };
    let scope = shared.policy.check_url(url).map_err(refused)?;
    let connecting = async {
        let mut cause = None;
        for address in addresses(url, scope, shared).await? {
            if shared.is_own(address) {
                let (host, kind) = (address.to_string(), Kind::Loopback);
                return Err(refused(Refused::Address { host, kind }));
            }
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => cause = Some(error),
            }
        }
        let cause = cause.map_or_else(String::new, |error| error.to_string());
        let host = client::host(url);
        Err(client::Error::Connect { host, cause })
    };
    timeout(shared.connect_timeout, connecting)
        .await
        .unwrap_or_else(|_| {
            Err(client::Error::Timeout {
                host: client::host(url),
                cause: "it did not take the connection in time".to_owned(),
            })
        })
}

async fn addresses(
    url: &Url,
    scope: Scope,
    shared: &Shared,
) -> Result<Vec<SocketAddr>, client::Error> {
    let port = url.port_or_known_default().unwrap_or_default();
    let name = match url.host() {
        Some(Host::Ipv4(ip)) => return Ok(vec![(ip, port).into()]),
        Some(Host::Ipv6(ip)) => return Ok(vec![(ip, port).into()]),
        Some(Host::Domain(name)) => name,
        None => "",
    };
    let found = resolver::resolve(&shared.policy, scope, name).await;
    let found = found.map_err(|error| match error.downcast::<Refused>() {
        Ok(source) => client::Error::Refused {
            url: client::without_secrets(url),
            source: *source,
        },
        Err(error) => client::Error::Dns {
            host: name.to_owned(),
            cause: crate::failure::chain(&*error),
        },
    })?;
    Ok(found
        .into_iter()
        .map(|address| SocketAddr::new(address.ip(), port))
        .collect())
}

/// Bytes both ways, once it is clear that they are TLS: a tunnel would carry anything.
async fn tunnel(
    mut browser: TcpStream,
    rest: &[u8],
    mut server: TcpStream,
    ledger: &Ledger,
) -> io::Result<()> {
    browser.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    let first = match rest.first() {
        Some(first) => *first,
        None => {
            let mut first = [0];
            timeout(HEAD_TIMEOUT, browser.peek(&mut first)).await??;
            first[0]
        }
    };
    if first != TLS_HANDSHAKE {
        return Ok(());
    }
    server.write_all(rest).await?;
    let ((browser_reads, browser_writes), (server_reads, server_writes)) =
        (browser.split(), server.split());
    tokio::select! {
        ended = copy(browser_reads, server_writes, ledger) => ended,
        ended = copy(server_reads, browser_writes, ledger) => ended,
    }
}

async fn forward(
    mut browser: TcpStream,
    rest: &[u8],
    request: &Request,
    mut server: TcpStream,
    ledger: &Ledger,
) -> io::Result<()> {
    server.write_all(&request.head).await?;
    let (browser_reads, mut browser_writes) = browser.split();
    let (mut server_reads, mut server_writes) = server.split();
    let sending = async {
        let body = rest.chain(browser_reads).take(request.body_bytes);
        copy(body, &mut server_writes, ledger).await?;
        // The answer is still to come; the other half ends the connection.
        std::future::pending::<io::Result<()>>().await
    };
    let receiving = async {
        let mut rest = Vec::new();
        loop {
            let (start, end) = read_head_after(&mut server_reads, rest).await?;
            let (head, is_interim) = head::response(&start[..end]).map_err(io::Error::other)?;
            browser_writes.write_all(&head).await?;
            rest = start[end..].to_vec();
            if !is_interim {
                break;
            }
        }
        copy(rest.chain(server_reads), browser_writes, ledger).await
    };
    tokio::select! {
        ended = sending => ended,
        ended = receiving => ended,
    }
}

/// Until the end, a silence, or the limit of what the page may transfer.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    ledger: &Ledger,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = timeout(SILENCE_MAX, from.read(&mut buffer)).await??;
        if count == 0 {
            return Ok(());
        }
        if !ledger.spend(count) {
            return Err(io::Error::other("the page transfers too much"));
        }
        to.write_all(&buffer[..count]).await?;
    }
}

async fn read_head(stream: &mut TcpStream) -> io::Result<(Vec<u8>, usize)> {
    read_head_after(stream, Vec::new()).await
}

/// What was read, and where the head in it ends.
async fn read_head_after(
    stream: &mut (impl AsyncRead + Unpin),
    mut read: Vec<u8>,
) -> io::Result<(Vec<u8>, usize)> {
    loop {
        if let Some(end) = head::end(&read) {
            return Ok((read, end));
        }
        if read.len() > HEAD_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if timeout(SILENCE_MAX, stream.read_buf(&mut read)).await?? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

async fn challenge(browser: &mut TcpStream) {
    let head = "HTTP/1.1 407 Proxy Authentication Required\r\n\
        Proxy-Authenticate: Basic realm=\"flotilla\"\r\n\
        Content-Length: 0\r\nConnection: close\r\n\r\n";
    // A browser that is gone needs no answer.
    let _ = browser.write_all(head.as_bytes()).await;
}

async fn answer(browser: &mut TcpStream, status: &str, why: &str) {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{why}",
        why.len()
    );
    let _ = browser.write_all(head.as_bytes()).await;
    let _ = browser.shutdown().await;
}
