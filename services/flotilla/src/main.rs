//! `flotilla`: the command line; the fleet in one process; and every service, where it is started under that
//! one's name, as the links in the container image have it.

mod cli;
mod client;
mod commands;
#[cfg(test)]
mod config_file;
mod doctor;
mod embedded;
mod exit;
mod fleet;
mod keys;
mod nats;
mod protocol;
mod terminal;
mod top;
mod up;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: flotilla_common::Allocator = flotilla_common::Allocator;

fn main() -> ExitCode {
    let named = service(&flotilla_common::service::program());
    named.map_or_else(cli::run, |main| main())
}

/// What a program of this name does, where it is a service's own.
fn service(program: &str) -> Option<fn() -> ExitCode> {
    Some(match program.strip_prefix("flotilla-")? {
        "gateway" => flotilla_gateway::main,
        "stats" => flotilla_stats::main,
        "scraping" => flotilla_scraping::main,
        "query" => flotilla_query::main,
        "embedding" => flotilla_embedding::main,
        "batch" => flotilla_batch::main,
        "maintenance" => flotilla_maintenance::main,
        "bridge" => flotilla_bridge::main,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::service;

    /// Each crate beside this one is a program.
    #[test]
    fn every_service_is_known_by_its_name() {
        let services = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut known = 0;
        for entry in services.read_dir().unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert_eq!(
                service(&format!("flotilla-{name}")).is_some(),
                name != "flotilla",
                "{name}"
            );
            known += 1;
        }
        assert!(known > 8);
        for other in ["flotilla", "flotilla-", "gateway", "flotilla-pdf"] {
            assert!(service(other).is_none(), "{other}");
        }
    }
}
