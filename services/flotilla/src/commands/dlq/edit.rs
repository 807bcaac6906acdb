//! A payload in somebody's own editor.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Map, Value};

use super::super::fields;
use crate::client::Api;
use crate::exit::{Code, Failed};

/// The file, gone with this.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        // Somebody else may have removed it.
        let _ = std::fs::remove_file(&self.0);
    }
}

pub(super) async fn in_editor(id: &str, api: &Api) -> Result<Map<String, Value>, Failed> {
    let letter = api.get(&["dead-letters", id]).send().await?;
    if letter.body["payload_base64"].is_string() {
        return Err(Failed::new(
            Code::Refused,
            "the payload is no JSON, and cannot be edited as text",
        )
        .remedy("give a whole new one with --payload"));
    }
    let before = serde_json::to_string_pretty(&letter.body["payload"]).unwrap_or_default();
    let after = edit(&before)?;
    if after.trim() == before.trim() {
        return Err(
            Failed::new(Code::Refused, "the payload is as it was; nothing was done").remedy(
                format!("to run it again unchanged: flotilla dlq requeue {id}"),
            ),
        );
    }
    fields::object(&after, "the edited payload")
}

fn edit(text: &str) -> Result<String, Failed> {
    let failed = |what: &str, error: std::io::Error| Failed::usage(format!("{what}: {error}"));
    let editor = ["VISUAL", "EDITOR"].iter().find_map(std::env::var_os);
    let editor = editor.unwrap_or_else(|| "vi".into());
    let draft = Draft(std::env::temp_dir().join(format!("flotilla-{}.json", ulid())));
    // New, or somebody else's: a payload is nobody else's business.
    let mut options = std::fs::File::options();
    std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create_new(true), 0o600);
    let written = options
        .open(&draft.0)
        .and_then(|mut file| writeln!(file, "{text}"));
    written.map_err(|error| failed("cannot write the payload to a file", error))?;
    // By the shell, as others do: EDITOR may have arguments.
    let status = Command::new("sh")
        .args(["-c", "exec $0 \"$1\""])
        .arg(&editor)
        .arg(&draft.0)
        .status();
    let status = status.map_err(|error| failed("cannot start the editor", error))?;
    if !status.success() {
        return Err(Failed::new(
            Code::Refused,
            "the editor gave up; nothing was done",
        ));
    }
    std::fs::read_to_string(&draft.0).map_err(|error| failed("cannot read the payload back", error))
}

/// A name that nobody has yet.
fn ulid() -> String {
    flotilla_common::model::Instance::new("letter").id
}
