//! Samples as OTLP has them (`ExportMetricsServiceRequest`): the same families and buckets that
//! Prometheus reads, so that a number has one meaning whichever way it went.

use bytes::Bytes;
use jiff::Timestamp;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

use super::super::otlp::SCHEMA_URL;
use super::super::request::{self, attribute};
use super::names;
use crate::metrics::{Family, Kind, Samples, Value, bounds};
use crate::model;

/// Since the start, not since the last push.
const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

/// What all requests of a process have in common.
#[derive(Debug)]
pub(super) struct Request {
    resource: Resource,
    /// When this process began to count.
    began: Timestamp,
}

/// When something was counted, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy)]
struct Span {
    /// 0 where that is not known.
    from: u64,
    until: u64,
}

impl Request {
    pub(super) fn new(resource: &[(String, String)], began: Timestamp) -> Self {
        Self {
            resource: request::resource(resource),
            began,
        }
    }

    pub(super) fn of(&self, samples: &Samples, now: Timestamp) -> Bytes {
        let metrics = samples.families().map(|(family, samples)| {
            let began = names::is_of_process(family).then_some(self.began);
            let span = Span {
                from: began.map_or(0, nanoseconds),
                until: nanoseconds(now),
            };
            metric(family, samples.iter(), span)
        });
        let scope_metrics = ScopeMetrics {
            scope: Some(request::scope()),
            metrics: metrics.collect(),
            schema_url: SCHEMA_URL.to_owned(),
        };
        let resource_metrics = ResourceMetrics {
            resource: Some(self.resource.clone()),
            scope_metrics: vec![scope_metrics],
            schema_url: SCHEMA_URL.to_owned(),
        };
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![resource_metrics],
        };
        request.encode_to_vec().into()
    }
}

fn metric<'a>(
    family: &Family,
    samples: impl Iterator<Item = (&'a Vec<String>, &'a Value)>,
    span: Span,
) -> Metric {
    let (mut numbers, mut durations) = (Vec::new(), Vec::new());
    for (labels, value) in samples {
        let names = family.labels.iter().zip(labels);
        let attributes = names.map(|(name, value)| attribute(name, value)).collect();
        match value {
            Value::Number(value) => numbers.push(number(*value, attributes, span)),
            Value::Durations(value) => durations.push(histogram(value, attributes, span)),
        }
    }
    let data = match family.kind {
        Kind::Histogram => Data::Histogram(Histogram {
            data_points: durations,
            aggregation_temporality: CUMULATIVE,
        }),
        _ if names::adds_up(family) => Data::Sum(Sum {
            data_points: numbers,
            aggregation_temporality: CUMULATIVE,
            is_monotonic: family.kind == Kind::Counter,
        }),
        _ => Data::Gauge(Gauge {
            data_points: numbers,
        }),
    };
    Metric {
        name: names::name(family).into_owned(),
        description: family.help.to_owned(),
        unit: names::unit(family).to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn number(value: f64, attributes: Vec<KeyValue>, span: Span) -> NumberDataPoint {
    NumberDataPoint {
        attributes,
        start_time_unix_nano: span.from,
        time_unix_nano: span.until,
        value: Some(Number::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

/// Here each bucket has its own count, and the last one is open.
fn histogram(
    durations: &model::Histogram,
    attributes: Vec<KeyValue>,
    span: Span,
) -> HistogramDataPoint {
    let through = bounds().iter().map(|bound| bound.count(durations));
    let through = through.chain([durations.count()]);
    let mut below = 0;
    let counts = through.map(|through| through - std::mem::replace(&mut below, through));
    HistogramDataPoint {
        attributes,
        start_time_unix_nano: span.from,
        time_unix_nano: span.until,
        count: durations.count(),
        sum: Some(durations.sum_seconds()),
        bucket_counts: counts.collect(),
        explicit_bounds: bounds().iter().map(|bound| bound.seconds).collect(),
        ..HistogramDataPoint::default()
    }
}

fn nanoseconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_nanosecond()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::{FLEET_TASKS_ENDED, PROCESS_MEMORY, SLOTS, TASK_WAIT, TASKS_ENDED};

    fn told(samples: &Samples) -> Vec<Metric> {
        let at = |nanoseconds| Timestamp::from_nanosecond(nanoseconds).unwrap();
        let resource = [("service.name".to_owned(), "flotilla".to_owned())];
        let request = Request::new(&resource, at(5)).of(samples, at(9));
        let mut read = ExportMetricsServiceRequest::decode(request).unwrap();
        let mut of = read.resource_metrics.remove(0);
        let resource = of.resource.unwrap().attributes;
        assert_eq!(resource, [attribute("service.name", "flotilla")]);
        of.scope_metrics.remove(0).metrics
    }

    #[test]
    fn counters_count_from_the_start_and_gauges_are_as_they_are() {
        let mut samples = Samples::default();
        samples.count(&TASKS_ENDED, &["query", "high", "completed"], 7);
        samples.count(&FLEET_TASKS_ENDED, &["query", "high", "completed"], 9);
        samples.number(&SLOTS, &["query"], 2.5);
        samples.number(&PROCESS_MEMORY, &[], 1e6);
        let metrics = told(&samples);
        let names: Vec<_> = metrics.iter().map(|metric| metric.name.as_str()).collect();
        let expected = [
            "flotilla.tasks_ended",
            "flotilla.slots",
            "flotilla.fleet.tasks_ended",
            "process.memory.usage",
        ];
        assert_eq!(names, expected);
        let Some(Data::Sum(sum)) = &metrics[0].data else {
            panic!("{metrics:?}")
        };
        assert!(sum.is_monotonic && sum.aggregation_temporality == CUMULATIVE);
        let point = &sum.data_points[0];
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (5, 9));
        assert_eq!(point.value, Some(Number::AsDouble(7.0)));
        assert_eq!(point.attributes[2], attribute("outcome", "completed"));
        let Some(Data::Gauge(gauge)) = &metrics[1].data else {
            panic!("{metrics:?}")
        };
        assert_eq!(gauge.data_points[0].value, Some(Number::AsDouble(2.5)));
        // Nobody knows since when, and it has not begun anew with this process.
        let Some(Data::Sum(sum)) = &metrics[2].data else {
            panic!("{metrics:?}")
        };
        assert_eq!(sum.data_points[0].start_time_unix_nano, 0);
        let Some(Data::Sum(sum)) = &metrics[3].data else {
            panic!("{metrics:?}")
        };
        assert!(!sum.is_monotonic);
    }

    #[test]
    fn histograms_have_the_buckets_that_prometheus_reads() {
        let (mut samples, mut waits) = (Samples::default(), model::Histogram::default());
        for millis in [3, 3, 40, 9_000_000] {
            waits.record(Duration::from_millis(millis));
        }
        samples.durations(&TASK_WAIT, &["query", "high"], &waits);
        let metrics = told(&samples);
        let Some(Data::Histogram(histogram)) = &metrics[0].data else {
            panic!("{metrics:?}")
        };
        let point = &histogram.data_points[0];
        assert_eq!((metrics[0].unit.as_str(), point.count), ("s", 4));
        assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
        assert_eq!((point.bucket_counts[2], point.bucket_counts[20]), (2, 1));
        assert_eq!(point.bucket_counts.iter().sum::<u64>(), 4);
        assert_eq!(point.sum, Some(waits.sum_seconds()));
    }
}
