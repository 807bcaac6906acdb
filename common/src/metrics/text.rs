//! Samples as Prometheus reads them: its text format 0.0.4, or OpenMetrics 1.0.

use std::fmt::{self, Write};

use super::bounds::bounds;
use super::family::{Family, Kind};
use super::samples::{Samples, Value};
use crate::model::Histogram;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Prometheus,
    OpenMetrics,
}

impl Format {
    /// What an `Accept` header asks for. Prometheus itself names OpenMetrics first.
    pub fn of(accept: Option<&str>) -> Self {
        let takes = |range: &str| {
            let mut parts = range.split(';').map(str::trim);
            let is_it = parts
                .next()
                .is_some_and(|media| media.eq_ignore_ascii_case("application/openmetrics-text"));
            is_it && parts.all(|part| part != "q=0" && part != "version=0.0.1")
        };
        match accept.is_some_and(|accept| accept.split(',').any(takes)) {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }

    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

pub fn encode(samples: &Samples, format: Format) -> String {
    let mut text = String::with_capacity(16 * 1_024);
    // Writing to a string cannot fail.
    let _ = write(&mut text, samples, format);
    text
}

fn write(text: &mut String, samples: &Samples, format: Format) -> fmt::Result {
    for (family, samples) in samples.families() {
        head(text, family, format)?;
        for (labels, value) in samples {
            match value {
                Value::Number(number) => {
                    text.push_str(family.name);
                    write_labels(text, family.labels, labels, None)?;
                    writeln!(text, " {number}")?;
                }
                Value::Durations(durations) => histogram(text, family, labels, durations)?,
            }
        }
    }
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
    Ok(())
}

fn head(text: &mut String, family: &Family, format: Format) -> fmt::Result {
    let name = match format {
        Format::Prometheus => family.name,
        Format::OpenMetrics => family.base_name(),
    };
    writeln!(text, "# HELP {name} {}", family.help)?;
    writeln!(text, "# TYPE {name} {}", family.kind.name())?;
    match (format, family.unit()) {
        (Format::OpenMetrics, Some(unit)) => writeln!(text, "# UNIT {name} {unit}"),
        _ => Ok(()),
    }
}

fn histogram(
    text: &mut String,
    family: &Family,
    labels: &[String],
    durations: &Histogram,
) -> fmt::Result {
    debug_assert_eq!(family.kind, Kind::Histogram, "{}", family.name);
    let name = family.name;
    let count = durations.count();
    for bound in bounds() {
        write!(text, "{name}_bucket")?;
        write_labels(text, family.labels, labels, Some(&float(bound.seconds)))?;
        writeln!(text, " {}", bound.count(durations))?;
    }
    write!(text, "{name}_bucket")?;
    write_labels(text, family.labels, labels, Some("+Inf"))?;
    writeln!(text, " {count}")?;
    write!(text, "{name}_sum")?;
    write_labels(text, family.labels, labels, None)?;
    writeln!(text, " {}", durations.sum_seconds())?;
    write!(text, "{name}_count")?;
    write_labels(text, family.labels, labels, None)?;
    writeln!(text, " {count}")
}

/// With a point: OpenMetrics wants bounds to look like what they are.
fn float(number: f64) -> String {
    format!("{number:?}")
}

fn write_labels(
    text: &mut String,
    names: &[&str],
    values: &[String],
    le: Option<&str>,
) -> fmt::Result {
    let pairs = names.iter().copied().zip(values.iter().map(String::as_str));
    let mut separator = '{';
    for (name, value) in pairs.chain(le.map(|le| ("le", le))) {
        write!(text, "{separator}{name}=\"")?;
        for letter in value.chars() {
            match letter {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                other => text.push(other),
            }
        }
        text.push('"');
        separator = ',';
    }
    if separator == ',' {
        text.push('}');
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::table::{BUILD_INFO, SLOTS, TASK_WAIT, TASKS_ENDED};
    use super::*;

    fn samples() -> Samples {
        let mut samples = Samples::default();
        let mut waits = Histogram::default();
        waits.record(Duration::from_millis(3));
        waits.record(Duration::from_secs(7_200));
        samples.durations(&TASK_WAIT, &["query", "high"], &waits);
        samples.count(&TASKS_ENDED, &["query", "high", "completed"], 2);
        samples.count(&TASKS_ENDED, &["query", "high", "completed"], 1);
        samples.number(&SLOTS, &["qu\"e\\ry\n"], 2.5);
        samples.number(&BUILD_INFO, &["1"], 1.0);
        samples.number(&BUILD_INFO, &["1"], 1.0);
        samples
    }

    #[test]
    fn counters_add_up_states_do_not_and_labels_are_escaped() {
        let text = encode(&samples(), Format::Prometheus);
        for line in [
            "# TYPE flotilla_tasks_ended_total counter",
            r#"flotilla_tasks_ended_total{category="query",priority="high",outcome="completed"} 3"#,
            r#"flotilla_slots{category="qu\"e\\ry\n"} 2.5"#,
            r#"flotilla_build_info{version="1"} 1"#,
            r#"flotilla_task_wait_seconds_bucket{category="query",priority="high",le="+Inf"} 2"#,
            r#"flotilla_task_wait_seconds_count{category="query",priority="high"} 2"#,
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
        assert!(!text.contains("# EOF") && !text.contains("# UNIT"));
        let buckets = text.lines().filter(|line| line.contains("_bucket"));
        let counts: Vec<&str> = buckets
            .map(|line| line.rsplit(' ').next().unwrap())
            .collect();
        assert_eq!((counts[1], counts[2], counts[19]), ("0", "1", "1"));
    }

    #[test]
    fn open_metrics_is_written_for_whoever_asks() {
        let text = encode(&samples(), Format::OpenMetrics);
        assert!(
            text.contains("# TYPE flotilla_tasks_ended counter\n"),
            "{text}"
        );
        assert!(
            text.contains("# UNIT flotilla_task_wait_seconds seconds\n"),
            "{text}"
        );
        assert!(text.ends_with("# EOF\n"));
        for (accept, format) in [
            (None, Format::Prometheus),
            (Some("*/*"), Format::Prometheus),
            (Some("text/plain;version=0.0.4;q=0.5"), Format::Prometheus),
            (
                Some("application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.5"),
                Format::OpenMetrics,
            ),
            (
                Some("application/openmetrics-text;version=0.0.1"),
                Format::Prometheus,
            ),
        ] {
            assert_eq!(Format::of(accept), format, "{accept:?}");
        }
    }
}
