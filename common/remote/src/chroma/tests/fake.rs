//! A server that answers what a test has lined up, and notes what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::Value;

use super::super::*;
use crate::Secret;

pub(super) type Answer = (StatusCode, [(&'static str, &'static str); 1], String);

/// What was asked, and what is to be answered.
#[derive(Default)]
pub(super) struct Script {
    pub(super) asked: Vec<(String, HeaderMap, Value)>,
    pub(super) answers: VecDeque<Answer>,
}

#[derive(Clone)]
pub(super) struct Fake {
    pub(super) url: String,
    pub(super) script: Arc<Mutex<Script>>,
}

impl Fake {
    pub(super) async fn start() -> Self {
        let script = Arc::new(Mutex::new(Script::default()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&script));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, script }
    }

    pub(super) fn answer(&self, status: u16, body: impl ToString) -> &Self {
        self.answer_with(status, ("x-nothing", "1"), body)
    }

    pub(super) fn answer_with(
        &self,
        status: u16,
        header: (&'static str, &'static str),
        body: impl ToString,
    ) -> &Self {
        let status = StatusCode::from_u16(status).unwrap();
        let answer = (status, [header], body.to_string());
        self.script.lock().unwrap().answers.push_back(answer);
        self
    }

    pub(super) fn asked(&self) -> Vec<String> {
        let script = self.script.lock().unwrap();
        script
            .asked
            .iter()
            .map(|(line, _, _)| line.clone())
            .collect()
    }

    pub(super) fn collection(&self) -> Collection {
        let config = Config {
            url: Some(self.url.clone()),
            token: Some(Secret::new("t0ken")),
            timeout: Duration::from_secs(5),
            ..Config::default()
        };
        let client = Client::new(&config).unwrap().unwrap();
        Collection::of(client, "flotilla", "e1")
    }
}

async fn answer(
    State(script): State<Arc<Mutex<Script>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let mut script = script.lock().unwrap();
    let path = uri
        .path()
        .trim_start_matches("/api/v2/tenants/default_tenant/databases/default_database");
    let body = serde_json::from_slice(&body).unwrap_or_default();
    script
        .asked
        .push((format!("{method} {path}"), headers, body));
    let nothing = (StatusCode::IM_A_TEAPOT, [("x-nothing", "1")], String::new());
    script.answers.pop_front().unwrap_or(nothing)
}
