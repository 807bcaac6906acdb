//! What a family of numbers is called, and what it says.

/// All samples of one name.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// As Prometheus knows it: with its unit, and `_total` where it counts.
    pub name: &'static str,
    pub kind: Kind,
    /// The names of its labels; a sample has a value for each.
    pub labels: &'static [&'static str],
    /// One sentence, for whoever meets the name.
    pub help: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from the start of whoever counts.
    Counter,
    Gauge,
    /// A gauge of 1 for what is so and 0 for what is not. Several in a process that see the same
    /// thing do not make more of it.
    State,
    /// Durations in seconds, by how long they were.
    Histogram,
}

impl Kind {
    /// What Prometheus calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge | Self::State => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl Family {
    /// Without `_total`: what OpenMetrics and OTLP call it.
    pub fn base_name(&self) -> &'static str {
        self.name.strip_suffix("_total").unwrap_or(self.name)
    }

    /// The unit that its name ends in.
    pub fn unit(&self) -> Option<&'static str> {
        let units = ["seconds", "bytes"];
        let name = self.base_name();
        units.into_iter().find(|unit| {
            let before = name.strip_suffix(unit);
            before.is_some_and(|before| before.ends_with('_'))
        })
    }
}
