//! Who may do what: keys with scopes where they are asked for, rates and quotas by key, and
//! nothing for web pages of other origins.

mod bucket;
mod guard;
mod keyring;
pub mod keys;
mod origin;
mod payer;
mod quota;

use std::net::IpAddr;
use std::path::PathBuf;

pub(crate) use guard::{guard, scope, submits};
pub(crate) use keyring::Keyring;
pub(crate) use origin::origins;
pub(crate) use payer::Payer;
pub(crate) use quota::Backlogs;

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error(
        "gateway.listen {address} can be reached from other machines, and no keys are set: make one with `flotilla keys new NAME --file FILE` and set gateway.keys_file to that file, or listen on 127.0.0.1, or, where something else decides who gets here, set gateway.open_to_all = true"
    )]
    Open { address: IpAddr },
    #[error("{} has no valid key, so that nobody could use the API: make one with `flotilla keys new NAME --file {}`", path.display(), path.display())]
    NoKeys { path: PathBuf },
    #[error(transparent)]
    Keys(#[from] keys::KeysError),
}
