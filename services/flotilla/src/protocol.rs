//! The wire contract, printed or written down as files.

use std::fs;
use std::path::{Path, PathBuf};

use flotilla_gateway::protocol;

use crate::exit::{Code, Done, Failed};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write AsyncAPI and the JSON Schema of every message there
    directory: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Done {
    match &args.directory {
        Some(directory) => write(directory),
        None => {
            let text = protocol::text(&protocol::asyncapi());
            let printed = std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes());
            printed.map_err(|error| Failed::output(&error))
        }
    }
}

fn write(directory: &Path) -> Done {
    let failed = |path: &Path, error: std::io::Error| {
        Failed::new(
            Code::Bad,
            format!("cannot write {}: {error}", path.display()),
        )
    };
    for (name, document) in protocol::files() {
        let path = directory.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
        }
        fs::write(&path, protocol::text(&document)).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}
