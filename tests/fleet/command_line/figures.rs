//! Questions, documents, and how the fleet is.

use serde_json::json;

use super::{ALL, At};
use crate::harness::fleet::Fleet;
use crate::harness::test;

#[test]
fn questions_documents_and_figures() {
    test(async |nats| {
        let fleet = Fleet::start(nats, &ALL).await;
        let at = At::of(&fleet);
        let text = "document.text=To reset the pump, hold the red button for nine seconds.";
        let embed = [
            "submit",
            "embedding",
            "document.id=pump",
            text,
            "brand=acme",
            "--wait=30s",
        ];
        let embedded = at.json(&embed).await;
        let sequence = embedded["result"]["sequence"].to_string();
        let ask = |question: &'static str| {
            ["ask", question, "--brand", "acme", "--at-least"].map(str::to_owned)
        };
        let known: Vec<String> = [
            &ask("How do I reset the pump?")[..],
            std::slice::from_ref(&sequence),
        ]
        .concat();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        at.run(&known)
            .await
            .ends_with(0)
            .says("nine seconds")
            .says("[1]")
            .says("confidence");
        assert_eq!(at.json(&known).await["result"]["found"], true);
        let unknown: Vec<String> =
            [&ask("Who won the chess championship?")[..], &[sequence]].concat();
        let unknown: Vec<&str> = unknown.iter().map(String::as_str).collect();
        at.run(&unknown).await.ends_with(3).says("do not answer");

        let documents = at.json(&["documents", "list", "--brand", "acme"]).await;
        let key = documents["documents"][0]["key"]
            .as_str()
            .unwrap()
            .to_owned();
        at.run(&["documents", "show", &key])
            .await
            .ends_with(0)
            .says("pump");
        at.run(&["documents", "retire", &key, "--yes"])
            .await
            .ends_with(0);
        at.run(&["documents", "show", &key]).await.ends_with(3);

        fleet.counted(4).await;
        at.run(&["stats"])
            .await
            .ends_with(0)
            .says("embedding")
            .says("all");
        at.run(&["stats", "--last", "hour"])
            .await
            .ends_with(0)
            .says("maintenance")
            .says("breakers changed");
        assert_eq!(
            at.json(&["workers"]).await["total"]["slots"],
            fleet.get("/workers").await.body["total"]["slots"]
        );
        at.run(&["workers"]).await.ends_with(0).says("alive");
        at.run(&["top", "--once", "--interval", "200ms"])
            .await
            .ends_with(0)
            .says("throughput")
            .says("maintenance");
        let bench = at
            .json(&["bench", "-n", "20", "-c", "4", "--question", "a pump?"])
            .await;
        assert_eq!(
            (&bench["asked"], &bench["completed"]),
            (&json!(20), &json!(20))
        );
        fleet.stop().await;
    });
}
