//! An external broker with TLS and a credentials file.

use flotilla_common::broker::{Broker, Config, ConnectError, StreamLimits};
use tokio::process::Command;

use crate::harness::fleet::free_port;
use crate::harness::{eventually, fixture, program, test};

#[test]
fn tls_and_credentials_are_used_and_their_faults_are_told_apart() {
    test(async |_| {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let quoted = |name: &str| format!("{:?}", fixture(name).display().to_string());
        let file = dir.path().join("server.conf");
        let text = format!(
            "{jwt}\nlisten: \"127.0.0.1:{port}\"\njetstream {{ store_dir: {store:?}, max_file_store: 20GB }}\ntls {{ cert_file: {}, key_file: {} }}\n",
            quoted("server.pem"),
            quoted("server.key"),
            jwt = std::fs::read_to_string(fixture("jwt.conf")).unwrap(),
            store = dir.path().join("store"),
        );
        std::fs::write(&file, text).unwrap();
        let _server = Command::new(program())
            .arg("-c")
            .arg(file)
            .stderr(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        eventually("the server listens", async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .is_ok()
        })
        .await;

        let whole = Config {
            url: format!("tls://127.0.0.1:{port}"),
            credentials_file: Some(fixture("user.creds")),
            tls_ca_file: Some(fixture("ca.pem")),
            ..Config::default()
        };
        let broker = Broker::connect(&whole, "tests").await.unwrap();
        assert_eq!(
            broker
                .ensure_topology(&StreamLimits::default())
                .await
                .unwrap(),
            []
        );

        let fault = async |config: Config| Broker::connect(&config, "tests").await.unwrap_err();
        let no_ca = Config {
            tls_ca_file: None,
            ..whole.clone()
        };
        assert!(matches!(fault(no_ca).await, ConnectError::Tls { .. }));
        let no_credentials = Config {
            credentials_file: None,
            ..whole.clone()
        };
        assert!(matches!(
            fault(no_credentials).await,
            ConnectError::Denied { .. }
        ));
        let missing = Config {
            credentials_file: Some("nowhere".into()),
            ..whole
        };
        assert!(matches!(
            fault(missing).await,
            ConnectError::Credentials { .. }
        ));
    });
}
