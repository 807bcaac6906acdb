//! What is too large for a message: stored in pieces under a name, which a message then carries.

use async_nats::jetstream::object_store::{
    DeleteErrorKind, GetErrorKind, InfoErrorKind, ObjectStore,
};
use tokio::io::AsyncReadExt;

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

    pub(super) async fn remove_object(&self, name: &str) -> Result<(), BrokerError> {
        let doing = || format!("removing object {name}");
        match self.objects(doing).await?.delete(name).await {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == DeleteErrorKind::NotFound => Ok(()),
            Err(error) => Err(BrokerError::other(doing(), error)),
        }
    }

    async fn objects(&self, doing: impl Fn() -> String) -> Result<ObjectStore, BrokerError> {
        let store = self.jetstream.get_object_store(BUCKET).await;
        store.map_err(|error| BrokerError::other(doing(), error))
    }
}
