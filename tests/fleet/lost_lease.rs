//! An attempt that has lost its lease is late: whatever it comes to, the outcome stays that of
//! the attempt which took over.

use std::time::Duration;

use flotilla_tests::Script;
use futures::StreamExt;

use crate::harness::{Client, Setup, Worker, eventually, sleep, test};

fn setup() -> Setup {
    Setup::slots(1)
        .ack_wait(Duration::from_secs(1))
        .running_after(Duration::from_millis(100))
}

/// Submits a task that blocks the first worker, and waits until a second one has taken over.
async fn taken_over(
    nats: &crate::harness::Nats,
    client: &Client,
    script: &Script,
) -> (String, Worker, Worker) {
    let late = setup().start(nats).await;
    let id = client.submit(script).await;
    eventually("it runs", async || late.handler.runs_of(&id) == 1).await;
    let second = setup();
    second.handler.open("blocks the first");
    let second = second.start(nats).await;
    eventually("it runs again", async || second.handler.runs_of(&id) == 1).await;
    (id, late, second)
}

fn blocking() -> Script {
    Script {
        blocking_gate: Some("blocks the first".to_owned()),
        ..Script::default()
    }
}

#[test]
fn a_late_completion_changes_nothing() {
    test(async |nats| {
        let client = Client::connect(nats).await;
        let mut written = client.nats.subscribe("results.query.*").await.unwrap();
        let mut pushed = client.nats.subscribe("outcomes.query.*").await.unwrap();
        let (id, late, second) = taken_over(nats, &client, &blocking()).await;
        let outcome = client.outcome(&id).await;
        assert_eq!(outcome["status"], "completed");
        let stored = client.state("RESULTS").await.last_sequence;

        late.handler.open("blocks the first");
        late.stop().await;
        second.stop().await;
        assert_eq!(client.record(&id).await.unwrap(), outcome);
        assert_eq!(client.state("RESULTS").await.last_sequence, stored);
        client.all_settled().await;

        // The late write was made, and refused: it is heard on the subject that it went to, and
        // not on the one that waiters listen to.
        let mut heard = Vec::new();
        let look = client.state("RESULTS").await.last_sequence;
        for _ in 0..look {
            let message = pushed.next().await.unwrap();
            heard.push(serde_json::from_slice::<serde_json::Value>(&message.payload).unwrap());
        }
        assert_eq!(heard.last(), Some(&outcome));
        assert!(
            heard
                .iter()
                .all(|record| record["worker"] == outcome["worker"])
        );
        for _ in 0..=look {
            written.next().await.unwrap();
        }
        let more = tokio::time::timeout(Duration::from_millis(200), pushed.next()).await;
        assert!(more.is_err(), "a refused write was pushed: {more:?}");
    });
}

#[test]
fn a_completion_while_the_other_still_runs_changes_nothing() {
    test(async |nats| {
        let client = Client::connect(nats).await;
        let script = Script {
            gate: Some("holds the second".to_owned()),
            ..blocking()
        };
        let late = setup();
        late.handler.open("holds the second");
        let late = late.start(nats).await;
        let id = client.submit(&script).await;
        eventually("it runs", async || late.handler.runs_of(&id) == 1).await;
        let second = setup();
        second.handler.open("blocks the first");
        let second = second.start(nats).await;
        let running = client.status(&id, "running").await;

        late.handler.open("blocks the first");
        late.stop().await;
        assert_eq!(client.record(&id).await.unwrap(), running);
        second.handler.open("holds the second");
        let outcome = client.outcome(&id).await;
        assert_eq!(outcome["worker"], running["worker"]);
        client.all_settled().await;
        second.stop().await;
    });
}

#[test]
fn a_late_failure_leaves_no_dead_letter() {
    test(async |nats| {
        let client = Client::connect(nats).await;
        let late = setup();
        late.handler.reject_all();
        let late = late.start(nats).await;
        let id = client.submit(&blocking()).await;
        eventually("it runs", async || late.handler.runs_of(&id) == 1).await;
        let second = setup();
        second.handler.open("blocks the first");
        let second = second.start(nats).await;
        let outcome = client.outcome(&id).await;
        assert_eq!(outcome["status"], "completed");

        late.handler.open("blocks the first");
        late.stop().await;
        second.stop().await;
        assert_eq!(client.record(&id).await.unwrap(), outcome);
        assert_eq!(client.state("DEAD").await.messages, 0);
    });
}

/// Time between awaits is a sign of life: the lease is renewed, and nobody takes over.
#[test]
fn a_task_longer_than_its_lease_keeps_it() {
    test(async |nats| {
        let client = Client::connect(nats).await;
        let first = setup().start(nats).await;
        let second = setup();
        let second = second.start(nats).await;
        let id = client.submit(&sleep(Duration::from_secs(3))).await;
        let outcome = client.outcome(&id).await;
        assert_eq!(outcome["attempt"], 1);
        client.all_settled().await;
        let runs = first.handler.runs_of(&id) + second.handler.runs_of(&id);
        assert_eq!(runs, 1);
        first.stop().await;
        second.stop().await;
    });
}
