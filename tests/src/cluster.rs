//! Three nats-servers that are one JetStream cluster.

use std::net::TcpListener;

use futures::future::join_all;

use super::Nats;

#[derive(Debug)]
pub struct Cluster {
    pub servers: Vec<Nats>,
}

impl Cluster {
    pub async fn start() -> Self {
        Self::start_by(Nats::start_with).await
    }

    /// One whose servers bring every write to the disk before they acknowledge it.
    pub async fn start_syncing() -> Self {
        Self::start_by(Nats::start_syncing).await
    }

    async fn start_by<F: Future<Output = Nats>>(start: impl Fn(Vec<String>) -> F) -> Self {
        let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let route = |port: &u16| format!("nats://127.0.0.1:{port}");
        let routes = ports.iter().map(route).collect::<Vec<_>>().join(",");
        let servers = ports.iter().map(|port| {
            let arguments = [
                "--server_name",
                &format!("server-{port}"),
                "--cluster_name",
                "tests",
                "--cluster",
                &route(port),
                "--routes",
                &routes,
            ];
            start(arguments.map(str::to_owned).to_vec())
        });
        Self {
            servers: join_all(servers).await,
        }
    }

    pub fn url(&self) -> String {
        let urls: Vec<_> = self.servers.iter().map(Nats::url).collect();
        urls.join(",")
    }
}

fn free_port() -> u16 {
    loop {
        let port = fastrand::u16(10_000..32_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
