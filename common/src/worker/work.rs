//! A handler as the runtime has it, without its types. So the runtime is compiled once: of every
//! category's types there would be another one of it, in each program that serves the category.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::attempt::panicked;
use super::payload::Payload;
use super::{Attempt, Handler};
use crate::broker::Delivery;
use crate::model::{Category, Needs, Outcome, Probed};

/// Does the work once, where what it needs lets it.
pub(crate) type Start = Box<dyn for<'a> FnOnce(&'a Attempt) -> BoxFuture<'a, Outcome> + Send>;

/// Work whose payload has been read.
pub(crate) struct Prepared {
    pub(crate) needs: Needs,
    pub(crate) start: Start,
}

pub(crate) trait Work: Send + Sync {
    fn category(&self) -> Category;

    /// `Err` is the outcome of a task that cannot start.
    fn prepare(self: Arc<Self>, body: Bytes, delivery: &Delivery) -> Result<Prepared, Outcome>;

    fn lacks_handlers(&self) -> bool;

    fn probe(&self) -> BoxFuture<'_, Vec<Probed>>;
}

impl<H: Handler> Work for H {
    fn category(&self) -> Category {
        Handler::category(self)
    }

    fn prepare(self: Arc<Self>, body: Bytes, delivery: &Delivery) -> Result<Prepared, Outcome> {
        // Its own code: a payload type may bring some that parses, and all of it may panic.
        let preparing = AssertUnwindSafe(|| {
            let payload = H::Payload::read(body, delivery)?;
            let needs = self.needs(&payload);
            Ok((payload, needs))
        });
        let prepared = catch_unwind(preparing).unwrap_or_else(|panic| Err(panicked(&*panic)));
        let (payload, needs) = prepared?;
        Ok(Prepared {
            needs,
            // The call is within the future: it may panic before there is one of the handler's.
            start: Box::new(move |attempt| {
                Box::pin(async move { self.handle(payload, attempt).await })
            }),
        })
    }

    fn lacks_handlers(&self) -> bool {
        Handler::lacks_handlers(self)
    }

    fn probe(&self) -> BoxFuture<'_, Vec<Probed>> {
        Box::pin(async { Handler::probe(self).await })
    }
}
