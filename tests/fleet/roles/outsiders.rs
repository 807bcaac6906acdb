//! Those who are no service: publishers, readers, and operators at the command line.

use flotilla_common::broker::{Broker, Config, ConnectError};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::harness::command_line::run;
use crate::harness::fleet::Fleet;
use crate::harness::{Site, fixture, secured_test};

#[test]
fn a_task_is_published_by_one_user_and_its_outcome_read_by_another() {
    secured_test(
        &["shop=publisher.scraping", "page=reader.scraping"],
        async |nats| {
            let services = ["gateway", "stats", "scraping"];
            let fleet = Fleet::start_secured(nats, &services).await;
            let (shop, page) = (nats.user("shop").await, nats.user("page").await);
            let site = Site::start().await;
            let mut outcomes = page.nats.subscribe("outcomes.scraping.mine").await.unwrap();
            page.nats.flush().await.unwrap();
            // A look-up on the same connection comes after the subscription.
            let record = "$JS.API.DIRECT.GET.RESULTS.results.scraping.mine";
            assert!(page.ask(record, "").await.unwrap().payload.is_empty());
            let body = json!({"url": site.page(1), "embed": false}).to_string();
            shop.ask("tasks.scraping.normal.mine", body).await.unwrap();
            let outcome = loop {
                let pushed = outcomes.next().await.unwrap();
                let record: Value = serde_json::from_slice(&pushed.payload).unwrap();
                if record["status"] != "running" {
                    break record;
                }
            };
            assert_eq!(outcome["status"], "completed", "{outcome}");
            let stored = page.ask(record, "").await.unwrap();
            let stored: Value = serde_json::from_slice(&stored.payload).unwrap();
            assert_eq!(stored["result"], outcome["result"]);
            // The publisher has what comes as an answer.
            let body = json!({"url": site.page(2), "embed": false}).to_string();
            let asked = shop.ask("fleet.ask.scraping", body).await.unwrap();
            let asked: Value = serde_json::from_slice(&asked.payload).unwrap();
            assert_eq!(asked["status"], "completed", "{asked}");
            assert_eq!(nats.refusals(), [""; 0]);
            fleet.stop().await;
        },
    );
}

#[test]
fn operators_work_at_the_broker_itself() {
    secured_test(&[], async |nats| {
        let services = ["gateway", "stats", "scraping"];
        let fleet = Fleet::start_secured(nats, &services).await;
        let (url, flags) = (nats.url(), nats.flags("operator"));
        let at_broker = async |args: &[&str]| {
            let mut all = args.to_vec();
            all.extend(["--nats", &url]);
            all.extend(flags.iter().map(String::as_str));
            run(&all).await
        };
        let site = Site::start().await;
        let url = format!("url={}", site.page(1));
        at_broker(&["submit", "scraping", &url, "embed:=false", "--wait"])
            .await
            .ends_with(0);
        at_broker(&["queues", "list"]).await.ends_with(0);
        at_broker(&["workers"]).await.ends_with(0).says("scraping");
        assert_eq!(nats.refusals(), [""; 0]);
        fleet.stop().await;
    });
}

#[test]
fn the_doctor_tells_what_a_role_lacks() {
    secured_test(&[], async |nats| {
        let fleet = Fleet::start_secured(nats, &["gateway"]).await;
        let url = nats.url();
        let examined = async |user: &str, role: &str| {
            let mut args = vec!["doctor", "--json", "--nats", &url, "--role", role];
            let flags = nats.flags(user);
            args.extend(flags.iter().map(String::as_str));
            let report = run(&args).await.json();
            let findings = report["findings"].as_array().unwrap().clone();
            let of_permissions = |finding: &Value| finding["check"] == "permissions";
            findings
                .into_iter()
                .filter(of_permissions)
                .collect::<Vec<_>>()
        };
        for (user, role) in [
            ("worker-query", "worker.query"),
            ("gateway", "gateway"),
            ("stats", "stats"),
            ("publisher", "publisher.scraping"),
            ("operator", "worker.batch"),
            ("admin", "operator"),
        ] {
            let found = examined(user, role).await;
            assert_eq!(found.len(), 1, "{found:#?}");
            assert_eq!(found[0]["severity"], "ok", "{user} as {role}: {found:#?}");
        }
        let found = examined("worker-query", "worker.scraping").await;
        let message = found[0]["message"].as_str().unwrap();
        for lacking in [
            "role worker.scraping",
            "publish results.scraping.*",
            "subscribe to fleet.workers.scraping",
            "publish $JS.API.CONSUMER.MSG.NEXT.TASKS_SCRAPING.scraping_low",
        ] {
            assert!(message.contains(lacking), "{lacking}: {message}");
        }
        assert!(!message.contains("fleet.events"), "{message}");
        fleet.stop().await;
    });
}

#[test]
fn keys_that_are_wrong_are_told_apart() {
    secured_test(&[], async |nats| {
        let whole = Config {
            url: nats.url(),
            role: Some("stats".parse().unwrap()),
            nkey_seed_file: Some(nats.seed("stats")),
            tls_ca_file: Some(fixture("ca.pem")),
            ..Config::default()
        };
        Broker::connect(&whole, "tests").await.unwrap();
        let fault = async |file: &str, text: &str| {
            let path = nats.nats.dir().join(file);
            if !text.is_empty() {
                std::fs::write(&path, text).unwrap();
            }
            let config = Config {
                nkey_seed_file: Some(path),
                ..whole.clone()
            };
            Broker::connect(&config, "tests").await.unwrap_err()
        };
        assert!(matches!(
            fault("nowhere.nk", "").await,
            ConnectError::Seed { .. }
        ));
        // A public key is no seed.
        let public = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
        assert!(matches!(
            fault("public.nk", public).await,
            ConnectError::NoSeed { .. }
        ));
        // One that nobody has told the server of.
        let dir = nats.nats.dir().join("strangers").display().to_string();
        run(&["nats", "keys", "--dir", &dir]).await.ends_with(0);
        let stranger = fault("strangers/stats.nk", "").await;
        assert!(
            matches!(stranger, ConnectError::Denied { .. }),
            "{stranger}"
        );
    });
}

#[test]
fn the_file_in_deploy_is_what_the_table_says() {
    secured_test(&[], async |_| {
        let made = run(&["nats", "config"]).await.ends_with(0).out;
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let file = file.join("../deploy/nats/authorization.conf");
        let file = std::fs::read_to_string(file).unwrap();
        assert!(
            made == file,
            "make it anew: flotilla nats config >deploy/nats/authorization.conf"
        );
    });
}

/// Both of them, with what they include.
#[test]
fn the_configurations_are_ones_that_the_server_takes() {
    secured_test(&[], async |nats| {
        let test = |file: &str| {
            std::process::Command::new(crate::harness::program())
                .args(["-t", "-c", file])
                .current_dir(nats.nats.dir())
                .env("SERVER_NAME", "nats-1")
                .env("ROUTES", r#"["tls://nats-2:6222", "tls://nats-3:6222"]"#)
                .output()
                .unwrap()
        };
        for file in ["server.conf", "cluster.conf"] {
            let tested = test(file);
            assert!(tested.status.success(), "{file}: {tested:?}");
        }
        assert!(!test("authorization.conf.none").status.success());
    });
}
