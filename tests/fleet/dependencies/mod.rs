//! Against the real dependencies, which `./just test-dependencies` fetches; `./just test` leaves
//! these out.

mod browser;
mod chroma;
mod chroma_fleet;
mod chroma_maintenance;
mod chroma_server;
mod local_model;
