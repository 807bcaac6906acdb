//! Reads a robots.txt file as RFC 9309 says and answers whether a path may be fetched.
//! Written here because it is small, and because the published crate brings old versions
//! of nom, bstr and regex. Only the rules for our own name are kept.

use std::time::Duration;

/// Beyond these a file is cut: what we keep of a hostile file stays small.
const RULES_MAX: usize = 2_000;
const PATTERN_BYTES_MAX: usize = 2_048;
const SITEMAPS_MAX: usize = 50;

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Rules {
    rules: Vec<Rule>,
    pub(crate) crawl_delay: Option<Duration>,
    pub(crate) sitemaps: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
struct Rule {
    allow: bool,
    pattern: String,
}

impl Rules {
    /// The rules of the groups that name us; without such groups, those of the `*` groups.
    pub(crate) fn parse(text: &str, name: &str) -> Self {
        let (mut ours, mut everyones) = (Self::default(), Self::default());
        let (mut named, mut group) = (false, Group::default());
        let mut sitemaps = Vec::new();
        for (key, value) in text.trim_start_matches('\u{feff}').lines().filter_map(line) {
            if key.eq_ignore_ascii_case("user-agent") {
                group.agent(value, name);
                named |= group.ours;
                continue;
            }
            if key.eq_ignore_ascii_case("sitemap") {
                let fits = value.len() <= PATTERN_BYTES_MAX && sitemaps.len() < SITEMAPS_MAX;
                sitemaps.extend(fits.then(|| value.to_owned()));
                continue;
            }
            if group.ours {
                ours.add(key, value);
            }
            if group.everyones {
                everyones.add(key, value);
            }
            group.closed |= is_rule(key);
        }
        let rules = if named { ours } else { everyones };
        Self { sitemaps, ..rules }
    }

    /// `path` is the path of the address with its query. The longest pattern that matches
    /// decides, and `allow` wins among equals.
    pub(crate) fn allow(&self, path: &str) -> bool {
        let path = normalize(path);
        // The file itself must stay readable, whatever it says.
        path == "/robots.txt"
            || self
                .rules
                .iter()
                .filter(|rule| matches(&rule.pattern, &path))
                .max_by_key(|rule| (rule.pattern.len(), rule.allow))
                .is_none_or(|rule| rule.allow)
    }

    fn add(&mut self, key: &str, value: &str) {
        let allow = key.eq_ignore_ascii_case("allow");
        if allow || key.eq_ignore_ascii_case("disallow") {
            // An empty pattern matches nothing: `Disallow:` is how a file allows all.
            let fits = !value.is_empty() && value.len() <= PATTERN_BYTES_MAX;
            if fits && self.rules.len() < RULES_MAX {
                let pattern = normalize(value);
                self.rules.push(Rule { allow, pattern });
            }
        } else if key.eq_ignore_ascii_case("crawl-delay") {
            let delay = value.parse().ok().map(Duration::try_from_secs_f64);
            self.crawl_delay = delay.and_then(Result::ok).or(self.crawl_delay);
        }
    }
}

/// The agents of the group being read, as far as they matter to us.
#[derive(Debug, Default)]
struct Group {
    ours: bool,
    everyones: bool,
    /// A rule was seen: the next `User-agent` line opens another group.
    closed: bool,
}

impl Group {
    fn agent(&mut self, value: &str, name: &str) {
        if self.closed {
            *self = Self::default();
        }
        let product = value.split(['/', ' ', '\t']).next().unwrap_or_default();
        self.ours |= product.eq_ignore_ascii_case(name);
        self.everyones |= value == "*";
    }
}

fn is_rule(key: &str) -> bool {
    ["allow", "disallow", "crawl-delay"]
        .iter()
        .any(|rule| key.eq_ignore_ascii_case(rule))
}

fn line(line: &str) -> Option<(&str, &str)> {
    let content = line.split('#').next().unwrap_or_default();
    let (key, value) = content.split_once(':')?;
    Some((key.trim(), value.trim()))
}

/// One spelling for each path: what need not be encoded is decoded, the rest is upper case.
fn normalize(path: &str) -> String {
    let mut bytes = path.as_bytes().iter();
    let mut out = String::with_capacity(path.len());
    while let Some(&byte) = bytes.next() {
        let encoded = (byte == b'%').then(|| escaped(bytes.as_slice())).flatten();
        if encoded.is_some() {
            bytes.nth(1);
        }
        match encoded.unwrap_or(byte) {
            plain @ (b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~') => {
                out.push(char::from(plain));
            }
            other if encoded.is_some() || !byte.is_ascii() => {
                out.push_str(&format!("%{other:02X}"))
            }
            other => out.push(char::from(other)),
        }
    }
    out
}

fn escaped(rest: &[u8]) -> Option<u8> {
    let digit = |at: usize| rest.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

/// `*` stands for any run of characters and a final `$` for the end of the path. Each part
/// is searched once from where the last one ended, so the time grows with the length only.
pub(crate) fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, anchored) = match pattern.strip_suffix('$') {
        Some(pattern) => (pattern, true),
        None => (pattern, false),
    };
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = path.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return !anchored || rest.is_empty();
    };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    if anchored {
        rest.ends_with(last)
    } else {
        rest.contains(last)
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
