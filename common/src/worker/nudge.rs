//! Against a stall of the async runtime. A thread of it that a handler blocks may be the one that
//! waited for the network on behalf of all; the others go on sleeping then, and nobody's lease is
//! renewed, until something wakes one of them. So something does, from outside.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use tokio::runtime::Handle;

/// Far less than any lease.
const EVERY: Duration = Duration::from_millis(250);
/// While no task runs there is hardly anybody to block, and each nudge is most of what an idle worker does.
const EVERY_IDLE: Duration = Duration::from_secs(1);

/// Nudges the runtime in which it is made for as long as it lives.
pub(super) struct Nudging(#[expect(dead_code, reason = "it ends when this is dropped")] Sender<()>);

impl Nudging {
    pub(super) fn start(is_busy: impl Fn() -> bool + Send + 'static) -> Self {
        let (alive, ended) = channel();
        let runtime = Handle::current();
        let every = move || if is_busy() { EVERY } else { EVERY_IDLE };
        let nudge = move || {
            while ended.recv_timeout(every()) == Err(RecvTimeoutError::Timeout) {
                // What is spawned from outside wakes a thread, which then waits for the network
                // where nobody else does.
                drop(runtime.spawn(async {}));
            }
        };
        let thread = std::thread::Builder::new().name("nudge".to_owned());
        if let Err(error) = thread.spawn(nudge) {
            tracing::warn!(%error, "no thread to nudge the runtime: a handler that blocks may stall it");
        }
        Self(alive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long enough for any machine; without a nudge it passes.
    const BLOCKED_MAX: Duration = Duration::from_secs(20);

    /// Of two threads, the one that blocks may be the one that waits for timers and the network.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn timers_go_on_while_a_thread_is_blocked() {
        let _nudging = Nudging::start(|| true);
        for _ in 0..20 {
            let (fires, fired) = channel();
            let blocked = tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(2)).await;
                fired.recv_timeout(BLOCKED_MAX)
            });
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(10)).await;
                fires.send(())
            });
            let told = blocked.await.unwrap();
            assert_eq!(told, Ok(()), "the timer waited for the blocked thread");
        }
    }
}
