//! What a family is called by OTLP: the words of its name for Prometheus, as OpenTelemetry's
//! conventions put them. Whoever translates it back by the usual rules, as Prometheus does, finds it
//! under the name that it has there; but for what every process tells, which has names of its own in
//! the conventions.

use std::borrow::Cow;

use crate::metrics::{
    Family, Kind, PROCESS_CPU, PROCESS_FDS, PROCESS_FDS_MAX, PROCESS_MEMORY, PROCESS_START,
};

/// By convention.
const OF_PROCESS: [(&Family, &str); 5] = [
    (&PROCESS_CPU, "process.cpu.time"),
    (&PROCESS_MEMORY, "process.memory.usage"),
    (&PROCESS_FDS, "process.unix.file_descriptor.count"),
    (&PROCESS_FDS_MAX, "process.unix.file_descriptor.limit"),
    (&PROCESS_START, "process.start_time"),
];

/// Without its unit and `_total`, its namespaces set off by dots.
pub(crate) fn name(family: &Family) -> Cow<'static, str> {
    let of_process = OF_PROCESS.iter().find(|(known, _)| *known == family);
    if let Some((_, name)) = of_process {
        return Cow::Borrowed(name);
    }
    let name = family.base_name();
    let name = match family.unit() {
        Some(unit) => name.trim_end_matches(unit).trim_end_matches('_'),
        None => name,
    };
    let spaces = [
        ("flotilla_fleet_", "flotilla.fleet."),
        ("flotilla_", "flotilla."),
    ];
    for (prefix, space) in spaces {
        if let Some(rest) = name.strip_prefix(prefix) {
            return Cow::Owned(format!("{space}{rest}"));
        }
    }
    Cow::Borrowed(name)
}

/// As UCUM writes it.
pub(crate) fn unit(family: &Family) -> &'static str {
    match family.unit() {
        Some("seconds") => "s",
        Some("bytes") => "By",
        _ => "",
    }
}

/// Whether it counts from the start of this process. What is counted for the whole fleet outlives it.
pub(super) fn is_of_process(family: &Family) -> bool {
    !family.name.starts_with("flotilla_fleet_")
}

/// Whether its numbers add up over processes, though they go down as well: by convention, of these.
pub(super) fn adds_up(family: &Family) -> bool {
    let sums = [&PROCESS_MEMORY, &PROCESS_FDS, &PROCESS_FDS_MAX];
    family.kind == Kind::Counter || sums.contains(&family)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::metrics::{FAMILIES, STREAM_BYTES, STREAM_LIMIT, TASK_WAIT, TASKS_ENDED};

    #[test]
    fn names_are_as_the_conventions_have_them() {
        for (family, expected) in [
            (&TASKS_ENDED, ("flotilla.tasks_ended", "")),
            (&TASK_WAIT, ("flotilla.task_wait", "s")),
            (&STREAM_BYTES, ("flotilla.fleet.stream", "By")),
            (&STREAM_LIMIT, ("flotilla.fleet.stream_limit", "By")),
            (&PROCESS_CPU, ("process.cpu.time", "s")),
        ] {
            assert_eq!((&*name(family), unit(family)), expected);
        }
    }

    /// As Prometheus translates it: words by underscores, then the unit, then what counts.
    #[test]
    fn a_name_translated_back_is_the_name_that_prometheus_reads() {
        let mut names = BTreeSet::new();
        for family in FAMILIES {
            assert!(names.insert(name(family)), "{}", family.name);
            if family.name.starts_with("process_") {
                continue;
            }
            let words = name(family).replace('.', "_");
            let unit = family.unit().map(|unit| format!("_{unit}"));
            let total = (family.kind == Kind::Counter).then_some("_total");
            let back = words + &unit.unwrap_or_default() + total.unwrap_or_default();
            assert_eq!(back, family.name);
        }
    }
}
