//! A result that does not fit its record is stored beside it: before the record, which names it.

use super::ledger::{Ledger, Refused};
use crate::broker::Refusal;
use crate::model::{ResultObject, Status};

impl Ledger<'_> {
    /// The status with its result moved into an object, for as long as it takes; `why` it does
    /// not fit where there is nothing to move.
    pub(super) async fn move_out(
        &self,
        status: Status,
        why: String,
    ) -> Result<(Status, ResultObject), Refused> {
        let Status::Completed {
            started_at,
            completed_at,
            result,
            result_object: None,
        } = status
        else {
            return Err(Refused::TooLarge(why));
        };
        let json = bytes::Bytes::from(result.to_string());
        let max = self.streams.object_bytes_max;
        if json.len() > max {
            let bytes = json.len();
            return Err(Refused::TooLarge(format!(
                "the result has {bytes} bytes, and at most {max} are kept (streams.object_bytes_max)"
            )));
        }
        drop(result);
        let object = loop {
            let (category, id) = (self.envelope.category, &self.envelope.id);
            match self.broker.put_result(category, id, json.clone()).await {
                Ok(object) => break object,
                Err(error) => match error.refusal() {
                    Some(Refusal::ObjectsFull(_) | Refusal::StorageFull(_)) => {
                        return Err(Refused::NoRoom(error.to_string()));
                    }
                    _ => self.pause(&error).await,
                },
            }
        };
        let status = Status::Completed {
            started_at,
            completed_at,
            result: serde_json::Value::Null,
            result_object: Some(object.clone()),
        };
        Ok((status, object))
    }
}
