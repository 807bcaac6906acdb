//! What is too large for a message: stored in pieces under a name, which a message then carries.

use async_nats::jetstream::object_store::{
    DeleteErrorKind, GetErrorKind, InfoErrorKind, ObjectStore,
};
use futures::StreamExt;
use jiff::Timestamp;
use tokio::io::AsyncReadExt;

use super::delivery::timestamp;
use super::documents::{object_of, owner_of};
use super::subjects::{DOCUMENTS_STREAM, document};
use super::{Broker, BrokerError};

/// The server keeps it as stream `OBJ_flotilla`.
pub(super) const BUCKET: &str = "flotilla";

impl Broker {
    pub(super) async fn put_object(&self, name: &str, body: &[u8]) -> Result<(), BrokerError> {
        let doing = || format!("storing object {name}");
        let store = self.objects(doing).await?;
        let mut reader = body;
        let stored = store.put(name, &mut reader).await;
        stored.map_err(|error| BrokerError::other(doing(), error))?;
        Ok(())
    }

    /// What anybody has put into the bucket `flotilla`, unless it is larger than allowed: then
    /// its size. `None` where there is none of this name (any more).
    pub async fn stored_object(
        &self,
        name: &str,
        bytes_max: usize,
    ) -> Result<Option<Result<Vec<u8>, usize>>, BrokerError> {
        let doing = || format!("looking at object {name}");
        let info = match self.objects(doing).await?.info(name).await {
            Ok(info) => info,
            Err(error) if error.kind() == InfoErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(BrokerError::other(doing(), error)),
        };
        if info.size > bytes_max {
            return Ok(Some(Err(info.size)));
        }
        Ok(self.object(name).await?.map(Ok))
    }

    /// `None` where there is none of this name (any more).
    pub(super) async fn object(&self, name: &str) -> Result<Option<Vec<u8>>, BrokerError> {
        let doing = || format!("reading object {name}");
        let store = self.objects(doing).await?;
        let mut object = match store.get(name).await {
            Ok(object) => object,
            Err(error) if error.kind() == GetErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(BrokerError::other(doing(), error)),
        };
        let mut body = Vec::with_capacity(object.info().size);
        let read = object.read_to_end(&mut body).await;
        read.map_err(|error| BrokerError::other(doing(), error))?;
        Ok(Some(body))
    }

    pub async fn remove_object(&self, name: &str) -> Result<(), BrokerError> {
        let doing = || format!("removing object {name}");
        match self.objects(doing).await?.delete(name).await {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == DeleteErrorKind::NotFound => Ok(()),
            Err(error) => Err(BrokerError::other(doing(), error)),
        }
    }

    /// The bodies of documents that no document has (any more): left by attempts that ended
    /// between storing the two. Those that were stored since `before` may still be named. What
    /// others have put into the bucket is theirs.
    pub async fn orphaned_objects(&self, before: Timestamp) -> Result<Vec<String>, BrokerError> {
        let doing = || "looking for objects that nobody needs".to_owned();
        let listing = self.objects(doing).await?.list().await;
        let mut listing = listing.map_err(|error| BrokerError::other(doing(), error))?;
        let mut orphans = Vec::new();
        while let Some(object) = listing.next().await {
            let object = object.map_err(|error| BrokerError::other(doing(), error))?;
            let is_old = object.modified.is_some_and(|at| timestamp(at) < before);
            let Some(key) = owner_of(&object.name).filter(|_| is_old) else {
                continue;
            };
            let stored = self.last(DOCUMENTS_STREAM, document(&key)).await;
            let stored = stored.map_err(|error| BrokerError::other(doing(), error))?;
            let named = stored.as_ref().and_then(|m| object_of(&m.headers));
            if named != Some(object.name.as_str()) {
                orphans.push(object.name);
            }
        }
        Ok(orphans)
    }

    async fn objects(&self, doing: impl Fn() -> String) -> Result<ObjectStore, BrokerError> {
        let store = self.jetstream.get_object_store(BUCKET).await;
        store.map_err(|error| BrokerError::other(doing(), error))
    }
}
