//! Metrics as a collector has them, and as Prometheus would store them.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{HistogramDataPoint, Metric, NumberDataPoint};

use super::{service, texts};

/// All that one push says.
#[derive(Debug, Clone, Default)]
pub struct SeenMetrics {
    /// `service.name` of whoever pushed it.
    pub service: String,
    /// Names and what they are, translated as Prometheus translates them.
    pub types: BTreeSet<(String, &'static str)>,
    /// Series, as Prometheus's text format writes them.
    pub series: BTreeMap<String, f64>,
    /// What cumulative data must not be: of another temporality, or ending before it began.
    pub faults: Vec<String>,
}

pub(super) fn seen(request: ExportMetricsServiceRequest) -> Vec<SeenMetrics> {
    let pushes = request.resource_metrics.into_iter().map(|of| {
        let mut seen = SeenMetrics {
            service: service(of.resource.as_ref()),
            ..SeenMetrics::default()
        };
        for metric in of.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
            seen.take(metric);
        }
        seen
    });
    pushes.collect()
}

impl SeenMetrics {
    fn take(&mut self, metric: Metric) {
        const CUMULATIVE: i32 = 2;
        let name = words(&metric.name, &metric.unit);
        match metric.data {
            Some(Data::Sum(sum)) => {
                self.check(&name, sum.aggregation_temporality == CUMULATIVE);
                let (name, kind) = match sum.is_monotonic {
                    true => (format!("{name}_total"), "counter"),
                    false => (name, "gauge"),
                };
                self.numbers(&name, sum.data_points);
                self.types.insert((name, kind));
            }
            Some(Data::Gauge(gauge)) => {
                self.numbers(&name, gauge.data_points);
                self.types.insert((name, "gauge"));
            }
            Some(Data::Histogram(histogram)) => {
                self.check(&name, histogram.aggregation_temporality == CUMULATIVE);
                for point in &histogram.data_points {
                    self.histogram(&name, point);
                }
                self.types.insert((name, "histogram"));
            }
            other => self.faults.push(format!("{name} is {other:?}")),
        }
    }

    fn numbers(&mut self, name: &str, points: Vec<NumberDataPoint>) {
        for point in points {
            self.check(name, point.start_time_unix_nano <= point.time_unix_nano);
            let Some(Value::AsDouble(number)) = point.value else {
                self.faults.push(format!("{name} is {point:?}"));
                continue;
            };
            self.put(series(name, &point.attributes, None), number);
        }
    }

    /// Prometheus's buckets hold what the ones before them hold, too.
    fn histogram(&mut self, name: &str, point: &HistogramDataPoint) {
        self.check(name, point.start_time_unix_nano <= point.time_unix_nano);
        self.check(
            name,
            point.bucket_counts.len() == point.explicit_bounds.len() + 1,
        );
        let labels = &point.attributes;
        let bounds = point
            .explicit_bounds
            .iter()
            .map(|bound| format!("{bound:?}"));
        let bounds = bounds.chain(["+Inf".to_owned()]);
        let mut below = 0;
        for (bound, count) in bounds.zip(&point.bucket_counts) {
            below += count;
            let bucket = format!("{name}_bucket");
            self.put(series(&bucket, labels, Some(&bound)), below as f64);
        }
        let sum = point.sum.unwrap_or(f64::NAN);
        self.put(series(&format!("{name}_sum"), labels, None), sum);
        let count = point.count as f64;
        self.put(series(&format!("{name}_count"), labels, None), count);
    }

    fn put(&mut self, series: String, number: f64) {
        if let Some(there) = self.series.insert(series.clone(), number) {
            self.faults
                .push(format!("{series} is {there} and {number}"));
        }
    }

    fn check(&mut self, name: &str, is_right: bool) {
        if !is_right {
            self.faults.push(name.to_owned());
        }
    }
}

/// What each process tells has names of its own in OpenTelemetry's conventions.
const OF_PROCESS: [(&str, &str); 4] = [
    ("process_cpu_time_seconds", "process_cpu_seconds"),
    (
        "process_memory_usage_bytes",
        "process_resident_memory_bytes",
    ),
    ("process_unix_file_descriptor_count", "process_open_fds"),
    ("process_unix_file_descriptor_limit", "process_max_fds"),
];

/// Without what only counters end in.
fn words(name: &str, unit: &str) -> String {
    let unit = match unit {
        "" => "",
        "s" => "_seconds",
        "By" => "_bytes",
        other => panic!("{name} is in {other}"),
    };
    let name = name.replace('.', "_") + unit;
    let known = OF_PROCESS.iter().find(|(known, _)| *known == name);
    known.map_or(name.clone(), |(_, prometheus)| (*prometheus).to_owned())
}

fn series(name: &str, labels: &[KeyValue], le: Option<&str>) -> String {
    let of = |label: &KeyValue| {
        let value = texts(std::slice::from_ref(label)).into_values().next();
        format!("{}=\"{}\"", label.key, value.unwrap_or_default())
    };
    let le = le.map(|le| format!("le=\"{le}\""));
    let labels: Vec<_> = labels.iter().map(of).chain(le).collect();
    match labels.is_empty() {
        true => name.to_owned(),
        false => format!("{name}{{{}}}", labels.join(",")),
    }
}
