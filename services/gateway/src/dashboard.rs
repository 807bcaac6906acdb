//! The dashboard: a page, its styles and scripts, all within the binary. It asks this gateway's
//! API and nothing else, and the headers here keep it so.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

use crate::problem::{Kind, Problem};

/// Nothing from elsewhere, no inline script or style, and no frame around the page: what a task or
/// a scraped page says is shown here, and must stay text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

struct Asset {
    path: &'static str,
    media_type: &'static str,
    content: &'static [u8],
}

macro_rules! assets {
    ($($media_type:ident: $($path:literal),+;)+) => {
        &[$($(Asset {
            path: $path,
            media_type: $media_type,
            content: include_bytes!(concat!("../dashboard/", $path)),
        }),+),+]
    };
}

const ASSETS: &[Asset] = assets! {
    HTML: "index.html";
    SVG: "icon.svg";
    CSS: "css/base.css", "css/parts.css";
    SCRIPT: "js/api.js", "js/breakers.js", "js/charts.js", "js/dom.js", "js/format.js", "js/live.js",
        "js/main.js", "js/parts.js", "js/queues.js", "js/series.js", "js/pages/documents.js",
        "js/pages/letters.js", "js/pages/overview.js", "js/pages/question.js",
        "js/pages/schedules.js", "js/pages/task.js", "js/pages/tasks.js";
};

/// One tag for all: they belong together, and change with the binary.
static TAG: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for asset in ASSETS {
        hash.update(asset.content);
    }
    let digest = hash.finalize();
    let hex: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("\"{hex}\"")
});

pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(page))
        .route("/assets/{*path}", get(asset))
}

async fn page(headers: HeaderMap) -> Response {
    serve("index.html", &headers)
}

async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    serve(&path, &headers)
}

fn serve(path: &str, headers: &HeaderMap) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.path == path) else {
        return Problem::new(Kind::UnknownPath, format!("the dashboard has no {path}"))
            .remedy("the dashboard is at /")
            .into_response();
    };
    let common = [
        (header::ETAG, HeaderValue::from_str(&TAG).ok()),
        (
            header::CACHE_CONTROL,
            Some(HeaderValue::from_static("no-cache")),
        ),
    ];
    let common: HeaderMap = common
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
    if headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known == TAG.as_str())
    {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let own = [
        (header::CONTENT_TYPE, asset.media_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (common, own, asset.content).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn answer(path: &str, tag: Option<&str>) -> Response {
        let tag = tag.map(|tag| (header::IF_NONE_MATCH, tag.parse().unwrap()));
        serve(path, &tag.into_iter().collect())
    }

    #[test]
    fn every_file_of_the_dashboard_is_served() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboard");
        let mut files = BTreeSet::new();
        let mut directories = vec![root.clone()];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => directories.push(path),
                    false => {
                        _ = files.insert(
                            path.strip_prefix(&root)
                                .unwrap()
                                .to_str()
                                .unwrap()
                                .to_owned(),
                        )
                    }
                }
            }
        }
        let served: BTreeSet<String> = ASSETS.iter().map(|asset| asset.path.to_owned()).collect();
        assert_eq!(files, served);
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        let page = answer("index.html", None);
        let policy = page.headers()[header::CONTENT_SECURITY_POLICY]
            .to_str()
            .unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
        for asset in ASSETS.iter().filter(|asset| asset.media_type != SVG) {
            let text = std::str::from_utf8(asset.content).unwrap();
            let outside = ["src=\"http", "href=\"http", "url(", "@import", "innerHTML"];
            for forbidden in outside {
                assert!(!text.contains(forbidden), "{} has {forbidden}", asset.path);
            }
        }
    }

    #[test]
    fn what_a_browser_has_is_not_sent_again() {
        let first = answer("css/base.css", None);
        let tag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
        assert_eq!(
            answer("js/main.js", Some(&tag)).status(),
            StatusCode::NOT_MODIFIED
        );
        assert_eq!(
            answer("js/main.js", Some("\"older\"")).status(),
            StatusCode::OK
        );
        assert_eq!(
            answer("js/nothing.js", None).status(),
            StatusCode::NOT_FOUND
        );
        assert_eq!(
            answer("../Cargo.toml", None).status(),
            StatusCode::NOT_FOUND
        );
    }
}
