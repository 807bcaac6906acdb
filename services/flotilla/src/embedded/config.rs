//! Section `[embedded]`, and the nats-server configuration that follows from it.

use std::path::{Path, PathBuf};

use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Where the server keeps streams, its log and its process id.
    pub(crate) data_dir: PathBuf,
    /// It listens on the loopback address only.
    pub(crate) port: u16,
    /// "always" writes every task through to the disk before it is acknowledged, so that it
    /// survives a power cut; an interval like "2m" is faster and risks that much.
    pub(crate) sync_interval: String,
    /// What all streams together may reserve, in the server's units. The server's own default is
    /// a share of what is free, which a nearly full disk makes too little to start with.
    pub(crate) storage_max: String,
    /// The server's binary, where it is not on the PATH.
    pub(crate) nats_server: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from(".flotilla"),
            port: 4222,
            sync_interval: "always".to_owned(),
            storage_max: "20GB".to_owned(),
            nats_server: None,
        }
    }
}

impl Config {
    pub(super) fn pid_file(&self) -> PathBuf {
        self.data_dir.join("nats-server.pid")
    }

    pub(super) fn log_file(&self) -> PathBuf {
        self.data_dir.join("nats-server.log")
    }

    pub(super) fn server_file(&self) -> PathBuf {
        self.data_dir.join("nats-server.conf")
    }

    /// What the server calls itself: tells the servers of two data directories apart.
    pub(super) fn server_name(&self) -> String {
        let dir = self.data_dir.display().to_string();
        format!("flotilla:{}", dir.replace(char::is_whitespace, "_"))
    }

    /// The server's own configuration file.
    pub(super) fn server_text(&self) -> String {
        let quoted = |path: &Path| format!("{:?}", path.display().to_string());
        format!(
            "# Written by `flotilla up` at every start.\n\
             server_name: {}\n\
             listen: \"127.0.0.1:{}\"\n\
             pid_file: {}\n\
             log_file: {}\n\
             logfile_size_limit: 16MB\n\
             jetstream {{\n  store_dir: {}\n  sync_interval: {}\n  max_file_store: {}\n}}\n",
            quoted(Path::new(&self.server_name())),
            self.port,
            quoted(&self.pid_file()),
            quoted(&self.log_file()),
            quoted(&self.data_dir),
            self.sync_interval,
            self.storage_max,
        )
    }
}
