//! What kind of document a server sent, from its Content-Type header and, where that is
//! missing, from its first bytes.

/// The kinds that can be turned into Markdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    Html,
    Markdown,
    Text,
    Pdf,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the page is {0}: only HTML, XHTML, Markdown, plain text and PDF can be scraped")]
pub(crate) struct Unsupported(pub(crate) String);

/// A header value in its parts: `text/html; charset=utf-8`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ContentType {
    /// In lower case, without parameters; empty where the server sent none.
    pub(crate) essence: String,
    pub(crate) charset: Option<String>,
}

/// What servers send as text all the same.
const FORMATS: [(&[u8], &str); 8] = [
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x7fELF", "a program"),
    (b"OggS", "a recording"),
    (b"\xd0\xcf\x11\xe0", "an Office file"),
];

/// As many bytes as decide about a page without a Content-Type.
const SNIFFED_BYTES: usize = 1_024;

impl ContentType {
    pub(crate) fn parse(header: &str) -> Self {
        let mut parts = header.split(';');
        let essence = parts.next().unwrap_or_default().trim();
        let charset = parts
            .filter_map(|part| part.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
            .map(|(_, value)| value.trim().trim_matches(['"', '\'']).to_owned());
        Self {
            essence: essence.to_ascii_lowercase(),
            charset,
        }
    }

    /// Judged before the body is read where the header allows: `None` means that only the
    /// body can tell.
    pub(crate) fn media(&self) -> Result<Option<Media>, Unsupported> {
        match self.essence.as_str() {
            "text/html" | "application/xhtml+xml" => Ok(Some(Media::Html)),
            "text/markdown" | "text/x-markdown" => Ok(Some(Media::Markdown)),
            "text/plain" => Ok(Some(Media::Text)),
            "application/pdf" | "application/x-pdf" => Ok(Some(Media::Pdf)),
            // The last are what servers call files that they know nothing about.
            "" | "application/octet-stream" | "binary/octet-stream" => Ok(None),
            other => Err(Unsupported(other.to_owned())),
        }
    }
}

/// What the body is, which counts more than what its server called it.
pub(crate) fn judge(called: Option<Media>, body: &[u8]) -> Result<Media, Unsupported> {
    let start = &body[..body.len().min(SNIFFED_BYTES)];
    let is_pdf = start.windows(5).any(|bytes| bytes == b"%PDF-");
    let format = FORMATS.iter().find(|(magic, _)| start.starts_with(magic));
    match (called, format) {
        // Text may have the letters anywhere, a file has them first.
        (Some(Media::Pdf) | None, _) if is_pdf => Ok(Media::Pdf),
        (Some(_), _) if start.starts_with(b"%PDF-") => Ok(Media::Pdf),
        (_, Some((_, format))) => Err(Unsupported(format!("{format}, whatever it is called"))),
        // Often the page that says why the file is not there.
        (Some(Media::Pdf), None) => match sniff(start)? {
            Media::Html => Ok(Media::Html),
            _ => Err(Unsupported("called a PDF, and is none".to_owned())),
        },
        (Some(media), None) => Ok(media),
        (None, None) => sniff(start),
    }
}

fn sniff(start: &[u8]) -> Result<Media, Unsupported> {
    let text = String::from_utf8_lossy(start).to_ascii_lowercase();
    let is_html = ["<!doctype html", "<html", "<head", "<body"]
        .iter()
        .any(|tag| text.contains(tag));
    if is_html {
        return Ok(Media::Html);
    }
    // No text has these bytes, and most other formats have some.
    let is_binary = start
        .iter()
        .any(|byte| matches!(byte, 0x00..=0x08 | 0x0e..=0x1a | 0x1c..=0x1f));
    if is_binary {
        return Err(Unsupported("binary data without a Content-Type".to_owned()));
    }
    Ok(Media::Text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read() {
        let table = [
            ("text/html", "text/html", None),
            ("Text/HTML; Charset=\"UTF-8\"", "text/html", Some("UTF-8")),
            (
                "text/plain;format=flowed; charset=koi8-r",
                "text/plain",
                Some("koi8-r"),
            ),
            ("", "", None),
        ];
        for (header, essence, charset) in table {
            let parsed = ContentType::parse(header);
            assert_eq!(parsed.essence, essence);
            assert_eq!(parsed.charset.as_deref(), charset);
        }
    }

    #[test]
    fn supported_types_are_told_apart() {
        let media = |header| ContentType::parse(header).media();
        assert_eq!(media("application/xhtml+xml"), Ok(Some(Media::Html)));
        assert_eq!(
            media("text/markdown; charset=utf-8"),
            Ok(Some(Media::Markdown))
        );
        assert_eq!(media(""), Ok(None));
        assert_eq!(media("application/pdf"), Ok(Some(Media::Pdf)));
        assert_eq!(media("application/octet-stream"), Ok(None));
        let error = media("video/mp4").unwrap_err().to_string();
        assert!(
            error.contains("video/mp4") && error.contains("plain text"),
            "{error}"
        );
    }

    #[test]
    fn without_a_header_the_body_tells() {
        assert_eq!(sniff(b"\n<!DOCTYPE HTML><p>x"), Ok(Media::Html));
        assert_eq!(sniff(b"just words"), Ok(Media::Text));
        assert_eq!(sniff(b""), Ok(Media::Text));
        assert!(sniff(b"\x00\x01").is_err());
    }

    #[test]
    fn the_body_is_believed_before_the_header() {
        let table: [(Option<Media>, &[u8], Option<Media>); 9] = [
            (None, b"%PDF-1.7\n\x00\x01", Some(Media::Pdf)),
            (Some(Media::Html), b"%PDF-1.7", Some(Media::Pdf)),
            (
                Some(Media::Html),
                b"<p>how %PDF- files begin",
                Some(Media::Html),
            ),
            (Some(Media::Pdf), b"junk first\n%PDF-1.4", Some(Media::Pdf)),
            (Some(Media::Pdf), b"<!doctype html>", Some(Media::Html)),
            (Some(Media::Pdf), b"words", None),
            (Some(Media::Html), b"\x89PNG\r\n", None),
            (Some(Media::Text), b"\x1f\x8b\x08", None),
            (None, b"words", Some(Media::Text)),
        ];
        for (called, body, expected) in table {
            assert_eq!(judge(called, body).ok(), expected, "{called:?}");
        }
    }
}
