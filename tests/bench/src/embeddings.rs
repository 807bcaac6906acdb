//! The local model: chunks a second at full load, a question's time idle and meanwhile, and how
//! far its vectors are from a reference in double precision.
//!
//! The measure is the same model in one thread, text by text, as a library would be called.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flotilla_minilm::{Local, Model, Scratch};
use serde::Deserialize;

use crate::bench::Bench;
use crate::report::{Report, figure, quantile};

/// 132 tokens.
pub(crate) const CHUNK: &str = "Before you clean the filter, switch the pump off at the mains and close both \
    valves. Unscrew the lid anticlockwise, lift the basket out and rinse it under running water; \
    never use solvents. Check the seal for cracks, grease it thinly, and close the lid \
    hand-tight. Before you clean the filter, switch the pump off at the mains and close both \
    valves. Unscrew the lid anticlockwise, lift the basket out and rinse it under running water; \
    never use solvents. Check the seal for cracks, grease it thinly, and close the lid \
    hand-tight.";
const QUESTION: &str = "How do I reset the device to its factory settings?";
/// As many as the embedding service hands over at once, in each of its slots.
const BATCH: usize = 32;
const CALLERS: usize = 3;
const DIFFERENCE_MAX: f64 = 1e-5;

#[derive(Deserialize)]
struct File {
    references: Vec<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    text: String,
    vector: String,
}

/// Where the model is.
pub(crate) fn directory() -> anyhow::Result<PathBuf> {
    let directory = std::env::var_os("FLOTILLA_MODEL_DIR").filter(|dir| !dir.is_empty());
    let directory = directory.context("there is no model: set FLOTILLA_MODEL_DIR to its directory");
    directory.map(PathBuf::from)
}

pub(crate) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let directory = directory()?;
    let model = Model::load(&directory)?;
    let local = Local::load(&directory)?;
    let (rounds, batches, questions) = if bench.is_quick {
        (1, 1, 20)
    } else {
        (5, 4, 200)
    };
    let (mut one, mut all) = (0.0_f64, 0.0_f64);
    let (mut idle, mut loaded) = (Vec::new(), Vec::new());
    // In turn, so that noise hits all alike. The best counts: noise only ever slows down.
    for _ in 0..rounds {
        one = one.max(one_by_one(&model));
        all = all.max(full_load(&local, batches).await?);
        idle.extend(ask(&local, questions / rounds).await?);
        let load = tokio::spawn(keep_busy(Arc::clone(&local)));
        loaded.extend(ask(&local, questions / rounds).await?);
        load.abort();
    }
    let rate = figure("chunks at full load", "chunks/s", all);
    report.add(rate.by("one by one", one));
    for (name, q) in [("p50", 0.5), ("p99", 0.99)] {
        let name = format!("a question at full load, {name}");
        let time = figure(name, "ms", quantile(&mut loaded, q));
        report.add(time.by("idle", quantile(&mut idle, q)));
    }
    let difference = difference(&local).await? * 1e9;
    let difference = figure("difference to the reference", "1e-9", difference);
    let allowed = DIFFERENCE_MAX * 1e9;
    report.add(difference.by("allowed", allowed).at_most(1.0));
    Ok(())
}

fn one_by_one(model: &Model) -> f64 {
    let mut scratch = Scratch::default();
    let began = Instant::now();
    for _ in 0..BATCH {
        model.embed(&[CHUNK], &mut scratch);
    }
    BATCH as f64 / began.elapsed().as_secs_f64()
}

async fn full_load(local: &Arc<Local>, batches: usize) -> anyhow::Result<f64> {
    let began = Instant::now();
    let callers = (0..CALLERS).map(|_| async {
        for _ in 0..batches {
            local.embed_documents(vec![CHUNK.to_owned(); BATCH]).await?;
        }
        anyhow::Ok(())
    });
    futures::future::try_join_all(callers).await?;
    Ok((CALLERS * batches * BATCH) as f64 / began.elapsed().as_secs_f64())
}

pub(crate) async fn keep_busy(local: Arc<Local>) -> anyhow::Result<()> {
    loop {
        full_load(&local, 1).await?;
    }
}

async fn ask(local: &Local, questions: usize) -> anyhow::Result<Vec<f64>> {
    let mut times = Vec::new();
    for _ in 0..questions {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let began = Instant::now();
        local.embed_question(QUESTION.to_owned()).await?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(times)
}

/// The largest of all dimensions of all texts.
async fn difference(local: &Local) -> anyhow::Result<f64> {
    let file = include_str!("../../../common/minilm/tests/reference.json");
    let references = serde_json::from_str::<File>(file)?.references;
    let texts = references.iter().map(|r| r.text.clone()).collect();
    let mut largest = 0.0_f64;
    for (reference, vector) in references.iter().zip(local.embed_documents(texts).await?) {
        let exact = STANDARD.decode(&reference.vector)?;
        let exact = exact.as_chunks().0.iter().copied().map(f32::from_le_bytes);
        for (a, b) in vector.iter().zip(exact) {
            largest = largest.max(f64::from((a - b).abs()));
        }
    }
    Ok(largest)
}
