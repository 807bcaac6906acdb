//! `just eval`: recall, ranking, answers, refusals, citations and calibration over the corpus in
//! tests/eval/data.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;
use clap::Parser;
use flotilla_eval::{
    Asked, Dataset, Figures, Fitted, Half, Report, Retrieval, ask_all, ask_small, collections,
    documents, index_of,
};
use flotilla_minilm::Model;

#[derive(Debug, Parser)]
#[command(name = "just eval", about)]
struct Options {
    /// Prints JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Reads documents and questions from this directory instead of the project's own
    #[arg(long, value_name = "DIRECTORY")]
    data: Option<std::path::PathBuf>,
    /// Prints the constants of the confidence, fitted to the tuning half
    #[arg(long)]
    fit: bool,
    /// Prints the questions of the tuning half that were not answered as they should be
    #[arg(long)]
    wrong: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let dataset = match &options.data {
        Some(directory) => Dataset::read(directory)?,
        None => Dataset::ours()?,
    };
    let directory = std::env::var_os("FLOTILLA_MODEL_DIR").filter(|dir| !dir.is_empty());
    let model = directory.map(|dir| Model::load(Path::new(&dir)));
    let model = model.transpose().context("FLOTILLA_MODEL_DIR")?;
    let mut retrievals = vec![Retrieval::Lexical];
    match &model {
        Some(model) => retrievals.extend([Retrieval::Dense(model), Retrieval::Hybrid(model)]),
        None => eprintln!("by words alone: without FLOTILLA_MODEL_DIR there is no embedding model"),
    }
    let mut report = Report::default();
    for retrieval in retrievals {
        evaluate(&dataset, retrieval, model.as_ref(), &options, &mut report)?;
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}

fn evaluate(
    dataset: &Dataset,
    retrieval: Retrieval<'_>,
    model: Option<&Model>,
    options: &Options,
    report: &mut Report,
) -> anyhow::Result<()> {
    let is_lexical = matches!(retrieval, Retrieval::Lexical);
    let documents = documents(dataset, model.filter(|_| !is_lexical))?;
    let index = index_of(documents.iter().cloned());
    let tune = ask_all(&index, retrieval, dataset.half(Half::Tune));
    let test = ask_all(&index, retrieval, dataset.half(Half::Test));
    // Sentences are chosen by words: by meaning alone there are no answers to judge.
    let figures = |asked: &[Asked<'_>]| match retrieval {
        Retrieval::Dense(_) => Figures::of(asked).of_retrieval(),
        _ => Figures::of(asked),
    };
    report.add(retrieval.name(), "tuning half", figures(&tune));
    report.add(retrieval.name(), "test half", figures(&test));
    let kinds: BTreeSet<&str> = dataset.questions.iter().map(|q| q.kind.as_str()).collect();
    for kind in kinds {
        let questions = dataset.half(Half::Test).filter(|q| q.kind == kind);
        let asked = ask_all(&index, retrieval, questions);
        report.add(retrieval.name(), format!("  {kind}"), figures(&asked));
    }
    if matches!(retrieval, Retrieval::Dense(_)) {
        return Ok(());
    }
    let small = [Half::Tune, Half::Test].map(|half| collections(dataset, half));
    let small = small.each_ref();
    let [small_tune, small_test] = small.map(|small| ask_small(&documents, retrieval, small));
    report.add(retrieval.name(), "small, tuning half", figures(&small_tune));
    report.add(retrieval.name(), "small, test half", figures(&small_test));
    if options.fit {
        let small = small_tune.iter().filter(|_| !is_lexical);
        let fitted = Fitted::to(tune.iter().chain(small));
        eprintln!("{} {fitted}", retrieval.name());
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
    eprintln!(
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
