//! Expressions against times that anybody can check in a calendar.

use proptest::prelude::*;

use super::*;

fn next(cron: &str, zone: &str, now: &str) -> String {
    let cron: Cron = cron.parse().unwrap();
    let zone = TimeZone::get(zone).unwrap();
    let next = cron.next_after(now.parse().unwrap(), &zone);
    next.map_or("never".to_owned(), |next| next.to_string())
}

/// An expression, its zone, a time, and the next run after that.
#[rustfmt::skip]
const NEXT_TIMES: &[[&str; 4]] = &[
        ["30 3 * * *", "UTC", "2026-11-24T08:00:00Z", "2026-11-25T03:30:00Z"],
        ["*/15 * * * * *", "UTC", "2026-11-24T08:00:15Z", "2026-11-24T08:00:30Z"],
        ["0 9 * * MON-FRI", "UTC", "2026-11-27T09:00:00Z", "2026-11-30T09:00:00Z"],
        ["0 0 29 2 *", "UTC", "2026-11-24T00:00:00Z", "2028-02-29T00:00:00Z"],
        // Either day counts where both are given.
        ["0 0 1 * SUN", "UTC", "2026-11-24T00:00:00Z", "2026-11-29T00:00:00Z"],
        ["0 0 */2 * 1", "UTC", "2026-11-24T00:00:00Z", "2026-12-07T00:00:00Z"],
        ["5/20 12 * * *", "UTC", "2026-11-24T12:06:00Z", "2026-11-24T12:25:00Z"],
        ["@monthly", "UTC", "2026-11-24T08:00:00Z", "2026-12-01T00:00:00Z"],
        ["0 3 * * *", "Europe/Berlin", "2026-07-01T00:00:00Z", "2026-07-01T01:00:00Z"],
        ["0 3 * * *", "America/New_York", "2026-01-01T00:00:00Z", "2026-01-01T08:00:00Z"],
        // 02:30 is jumped over on the night when summer time begins,
        ["30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-30T00:30:00Z"],
        // and comes once where it comes twice.
        ["30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"],
        ["30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
];

#[test]
fn next_times() {
    for [cron, zone, now, expected] in NEXT_TIMES {
        assert_eq!(
            next(cron, zone, now),
            *expected,
            "{cron} in {zone} after {now}"
        );
    }
}

#[test]
fn the_form_of_the_broker_has_six_fields() {
    for (given, sent) in [
        ("0 3 * * *", "0 0 3 * * *"),
        ("10 0 3 * * MON", "10 0 3 * * MON"),
        (" 0  3 ? * 1 ", "0 0 3 * * 1"),
        ("@daily", "0 0 0 * * *"),
        ("@every 2m", "@every 120s"),
    ] {
        assert_eq!(given.parse::<Cron>().unwrap().to_string(), sent);
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (cron, named) in [
        ("", "0 fields"),
        ("* * * *", "4 fields"),
        ("@fortnightly", "1 fields"),
        ("60 * * * *", "minute \"60\""),
        ("* 24 * * *", "hour"),
        ("* * 0 * *", "day of the month"),
        ("* * * 13 *", "month"),
        ("* * * * 7", "weekday"),
        ("* * * * MON-", "weekday"),
        ("*/0 * * * *", "minute"),
        ("5-1 * * * *", "minute"),
        ("+5 * * * *", "minute"),
        ("0 0 30 2 *", "never comes"),
        ("@every 500ms", "1s or longer"),
        ("@every soon", "@every soon"),
    ] {
        let error = cron.parse::<Cron>().unwrap_err().to_string();
        assert!(error.contains(named), "{cron}: {error}");
    }
}

fn field(min: u8, max: u8) -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just("*".to_owned()),
        2 => (min..=max).prop_map(|value| value.to_string()),
        1 => (min..=max, 1..20_u8).prop_map(|(value, step)| format!("{value}/{step}")),
    ]
}

proptest! {
    /// The next time satisfies the fields, and no second before it does.
    #[test]
    fn it_is_the_first_one(
        second in field(0, 59), minute in field(0, 59), hour in field(0, 23),
        start in 0_i64..4_000_000_000,
    ) {
        let text = format!("{second} {minute} {hour} * * *");
        let Cron::Fields(fields) = text.parse::<Cron>().unwrap() else { unreachable!() };
        let start = Timestamp::from_second(start).unwrap();
        let next = fields.next_after(start, &TimeZone::UTC).unwrap();
        let takes = |at: Timestamp| {
            let time = TimeZone::UTC.to_datetime(at);
            has(fields.seconds, time.second()) && has(fields.minutes, time.minute())
                && has(fields.hours, time.hour())
        };
        prop_assert!(takes(next));
        let mut at = start + SignedDuration::from_secs(1);
        while at < next {
            prop_assert!(!takes(at), "{at} came before {next}");
            at += SignedDuration::from_secs(1);
        }
    }
}
