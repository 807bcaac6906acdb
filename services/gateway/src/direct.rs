//! The API without a listener: for a program that has a connection to the broker of its own.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use flotilla_common::broker::{self, Broker};
use flotilla_common::model::Instance;
use flotilla_common::service::{Context, StartError};
use flotilla_common::worker::{Meter, Reporter};
use tower::ServiceExt;

use crate::{Config, Gateway, routes};

/// Who counts what it brings about: no gateway, which would be expected to stay.
const SERVICE: &str = "command-line";

pub struct Direct {
    broker: Broker,
    meter: Arc<Meter>,
    instance: Instance,
    router: Router,
}

impl std::fmt::Debug for Direct {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Direct").finish_non_exhaustive()
    }
}

impl Direct {
    /// Changes nothing at the broker: streams that are missing stay so.
    pub async fn connect(context: &Context, config: Config) -> anyhow::Result<Self> {
        let instance = Instance::new(SERVICE);
        let made = Gateway::of(context, config, instance.clone())?;
        let connection: broker::Config = context.settings.section("nats")?;
        connection.validate().map_err(StartError::Invalid)?;
        let broker = Broker::connect(&connection, "flotilla-command-line").await?;
        // Whoever may use the broker needs no key of the gateway's.
        let gateway = Arc::new(made(broker.clone(), None, false));
        Ok(Self {
            broker,
            meter: Arc::clone(&gateway.meter),
            instance,
            router: routes::router(gateway),
        })
    }

    pub async fn call(&self, request: Request<Body>) -> Response<Body> {
        let answered = self.router.clone().oneshot(request).await;
        answered.unwrap_or_else(|never| match never {})
    }

    pub async fn close(self) {
        Reporter::report_once(&self.broker, self.instance, &self.meter).await;
        self.broker.close().await;
    }
}
