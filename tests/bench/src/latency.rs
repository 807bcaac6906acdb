//! From submitting a task to having its outcome, one at a time, on an idle worker.

use bytes::Bytes;

use crate::report::{Report, quantile};
use crate::{Scale, fleet, raw};

static PAYLOAD: Bytes =
    Bytes::from_static(br#"{"query":"Where is the serial number?","brand":"acme"}"#);
/// The first ones pay for what is set up lazily.
const WARM_UP: usize = 50;

pub(crate) async fn measure(url: &str, scale: Scale, report: &mut Report) -> anyhow::Result<()> {
    let pipeline = raw::Pipeline::new(url).await?;
    let working = tokio::spawn({
        let pipeline = pipeline.clone();
        async move { pipeline.work(usize::MAX, 10).await }
    });
    let broker = fleet::connect(url).await?;
    let worker = fleet::Worker::start(url, 10).await?;
    let (mut raw, mut fleet) = (Vec::new(), Vec::new());
    // In turn, so that noise hits both alike.
    for n in 0..scale.round_trips + WARM_UP {
        let raw_trip = pipeline.round_trip(n, &PAYLOAD).await?;
        let began = std::time::Instant::now();
        let task = fleet::task(&PAYLOAD);
        let mut outcome = broker.watch_outcome(&task.id).await?;
        broker.submit(&task).await?;
        outcome.wait().await?;
        let fleet_trip = began.elapsed();
        if n >= WARM_UP {
            raw.push(raw_trip.as_secs_f64() * 1e3);
            fleet.push(fleet_trip.as_secs_f64() * 1e3);
        }
    }
    working.abort();
    worker.stop().await?;
    for (name, q) in [("p50", 0.5), ("p99", 0.99)] {
        let name = format!("submit to outcome, one at a time, {name}");
        report.add(name, "ms", quantile(&mut fleet, q), quantile(&mut raw, q));
    }
    Ok(())
}
