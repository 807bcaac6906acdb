//! An outage of the broker must not end a service, wherever in its start it comes.

use std::time::Duration;

use super::{Begin, Context, Running, StartError};
use crate::broker::BrokerError;

const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Runs a service until it ends by itself; once more where it failed as the broker went away.
pub fn persist(context: Context, begin: Begin) -> Running {
    Box::pin(begin_anew(context, begin))
}

async fn begin_anew(context: Context, begin: Begin) -> anyhow::Result<()> {
    loop {
        let Err(error) = begin(context.clone()).await else {
            return Ok(());
        };
        if is_stopped(&error) {
            // Told to stop before there was anything to drain, it has done so.
            return Ok(());
        }
        if context.stop.is_cancelled() || !will_pass(&error) {
            return Err(error);
        }
        tracing::warn!(
            error = format!("{error:#}"),
            "the broker went away under a service, which begins anew"
        );
        let waiting = tokio::time::sleep(AGAIN_AFTER);
        if context.stop.run_until_cancelled(waiting).await.is_none() {
            return Ok(());
        }
    }
}

fn is_stopped(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(StartError::Stopped))
}

fn will_pass(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let starting = match cause.downcast_ref() {
            Some(StartError::Broker(error)) => Some(error),
            _ => None,
        };
        let broker = starting.or_else(|| cause.downcast_ref());
        broker.is_some_and(BrokerError::will_pass)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::service::Settings;

    fn away() -> BrokerError {
        BrokerError::Unavailable {
            doing: "looking".to_owned(),
        }
    }

    /// What comes of a service that ends with these one after the other, and how often it ran.
    async fn run(ends: &'static [fn() -> anyhow::Result<()>]) -> (anyhow::Result<()>, usize) {
        let stop = CancellationToken::new();
        let context = Context::new(Settings::default(), stop);
        let ran = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&ran);
        let begin = move |_| -> Running {
            let end = ends[counted.fetch_add(1, Relaxed)];
            Box::pin(async move { end() })
        };
        let ended = persist(context, Box::new(begin)).await;
        (ended, ran.load(Relaxed))
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_outlasted_and_nothing_else() {
        let (ended, ran) = run(&[
            || Err(StartError::from(away()).into()),
            || Err(anyhow::Error::from(away()).context("the index")),
            || Ok(()),
        ])
        .await;
        assert!(ended.is_ok(), "{ended:?}");
        assert_eq!(ran, 3);

        let (ended, ran) = run(&[|| Err(StartError::Invalid("a typo".to_owned()).into())]).await;
        assert_eq!(
            (ended.unwrap_err().to_string().as_str(), ran),
            ("a typo", 1)
        );

        let (ended, ran) = run(&[|| Err(StartError::Stopped.into())]).await;
        assert!(ended.is_ok() && ran == 1);
    }
}
