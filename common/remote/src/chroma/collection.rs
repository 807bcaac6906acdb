//! The vectors of one embedder.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

use flotilla_common::model::DocumentKey;
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::client::{Client, Described};
use super::error::Error;

/// One request takes so much: the server refuses 40 MiB and more, and is busy with one as long as
/// it lasts.
const BATCH_ROWS_MAX: usize = 500;
const BATCH_BYTES_MAX: usize = 8 * 1_024 * 1_024;
/// The longest f32 in JSON, with its comma, and all else that a row has.
const FLOAT_BYTES_MAX: usize = 18;
const ROW_BYTES_MAX: usize = 256;
/// Ids that are asked for at once.
const PAGE: usize = 300;
/// Says of a collection that it is ours, and whose vectors it has.
const EMBEDDER: &str = "flotilla_embedder";
const DIMENSIONS: &str = "flotilla_dimensions";

/// A chunk to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub id: String,
    pub vector: Vec<f32>,
    pub document: DocumentKey,
    /// As [`DocumentKey::brand_token`] makes it.
    pub brand: String,
}

/// A chunk that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    pub id: String,
    pub cosine: f32,
}

/// A chunk that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub id: String,
    /// The key of its document, as its row says; of a row that is not ours `None`.
    pub document: Option<String>,
}

/// The collection of an embedder. Paths take its id, which is remembered, and asked for again
/// when the server does not know it any more.
#[derive(Debug)]
pub struct Collection {
    client: Client,
    prefix: String,
    name: String,
    embedder: String,
    id: RwLock<Option<String>>,
}

impl Collection {
    /// Named after the embedder, so that two of them never meet in one.
    pub fn of(client: Client, prefix: &str, embedder: &str) -> Self {
        Self {
            client,
            prefix: prefix.to_owned(),
            name: name_of(prefix, embedder),
            embedder: embedder.to_owned(),
            id: RwLock::new(None),
        }
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn embedder(&self) -> &str {
        &self.embedder
    }

    /// Parts that one [`Self::upsert`] takes.
    pub fn batches(rows: &[Row]) -> impl Iterator<Item = &[Row]> {
        let dimensions = rows.iter().map(|row| row.vector.len()).max().unwrap_or(0);
        let row_bytes = dimensions * FLOAT_BYTES_MAX + ROW_BYTES_MAX;
        rows.chunks((BATCH_BYTES_MAX / row_bytes).clamp(1, BATCH_ROWS_MAX))
    }

    /// Stores rows, over those of the same id. The collection is made where there is none.
    pub async fn upsert(&self, rows: &[Row]) -> Result<(), Error> {
        let Some(first) = rows.first() else {
            return Ok(());
        };
        let mut ids = HashSet::new();
        if let Some(twice) = rows.iter().find(|row| !ids.insert(&row.id)) {
            return Err(Error::Duplicate(twice.id.clone()));
        }
        let dimensions = first.vector.len();
        let metadata =
            |row: &Row| json!({"document": row.document.to_string(), "brand": row.brand});
        let body = Upsert {
            ids: rows.iter().map(|row| row.id.as_str()).collect(),
            embeddings: rows.iter().map(|row| row.vector.as_slice()).collect(),
            metadatas: rows.iter().map(metadata).collect(),
        };
        let id = match self.known() {
            Some(id) => id,
            None => self.made(dimensions).await?,
        };
        let path = [id.as_str(), "upsert"];
        let stored = self.client.in_database(Method::POST, &path, Some(&body));
        match stored.await {
            Ok(Value::Null | Value::Object(_)) => Ok(()),
            Ok(other) => Err(Error::unavailable(format!(
                "answers an upsert with {other}"
            ))),
            Err(Error::Missing(_)) => {
                let id = self.made(dimensions).await?;
                let path = [id.as_str(), "upsert"];
                let stored = self.client.in_database(Method::POST, &path, Some(&body));
                stored.await.map(|_: Value| ())
            }
            Err(error) => Err(error),
        }
    }

    /// The nearest chunks, the best first; of one brand, or of all. `None`: there is no
    /// collection.
    pub async fn query(
        &self,
        vector: &[f32],
        brand: Option<&str>,
        k: usize,
    ) -> Result<Option<Vec<Match>>, Error> {
        #[derive(serde::Deserialize)]
        struct Answer {
            ids: Vec<Vec<String>>,
            distances: Option<Vec<Vec<Option<f32>>>>,
        }
        let mut body = json!({
            "query_embeddings": [vector],
            "n_results": k,
            "include": ["distances"],
        });
        if let Some(brand) = brand {
            body["where"] = json!({"brand": brand});
        }
        let Some(answer) = self.ask::<Answer>("query", &body).await? else {
            return Ok(None);
        };
        let ids = answer.ids.into_iter().next().unwrap_or_default();
        let distances = answer.distances.and_then(|all| all.into_iter().next());
        let distances = distances.unwrap_or_default();
        if ids.len() != distances.len() {
            return Err(Error::unavailable("answers without a distance for each id"));
        }
        let found = ids.into_iter().zip(distances);
        let found = found.filter_map(|(id, distance)| {
            let cosine = 1.0 - distance?;
            Some(Match { id, cosine })
        });
        Ok(Some(found.collect()))
    }

    /// Of all versions of a document.
    pub async fn ids(&self, document: &DocumentKey) -> Result<Vec<String>, Error> {
        #[derive(serde::Deserialize)]
        struct Answer {
            ids: Vec<String>,
        }
        let mut ids = Vec::new();
        loop {
            let body = json!({
                "where": {"document": document.to_string()},
                "include": [],
                "limit": PAGE,
                "offset": ids.len(),
            });
            let page = self.ask::<Answer>("get", &body).await?;
            let page = page.map_or_else(Vec::new, |answer| answer.ids);
            let is_last = page.len() < PAGE;
            ids.extend(page);
            if is_last {
                return Ok(ids);
            }
        }
    }

    /// Some of all chunks, from this place on; none at the end, or without a collection. The order
    /// is the server's, and what changes meanwhile may be missed or come twice.
    pub async fn listing(&self, from: usize) -> Result<Vec<Listed>, Error> {
        #[derive(serde::Deserialize)]
        struct Answer {
            ids: Vec<String>,
            metadatas: Option<Vec<Option<Value>>>,
        }
        let body = json!({"include": ["metadatas"], "limit": PAGE, "offset": from});
        let Some(page) = self.ask::<Answer>("get", &body).await? else {
            return Ok(Vec::new());
        };
        let mut metadatas = page.metadatas.unwrap_or_default().into_iter();
        let listed = page.ids.into_iter().map(|id| {
            let metadata = metadatas.next().flatten().unwrap_or_default();
            let document = metadata["document"].as_str().map(str::to_owned);
            Listed { id, document }
        });
        Ok(listed.collect())
    }

    /// Ids that are not there are none of its concern.
    pub async fn delete(&self, ids: &[String]) -> Result<(), Error> {
        for part in ids.chunks(BATCH_ROWS_MAX) {
            let _: Option<Value> = self.ask("delete", &json!({"ids": part})).await?;
        }
        Ok(())
    }

    /// Drops what this fleet has stored of other embedders; answers the names.
    pub async fn drop_others(&self) -> Result<Vec<String>, Error> {
        let mut dropped = Vec::new();
        for other in self.client.collections().await? {
            if self.is_ours(&other) && other.name != self.name {
                self.client.drop_collection(&other.name).await?;
                dropped.push(other.name);
            }
        }
        Ok(dropped)
    }

    /// Whether it has the name that this fleet gives to what its tag says: the prefix of another
    /// fleet may begin like ours.
    fn is_ours(&self, collection: &Described) -> bool {
        let embedder = tag(collection, EMBEDDER).and_then(Value::as_str);
        embedder.is_some_and(|embedder| collection.name == name_of(&self.prefix, embedder))
    }

    /// A call that makes no collection; `None` where there is none.
    async fn ask<T: DeserializeOwned>(&self, call: &str, body: &Value) -> Result<Option<T>, Error> {
        let known = match self.known() {
            Some(id) => Some(id),
            None => self.found().await?,
        };
        let Some(id) = known else {
            return Ok(None);
        };
        let ask = async |id: &str| {
            let path = [id, call];
            let asked = self.client.in_database(Method::POST, &path, Some(body));
            asked.await
        };
        match ask(&id).await {
            Err(Error::Missing(_)) => match self.found().await? {
                Some(id) => ask(&id).await.map(Some),
                None => Ok(None),
            },
            answer => answer.map(Some),
        }
    }

    fn known(&self) -> Option<String> {
        let id = self.id.read().unwrap_or_else(PoisonError::into_inner);
        id.clone()
    }

    fn remember(&self, id: Option<&str>) {
        let mut known = self.id.write().unwrap_or_else(PoisonError::into_inner);
        *known = id.map(str::to_owned);
    }

    /// Looks the collection up.
    async fn found(&self) -> Result<Option<String>, Error> {
        self.remember(None);
        let Some(found) = self.client.collection(&self.name).await? else {
            return Ok(None);
        };
        self.check(&found, None)?;
        self.remember(Some(&found.id));
        Ok(Some(found.id))
    }

    /// Looks the collection up, or makes it.
    async fn made(&self, dimensions: usize) -> Result<String, Error> {
        self.remember(None);
        let metadata = json!({EMBEDDER: self.embedder, DIMENSIONS: dimensions});
        let made = self.client.get_or_create(&self.name, &metadata).await?;
        self.check(&made, Some(dimensions))?;
        self.remember(Some(&made.id));
        Ok(made.id)
    }

    /// The server answers with an existing collection as it is, whatever was asked for.
    fn check(&self, found: &Described, dimensions: Option<usize>) -> Result<(), Error> {
        let foreign = |found: String, wanted: String| Error::Foreign {
            name: self.name.clone(),
            found,
            wanted,
        };
        let embedder = tag(found, EMBEDDER).and_then(Value::as_str);
        if embedder != Some(&self.embedder) {
            return Err(foreign(
                format!("vectors of {}", embedder.unwrap_or("an unknown embedder")),
                format!("those of {}", self.embedder),
            ));
        }
        let hnsw = &found.configuration_json["hnsw"];
        let spann = &found.configuration_json["spann"];
        let space = hnsw["space"].as_str().or(spann["space"].as_str());
        if space != Some("cosine") {
            let space = space.unwrap_or("unknown");
            return Err(foreign(
                format!("the distance {space}"),
                "cosine".to_owned(),
            ));
        }
        let has = tag(found, DIMENSIONS).and_then(Value::as_u64);
        match (dimensions, has) {
            (Some(wanted), Some(has)) if u64::try_from(wanted) != Ok(has) => Err(foreign(
                format!("{has} dimensions"),
                format!("{wanted} of them"),
            )),
            _ => Ok(()),
        }
    }
}

#[derive(Serialize)]
struct Upsert<'a> {
    ids: Vec<&'a str>,
    embeddings: Vec<&'a [f32]>,
    metadatas: Vec<Value>,
}

fn name_of(prefix: &str, embedder: &str) -> String {
    let digest = Sha256::digest(embedder);
    let hash: String = digest.iter().take(8).map(|b| format!("{b:02x}")).collect();
    format!("{prefix}-{hash}")
}

fn tag<'a>(collection: &'a Described, name: &str) -> Option<&'a Value> {
    collection.metadata.as_ref()?.get(name)
}
