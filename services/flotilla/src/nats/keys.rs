//! Seeds, a file for each user; and the server's half of them.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context as _;
use nkeys::KeyPair;

use super::users::User;

const KEYS: &str = "keys.conf";

/// Seeds that are there already stay as they are: a key is replaced by removing its seed.
pub(super) fn make(dir: &Path, users: &[User]) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let mut keys = String::from(
        "# The public keys of the users in authorization.conf: made by `flotilla nats keys`.\n",
    );
    for user in users {
        let path = dir.join(format!("{}.nk", user.name));
        let doing = || format!("the seed of {} in {}", user.name, path.display());
        let pair = match fs::read_to_string(&path) {
            Ok(text) => KeyPair::from_seed(text.trim())
                .map_err(anyhow::Error::from)
                .with_context(doing)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let pair = KeyPair::new_user();
                write_seed(&path, &pair.seed()?).with_context(doing)?;
                pair
            }
            Err(error) => return Err(error).with_context(doing),
        };
        keys += &format!("{} = {:?}\n", user.variable(), pair.public_key());
        println!("{}  inbox prefix {}", path.display(), user.inbox_prefix());
    }
    let path = dir.join(KEYS);
    fs::write(&path, keys).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{}  for the server", path.display());
    Ok(())
}

/// For its owner alone.
fn write_seed(path: &Path, seed: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(path)?;
    writeln!(file, "{seed}")
}
