//! `flotilla ask`: a question, its answer as it is made, and where it comes from.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::follow::{end, outcome};
use super::{items, names, text};
use crate::client::{Api, Events};
use crate::exit::{Code, Done, Failed};
use crate::terminal::{Screen, Tone, lines, one_line, percent, seconds};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The question, in one word or many
    #[arg(required = true)]
    question: Vec<String>,
    /// Only documents of this brand
    #[arg(long)]
    brand: Option<String>,
    /// Passages to look at, 1 to 20
    #[arg(long, short, value_name = "N")]
    k: Option<usize>,
    /// Who writes the answer: a language model where there is one, or sentences of the documents
    #[arg(long, value_parser = ["auto", "generative", "extractive"])]
    mode: Option<String>,
    /// Knows the document that an embedding has answered this sequence for
    #[arg(long, value_name = "SEQUENCE")]
    at_least: Option<u64>,
    /// How long to wait for the answer, at most what gateway.wait_max says
    #[arg(long, short, value_name = "DURATION", default_value = "30s", value_parser = names::span)]
    wait: Duration,
}

pub(crate) async fn run(args: Args, api: &Api, screen: Screen) -> Done {
    let call = api.post(&["query"], args.body().into()).wait(args.wait);
    let task = match screen.is_json {
        true => {
            let answer = call.send().await?;
            screen.line(answer.text.trim_end())?;
            answer.body
        }
        false => {
            let (task, streamed) =
                listen(call.query("stream", true).events().await?, screen).await?;
            if outcome(&task) == Some(true) {
                screen.write(&show(&task, streamed.as_deref(), screen))?;
            }
            task
        }
    };
    if outcome(&task) == Some(false) && !screen.is_json {
        let error = &task["error"];
        let why = format!("{}: {}", text(&error["code"]), text(&error["message"]));
        return Err(Failed::new(Code::Bad, one_line(&why)));
    }
    end(&task)?;
    match task["result"]["found"].as_bool() {
        Some(false) => Err(Failed::told(Code::NotFound)),
        _ => Ok(()),
    }
}

impl Args {
    fn body(&self) -> Map<String, Value> {
        let given = [
            ("query", Some(json!(self.question.join(" ")))),
            ("brand", self.brand.as_ref().map(|brand| json!(brand))),
            ("k", self.k.map(|k| json!(k))),
            ("mode", self.mode.as_ref().map(|mode| json!(mode))),
            ("at_least", self.at_least.map(|sequence| json!(sequence))),
        ];
        given
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

/// The task with its outcome, and what was written of the answer while it was made.
async fn listen(mut events: Events, screen: Screen) -> Result<(Value, Option<String>), Failed> {
    let mut said = String::new();
    while let Some(event) = events.next().await? {
        match event.name.as_str() {
            "token" => {
                let piece = lines(&text(&event.data["text"]));
                screen.write(&piece)?;
                said.push_str(&piece);
            }
            "restart" if !said.is_empty() => {
                screen.write(&screen.paint(Tone::Faint, "\n[it begins anew]\n"))?;
                said.clear();
            }
            "result" | Events::WHOLE => {
                return Ok((event.data, (!said.is_empty()).then_some(said)));
            }
            "error" => {
                let is_late = text(&event.data["type"]).ends_with(":unfinished");
                let code = if is_late {
                    Code::Late
                } else {
                    Code::Unreachable
                };
                let failed = Failed::new(code, text(&event.data["detail"]));
                return Err(match event.data["remedy"].as_str() {
                    Some(remedy) => failed.remedy(remedy),
                    None => failed,
                });
            }
            _ => {}
        }
    }
    Err(Failed::new(Code::Unreachable, "the answer broke off"))
}

/// What counts is the result: it is checked, and the streamed words are not.
fn show(task: &Value, streamed: Option<&str>, screen: Screen) -> String {
    let result = &task["result"];
    let answer = lines(&text(&result["answer"]));
    let mut shown = match streamed {
        Some(said) if said.trim() == answer.trim() => "\n".to_owned(),
        Some(_) => {
            let note = screen.paint(Tone::Faint, "[checked against its sources:]");
            format!("\n\n{note}\n{answer}\n")
        }
        None => format!("{answer}\n"),
    };
    for (n, citation) in (1..).zip(items(result, "citations")) {
        let source = match citation["url"].as_str() {
            Some(url) => url.to_owned(),
            None => text(&citation["document_id"]),
        };
        let title = text(&citation["title"]);
        shown.push_str(&format!(
            "\n  [{n}] {}  {}\n",
            one_line(&title),
            one_line(&source)
        ));
        let quote = format!("      “{}”\n", one_line(&text(&citation["quote"])));
        shown.push_str(&screen.paint(Tone::Faint, &quote));
    }
    shown.push_str(&format!(
        "\n{}\n",
        screen.paint(Tone::Faint, &figures(task))
    ));
    if result["degraded"] == true {
        let why = format!(
            "degraded: {}\n",
            one_line(&text(&result["degraded_reason"]))
        );
        shown.push_str(&screen.paint(Tone::Warn, &why));
    }
    shown
}

fn figures(task: &Value) -> String {
    let result = &task["result"];
    let confidence = result["confidence"]
        .as_f64()
        .map(percent)
        .unwrap_or_default();
    let took = task["duration_seconds"]
        .as_f64()
        .map(seconds)
        .unwrap_or_default();
    let (mode, retrieval) = (text(&result["mode"]), text(&result["retrieval"]));
    format!("confidence {confidence} · {mode} · {retrieval} · {took}")
}
