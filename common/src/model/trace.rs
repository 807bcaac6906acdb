//! The trace that a task belongs to, as W3C Trace Context writes it: `traceparent`, and the
//! `tracestate` that is passed on unread.

use std::fmt;

use serde::{Deserialize, Serialize};

/// 16 bytes, not all 0; in text 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(u128);

/// 8 bytes, not all 0; in text 16 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(u64);

/// A span of a trace, wherever it was made: what work that it caused is a child of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    pub trace: TraceId,
    pub span: SpanId,
    /// Whether whoever made the span keeps it.
    pub is_sampled: bool,
    /// What tracing systems tell each other, passed on as it came.
    pub state: Option<Box<str>>,
}

/// What became of a process's spans since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SpanCounts {
    /// Whose they are: a process may be several services, and counts once.
    pub process: u64,
    /// The collector has them.
    pub exported: u64,
    /// They were left out, as there was no room: the collector is too slow, or away.
    pub dropped: u64,
    /// The collector did not take them.
    pub failed: u64,
}

/// The specification asks for as much to be passed on; more is left out whole.
const STATE_BYTES_MAX: usize = 512;
const SAMPLED: u8 = 1;

impl TraceId {
    /// Zero, which is no id, becomes one.
    pub const fn new(id: u128) -> Self {
        Self(if id == 0 { 1 } else { id })
    }

    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The half that samplers by ratio look at.
    pub const fn low(self) -> u64 {
        #[allow(clippy::cast_possible_truncation, reason = "that half")]
        let low = self.0 as u64;
        low
    }

    fn parse(text: &str) -> Option<Self> {
        let id = hex(text, 32)?;
        (id != 0).then_some(Self(id))
    }
}

impl SpanId {
    pub const fn of(bytes: [u8; 8]) -> Self {
        Self::new(u64::from_be_bytes(bytes))
    }

    /// Zero, which is no id, becomes one.
    pub const fn new(id: u64) -> Self {
        Self(if id == 0 { 1 } else { id })
    }

    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    fn parse(text: &str) -> Option<Self> {
        let id = u64::try_from(hex(text, 16)?).ok()?;
        (id != 0).then_some(Self(id))
    }
}

/// So many lower-case digits, 32 at most, and nothing else: `from_str_radix` takes more.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if text.len() != digits {
        return None;
    }
    let mut bytes = text.bytes();
    bytes.try_fold(0, |number, byte| {
        Some(number << 4 | u128::from(digit(byte)?))
    })
}

impl TraceContext {
    /// `None` for what is no `traceparent`. A later version than ours may say more behind it.
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let mut parts = traceparent.trim().splitn(5, '-');
        let version = hex(parts.next()?, 2)?;
        let trace = TraceId::parse(parts.next()?)?;
        let span = SpanId::parse(parts.next()?)?;
        let flags = hex(parts.next()?, 2)?;
        let has_more = parts.next().is_some();
        if version == 0xff || (version == 0 && has_more) {
            return None;
        }
        let state = tracestate.map(str::trim).filter(|state| {
            let is_visible = |byte: u8| (b' '..=b'~').contains(&byte);
            !state.is_empty() && state.len() <= STATE_BYTES_MAX && state.bytes().all(is_visible)
        });
        Some(Self {
            trace,
            span,
            is_sampled: flags & u128::from(SAMPLED) != 0,
            state: state.map(Into::into),
        })
    }

    pub fn traceparent(&self) -> String {
        let flags = u8::from(self.is_sampled) * SAMPLED;
        format!("00-{}-{}-{flags:02x}", self.trace, self.span)
    }

    /// The same trace, at another span.
    pub fn at(&self, span: SpanId) -> Self {
        Self {
            span,
            ..self.clone()
        }
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for TraceId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TraceId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("32 hex digits, not all 0"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_is_written_reads_back() {
        let context = TraceContext::parse(PARENT, Some("vendor=1,other=2")).unwrap();
        assert_eq!(context.traceparent(), PARENT);
        assert_eq!(context.state.as_deref(), Some("vendor=1,other=2"));
        assert!(context.is_sampled);
        let unsampled = PARENT.replace("-01", "-00");
        let context = TraceContext::parse(&unsampled, None).unwrap();
        assert!(!context.is_sampled);
        assert_eq!(context.traceparent(), unsampled);
    }

    #[test]
    fn a_later_version_may_say_more() {
        let later = format!("{}-more", PARENT.replacen("00", "01", 1));
        assert!(TraceContext::parse(&later, None).is_some());
    }

    #[test]
    fn what_is_malformed_is_none() {
        for text in [
            "",
            "00",
            "garbage",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
        ] {
            assert_eq!(TraceContext::parse(text, None), None, "{text}");
        }
        let too_long = "x".repeat(STATE_BYTES_MAX + 1);
        let context = TraceContext::parse(PARENT, Some(&too_long)).unwrap();
        assert_eq!(context.state, None);
    }
}
