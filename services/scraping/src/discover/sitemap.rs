//! Reads sitemaps (sitemaps.org), of pages and of sitemaps, packed or not, or one address a
//! line. Only the text of `<loc>` is taken, by looking for the tag: no entity is defined, no
//! document type is read, and nothing nests, so that no file can make it grow.

use std::io::Read;

use flate2::read::GzDecoder;

use crate::markup::without_comments;

/// The most that a sitemap may have by its standard, and that one may become here.
pub(super) const BYTES_MAX: usize = 50 * 1024 * 1024;
const ADDRESSES_MAX: usize = 50_000;
const ADDRESS_BYTES_MAX: usize = 2_048;
/// As it is written, with each of its characters as an entity.
const WRITTEN_BYTES_MAX: usize = 6 * ADDRESS_BYTES_MAX;
/// From the `&`, which is not counted, to the `;`: what is longer is none.
const ENTITY_BYTES_MAX: usize = 12;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sitemap {
    pub(super) pages: Vec<String>,
    pub(super) sitemaps: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("it becomes more than {BYTES_MAX} bytes when unpacked")]
    TooLarge,
    #[error("it is neither XML nor a list of addresses")]
    NotOne,
    #[error("it is packed, and broken")]
    Broken,
}

pub(super) fn parse(file: &[u8]) -> Result<Sitemap, Error> {
    let unpacked: Vec<u8>;
    let file = match file.starts_with(b"\x1f\x8b") {
        true => {
            unpacked = unpack(file)?;
            unpacked.as_slice()
        }
        false => file,
    };
    let text = String::from_utf8_lossy(file);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let mut sitemap = Sitemap::default();
    if !text.starts_with('<') {
        let is_address = |line: &&str| line.starts_with("http://") || line.starts_with("https://");
        let lines = text.lines().map(str::trim).filter(is_address);
        sitemap.pages = lines.take(ADDRESSES_MAX).map(str::to_owned).collect();
        return match sitemap.pages.is_empty() {
            true => Err(Error::NotOne),
            false => Ok(sitemap),
        };
    }
    let text = without_comments(text);
    let is_index = text.contains("<sitemapindex");
    if !is_index && !text.contains("<urlset") {
        return Err(Error::NotOne);
    }
    let addresses = addresses(&text).take(ADDRESSES_MAX).collect();
    match is_index {
        true => sitemap.sitemaps = addresses,
        false => sitemap.pages = addresses,
    }
    Ok(sitemap)
}

fn unpack(file: &[u8]) -> Result<Vec<u8>, Error> {
    let mut unpacked = Vec::new();
    let mut decoder = GzDecoder::new(file).take(BYTES_MAX as u64 + 1);
    decoder
        .read_to_end(&mut unpacked)
        .map_err(|_| Error::Broken)?;
    match unpacked.len() > BYTES_MAX {
        true => Err(Error::TooLarge),
        false => Ok(unpacked),
    }
}

/// Pictures and films have tags of other names: `<image:loc>`.
fn addresses(text: &str) -> impl Iterator<Item = String> {
    text.split("<loc").skip(1).filter_map(|rest| {
        let (tag, rest) = rest.split_once('>')?;
        if !(tag.is_empty() || tag.starts_with(char::is_whitespace)) {
            return None;
        }
        let address = match rest.trim_start().strip_prefix("<![CDATA[") {
            Some(raw) => fitting(raw.split_once("]]>")?.0)?.to_owned(),
            None => unescape(fitting(rest.split('<').next()?)?),
        };
        (1..=ADDRESS_BYTES_MAX)
            .contains(&address.len())
            .then_some(address)
    })
}

/// Not even looked at, where it is too long to become an address.
fn fitting(written: &str) -> Option<&str> {
    let written = written.trim();
    (written.len() <= WRITTEN_BYTES_MAX).then_some(written)
}

/// The five entities that XML has of itself, and characters by their number.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, entity)) = rest.split_once('&') {
        plain.push_str(before);
        let mut name = entity.bytes().take(ENTITY_BYTES_MAX);
        let end = name.position(|byte| byte == b';');
        let named = end.and_then(|end| Some((letter(&entity[..end])?, &entity[end + 1..])));
        match named {
            Some((letter, after)) => {
                plain.push(letter);
                rest = after;
            }
            None => {
                plain.push('&');
                rest = entity;
            }
        }
    }
    plain.push_str(rest);
    plain
}

fn letter(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        number => {
            let number = number.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn pages(text: &str) -> Vec<String> {
        parse(text.as_bytes()).unwrap().pages
    }

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn pages_and_indexes_are_told_apart() {
        let text = "\u{feff}<?xml version='1.0'?><urlset xmlns='s'><!-- <url><loc>http://a/no</loc></url> -->
            <url><loc> http://a/b?x=1&amp;y=&#50; </loc><image:loc>http://a/p.png</image:loc></url>
            <url><loc><![CDATA[http://a/c&d]]></loc></url><url><location>x</location></url></urlset>";
        assert_eq!(pages(text), ["http://a/b?x=1&y=2", "http://a/c&d"]);
        let index = "<sitemapindex><sitemap><loc>http://a/s.xml</loc></sitemap></sitemapindex>";
        assert_eq!(
            parse(index.as_bytes()).unwrap().sitemaps,
            ["http://a/s.xml"]
        );
        assert_eq!(parse(&gzip(index.as_bytes())).unwrap().sitemaps.len(), 1);
        assert_eq!(
            pages("http://a/1\n\nhttps://a/2\nnoise"),
            ["http://a/1", "https://a/2"]
        );
    }

    #[test]
    fn what_is_no_sitemap_is_said() {
        for text in ["<!doctype html><p>not found", "not found", ""] {
            assert_eq!(parse(text.as_bytes()), Err(Error::NotOne), "{text}");
        }
        assert_eq!(parse(b"\x1f\x8b\x08rubbish"), Err(Error::Broken));
    }

    #[test]
    fn what_looks_like_entities_takes_no_longer_than_other_text() {
        let one = format!("http://a/{}", "&".repeat(1_000));
        let many = "&".repeat(5_000_000);
        let text =
            format!("<urlset><loc>{one}</loc><loc>{many}</loc><loc><![CDATA[{many}]]></loc>");
        let started = std::time::Instant::now();
        assert_eq!(pages(&text), [one]);
        assert!(started.elapsed() < std::time::Duration::from_secs(20));
        let written = "&#x0000061;&#x10FFFF;&amp;&unknown;&#xD800;&";
        assert_eq!(unescape(written), "a\u{10ffff}&&unknown;&#xD800;&");
        let late = format!("&amp{};", " ".repeat(ENTITY_BYTES_MAX));
        assert_eq!(unescape(&late), late);
    }

    #[test]
    fn bombs_stay_small() {
        let entities: String = (1..10)
            .map(|n| format!("<!ENTITY e{n} \"{}\">", format!("&e{};", n - 1).repeat(10)))
            .collect();
        let text = format!(
            "<!DOCTYPE urlset [<!ENTITY e0 \"lol\">{entities}]><urlset><url><loc>http://a/&e9;</loc></url></urlset>"
        );
        assert_eq!(pages(&text), ["http://a/&e9;"]);
        let many = format!(
            "<urlset>{}",
            "<url><loc>http://a/</loc></url>".repeat(60_000)
        );
        assert_eq!(pages(&many).len(), ADDRESSES_MAX);
        let packed = gzip(&vec![b' '; BYTES_MAX + 1]);
        assert!(packed.len() < 100_000);
        assert_eq!(parse(&packed), Err(Error::TooLarge));
    }
}
