//! A server that speaks the OpenAI-compatible API, and fails as it is told. Its vectors are hashed
//! bags of words, its answers the first sentence of each passage that it is given.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::StreamExt;
use serde_json::{Value, json};

const DIMENSIONS: usize = 64;

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mood {
    #[default]
    Well,
    /// 429 with Retry-After, once.
    BusyOnce,
    NoQuota,
    Broken,
    /// The stream ends in the middle.
    CutOff,
    /// Its answer begins, and then no word comes.
    Speechless,
    /// Some words come, and then no more; the stream stays open.
    Stalling,
    Malformed,
    WrongDimensions,
    /// Its answers go beyond the passages, and cite passages that there are not.
    Inventive,
    /// It says that the passages hold no answer.
    NotFound,
}

#[derive(Debug, Default)]
struct Seen {
    mood: Mood,
    calls: usize,
    prompts: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct FakeOpenAi {
    pub base_url: String,
    seen: Arc<Mutex<Seen>>,
}

impl FakeOpenAi {
    pub async fn start() -> anyhow::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let base_url = format!("http://{}/v1", listener.local_addr()?);
        let fake = Self {
            base_url,
            seen: Arc::default(),
        };
        let routes = Router::new()
            .route("/v1/models", get(async || Json(json!({"data": []}))))
            .route("/v1/embeddings", post(embeddings))
            .route("/v1/chat/completions", post(chat))
            .with_state(fake.clone());
        tokio::spawn(axum::serve(listener, routes).into_future());
        Ok(fake)
    }

    pub fn set(&self, mood: Mood) {
        self.with(|seen| seen.mood = mood);
    }

    /// Calls so far, those that it refused included.
    pub fn calls(&self) -> usize {
        self.with(|seen| seen.calls)
    }

    pub fn prompts(&self) -> Vec<String> {
        self.with(|seen| seen.prompts.clone())
    }

    fn with<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts a call; the mood that it meets, or the answer that it gets in that mood.
    fn meet(&self) -> Result<Mood, Box<Response>> {
        let mood = self.with(|seen| {
            seen.calls += 1;
            let mood = seen.mood;
            if mood == Mood::BusyOnce {
                seen.mood = Mood::Well;
            }
            mood
        });
        let refuse = |status: StatusCode, code: &str| {
            let error = json!({"error": {"message": "not now", "code": code}});
            Err(Box::new(
                (status, [("retry-after", "1")], Json(error)).into_response(),
            ))
        };
        match mood {
            Mood::BusyOnce => refuse(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded"),
            Mood::NoQuota => refuse(StatusCode::TOO_MANY_REQUESTS, "insufficient_quota"),
            Mood::Broken => refuse(StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
            Mood::Malformed => Err(Box::new("{\"data\": [".into_response())),
            mood => Ok(mood),
        }
    }
}

async fn embeddings(State(fake): State<FakeOpenAi>, Json(body): Json<Value>) -> Response {
    let mood = match fake.meet() {
        Ok(mood) => mood,
        Err(refusal) => return *refusal,
    };
    let dimensions = DIMENSIONS + usize::from(mood == Mood::WrongDimensions);
    let texts = body["input"].as_array().cloned().unwrap_or_default();
    let item = |(index, text): (usize, &Value)| {
        let vector = vector(text.as_str().unwrap_or_default(), dimensions);
        json!({"index": index, "embedding": vector})
    };
    // In an order of its own, as the interface allows.
    let data: Vec<Value> = texts.iter().enumerate().map(item).rev().collect();
    Json(json!({"data": data, "usage": {"total_tokens": 1}})).into_response()
}

fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    let mut vector = vec![0.0; dimensions];
    let words = text.split(|c: char| !c.is_alphanumeric());
    for word in words.filter(|word| word.len() > 2) {
        let mut hasher = DefaultHasher::new();
        word.to_lowercase().hash(&mut hasher);
        let place = usize::try_from(hasher.finish() % 1_000_003).unwrap_or(0) % dimensions;
        vector[place] += 1.0;
    }
    vector[0] += 0.01;
    vector
}

async fn chat(State(fake): State<FakeOpenAi>, Json(body): Json<Value>) -> Response {
    let mood = match fake.meet() {
        Ok(mood) => mood,
        Err(refusal) => return *refusal,
    };
    let prompt = body["messages"][1]["content"].as_str().unwrap_or_default();
    fake.with(|seen| seen.prompts.push(prompt.to_owned()));
    let mut answer = answer(prompt);
    match mood {
        Mood::Inventive => {
            answer.push_str(" It was painted green in Lisbon [1]. Trust me [99]. Really.")
        }
        Mood::NotFound => "NOT_FOUND".clone_into(&mut answer),
        _ => {}
    }
    let pieces = futures::stream::iter(events(&answer, mood));
    let pieces = pieces.map(Ok::<_, std::convert::Infallible>);
    let body = match mood {
        Mood::Speechless | Mood::Stalling => {
            Body::from_stream(pieces.chain(futures::stream::pending()))
        }
        _ => Body::from_stream(pieces),
    };
    ([("content-type", "text/event-stream")], body).into_response()
}

fn events(answer: &str, mood: Mood) -> Vec<String> {
    let mut events: Vec<String> = answer
        .split_inclusive(' ')
        .map(|word| json!({"model": "fake-1", "choices": [{"delta": {"content": word}}]}))
        .map(|chunk| format!("data: {chunk}\r\n\r\n"))
        .collect();
    match mood {
        // What is no word keeps a connection alive, and is no answer.
        Mood::Speechless => {
            let role = json!({"choices": [{"delta": {"role": "assistant", "content": ""}}]});
            return vec![format!(": waiting\n\ndata: {role}\n\n")];
        }
        Mood::CutOff | Mood::Stalling => events.truncate(2),
        _ => {
            let finish = json!({"choices": [{"delta": {}, "finish_reason": "stop"}]});
            let usage =
                json!({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}});
            events.push(format!(
                ": a comment\ndata: {finish}\n\ndata: {usage}\n\ndata: [DONE]\n\n"
            ));
        }
    }
    events
}

fn answer(prompt: &str) -> String {
    let passages = prompt.split("<passage number=\"").skip(1);
    let sentence = |passage: &str| {
        let (number, rest) = passage.split_once('"')?;
        let (_, text) = rest.split_once(">\n")?;
        let (sentence, _) = text.split_once(['.', '\n'])?;
        Some(format!("{sentence} [{number}]."))
    };
    passages.filter_map(sentence).collect::<Vec<_>>().join(" ")
}
