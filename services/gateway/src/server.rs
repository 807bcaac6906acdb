//! The listener, and how it stops: no new connections, answers to what is under way, an end.

use std::future::IntoFuture;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;

use crate::{Gateway, routes};

/// After the last answer is made, its bytes get this long to leave.
const LAST_BYTES_TIME: Duration = Duration::from_millis(100);

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error(
        "cannot listen on {listen}: something else listens there already; stop it, or choose another address or port with gateway.listen"
    )]
    Taken { listen: String },
    #[error(
        "cannot listen on {listen}: set gateway.listen to an address of this machine and a port that this user may open, like 127.0.0.1:8080"
    )]
    Unusable { listen: String, source: io::Error },
}

pub(crate) async fn listen(listen: &str) -> Result<TcpListener, ListenError> {
    let failed = |source: io::Error| {
        let listen = listen.to_owned();
        match source.kind() {
            io::ErrorKind::AddrInUse => ListenError::Taken { listen },
            _ => ListenError::Unusable { listen, source },
        }
    };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    tracing::info!(%address, "the HTTP API listens");
    Ok(listener)
}

/// Serves until the gateway stops and has drained.
pub(crate) async fn serve(listener: TcpListener, gateway: Arc<Gateway>) -> io::Result<()> {
    let listener = listener.tap_io(|connection| {
        // The last piece of an answer would wait for the client's word on those before it.
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "a connection may be slower than it could be");
        }
    });
    let server = axum::serve(listener, routes::router(Arc::clone(&gateway)))
        .with_graceful_shutdown(gateway.stop.clone().cancelled_owned());
    tokio::select! {
        served = server.into_future() => served,
        // The server waits for connections as well, and a browser keeps some open that it
        // never used. What we owe is answers.
        () = drained(&gateway) => Ok(()),
    }
}

async fn drained(gateway: &Gateway) {
    gateway.stop.cancelled().await;
    let (requests, grace) = (&gateway.requests.open, gateway.config.drain_grace);
    requests.close();
    match tokio::time::timeout(grace, requests.wait()).await {
        Ok(()) => tokio::time::sleep(LAST_BYTES_TIME).await,
        Err(_) => tracing::warn!(
            requests = requests.len(),
            "the grace period is over; requests stay unanswered"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_says_what_to_do() {
        let first = listen("127.0.0.1:0").await.unwrap();
        let address = first.local_addr().unwrap().to_string();
        let error = listen(&address).await.unwrap_err().to_string();
        assert!(
            error.contains(&address) && error.contains("gateway.listen"),
            "{error}"
        );
    }
}
