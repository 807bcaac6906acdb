//! Durations in configuration, written as people do: `"500ms"`, `"30s"`, `"5m"`, `"7d"`.
//! For `#[serde(with = "duration")]` in what is only read. Requests may say seconds as well.

use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error};

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

pub fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &text[digits.len()..];
    let wrong = || {
        format!(
            "{text:?} is no duration: write a whole number and a unit, like \"500ms\", \"30s\", \"5m\", \"2h\" or \"7d\""
        )
    };
    let (_, millis) = UNITS
        .into_iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(wrong)?;
    let count: u64 = digits.trim().parse().map_err(|_| wrong())?;
    count
        .checked_mul(millis)
        .map(Duration::from_millis)
        .ok_or_else(wrong)
}

/// A duration as clients write it: seconds, or a number and a unit.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "seconds (90) or a number and a unit (\"90s\")")]
pub enum Written {
    Seconds(f64),
    Text(String),
}

impl Written {
    pub fn duration(&self) -> Result<Duration, String> {
        match self {
            Self::Seconds(seconds) => {
                Duration::try_from_secs_f64(*seconds).map_err(|error| error.to_string())
            }
            Self::Text(text) => parse(text),
        }
    }
}

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse("7d"), Ok(Duration::from_secs(7 * 86_400)));
    }

    #[test]
    fn what_is_no_duration_is_told_how_to_write_one() {
        for text in [
            "",
            "5",
            "s",
            "1.5s",
            "5 parsecs",
            "-1s",
            "99999999999999999999d",
        ] {
            assert!(parse(text).unwrap_err().contains("\"30s\""), "{text}");
        }
    }
}
