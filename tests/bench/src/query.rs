//! The extractive path over 100,000 chunks: the question's embedding, the search by words and by
//! meaning, and the choice of sentences; idle, and while documents are embedded on every core.
//! First within one process, then through a whole fleet (`served`).
//!
//! Measures: the idle figure of the same run, and for the scan of vectors the plain loop over
//! floats that it replaces.

mod served;
mod texts;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use flotilla_eval::Dataset;
use flotilla_knowledge::{Dense, Index, Search, Vector, Vectors, answer};
use flotilla_minilm::{DIMENSIONS, Local};

use self::texts::Texts;
use crate::bench::Bench;
use crate::embeddings::{self, keep_busy};
use crate::process::Usage;
use crate::report::{Report, figure, quantile};

const CHUNKS_PER_DOCUMENT: usize = 20;
/// The first ones pay for what is not in the caches yet.
const WARM_UP: usize = 10;

/// Milliseconds of each question: in all, and its parts.
#[derive(Default)]
struct Times {
    whole: Vec<f64>,
    embedding: Vec<f64>,
    search: Vec<f64>,
    words: Vec<f64>,
    answer: Vec<f64>,
}

pub(crate) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let directory = embeddings::directory()?;
    let (documents, rounds) = if bench.is_quick { (250, 1) } else { (5_000, 3) };
    in_process(&directory, documents, rounds, report).await?;
    served::measure(&directory, documents, rounds, report).await
}

async fn in_process(
    directory: &Path,
    documents: usize,
    rounds: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    let local = Local::load(directory)?;
    let dataset = Dataset::ours()?;
    let mut texts = Texts::of(&dataset);
    let before = memory();
    let began = Instant::now();
    let mut index = Index::new(Some(Local::ID.to_owned()), Vectors::Here);
    for n in 0..documents {
        index.put(texts.document(n, CHUNKS_PER_DOCUMENT));
    }
    let chunks = index.chunks() as f64;
    let indexed = began.elapsed().as_secs_f64();
    let bytes = before.zip(memory()).map(|(before, after)| after - before);
    let index = Arc::new(index);
    let questions: Vec<&str> = dataset.questions.iter().map(|q| q.text.as_str()).collect();

    let (mut idle, mut loaded) = (Times::default(), Times::default());
    // In turn, so that noise hits both alike.
    for _ in 0..rounds {
        ask(&index, &local, &questions, &mut idle).await?;
        let load = tokio::spawn(keep_busy(Arc::clone(&local)));
        ask(&index, &local, &questions, &mut loaded).await?;
        load.abort();
    }
    let size = format!("{}k chunks", chunks / 1e3);
    for (name, q) in [("p50", 0.5), ("p99", 0.99)] {
        let name = format!("an answer at full load, {size}, {name}");
        let time = figure(name, "ms", quantile(&mut loaded.whole, q));
        report.add(time.by("idle", quantile(&mut idle.whole, q)));
    }
    for (name, a, b) in [
        ("its embedding", &mut loaded.embedding, &mut idle.embedding),
        ("its search", &mut loaded.search, &mut idle.search),
        ("a search by words only", &mut loaded.words, &mut idle.words),
        ("its sentences", &mut loaded.answer, &mut idle.answer),
    ] {
        let time = figure(format!("{name}, p50"), "ms", quantile(a, 0.5));
        report.add(time.by("idle", quantile(b, 0.5)));
    }
    let (bytes_scan, floats_scan) = scans(&index, &mut texts, rounds);
    let scan = figure("scan of vectors", "ms", bytes_scan);
    report.add(scan.by("plain floats", floats_scan));
    report.add(figure("chunks indexed", "chunks/s", chunks / indexed));
    if let Some(bytes) = bytes {
        let memory = figure("memory of a chunk", "bytes", bytes / chunks);
        report.add(memory.by("its vector", DIMENSIONS as f64));
    }
    Ok(())
}

async fn ask(
    index: &Arc<Index>,
    local: &Local,
    questions: &[&str],
    times: &mut Times,
) -> anyhow::Result<()> {
    for (n, question) in questions.iter().take(WARM_UP).chain(questions).enumerate() {
        let began = Instant::now();
        let vector = local.embed_question((*question).to_owned()).await?;
        let embedded = began.elapsed();
        let (index, question) = (Arc::clone(index), (*question).to_owned());
        // As the query service does it.
        let work = move || {
            let vector = Vector::of(&vector);
            let search = |dense| Search {
                question: &question,
                dense,
                brand: None,
                k: 5,
            };
            let found = index.search(&search(vector.as_ref().map_or(Dense::None, Dense::Vector)));
            let searched = began.elapsed();
            let answer = std::hint::black_box(answer(&found));
            let whole = began.elapsed();
            std::hint::black_box(index.search(&search(Dense::None)));
            drop(answer);
            (searched, whole, began.elapsed())
        };
        let (searched, whole, words) = tokio::task::spawn_blocking(work).await?;
        if n >= WARM_UP {
            let ms = |time: std::time::Duration| time.as_secs_f64() * 1e3;
            times.whole.push(ms(whole));
            times.embedding.push(ms(embedded));
            times.search.push(ms(searched - embedded));
            times.words.push(ms(words - whole));
            times.answer.push(ms(whole - searched));
        }
    }
    Ok(())
}

/// The index's scan of all vectors, and a plain one over floats, in milliseconds.
fn scans(index: &Index, texts: &mut Texts, rounds: usize) -> (f64, f64) {
    let floats: Vec<[f32; DIMENSIONS]> = (0..index.chunks()).map(|_| texts.direction()).collect();
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    for _ in 0..rounds * 5 {
        let question = texts.direction();
        let vector = Vector::of(&question);
        let dense = vector.as_ref().map_or(Dense::None, Dense::Vector);
        let began = Instant::now();
        std::hint::black_box(index.search(&Search {
            question: "",
            dense,
            brand: None,
            k: 5,
        }));
        ours.push(began.elapsed().as_secs_f64() * 1e3);
        let began = Instant::now();
        let cosine =
            |v: &[f32; DIMENSIONS]| v.iter().zip(&question).map(|(a, b)| a * b).sum::<f32>();
        let mut cosines: Vec<f32> = floats.iter().map(cosine).collect();
        cosines.sort_unstable_by(|a, b| b.total_cmp(a));
        std::hint::black_box(cosines);
        plain.push(began.elapsed().as_secs_f64() * 1e3);
    }
    (quantile(&mut ours, 0.5), quantile(&mut plain, 0.5))
}

/// What the process holds in memory; `None` where the system does not tell.
fn memory() -> Option<f64> {
    Some(Usage::own()?.resident_bytes as f64)
}
