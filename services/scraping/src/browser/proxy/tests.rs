//! The proxy spoken to directly, as the browser or a page in it might.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use super::*;

async fn proxy(opened: &str) -> Proxy {
    let policy = Policy {
        allow_networks: vec![opened.parse().unwrap()],
        allowed_ports: vec![80, 443],
    };
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    Proxy::start(listen, Arc::new(policy), Duration::from_secs(5))
        .await
        .unwrap()
}

async fn ask(proxy: &Proxy, head: &str) -> String {
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is as good as an end.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn authorization(account: &Account) -> String {
    let shown = STANDARD.encode(format!("{USER}:{}", account.password));
    format!("Proxy-Authorization: Basic {shown}\r\n")
}

/// A server that tells what it was sent, and the port it has.
async fn server(address: &str) -> (u16, JoinHandle<String>) {
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut read = Vec::new();
        while head::end(&read).is_none() {
            stream.read_buf(&mut read).await.unwrap();
        }
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        stream.write_all(answer).await.unwrap();
        String::from_utf8(read).unwrap()
    });
    (port, task)
}

#[tokio::test]
async fn an_opened_server_is_reached() {
    let proxy = proxy("127.0.0.1/32").await;
    let account = proxy.open(1 << 20);
    let (port, asked) = server("127.0.0.1").await;
    let head = format!(
        "GET http://127.0.0.1:{port}/a HTTP/1.1\r\n{}\r\n",
        authorization(&account)
    );
    let answer = ask(&proxy, &head).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.ends_with("hello"), "{answer}");
    let asked = asked.await.unwrap();
    assert!(asked.starts_with("GET /a HTTP/1.1\r\n"), "{asked}");
    assert!(!asked.to_lowercase().contains("proxy"), "{asked}");
}

#[tokio::test]
async fn what_the_filter_refuses_is_not_connected_to() {
    let proxy = proxy("10.9.9.9/32").await;
    let account = proxy.open(1 << 20);
    let targets = [
        "127.0.0.1:443",
        "[::1]:443",
        "[::ffff:127.0.0.1]:443",
        "2130706433:443",
        "0x7f.1:80",
        "localhost:443",
        "169.254.169.254:80",
        "10.0.0.1:443",
        "1.1.1.1:25",
    ];
    for target in targets {
        let head = format!(
            "CONNECT {target} HTTP/1.1\r\n{}\r\n",
            authorization(&account)
        );
        let answer = ask(&proxy, &head).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{target}: {answer}");
    }
    let url = Url::parse("http://169.254.169.254/").unwrap();
    let failure = account.failure(&url);
    assert!(matches!(
        failure,
        Some(crate::client::Error::Refused { .. })
    ));
    assert!(account.failure(&url).is_none());
}

#[tokio::test]
async fn only_who_knows_the_password_is_served() {
    let proxy = proxy("127.0.0.1/32").await;
    let account = proxy.open(1 << 20);
    let head = "GET http://127.0.0.1:1/ HTTP/1.1\r\n";
    let none = ask(&proxy, &format!("{head}\r\n")).await;
    assert!(none.starts_with("HTTP/1.1 407"), "{none}");
    let shown = authorization(&account);
    drop(account);
    let late = ask(&proxy, &format!("{head}{shown}\r\n")).await;
    assert!(late.starts_with("HTTP/1.1 407"), "{late}");
}

#[tokio::test]
async fn our_own_ports_are_closed_to_pages() {
    let proxy = proxy("127.0.0.0/8").await;
    let account = proxy.open(1 << 20);
    let (control, _) = server("127.0.0.1").await;
    proxy.keep_off(control);
    for port in [control, proxy.port()] {
        let head = format!(
            "GET http://127.0.0.1:{port}/ HTTP/1.1\r\n{}\r\n",
            authorization(&account)
        );
        let answer = ask(&proxy, &head).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    }
}

#[tokio::test]
async fn tunnels_carry_only_tls_and_bytes_are_bounded() {
    let proxy = proxy("127.0.0.1/32").await;
    let account = proxy.open(60);
    let (port, asked) = server("127.0.0.1").await;
    let head = format!(
        "CONNECT 127.0.0.1:{port} HTTP/1.1\r\n{}\r\nGET / HTTP/1.1\r\n\r\n",
        authorization(&account)
    );
    let answer = ask(&proxy, &head).await;
    assert_eq!(answer, "HTTP/1.1 200 OK\r\n\r\n");
    asked.abort();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = b"HTTP/1.1 200 OK\r\n\r\n";
        stream.write_all(head).await.unwrap();
        while stream.write_all(&[b'x'; 50]).await.is_ok() {}
    });
    let head = format!("GET {url} HTTP/1.1\r\n{}\r\n", authorization(&account));
    ask(&proxy, &head).await;
    assert!(account.is_spent());
}
