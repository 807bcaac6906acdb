//! Turns the bytes of a page into text the way browsers do: a byte order mark decides, then
//! the Content-Type header, then what the page says of itself, then the bytes.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use crate::markup::without_comments;

/// Browsers look for a declaration in so many bytes.
const PRESCAN_BYTES: usize = 1_024;

/// Never fails: bytes that fit no character become U+FFFD.
pub(crate) fn decode(body: &[u8], from_header: Option<&str>) -> String {
    let declared = from_header
        .and_then(|label| Encoding::for_label(label.as_bytes()))
        .or_else(|| declared(body));
    let encoding = match declared {
        Some(encoding) => encoding,
        None if std::str::from_utf8(body).is_ok() => UTF_8,
        None => WINDOWS_1252,
    };
    // This looks at the byte order mark first, and removes it.
    let (text, _, _) = encoding.decode(body);
    text.into_owned()
}

/// What the page says of itself in `<meta>` or in an XML declaration.
fn declared(body: &[u8]) -> Option<&'static Encoding> {
    let start = &body[..body.len().min(PRESCAN_BYTES)];
    // The declaration is ASCII, and every other byte keeps its place.
    let text: String = start.iter().map(|byte| char::from(*byte)).collect();
    let text = without_comments(&text.to_ascii_lowercase());
    let label = xml_declaration(&text).or_else(|| meta(&text))?;
    let encoding = Encoding::for_label(label.trim().as_bytes())?;
    // The declaration could be read as ASCII: it cannot be UTF-16.
    let is_wide = encoding == UTF_16LE || encoding == UTF_16BE;
    Some(if is_wide { UTF_8 } else { encoding })
}

fn xml_declaration(text: &str) -> Option<String> {
    let (declaration, _) = text.trim_start().strip_prefix("<?xml")?.split_once("?>")?;
    attribute(declaration, "encoding")
}

fn meta(text: &str) -> Option<String> {
    text.split("<meta").skip(1).find_map(|rest| {
        let tag = rest.split('>').next().unwrap_or_default();
        if !tag.starts_with([' ', '\t', '\n', '\r', '\u{c}', '/']) {
            return None;
        }
        let equivalent = attribute(tag, "http-equiv");
        match equivalent.as_deref() {
            Some("content-type") => {
                let content = attribute(tag, "content")?;
                attribute(&content, "charset")
            }
            _ => attribute(tag, "charset"),
        }
    })
}

/// The value of `name=value`, quoted or not, where `name` stands as a word of its own.
fn attribute(tag: &str, name: &str) -> Option<String> {
    tag.match_indices(name).find_map(|(at, _)| {
        let starts_word = !tag[..at].ends_with(|c: char| c.is_alphanumeric() || c == '-');
        let value = tag[at + name.len()..].trim_start().strip_prefix('=')?;
        let value = value.trim_start();
        let quoted = value.strip_prefix(['"', '\'']);
        let end = match (quoted, value.chars().next()) {
            (Some(_), Some(quote)) => quoted?.find(quote)?,
            _ => value
                .find(|c: char| c.is_whitespace() || c == ';' || c == '/')
                .unwrap_or(value.len()),
        };
        starts_word.then(|| quoted.unwrap_or(value)[..end].to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(page: &str) -> Option<&'static str> {
        declared(page.as_bytes()).map(Encoding::name)
    }

    #[test]
    fn declarations_in_the_page_are_found() {
        let table = [
            ("<meta charset=utf-8>", Some("UTF-8")),
            ("<META CHARSET = 'Shift_JIS' />", Some("Shift_JIS")),
            ("<meta charset=\"iso-8859-1\">", Some("windows-1252")),
            (
                "<meta http-equiv=Content-Type content='text/html; charset=euc-kr'>",
                Some("EUC-KR"),
            ),
            (
                "<meta content='text/html;charset=gb2312' http-equiv='content-type'>",
                Some("GBK"),
            ),
            ("<meta charset=utf-16le>", Some("UTF-8")),
            (
                "<!-- <meta charset=big5> --><meta charset=koi8-r>",
                Some("KOI8-R"),
            ),
            (
                "<?xml version='1.0' encoding='iso-8859-2'?><html>",
                Some("ISO-8859-2"),
            ),
            ("<meta name=description content='charset=big5'>", None),
            ("<metadata charset=big5>", None),
            ("<meta data-charset=big5>", None),
            ("<meta charset=nonsense>", None),
            ("<p>charset=big5", None),
        ];
        for (page, expected) in table {
            assert_eq!(label(page), expected, "{page}");
        }
    }

    #[test]
    fn the_order_is_the_browsers() {
        let page = b"<meta charset=windows-1251>\xe0";
        assert!(decode(page, None).ends_with('\u{430}'));
        assert!(decode(page, Some("windows-1252")).ends_with('\u{e0}'));
        assert!(decode(page, Some("nonsense")).ends_with('\u{430}'));
        assert_eq!(
            decode(b"\xef\xbb\xbf<p>\xc3\xbc", Some("windows-1252")),
            "<p>ü"
        );
        assert_eq!(decode(b"\xff\xfe<\0p\0", None), "<p");
        assert_eq!(decode("<p>日本".as_bytes(), None), "<p>日本");
        assert_eq!(decode(b"<p>caf\xe9 \x80", None), "<p>café €");
        assert_eq!(decode(b"\x93\xfa\x96\x7b", Some("shift_jis")), "日本");
    }

    #[test]
    fn a_declaration_too_late_is_not_seen() {
        let page = format!("{}<meta charset=big5>", " ".repeat(PRESCAN_BYTES));
        assert_eq!(label(&page), None);
    }
}
