//! Tasks of clients that know nothing of us, with a trace of their own, without one, or with
//! something that is none.

use flotilla_tests::otlp::FakeCollector;
use serde_json::json;

use super::{all, finished, one};
use crate::harness::fleet::Fleet;
use crate::harness::{Client, Setup, body, http, say, test};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";
const SEND: &str = "send tasks.query.normal";
const PROCESS: &str = "process tasks.query.normal";

#[test]
fn a_client_s_trace_goes_on_whatever_the_case_of_its_header() {
    test(async |nats| {
        let collector = FakeCollector::start().await;
        let traces = collector.traces(&[]);
        let worker = Setup::slots(2).traces(&traces).start(nats).await;
        let client = Client::connect(nats).await;
        let parent = format!("00-{TRACE}-{SPAN}-01");
        for name in ["traceparent", "Traceparent", "TRACEPARENT"] {
            let headers = [(name, parent.as_str())];
            let subject = format!("tasks.query.normal.{name}");
            client.publish_with(&subject, &headers, body(&say(1))).await;
            let spans = finished(&collector, name).await;
            assert_eq!(spans.len(), 3, "nobody sends it again: {spans:#?}");
            for span in &spans {
                assert_eq!(
                    (span.trace.as_str(), span.parent.as_deref()),
                    (TRACE, Some(SPAN))
                );
            }
            let process = one(&spans, PROCESS);
            assert_eq!(process.attribute("messaging.system"), "nats");
            assert_eq!(process.attribute("flotilla.outcome"), "completed");
            assert_eq!((process.kind, process.error.as_ref()), (5, None));
            assert_eq!(client.record(name).await.unwrap()["trace"]["id"], TRACE);
        }
        worker.stop().await;
    });
}

#[test]
fn without_a_usable_one_there_is_a_whole_trace_all_the_same() {
    test(async |nats| {
        let collector = FakeCollector::start().await;
        let traces = collector.traces(&[]);
        let worker = Setup::slots(2).traces(&traces).start(nats).await;
        let client = Client::connect(nats).await;
        let malformed = format!("00-{}-{SPAN}-01", TRACE.to_uppercase());
        let given = [
            vec![],
            vec![("traceparent", malformed.as_str())],
            vec![("traceparent", "x")],
        ];
        for headers in given {
            let ack = client
                .publish_with("tasks.query.normal", &headers, body(&say(1)))
                .await;
            let spans = finished(&collector, &format!("query_{}", ack.sequence)).await;
            let send = one(&spans, SEND);
            assert_eq!((send.kind, send.parent.as_ref()), (4, None));
            for name in ["queued", PROCESS, "result"] {
                assert_eq!(one(&spans, name).parent.as_ref(), Some(&send.id));
            }
            assert_ne!(send.trace, TRACE);
        }
        worker.stop().await;
    });
}

#[test]
fn a_request_is_the_root_of_all_that_comes_of_it() {
    test(async |nats| {
        let collector = FakeCollector::start().await;
        let traces = collector.traces(&[]);
        let worker = Setup::slots(2).traces(&traces).start(nats).await;
        let links = "telemetry.trace_url=http://jaeger:16686/trace/{trace_id}";
        let fleet = Fleet::start_traced(nats, &["gateway"], &[links], traces).await;
        let embed = json!({"query": "what is it?"}).to_string();
        // The scripted worker rejects it, which is an outcome as well.
        let answer = fleet.post("/query", &embed).await;
        let id = answer.body["task_id"].as_str().unwrap();
        let spans = finished(&collector, id).await;
        let trace = collector.of_trace(&spans[0].trace);
        let server = one(&trace, "POST /api/hp/query");
        assert_eq!((server.kind, server.parent.as_ref()), (2, None));
        assert_eq!(server.attribute("http.route"), "/api/hp/query");
        assert_eq!(server.attribute("http.response.status_code"), "200");
        assert_eq!(
            one(&trace, "wait for the outcome").parent.as_ref(),
            Some(&server.id)
        );
        let send = one(&trace, "send tasks.query.critical");
        assert_eq!(send.parent.as_ref(), Some(&server.id));
        assert_eq!(one(&trace, "queued").parent.as_ref(), Some(&send.id));
        assert!(
            !format!("{trace:?}").contains("what is it"),
            "what is asked is private"
        );

        let looks = all(&collector.spans(), "GET /api/hp/tasks/{task_id}").len();
        let seen = fleet.get(&format!("/tasks/{id}")).await.body;
        assert_eq!(seen["trace_id"], spans[0].trace.as_str(), "{seen}");
        let url = format!("http://jaeger:16686/trace/{}", spans[0].trace);
        assert_eq!(seen["trace_url"], url.as_str());
        assert_eq!(
            all(&collector.spans(), "GET /api/hp/tasks/{task_id}").len(),
            looks
        );
        worker.stop().await;
        fleet.stop().await;
    });
}

#[test]
fn a_request_s_own_trace_goes_on_and_is_passed_on_without_ours() {
    test(async |nats| {
        let collector = FakeCollector::start().await;
        let worker = Setup::slots(2)
            .traces(&collector.traces(&[]))
            .start(nats)
            .await;
        // The gateway makes no traces: what its client says is passed on.
        let fleet = Fleet::start(nats, &["gateway"]).await;
        let head = format!(
            "POST /api/hp/query HTTP/1.1\r\ncontent-type: application/json\r\nTraceParent: 00-{TRACE}-{SPAN}-01\r\n"
        );
        let answer = http::send(&fleet.address, &head, r#"{"query":"q"}"#).await;
        let id = answer.body["task_id"].as_str().unwrap();
        let spans = finished(&collector, id).await;
        for span in &spans {
            assert_eq!(
                (span.trace.as_str(), span.parent.as_deref()),
                (TRACE, Some(SPAN))
            );
        }
        worker.stop().await;
        fleet.stop().await;
    });
}
