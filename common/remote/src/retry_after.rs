//! Reads the `Retry-After` header: a number of seconds or an HTTP date.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::{Response, header::RETRY_AFTER};

/// A server that asks for more gets this: a task must not sleep for days.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);

/// How long the server wants us to wait, an hour at most. `None` also where it asks for no wait at
/// all: that is no reason to ask sooner than without a word of it.
pub fn of(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?;
    of_text(value.to_str().ok()?)
}

/// The same of a header's text.
pub fn of_text(value: &str) -> Option<Duration> {
    parse(value, Timestamp::now())
}

fn parse(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let parser = DateTimeParser::new().relaxed_weekday(true);
            let at = parser.parse_timestamp(value).ok()?;
            // A date that has passed asks for no wait.
            Duration::try_from(at.duration_since(now)).unwrap_or_default()
        }
    };
    Some(wait.min(RETRY_AFTER_MAX)).filter(|wait| !wait.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_read() {
        let now = "1994-11-06T08:49:00Z".parse().unwrap();
        let table = [
            ("120", Some(120)),
            (" 0 ", None),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(37)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", None),
            ("Sun, 06 Nov 1994 08:49:00 GMT", None),
            ("999999999", Some(3600)),
            ("Sun, 06 Nov 2094 08:49:37 GMT", Some(3600)),
            ("-5", None),
            ("soon", None),
            ("", None),
        ];
        for (value, seconds) in table {
            assert_eq!(
                parse(value, now),
                seconds.map(Duration::from_secs),
                "{value:?}"
            );
        }
    }
}
