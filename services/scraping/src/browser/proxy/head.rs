//! The heads of HTTP messages, as far as a proxy has to read them. Pure.

use url::Url;

/// A larger head is no page's.
pub(super) const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Only for the connection to the proxy, never passed on (RFC 9110, 7.6.1).
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "proxy-authenticate",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadHead {
    #[error("this is no HTTP request for a proxy")]
    Malformed,
    #[error("only CONNECT, GET, HEAD, POST and OPTIONS are allowed")]
    Method,
    #[error("a request body needs a Content-Length")]
    Unbounded,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) is_connect: bool,
    /// What to connect to: for CONNECT `https://host:port/`, which only the host and port of
    /// matter.
    pub(super) url: Url,
    pub(super) authorization: Option<String>,
    pub(super) body_bytes: u64,
    /// The head to pass on, in origin form; empty for CONNECT.
    pub(super) head: Vec<u8>,
}

/// Where the head ends, once it is there whole.
pub(super) fn end(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(end + 4)
}

impl Request {
    pub(super) fn parse(head: &[u8]) -> Result<Self, BadHead> {
        let head = std::str::from_utf8(head).map_err(|_| BadHead::Malformed)?;
        let mut lines = head.trim_end_matches("\r\n").split("\r\n");
        let line = lines.next().unwrap_or_default();
        let mut parts = line.split(' ');
        let (Some(method), Some(target), Some("HTTP/1.1" | "HTTP/1.0"), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(BadHead::Malformed);
        };
        let is_connect = method == "CONNECT";
        if !is_connect && !matches!(method, "GET" | "HEAD" | "POST" | "OPTIONS") {
            return Err(BadHead::Method);
        }
        let url = if is_connect {
            authority(target)
        } else {
            Url::parse(target).ok()
        };
        let url = url
            .filter(|url| is_connect || url.scheme() == "http")
            .ok_or(BadHead::Malformed)?;
        let mut request = Self {
            is_connect,
            authorization: None,
            body_bytes: 0,
            head: Vec::new(),
            url,
        };
        let mut passed = Vec::new();
        for line in lines {
            let (name, value) = line.split_once(':').ok_or(BadHead::Malformed)?;
            let (name, value) = (name.to_ascii_lowercase(), value.trim());
            match name.as_str() {
                "proxy-authorization" => request.authorization = Some(value.to_owned()),
                "transfer-encoding" => return Err(BadHead::Unbounded),
                "content-length" => {
                    request.body_bytes = value.parse().map_err(|_| BadHead::Malformed)?;
                }
                _ => {}
            }
            if !HOP_BY_HOP.contains(&name.as_str()) && name != "host" {
                passed.push(line);
            }
        }
        if !is_connect {
            request.head = request.origin_form(method, &passed);
        }
        Ok(request)
    }

    /// The host is written anew from what was checked: the server is asked for that one.
    fn origin_form(&self, method: &str, lines: &[&str]) -> Vec<u8> {
        use url::Position;
        let path = &self.url[Position::BeforePath..Position::AfterQuery];
        let host = &self.url[Position::BeforeHost..Position::AfterPort];
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n");
        for line in lines {
            head.push_str(line);
            head.push_str("\r\n");
        }
        head.push_str("Connection: close\r\n\r\n");
        head.into_bytes()
    }
}

/// Read by the parser of the filter, so that both mean the same by an odd spelling.
fn authority(target: &str) -> Option<Url> {
    if target.contains(['/', '?', '#', '@', '\\']) || !target.contains(':') {
        return None;
    }
    Url::parse(&format!("https://{target}/")).ok()
}

/// A response's head with `Connection: close`, and whether another one follows (1xx).
pub(super) fn response(head: &[u8]) -> Result<(Vec<u8>, bool), BadHead> {
    let is_interim = head.get(8..10) == Some(b" 1") && head.get(9..12) != Some(b"101");
    if !head.starts_with(b"HTTP/1.") || head.get(9..12) == Some(b"101") {
        return Err(BadHead::Malformed);
    }
    let mut passed = Vec::with_capacity(head.len() + 20);
    let lines = head[..head.len() - 4].split(|byte| *byte == b'\n');
    for line in lines {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        if !HOP_BY_HOP.contains(&name.as_str()) {
            passed.extend_from_slice(line);
            passed.extend_from_slice(b"\r\n");
        }
    }
    if !is_interim {
        passed.extend_from_slice(b"Connection: close\r\n");
    }
    passed.extend_from_slice(b"\r\n");
    Ok((passed, is_interim))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(head: &str) -> Result<Request, BadHead> {
        Request::parse(head.as_bytes())
    }

    #[test]
    fn requests_are_brought_into_origin_form() {
        let request = parse(
            "GET http://Example.com/a?b#c HTTP/1.1\r\nHost: other\r\nAccept: */*\r\n\
             Proxy-Authorization: Basic eA==\r\nConnection: keep-alive\r\n\r\n",
        )
        .unwrap();
        let head =
            "GET /a?b HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\nConnection: close\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&request.head), head);
        assert_eq!(request.authorization.as_deref(), Some("Basic eA=="));
    }

    #[test]
    fn odd_spellings_of_hosts_are_what_the_filter_reads() {
        let host = |target: &str| {
            let request = parse(&format!("CONNECT {target} HTTP/1.1\r\n\r\n")).unwrap();
            request.url.host_str().unwrap().to_owned()
        };
        assert_eq!(host("2130706433:443"), "127.0.0.1");
        assert_eq!(host("0x7f.1:80"), "127.0.0.1");
        assert_eq!(host("[::ffff:127.0.0.1]:443"), "[::ffff:7f00:1]");
    }

    #[test]
    fn what_is_no_proxy_request_is_refused() {
        let table = [
            ("GET / HTTP/1.1\r\n\r\n", BadHead::Malformed),
            ("GET ftp://a/ HTTP/1.1\r\n\r\n", BadHead::Malformed),
            ("CONNECT u@a:443 HTTP/1.1\r\n\r\n", BadHead::Malformed),
            ("CONNECT a HTTP/1.1\r\n\r\n", BadHead::Malformed),
            ("DELETE http://a/ HTTP/1.1\r\n\r\n", BadHead::Method),
            ("GET http://a/ HTTP/2\r\n\r\n", BadHead::Malformed),
            ("GET http://a/ b HTTP/1.1\r\n\r\n", BadHead::Malformed),
            (
                "POST http://a/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
                BadHead::Unbounded,
            ),
        ];
        for (head, expected) in table {
            assert_eq!(parse(head), Err(expected), "{head}");
        }
    }

    #[test]
    fn responses_close_the_connection() {
        let (head, more) =
            response(b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nA: b\r\n\r\n").unwrap();
        assert_eq!(
            head,
            b"HTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\n\r\n"
        );
        assert!(!more);
        assert!(response(b"HTTP/1.1 103 Early Hints\r\n\r\n").unwrap().1);
        assert!(response(b"HTTP/1.1 101 Switching\r\n\r\n").is_err());
        assert!(response(b"220 mail.example\r\n\r\n").is_err());
    }
}
