//! Every request passes here before its body is read: its key, the key's scope, its rate, and
//! what its submissions leave for others.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use flotilla_common::model::Category;
use percent_encoding::percent_decode_str;

use super::bucket::{Rate, Standing};
use super::keyring::Admitted;
use super::keys::{Key, Scope};
use super::payer::Payer;
use crate::Gateway;
use crate::control::category_of;
use crate::problem::{Kind, Problem};
use crate::routes::BASE;

/// As the working group on HTTP APIs drafts them.
const RATE_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE: HeaderName = HeaderName::from_static("ratelimit");

/// What a call needs; `None`: nothing. Probes carry no keys, and the API describes itself to
/// everybody.
pub(crate) fn scope(method: &Method, path: &str) -> Option<Scope> {
    let call = path.strip_prefix(BASE)?;
    match (call, method) {
        ("/health", _) => None,
        (_, &Method::GET | &Method::HEAD) => Some(Scope::Read),
        (call, _) if takes_tasks(call) => Some(category(call, "").map_or(Scope::Submit, scope_of)),
        _ => Some(Scope::Manage),
    }
}

/// Whether a call submits tasks.
pub(crate) fn submits(method: &Method, path: &str) -> bool {
    *method == Method::POST && path.strip_prefix(BASE).is_some_and(takes_tasks)
}

fn takes_tasks(call: &str) -> bool {
    matches!(call, BULK | SCRAPE_BATCH | ANY_CATEGORY) || category(call, "").is_some()
}

/// What submitting to a category needs: maintenance can remove what others have stored.
pub(super) const fn scope_of(category: Category) -> Scope {
    match category {
        Category::Maintenance => Scope::Manage,
        _ => Scope::Submit,
    }
}

/// Where tasks of any category are submitted.
const ANY_CATEGORY: &str = "/categories/{category}/tasks";
/// Where many are: what they are is seen in the body.
const BULK: &str = "/tasks/bulk";
const SCRAPE_BATCH: &str = "/scrape/batch";

/// Of the tasks that a call submits; where the call does not tell, the path of the request does.
fn category(call: &str, path: &str) -> Option<Category> {
    Some(match call {
        ANY_CATEGORY => {
            let name = percent_decode_str(path.rsplit('/').nth(1)?);
            category_of(&name.decode_utf8().ok()?).ok()?
        }
        "/scrape" => Category::Scraping,
        "/query" => Category::Query,
        "/embed" => Category::Embedding,
        "/batch" => Category::Batch,
        "/maintenance" => Category::Maintenance,
        _ => return None,
    })
}

pub(crate) async fn guard(gateway: &Gateway, mut request: Request, next: Next) -> Response {
    let Some(keyring) = &gateway.keyring else {
        return next.run(request).await;
    };
    let path = request.extensions().get::<MatchedPath>().cloned();
    // Where there is nothing, there is nothing to guard.
    let path = path.as_ref().map_or("", MatchedPath::as_str);
    let Some(scope) = scope(request.method(), path) else {
        return next.run(request).await;
    };
    let Some(admitted) = secret(request.headers()).and_then(|secret| keyring.admit(secret)) else {
        return unauthenticated();
    };
    let call = path.strip_prefix(BASE).unwrap_or_default();
    let category = category(call, request.uri().path());
    let scope = match (scope, category) {
        (Scope::Submit, Some(category)) => scope_of(category),
        (scope, _) => scope,
    };
    let are_many = matches!(call, BULK | SCRAPE_BATCH);
    if are_many {
        let payer = Payer::new(Arc::clone(keyring), admitted.clone());
        request.extensions_mut().insert(payer);
    }
    let mut standing = admitted.standing;
    let mut response = match gateway.check(&admitted, scope, category).await {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    if are_many && standing.wait.is_none() {
        standing = keyring.take_all(&admitted, 0);
    }
    show(admitted.rate, standing, response.headers_mut());
    response
}

impl Gateway {
    async fn check(
        &self,
        admitted: &Admitted,
        scope: Scope,
        submitted_to: Option<Category>,
    ) -> Result<(), Problem> {
        let key = &admitted.key;
        if let Some(wait) = admitted.standing.wait {
            return Err(admitted.too_fast(wait));
        }
        require(key, scope, "this call")?;
        match submitted_to {
            Some(category) => self.check_backlog(key, category, 1).await,
            None => Ok(()),
        }
    }

    /// Whether the key may add so many tasks now.
    pub(super) async fn check_backlog(
        &self,
        key: &Key,
        category: Category,
        tasks: u64,
    ) -> Result<(), Problem> {
        let Some(max) = key.backlog_max else {
            return Ok(());
        };
        let counted = self.backlogs.count(&self.broker, category, tasks, max);
        let waiting = counted.await?;
        if waiting.saturating_add(tasks) <= max {
            return Ok(());
        }
        let why = format!(
            "{waiting} tasks wait for {category}, and key {} may bring them to {max} at most, not add {tasks}",
            key.name
        );
        Err(Problem::new(Kind::QuotaExceeded, why)
            .remedy(
                "send fewer at once, or send the request again after the time in Retry-After, when some of them have run",
            )
            .retry_after(crate::refusal::QUEUE_FULL_RETRY))
    }
}

pub(super) fn require(key: &Key, scope: Scope, what: &str) -> Result<(), Problem> {
    if key.scopes.contains(&scope) {
        return Ok(());
    }
    let why = format!("key {} has no scope {scope}, which {what} needs", key.name);
    Err(Problem::new(Kind::Forbidden, why)
        .remedy("use a key that has it; `flotilla keys new --scope` makes one"))
}

impl Admitted {
    pub(super) fn too_fast(&self, wait: Duration) -> Problem {
        let why = format!(
            "key {} sends more than {} requests a second",
            self.key.name, self.rate.per_second
        );
        Problem::new(Kind::RateLimited, why)
            .remedy("send the request again after the time in Retry-After")
            .retry_after(wait)
    }
}

/// `Authorization: Bearer …`, or `X-API-Key: …`.
fn secret(headers: &HeaderMap) -> Option<&str> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let (scheme, secret) = value.to_str().ok()?.split_once(' ')?;
        return scheme
            .eq_ignore_ascii_case("bearer")
            .then_some(secret.trim());
    }
    headers.get("x-api-key")?.to_str().ok()
}

fn unauthenticated() -> Response {
    let problem = Problem::new(Kind::Unauthenticated, "this call needs a valid key").remedy(
        "send it as Authorization: Bearer KEY; operators make keys with `flotilla keys new`",
    );
    let mut response = problem.into_response();
    let challenge = HeaderValue::from_static("Bearer realm=\"flotilla\"");
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, challenge);
    response
}

fn show(rate: Rate, standing: Standing, headers: &mut HeaderMap) {
    // A bucket that is full again has forgotten everything: that is its window.
    let window = (rate.burst / rate.per_second).ceil().max(1.0);
    let reset = standing.wait.map_or(1, |wait| wait.as_secs().max(1));
    let policy = format!("\"key\";q={};w={window}", rate.burst.floor());
    let rest = format!("\"key\";r={};t={reset}", standing.remaining);
    for (name, value) in [(RATE_POLICY, policy), (RATE, rest)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_submitting_and_all_else_are_three_things() {
        let scope = |method, call: &str| scope(&method, &format!("{BASE}{call}"));
        assert_eq!(scope(Method::GET, "/health"), None);
        assert_eq!(scope(Method::GET, "/tasks/{task_id}"), Some(Scope::Read));
        assert_eq!(scope(Method::POST, "/scrape/batch"), Some(Scope::Submit));
        for call in [ANY_CATEGORY, BULK] {
            assert_eq!(scope(Method::POST, call), Some(Scope::Submit));
        }
        let path = "/api/hp/categories/batch_queue/tasks";
        assert_eq!(category(ANY_CATEGORY, path), Some(Category::Batch));
        for name in ["maintenance", "%6daintenance", "maintenance_queue"] {
            let path = format!("/api/hp/categories/{name}/tasks");
            let category = category(ANY_CATEGORY, &path).unwrap();
            assert_eq!(scope_of(category), Scope::Manage, "{name}");
        }
        assert_eq!(scope(Method::POST, "/maintenance"), Some(Scope::Manage));
        assert!(submits(&Method::POST, &format!("{BASE}/maintenance")));
        assert!(!submits(&Method::POST, &format!("{BASE}/schedules")));
        assert_eq!(
            scope(Method::POST, "/tasks/{task_id}/cancel"),
            Some(Scope::Manage)
        );
        assert_eq!(
            scope(Method::DELETE, "/schedules/{id}"),
            Some(Scope::Manage)
        );
        assert_eq!(super::scope(&Method::GET, "/api/docs"), None);
    }

    #[test]
    fn a_key_comes_in_one_of_two_headers() {
        let of = |name: &'static str, value: &'static str| {
            HeaderMap::from_iter([(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )])
        };
        assert_eq!(secret(&of("authorization", "bearer  k")), Some("k"));
        assert_eq!(secret(&of("x-api-key", "k")), Some("k"));
        assert_eq!(secret(&of("authorization", "Basic eDp5")), None);
        assert_eq!(secret(&HeaderMap::new()), None);
    }
}
