//! Cron expressions: five fields as on Unix, six with seconds first, or a descriptor. The
//! broker fires them; here they are checked, brought into the broker's form, and asked for
//! their next time, by the broker's rules.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::duration;

/// The longest gap between two runs that are looked for: 29 February over the year 2100.
const YEARS_MAX: i16 = 8;
const EVERY_MIN: Duration = Duration::from_secs(1);

/// When something recurs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cron {
    Fields(Fields),
    Every(Duration),
}

/// The allowed values of each field as bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    text: String,
    seconds: u64,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// A star in one of the two leaves the other one to decide; otherwise either does.
    either_day: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCron {
    #[error(
        "{0:?} has {1} fields: use five (minute hour day month weekday), six (second first), @hourly, @daily, @weekly, @monthly, @yearly, or @every 90s"
    )]
    Fields(String, usize),
    #[error(
        "{field} {text:?}: use {min} to {max}{names}, *, ranges (1-5), steps (*/10) and lists (1,3)"
    )]
    Field {
        field: &'static str,
        text: String,
        min: u8,
        max: u8,
        names: &'static str,
    },
    #[error("@every {0}: use a whole number and a unit of 1s or longer, like @every 90s")]
    Every(String),
    #[error("{0:?} never comes: no month has that day")]
    Never(String),
}

/// What a field may say.
struct Grammar {
    field: &'static str,
    min: u8,
    max: u8,
    names: &'static [&'static str],
    hint: &'static str,
}

const SECOND: Grammar = Grammar::number("second", 0, 59);
const MINUTE: Grammar = Grammar::number("minute", 0, 59);
const HOUR: Grammar = Grammar::number("hour", 0, 23);
const DAY: Grammar = Grammar::number("day of the month", 1, 31);
const MONTH: Grammar = Grammar {
    names: &[
        "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
    ],
    hint: " or JAN to DEC",
    ..Grammar::number("month", 1, 12)
};
const WEEKDAY: Grammar = Grammar {
    names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
    hint: " or SUN to SAT (0 is Sunday)",
    ..Grammar::number("weekday", 0, 6)
};

impl FromStr for Cron {
    type Err = InvalidCron;

    fn from_str(text: &str) -> Result<Self, InvalidCron> {
        let text = text.trim();
        if let Some(every) = text.strip_prefix("@every ") {
            let every = every.trim();
            let wrong = || InvalidCron::Every(every.to_owned());
            let duration = duration::parse(every).map_err(|_| wrong())?;
            let is_whole = duration.subsec_nanos() == 0;
            return match duration >= EVERY_MIN && is_whole {
                true => Ok(Self::Every(duration)),
                false => Err(wrong()),
            };
        }
        let fields = match text {
            "@hourly" => "0 0 * * * *",
            "@daily" | "@midnight" => "0 0 0 * * *",
            "@weekly" => "0 0 0 * * 0",
            "@monthly" => "0 0 0 1 * *",
            "@yearly" | "@annually" => "0 0 0 1 1 *",
            text => text,
        };
        let parts: Vec<&str> = fields.split_whitespace().collect();
        match parts.as_slice() {
            [minute, hour, day, month, weekday] => {
                Fields::parse(["0", minute, hour, day, month, weekday]).map(Self::Fields)
            }
            &[second, minute, hour, day, month, weekday] => {
                Fields::parse([second, minute, hour, day, month, weekday]).map(Self::Fields)
            }
            parts => Err(InvalidCron::Fields(text.to_owned(), parts.len())),
        }
    }
}

/// In the broker's form.
impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fields(fields) => f.write_str(&fields.text),
            Self::Every(every) => write!(f, "@every {}s", every.as_secs()),
        }
    }
}

impl Cron {
    /// The next time after `now`. Of `@every` that is a guess: the broker counts from the time
    /// at which it last fired, or was told.
    pub fn next_after(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            Self::Fields(fields) => fields.next_after(now, zone),
            Self::Every(every) => now.checked_add(*every).ok(),
        }
    }
}

impl Fields {
    fn parse(parts: [&str; 6]) -> Result<Self, InvalidCron> {
        let [second, minute, hour, day, month, weekday] = parts;
        let is_star = |text: &str| text.starts_with(['*', '?']);
        let fields = Self {
            text: parts.join(" ").replace('?', "*"),
            seconds: SECOND.parse(second)?,
            minutes: MINUTE.parse(minute)?,
            hours: HOUR.parse(hour)?,
            days: DAY.parse(day)?,
            months: MONTH.parse(month)?,
            weekdays: WEEKDAY.parse(weekday)?,
            either_day: !is_star(day) && !is_star(weekday),
        };
        // From a leap year on, so that every date that there is comes by.
        let start = Timestamp::UNIX_EPOCH;
        match fields.next_after(start, &TimeZone::UTC) {
            Some(_) => Ok(fields),
            None => Err(InvalidCron::Never(fields.text)),
        }
    }

    fn next_after(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let from = zone.to_datetime(now);
        let mut date = from.date();
        let last = date.checked_add(YEARS_MAX.years()).ok()?;
        while date <= last {
            if self.takes(date) {
                // On a day when clocks are set back, an hour comes twice: look at all of it.
                let times = self.times(date);
                let mut instants = times.filter_map(|time| instant(time, zone));
                if let Some(next) = instants.find(|instant| *instant > now) {
                    return Some(next);
                }
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    fn takes(&self, date: Date) -> bool {
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        let is_day = if self.either_day {
            day || weekday
        } else {
            day && weekday
        };
        has(self.months, date.month()) && is_day
    }

    fn times(&self, date: Date) -> impl Iterator<Item = DateTime> + '_ {
        let hours = (0..24_i8).filter(|hour| has(self.hours, *hour));
        hours.flat_map(move |hour| {
            let minutes = (0..60_i8).filter(|minute| has(self.minutes, *minute));
            minutes.flat_map(move |minute| {
                let seconds = (0..60_i8).filter(|second| has(self.seconds, *second));
                seconds.map(move |second| date.at(hour, minute, second, 0))
            })
        })
    }
}

/// A local time as an instant; `None` for one that clocks jump over.
fn instant(time: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    let instant = zone.to_timestamp(time).ok()?;
    (zone.to_datetime(instant) == time).then_some(instant)
}

fn has(bits: u64, value: i8) -> bool {
    u32::try_from(value).is_ok_and(|value| bits >> value & 1 == 1)
}

impl Grammar {
    const fn number(field: &'static str, min: u8, max: u8) -> Self {
        Self {
            field,
            min,
            max,
            names: &[],
            hint: "",
        }
    }

    fn parse(&self, text: &str) -> Result<u64, InvalidCron> {
        let mut bits = 0;
        for item in text.split(',') {
            bits |= self.item(item).ok_or_else(|| InvalidCron::Field {
                field: self.field,
                text: text.to_owned(),
                min: self.min,
                max: self.max,
                names: self.hint,
            })?;
        }
        Ok(bits)
    }

    /// `*`, `5`, `1-5`, and each with a step.
    fn item(&self, item: &str) -> Option<u64> {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<u8>().ok().filter(|s| *s > 0)?)),
            None => (item, None),
        };
        let (first, last) = match (range, range.split_once('-')) {
            ("*" | "?", _) => (self.min, self.max),
            (_, Some((first, last))) => (self.value(first)?, self.value(last)?),
            // A step alone goes on to the end: 5/15 is 5-59/15.
            (value, None) if step.is_some() => (self.value(value)?, self.max),
            (value, None) => (self.value(value)?, self.value(value)?),
        };
        if first > last {
            return None;
        }
        let values = (first..=last).step_by(usize::from(step.unwrap_or(1)));
        Some(values.fold(0, |bits, value| bits | 1 << value))
    }

    fn value(&self, text: &str) -> Option<u8> {
        let by_name = |name: &&str| name.eq_ignore_ascii_case(text);
        if let Some(place) = self.names.iter().position(by_name) {
            return u8::try_from(place).ok().map(|place| place + self.min);
        }
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let value = text.parse().ok().filter(|_| is_number)?;
        (self.min..=self.max).contains(&value).then_some(value)
    }
}

/// What a schedule may lie ahead.
pub const AHEAD_MAX: SignedDuration = SignedDuration::from_hours(366 * 24);

#[cfg(test)]
mod tests;
