//! What is indexed: listed by headers alone, shown, and retired one by one.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use flotilla_common::broker::{DocumentState, StoredDocument};
use flotilla_common::model::{DocumentKey, DocumentSummary};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::Gateway;
use crate::paging;
use crate::problem::{Kind, Problem};

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DocumentView {
    /// Its name in this API.
    key: String,
    /// Its place in the log: what `at_least` of a question refers to.
    sequence: u64,
    stored_at: Timestamp,
    /// Missing where somebody has stored it without one.
    #[serde(flatten)]
    summary: Option<DocumentSummary>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DocumentPage)]
pub(crate) struct Page {
    documents: Vec<DocumentView>,
    /// What to send as `after` for the next page; none is left where it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// Only of this brand; empty: only those of none.
    brand: Option<String>,
    /// What `next` of the page before says.
    #[param(maximum = 9007199254740991_u64)]
    after: Option<u64>,
    /// The most that a page has.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RetiredDocument)]
pub(crate) struct Retired {
    key: String,
    retired: bool,
    /// What a question has to ask for to know nothing of it any more.
    sequence: u64,
}

type KeyPath = Result<Path<String>, PathRejection>;

/// Lists what is indexed
#[utoipa::path(
    get, path = "/documents", operation_id = "list_documents", tag = "documents",
    params(PageQuery),
    responses((status = 200, description = "Done.", body = Page)),
)]
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Json<Page>, Problem> {
    let Query(query) = query.map_err(|error| Problem::new(Kind::Syntax, error.body_text()))?;
    let (from, limit) = (paging::first(query.after)?, paging::limit(query.limit)?);
    let brand = query.brand.as_deref();
    let brand = brand.map(|brand| DocumentKey::brand_token(Some(brand).filter(|b| !b.is_empty())));
    let mut scan = gateway
        .broker
        .scan_documents(from, brand.as_deref())
        .await?;
    let mut documents = Vec::new();
    while documents.len() < limit {
        match scan.next().await? {
            Some(document) => documents.extend(view(document)),
            None => break,
        }
    }
    let is_full = documents.len() == limit;
    Ok(Json(Page {
        next: documents
            .last()
            .filter(|_| is_full)
            .map(|last| last.sequence),
        documents,
    }))
}

/// Shows a document
#[utoipa::path(
    get, path = "/documents/{key}", operation_id = "show_document", tag = "documents",
    params(
        ("key" = String, Path, pattern = "^[A-Za-z0-9-]+[.][A-Za-z0-9-]+$", description = "Its name in this API."),
    ),
    responses((status = 200, description = "Done.", body = DocumentView)),
)]
pub(crate) async fn show(
    State(gateway): State<Arc<Gateway>>,
    key: KeyPath,
) -> Result<Json<DocumentView>, Problem> {
    gateway.document(&parse_key(key)?).await.map(Json)
}

/// Retires a document
///
/// Leaves a tombstone: questions know nothing of the document once they have heard of it. What
/// a store of vectors has of it is found no more, and leaves it with the tombstone.
#[utoipa::path(
    delete, path = "/documents/{key}", operation_id = "retire_document", tag = "documents",
    params(
        ("key" = String, Path, pattern = "^[A-Za-z0-9-]+[.][A-Za-z0-9-]+$", description = "Its name in this API."),
    ),
    responses((status = 200, description = "Done.", body = Retired)),
)]
pub(crate) async fn retire(
    State(gateway): State<Arc<Gateway>>,
    key: KeyPath,
) -> Result<Json<Retired>, Problem> {
    let key = parse_key(key)?;
    gateway.document(&key).await?;
    Ok(Json(Retired {
        sequence: gateway.broker.retire_document(&key).await?,
        key: key.to_string(),
        retired: true,
    }))
}

impl Gateway {
    async fn document(&self, key: &DocumentKey) -> Result<DocumentView, Problem> {
        let stored = self.broker.stored_document(key).await?;
        stored.and_then(view).ok_or_else(|| {
            Problem::new(Kind::UnknownDocument, format!("there is no document {key}"))
                .remedy("GET /api/hp/documents, or fleet.document.list over NATS, lists those that there are")
        })
    }
}

/// `None` for one that was retired.
fn view(document: StoredDocument) -> Option<DocumentView> {
    let summary = match document.state {
        DocumentState::Tombstone => return None,
        DocumentState::Summarized(summary) => Some(summary),
        DocumentState::Unknown => None,
    };
    Some(DocumentView {
        key: document.key.to_string(),
        sequence: document.sequence,
        stored_at: document.stored_at,
        summary,
    })
}

fn parse_key(key: KeyPath) -> Result<DocumentKey, Problem> {
    let Path(text) = key.map_err(|rejection| Problem::invalid("key", rejection.body_text()))?;
    DocumentKey::parse(&text).ok_or_else(|| {
        Problem::invalid("key", format!("key: {text:?} is no document's key"))
            .remedy("GET /api/hp/documents, or fleet.document.list over NATS, lists the documents with their keys")
    })
}
