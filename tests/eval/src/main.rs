//! `just eval`: recall, ranking, answers, refusals, citations and calibration over the corpus in
//! tests/eval/data.

use std::collections::BTreeSet;

use clap::Parser;
use flotilla_eval::{Asked, Dataset, Figures, Fitted, Half, Report, ask_all, index};

#[derive(Debug, Parser)]
#[command(name = "just eval", about)]
struct Options {
    /// Prints JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Prints the constants of the confidence, fitted to the tuning half
    #[arg(long)]
    fit: bool,
    /// Prints the questions of the tuning half that were not answered as they should be
    #[arg(long)]
    wrong: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let dataset = Dataset::ours()?;
    let index = index(&dataset)?;
    let tune = ask_all(&index, dataset.half(Half::Tune));
    let test = ask_all(&index, dataset.half(Half::Test));
    let mut report = Report::default();
    report.add("lexical", "tuning half", Figures::of(&tune));
    report.add("lexical", "test half", Figures::of(&test));
    let kinds: BTreeSet<&str> = dataset.questions.iter().map(|q| q.kind.as_str()).collect();
    for kind in kinds {
        let asked = ask_all(&index, dataset.half(Half::Test).filter(|q| q.kind == kind));
        report.add("lexical", format!("  {kind}"), Figures::of(&asked));
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    if options.fit {
        println!("lexical {}", Fitted::to(&tune));
    }
    if options.wrong {
        tune.iter().filter(|asked| is_wrong(asked)).for_each(show);
    }
    Ok(())
}

fn is_wrong(asked: &Asked<'_>) -> bool {
    match asked.question.is_answerable() {
        true => !asked.is_right(&asked.answer),
        false => asked.answer.text.is_some(),
    }
}

fn show(asked: &Asked<'_>) {
    let question = asked.question;
    let what = match (&asked.answer.text, question.is_answerable()) {
        (_, false) => "answered",
        (None, true) => "refused",
        (Some(_), true) => "wrong",
    };
    println!(
        "\n{} {what}: {} ({}, {:.2})\n  {:?}\n  ranking {:?}\n  {:?}",
        question.id,
        question.text,
        question.kind,
        asked.proposed.confidence,
        asked.proposed.evidence,
        &asked.ranking[..asked.ranking.len().min(3)],
        asked.proposed.text.as_deref().unwrap_or_default()
    );
}
