//! METRICS.md has the table of families: made here, and compared.

use std::fmt::Write;
use std::path::Path;

use super::bounds::bounds;
use super::table::FAMILIES;
use crate::telemetry::{self, unit};

const BEGIN: &str =
    "<!-- made by FLOTILLA_WRITE=1 cargo test --workspace --lib metrics::document -->\n";
const END: &str = "<!-- end -->\n";

fn table() -> String {
    let mut text =
        "\n| name | kind | labels | by OTLP | what it says |\n|---|---|---|---|---|\n".to_owned();
    for family in FAMILIES {
        let labels: Vec<_> = family
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let (name, kind, help) = (family.name, family.kind.name(), family.help);
        let otlp = match unit(family) {
            "" => format!("`{}`", telemetry::name(family)),
            unit => format!("`{}`, {unit}", telemetry::name(family)),
        };
        writeln!(
            text,
            "| `{name}` | {kind} | {} | {otlp} | {help} |",
            labels.join(", ")
        )
        .unwrap();
    }
    let ends: Vec<_> = bounds()
        .iter()
        .map(|bound| bound.seconds.to_string())
        .collect();
    writeln!(
        text,
        "\nBuckets of histograms end at {} seconds.\n",
        ends.join(", ")
    )
    .unwrap();
    text
}

#[test]
fn the_document_has_the_table() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../METRICS.md");
    let text = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (there, after) = rest.split_once(END).unwrap();
    if std::env::var_os("FLOTILLA_WRITE").is_some() {
        let made = format!("{before}{BEGIN}{}{END}{after}", table());
        std::fs::write(&file, made).unwrap();
        return;
    }
    assert_eq!(
        there,
        table(),
        "METRICS.md differs from the code; its first line says how to make it anew"
    );
}
