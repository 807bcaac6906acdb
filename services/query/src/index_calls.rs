//! Answers those who compare the index with what is stored.

use std::sync::Arc;

use flotilla_common::broker::{Broker, BrokerError, IndexCall};
use flotilla_common::model::{Category, Instance};
use flotilla_knowledge::Live;

/// For as long as it is polled.
pub(crate) async fn answer(
    broker: &Broker,
    index: Arc<Live>,
) -> Result<impl Future<Output = ()> + Send + use<>, BrokerError> {
    let mut calls = broker.index_calls().await?;
    let name = Instance::new(Category::Query.name()).id;
    Ok(async move {
        while let Some(asked) = calls.next().await {
            match &asked.call {
                IndexCall::Tell { prefix } => asked.say(&index.holdings(&name, *prefix)).await,
                IndexCall::Rebuild {
                    index: wanted,
                    prefix,
                } if *wanted == name => {
                    index.rebuild().await;
                    asked.say(&index.holdings(&name, *prefix)).await;
                }
                IndexCall::Rebuild { .. } => {}
            }
        }
    })
}
