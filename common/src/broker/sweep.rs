//! Which objects nothing refers to. Everything in the bucket lives by what refers to it: a
//! document, a record, a task wherever it waits, a dead letter, a schedule, a batch that names
//! its manifest. What somebody wants to keep whatever happens is named `keep/…`.

use std::collections::HashSet;

use async_nats::header::NATS_SCHEDULE_TARGET;
use futures::TryStreamExt;
use jiff::Timestamp;
use serde::Deserialize;

use super::delivery::timestamp;
use super::documents::{object_of, owner_of};
use super::objects::{Meta, read_meta};
use super::results::task_of;
use super::scan::Raw;
use super::subjects::{
    DEAD_STREAM, DOCUMENTS_STREAM, ENDED_STREAM, OBJECT_HEADER, OBJECT_METAS, OBJECT_PIECES,
    OBJECTS_STREAM, SCHED_STREAM, TASKS_STREAMS, document, object_pieces,
};
use super::{Broker, BrokerError, ObjectError};
use crate::model::{Category, DocumentKey, Status, TaskId};

/// Objects whose names begin so are never removed.
const KEPT: &str = "keep/";
/// A larger body of a batch is not read for the manifest that it may name: workers don't, either.
const BODY_BYTES_MAX: usize = 256 * 1_024 * 1_024;

/// Something that nothing refers to.
#[derive(Debug, Clone)]
pub struct Orphan {
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Object(Box<Meta>),
    /// Pieces whose object was never stored whole, or was removed half-way.
    Pieces(String),
}

/// Who refers to an object, as its name tells.
enum Owner {
    Document(DocumentKey),
    Result(Category, TaskId),
    /// Any task, letter or schedule may name it.
    Anybody,
    /// A task of a category that this process does not know.
    Unknown,
}

impl Orphan {
    /// The object's name, or what its pieces are stored under.
    pub fn name(&self) -> &str {
        match &self.what {
            What::Object(meta) => &meta.info.name,
            What::Pieces(nuid) => nuid,
        }
    }
}

impl Broker {
    /// What was stored since `before` is left alone: it may be about to be named.
    pub async fn orphans(&self, before: Timestamp) -> Result<Vec<Orphan>, BrokerError> {
        // Before the objects: pieces come first, and what names them is looked for afterwards.
        let pieces = self.piece_sets().await?;
        let objects = self.objects().await?;
        let known: HashSet<&str> = objects.iter().map(|o| o.info.nuid.as_str()).collect();
        let mut orphans = Vec::new();
        for nuid in pieces.iter().filter(|nuid| !known.contains(nuid.as_str())) {
            if self.is_older(&object_pieces(nuid), before).await? {
                let what = What::Pieces(nuid.clone());
                orphans.push(Orphan { what });
            }
        }
        let is_old =
            |object: &Meta| object.stored_at < before && !object.info.name.starts_with(KEPT);
        let mut unclear = Vec::new();
        for object in objects.into_iter().filter(is_old) {
            let is_named = match owner(&object.info.name) {
                // What another client has deleted, and has left its name of.
                _ if object.info.deleted => false,
                Owner::Document(key) => self.is_of_document(&key, &object.info.name).await?,
                Owner::Result(category, id) => {
                    self.is_result_of(category, &id, &object.info.name).await?
                }
                Owner::Anybody => {
                    unclear.push(object);
                    continue;
                }
                Owner::Unknown => continue,
            };
            if !is_named {
                orphans.push(object.into());
            }
        }
        if !unclear.is_empty() {
            let named = self.named_objects().await?;
            let is_orphan = |object: &Meta| !named.contains(&object.info.name);
            orphans.extend(unclear.into_iter().filter(is_orphan).map(Orphan::from));
        }
        Ok(orphans)
    }

    /// Answers whether it was there: one that was stored again, or kept, since stays.
    pub async fn remove_orphan(&self, orphan: &Orphan) -> Result<bool, BrokerError> {
        match &orphan.what {
            What::Object(meta) => self.remove_stored(meta).await,
            What::Pieces(nuid) => self.purge_pieces(nuid).await.map(|()| true),
        }
    }

    async fn piece_sets(&self) -> Result<Vec<String>, BrokerError> {
        let failed = |error: async_nats::Error| BrokerError::other("listing the objects", error);
        let stream = self.objects_stream().await.map_err(failed)?;
        let subjects = stream.info_with_subjects(format!("{OBJECT_PIECES}>")).await;
        let subjects = subjects.map_err(|error| failed(error.into()))?;
        let subjects: Result<Vec<(String, usize)>, _> = subjects.try_collect().await;
        let subjects = subjects.map_err(|error| failed(error.into()))?;
        let nuid =
            |(subject, _): (String, usize)| subject.strip_prefix(OBJECT_PIECES).map(str::to_owned);
        Ok(subjects.into_iter().filter_map(nuid).collect())
    }

    async fn objects(&self) -> Result<Vec<Meta>, BrokerError> {
        let read = |raw: &Raw| read_meta(&raw.payload(), raw.seq, raw.time);
        self.scan(OBJECTS_STREAM, OBJECT_METAS, read).await
    }

    async fn is_older(&self, subject: &str, before: Timestamp) -> Result<bool, BrokerError> {
        let last = self.last(OBJECTS_STREAM, subject.to_owned()).await;
        let last = last.map_err(|error| BrokerError::other("listing the objects", error))?;
        Ok(last.is_some_and(|last| timestamp(last.time) < before))
    }

    async fn is_of_document(&self, key: &DocumentKey, name: &str) -> Result<bool, BrokerError> {
        let doing = || format!("looking at document {key}");
        let stored = self.last(DOCUMENTS_STREAM, document(key)).await;
        let stored = stored.map_err(|error| BrokerError::other(doing(), error))?;
        Ok(stored.is_some_and(|message| object_of(&message.headers) == Some(name)))
    }

    async fn is_result_of(
        &self,
        category: Category,
        id: &TaskId,
        name: &str,
    ) -> Result<bool, BrokerError> {
        let stored = match self.record_in(category, id).await {
            // Somebody has overwritten the record with what is none.
            Err(BrokerError::Unreadable { .. }) => None,
            answer => answer?,
        };
        let object = stored.and_then(|stored| match stored.record.status {
            Status::Completed { result_object, .. } => result_object,
            _ => None,
        });
        Ok(object.is_some_and(|object| object.name == name))
    }

    /// What any task, letter or schedule names. The streams are read in the order in which tasks
    /// move, each of which is stored where it goes before it leaves where it was: so none is
    /// missed on its way. Whoever moves one back touches its object (`Broker::requeue`), which
    /// the sweep then does not remove.
    async fn named_objects(&self) -> Result<HashSet<String>, BrokerError> {
        let mut streams = vec![SCHED_STREAM.to_owned()];
        streams.extend(self.tasks_streams().await?);
        streams.extend([DEAD_STREAM, ENDED_STREAM].map(str::to_owned));
        let mut named = HashSet::new();
        for stream in streams {
            for found in self.scan(&stream, ">", Names::of).await? {
                if let Some(object) = found.object.as_deref().filter(|_| found.is_batch) {
                    named.extend(self.manifest_in(object).await?);
                }
                named.extend(found.object);
                named.extend(found.manifest);
            }
        }
        Ok(named)
    }

    /// All that hold tasks, those of categories that this process does not know as well.
    async fn tasks_streams(&self) -> Result<Vec<String>, BrokerError> {
        let names: Result<Vec<String>, _> = self.jetstream.stream_names().try_collect().await;
        let mut names =
            names.map_err(|error| BrokerError::other("listing the streams of tasks", error))?;
        names.retain(|name| name.starts_with(TASKS_STREAMS));
        Ok(names)
    }

    /// Says that what a task names is in use. A sweep that is under way may have missed the task, as it
    /// reads where tasks wait before it reads where they end, and this one goes the other way.
    pub(super) async fn keep_named(
        &self,
        category: Category,
        object: Option<&str>,
        body: &[u8],
    ) -> Result<(), BrokerError> {
        let manifest = match object {
            _ if category != Category::Batch => None,
            Some(object) => self.manifest_in(object).await?,
            None => manifest(body),
        };
        for name in object.into_iter().chain(manifest.as_deref()) {
            self.touch_object(name).await?;
        }
        Ok(())
    }

    /// What a batch names whose body is an object itself.
    async fn manifest_in(&self, object: &str) -> Result<Option<String>, BrokerError> {
        match self.object(object, BODY_BYTES_MAX).await {
            Ok(body) => Ok(manifest(&body)),
            Err(ObjectError::Broker(error)) => Err(error),
            // Nobody else can read it, either.
            Err(_) => Ok(None),
        }
    }
}

/// What a message refers to.
struct Names {
    /// Its body.
    object: Option<String>,
    /// The manifest of a batch.
    manifest: Option<String>,
    is_batch: bool,
}

impl Names {
    /// `None` where it refers to nothing.
    fn of(raw: &Raw) -> Option<Self> {
        let (object, is_batch) = (raw.header(OBJECT_HEADER), is_batch(raw));
        let manifest = is_batch.then(|| manifest(&raw.payload())).flatten();
        (object.is_some() || manifest.is_some()).then_some(Self {
            object,
            manifest,
            is_batch,
        })
    }
}

/// The object that a batch has its manifest in.
fn manifest(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Manifest {
        manifest_object: Option<String>,
    }
    let manifest = serde_json::from_slice::<Manifest>(body).ok();
    manifest?.manifest_object
}

impl From<Meta> for Orphan {
    fn from(object: Meta) -> Self {
        let what = What::Object(Box::new(object));
        Self { what }
    }
}

fn owner(name: &str) -> Owner {
    if let Some(key) = owner_of(name) {
        return Owner::Document(key);
    }
    let mut parts = name.split('/');
    if let (Some("result" | "request"), Some(category)) = (parts.next(), parts.next())
        && Category::named(category).is_none()
    {
        return Owner::Unknown;
    }
    match task_of(name) {
        Some((category, id)) => Owner::Result(category, id),
        None => Owner::Anybody,
    }
}

/// Whether a message is, or will be, a task of the batch category.
fn is_batch(raw: &Raw) -> bool {
    let is_of_batch = |subject: &str| {
        let mut tokens = subject.split('.');
        let kind = tokens.next().unwrap_or_default();
        ["tasks", "due", "dead", "ended"].contains(&kind)
            && tokens.next() == Some(Category::Batch.name())
    };
    let target = raw.header(NATS_SCHEDULE_TARGET.as_ref());
    is_of_batch(&raw.subject) || target.as_deref().is_some_and(is_of_batch)
}
