//! Numbers and times as people read them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `12,345`
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `12 µs`, `3.4 ms`, `2.05 s`, `3 min 4 s`, `5 h 12 min`, `3 d 4 h`
pub(crate) fn seconds(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match seconds {
        s if s < 1e-3 => format!("{:.0} µs", s * 1e6),
        s if s < 0.1 => format!("{:.1} ms", s * 1e3),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 60.0 => format!("{s:.2} s"),
        s if s < 3_600.0 => format!("{} min {} s", whole / 60, whole % 60),
        s if s < 86_400.0 => format!("{} h {} min", whole / 3_600, whole % 3_600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3_600),
    }
}

/// `3 s ago`; a time of the API, or what stands there.
pub(crate) fn ago(text: &str) -> String {
    let Ok(then) = text.parse::<Timestamp>() else {
        return text.to_owned();
    };
    match Timestamp::now().duration_since(then).as_secs() {
        passed @ 0.. => format!("{} ago", rough(passed.unsigned_abs())),
        ahead => format!("in {}", rough(ahead.unsigned_abs())),
    }
}

/// `in 3 min`; the same for what lies ahead.
pub(crate) fn until(text: &str) -> String {
    ago(text)
}

fn rough(seconds: u64) -> String {
    match seconds {
        s @ ..120 => format!("{s} s"),
        s @ 120..7_200 => format!("{} min", s / 60),
        s @ 7_200..172_800 => format!("{} h", s / 3_600),
        s => format!("{} d", s / 86_400),
    }
}

/// In the zone of whoever reads it.
pub(crate) fn clock(text: &str) -> String {
    let Ok(at) = text.parse::<Timestamp>() else {
        return text.to_owned();
    };
    let zoned = at.to_zoned_datetime(TimeZone::system());
    zoned.strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}

/// `12:00:01`, by the clock of whoever reads it.
pub(crate) fn now() -> String {
    let now = Timestamp::now().to_zoned_datetime(TimeZone::system());
    now.strftime("%H:%M:%S").to_string()
}

/// `1.5 GiB`
pub(crate) fn bytes(n: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1_024.0 && unit + 1 < units.len() {
        value /= 1_024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{n} B"),
        _ => format!("{value:.1} {}", units[unit]),
    }
}

/// A share from 0 to 1.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(bytes(1_023), "1023 B");
        assert_eq!(bytes(1_536), "1.5 KiB");
        assert_eq!(percent(0.99951), "100.0 %");
    }

    #[test]
    fn durations_have_the_unit_that_fits() {
        let texts = [2e-6, 0.0034, 0.25, 2.05, 184.0, 18_720.0, 273_600.0].map(seconds);
        let expected = [
            "2 µs",
            "3.4 ms",
            "250 ms",
            "2.05 s",
            "3 min 4 s",
            "5 h 12 min",
            "3 d 4 h",
        ];
        assert_eq!(texts, expected);
    }

    #[test]
    fn times_lie_behind_or_ahead() {
        let at = |seconds: i64| {
            (Timestamp::now() + jiff::SignedDuration::from_secs(seconds)).to_string()
        };
        assert_eq!(ago(&at(-300)), "5 min ago");
        assert!(until(&at(7_300)).starts_with("in 2 h"));
        assert_eq!(ago("soon"), "soon");
    }
}
