//! A task is cancelled whatever it is doing, and the answer says what that was.

use std::time::Duration;

use flotilla_common::broker::{Broker, Cancelled, StreamLimits};
use flotilla_common::model::{Priority, Status, TaskId, Was};
use flotilla_tests::Script;

use crate::harness::fleet::Fleet;
use crate::harness::{Client, Setup, body, broker, eventually, gate, say, task, test};

async fn cancel(broker: &Broker, id: &str) -> Option<Was> {
    let id: TaskId = id.parse().unwrap();
    match broker.cancel(&id).await.unwrap() {
        Cancelled::Now(record) => match record.status {
            Status::Cancelled { was, .. } => Some(was),
            status => panic!("recorded as {status:?}"),
        },
        Cancelled::Finished(_) | Cancelled::Unknown => None,
    }
}

#[test]
fn a_waiting_task_never_starts() {
    test(async |nats| {
        let broker = broker(nats, &StreamLimits::default()).await;
        let client = Client::connect(nats).await;
        let gone = client.submit(&say(1)).await;
        let named = task(Priority::Normal, &say(2));
        broker.submit(&named).await.unwrap();
        let stays = client.submit(&say(3)).await;

        assert_eq!(cancel(&broker, &gone).await, Some(Was::Waiting));
        assert_eq!(cancel(&broker, named.id.as_str()).await, Some(Was::Waiting));
        let worker = Setup::slots(1).start(nats).await;
        assert_eq!(client.outcome(&stays).await["status"], "completed");
        client.all_settled().await;
        assert_eq!(worker.handler.started().len(), 1);
        let record = client.record(&gone).await.unwrap();
        assert_eq!(
            (&record["status"], &record["was"]),
            (&"cancelled".into(), &"waiting".into())
        );
        // The outcome stands.
        assert_eq!(cancel(&broker, &gone).await, None);
        assert_eq!(client.record(&gone).await.unwrap(), record);
        worker.stop().await;
    });
}

/// Whoever cancelled it recorded that, and died before it came to the rest.
#[test]
fn cancelling_again_removes_what_was_left_behind() {
    test(async |nats| {
        let broker = broker(nats, &StreamLimits::default()).await;
        let client = Client::connect(nats).await;
        let other = client.submit(&say(1)).await;
        assert_eq!(cancel(&broker, &other).await, Some(Was::Waiting));
        let mut record = client.record(&other).await.unwrap();

        let left = client.submit(&say(2)).await;
        record["task_id"] = left.clone().into();
        record["sequence"] = client.state("TASKS_QUERY").await.last_sequence.into();
        let recorded = format!("results.query.{left}");
        client.publish(&recorded, record.to_string()).await;
        assert_eq!(cancel(&broker, &left).await, None, "it is cancelled");
        assert_eq!(client.state("TASKS_QUERY").await.messages, 0);
    });
}

/// Both a task that is recorded as running and one that has only just started.
#[test]
fn a_running_task_is_told_and_stops() {
    test(async |nats| {
        for running_after in [Duration::ZERO, Duration::from_secs(20)] {
            let worker = Setup::slots(1)
                .running_after(running_after)
                .start(nats)
                .await;
            let (broker, client) = (
                broker(nats, &StreamLimits::default()).await,
                Client::connect(nats).await,
            );
            let id = client.submit(&gate("never")).await;
            eventually("it runs", async || worker.handler.runs_of(&id) == 1).await;
            if running_after.is_zero() {
                client.status(&id, "running").await;
            }
            assert_eq!(cancel(&broker, &id).await, Some(Was::Running));
            eventually("it was told", async || worker.handler.was_told_to_end(&id)).await;
            // Its slot is free again.
            let next = client.submit(&say(1)).await;
            assert_eq!(client.outcome(&next).await["status"], "completed");
            assert_eq!(client.record(&id).await.unwrap()["status"], "cancelled");
            worker.stop().await;
            client.all_settled().await;
        }
    });
}

/// The word to stop is only a message: the renewal of the lease finds out as well.
#[test]
fn a_running_task_notices_by_itself() {
    test(async |nats| {
        let worker = Setup::slots(1)
            .ack_wait(Duration::from_secs(1))
            .running_after(Duration::ZERO)
            .start(nats)
            .await;
        let client = Client::connect(nats).await;
        let id = client.submit(&gate("never")).await;
        let mut record = client.status(&id, "running").await;
        record["status"] = "cancelled".into();
        record["was"] = "running".into();
        record["cancelled_at"] = "2026-01-01T00:00:00Z".into();
        client
            .publish(&format!("results.query.{id}"), record.to_string())
            .await;
        eventually("it stops", async || worker.handler.was_told_to_end(&id)).await;
        worker.stop().await;
        assert_eq!(client.record(&id).await.unwrap()["status"], "cancelled");
    });
}

/// The task is handed out, with its return still to come: removing it must not confuse that.
#[test]
fn a_task_that_backs_off_is_not_tried_again() {
    test(async |nats| {
        let worker = Setup::slots(1).start(nats).await;
        let (broker, client) = (
            broker(nats, &StreamLimits::default()).await,
            Client::connect(nats).await,
        );
        let script = Script {
            failures: 9,
            retry_after_ms: Some(700),
            ..Script::default()
        };
        let id = client.submit(&script).await;
        client.status(&id, "retrying").await;
        assert_eq!(cancel(&broker, &id).await, Some(Was::BackingOff));
        client.all_settled().await;
        tokio::time::sleep(Duration::from_millis(1_000)).await;
        assert_eq!(worker.handler.runs_of(&id), 1);
        let record = client.record(&id).await.unwrap();
        assert_eq!(record["status"], "cancelled");
        assert_eq!(
            record["failed_attempts"][0]["number"], 1,
            "the history stays"
        );
        worker.stop().await;
    });
}

#[test]
fn the_api_says_what_it_was() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &["gateway", "stats"]).await;
        let client = Client::connect(nats).await;
        let ack = client.publish("tasks.query.low", body(&say(1))).await;
        let id = format!("query_{}", ack.sequence);
        let path = format!("/tasks/{id}/cancel");
        let answer = fleet.post(&path, "").await;
        assert_eq!(
            (answer.status, &answer.body["was"]),
            (200, &"waiting".into())
        );
        assert_eq!(answer.body["status"], "cancelled");
        assert_eq!(
            fleet.post(&path, "").await.status,
            200,
            "once more changes nothing"
        );
        assert_eq!(
            fleet.get(&format!("/tasks/{id}")).await.body["status"],
            "cancelled"
        );
        assert_eq!(
            fleet.post("/tasks/query_unknown/cancel", "").await.status,
            404
        );
        fleet.counted(1).await;
        assert_eq!(fleet.get("/stats").await.body["totals"]["cancelled"], 1);

        let worker = Setup::slots(1).start(nats).await;
        let done = client.submit(&say(1)).await;
        client.outcome(&done).await;
        let answer = fleet.post(&format!("/tasks/{done}/cancel"), "").await;
        assert_eq!(answer.status, 409);
        assert_eq!(answer.body["task"]["status"], "completed");
        worker.stop().await;
        fleet.stop().await;
    });
}
