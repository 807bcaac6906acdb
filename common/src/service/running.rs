//! A service as whoever runs it has it: behind a pointer. So it is compiled once, where it is written,
//! and not once more for every program that runs it.

use futures::future::BoxFuture;
use serde::de::DeserializeOwned;

use super::{Context, Settings, SettingsError};

/// A service under way, until it ends.
pub type Running = BoxFuture<'static, anyhow::Result<()>>;

/// Begins a service; again, where it has to begin anew.
pub type Begin = Box<dyn Fn(Context) -> Running + Send + Sync>;

/// Begins with what its section of the settings says.
pub fn configured<C>(
    settings: &Settings,
    section: &'static str,
    run: impl Fn(Context, C) -> Running + Send + Sync + 'static,
) -> Result<Begin, SettingsError>
where
    C: DeserializeOwned + Clone + Send + Sync + 'static,
{
    let config: C = settings.section(section)?;
    Ok(Box::new(move |context| run(context, config.clone())))
}
