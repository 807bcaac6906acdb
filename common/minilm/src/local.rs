//! The model as a service within the process: documents on a few threads of their own, which
//! give way to everything else, and questions at once.

use std::collections::HashMap;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::{Embedding, LoadError, Model, Scratch};

/// What a thread takes at once.
const TEXTS_AT_ONCE: usize = 4;
/// How far a thread of documents gives way to others: at 10 it gets about a tenth of their time.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Loaded once in a process, however many services use it.
static LOADED: Mutex<Option<HashMap<PathBuf, Weak<Local>>>> = Mutex::new(None);

#[derive(Debug)]
pub struct Local {
    model: Arc<Model>,
    documents: mpsc::Sender<Work>,
    questions: Semaphore,
}

#[derive(Debug)]
struct Work {
    texts: Vec<String>,
    answer: oneshot::Sender<Vec<Embedding>>,
}

/// The thread that embedded has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the local model has failed on these texts")]
pub struct Failed;

impl Local {
    /// Vectors with different ids cannot be compared.
    pub const ID: &'static str = "all-MiniLM-L6-v2";

    /// Loads the model of a directory, unless it is loaded, and runs it once: the first run
    /// pays for what the later ones find.
    pub fn load(directory: &Path) -> Result<Arc<Self>, LoadError> {
        let key = directory
            .canonicalize()
            .unwrap_or_else(|_| directory.to_owned());
        // Held while it loads, so that two services at their start load it once.
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded = loaded.get_or_insert_default();
        if let Some(local) = loaded.get(&key).and_then(Weak::upgrade) {
            return Ok(local);
        }
        let local = Arc::new(Self::start(Model::load(directory)?)?);
        local.model.embed(&["warm up"], &mut Scratch::default());
        loaded.insert(key, Arc::downgrade(&local));
        Ok(local)
    }

    fn start(model: Model) -> Result<Self, LoadError> {
        let model = Arc::new(model);
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        let (documents, waiting) = mpsc::channel(threads);
        let waiting = Arc::new(Mutex::new(waiting));
        for n in 0..threads {
            let (model, waiting) = (Arc::clone(&model), Arc::clone(&waiting));
            std::thread::Builder::new()
                .name(format!("embed-{n}"))
                .spawn(move || embed_documents(&model, &waiting))
                .map_err(LoadError::Thread)?;
        }
        Ok(Self {
            model,
            documents,
            questions: Semaphore::new(threads),
        })
    }

    /// The vectors of parts of documents. What is not begun when the caller goes, is not done.
    pub async fn embed_documents(&self, texts: Vec<String>) -> Result<Vec<Embedding>, Failed> {
        let mut answers = Vec::new();
        let mut embeddings = Vec::with_capacity(texts.len());
        for texts in texts.chunks(TEXTS_AT_ONCE) {
            let (answer, answered) = oneshot::channel();
            let texts = texts.to_vec();
            let sent = self.documents.send(Work { texts, answer }).await;
            sent.map_err(|_| Failed)?;
            answers.push(answered);
        }
        for answered in answers {
            embeddings.extend(answered.await.map_err(|_| Failed)?);
        }
        Ok(embeddings)
    }

    /// The vector of a question, which waits for no document.
    pub async fn embed_question(&self, text: String) -> Result<Embedding, Failed> {
        // More at once than there are cores would only slow all of them down.
        let _permit = self.questions.acquire().await.map_err(|_| Failed)?;
        let model = Arc::clone(&self.model);
        let work = move || model.embed(&[&text], &mut Scratch::default());
        let embeddings = tokio::task::spawn_blocking(work).await;
        let embeddings = embeddings.map_err(|_| Failed)?;
        embeddings.into_iter().next().ok_or(Failed)
    }
}

/// Until nobody can ask any more.
fn embed_documents(model: &Model, waiting: &Mutex<mpsc::Receiver<Work>>) {
    give_way();
    let mut scratch = Scratch::default();
    loop {
        let next = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .blocking_recv();
        let Some(Work { texts, answer }) = next else {
            return;
        };
        if answer.is_closed() {
            continue;
        }
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let embed = AssertUnwindSafe(|| model.embed(&texts, &mut scratch));
        match catch_unwind(embed) {
            // Whoever has gone meanwhile does not need it.
            Ok(embeddings) => drop(answer.send(embeddings)),
            // The caller hears of it by the answer that never comes; the thread goes on.
            Err(_) => scratch = Scratch::default(),
        }
    }
}

/// From now on this thread leaves the cores to others, where they want them.
#[cfg(target_os = "linux")]
pub fn give_way() {
    // On Linux a priority is a thread's. Where it may not be lowered, all are alike.
    let _ = rustix::process::setpriority_process(None, NICENESS);
}

/// Elsewhere a priority is the process's, questions included.
#[cfg(not(target_os = "linux"))]
pub fn give_way() {}
