//! The categories that the settings of this process define. They are added when settings are
//! read, and stay: what names a category can be parsed anywhere, and a category is as small as
//! a word.

use std::sync::{PoisonError, RwLock};

use super::Definition;
use super::definition::{Custom, InvalidCategory};

/// Each has a stream and five consumers, and every worker of the fleet knows of it.
pub const CUSTOM_MAX: usize = 32;

static REGISTERED: RwLock<Vec<&'static Definition>> = RwLock::new(Vec::new());

/// Makes the process know them: all, or none where one of them does not do. Those that are known
/// already, defined in the same way, stay what they are.
pub fn register(wanted: impl IntoIterator<Item = (String, Custom)>) -> Result<(), InvalidCategory> {
    // What is written is whole between two calls, whoever panicked.
    let mut registered = REGISTERED.write().unwrap_or_else(PoisonError::into_inner);
    let mut all = registered.clone();
    for (name, custom) in wanted {
        let invalid = |why: String| InvalidCategory {
            name: name.clone(),
            why,
        };
        let new = Definition::new(&name, &custom)?;
        match all.iter().find(|known| known.name == new.name) {
            Some(known) if **known == new => continue,
            Some(_) => {
                let why = "this process knows it otherwise already: start anew to change it";
                return Err(invalid(why.to_owned()));
            }
            None => {}
        }
        if let Some(other) = all.iter().find(|other| other.id_prefix == new.id_prefix) {
            let (prefix, other) = (new.id_prefix, other.name);
            return Err(invalid(format!(
                "id_prefix {prefix} is that of {other}: use another"
            )));
        }
        if all.len() == CUSTOM_MAX {
            return Err(invalid(format!(
                "at most {CUSTOM_MAX} categories can be added"
            )));
        }
        all.push(Box::leak(Box::new(new)));
    }
    *registered = all;
    Ok(())
}

pub(super) fn all() -> Vec<&'static Definition> {
    let registered = REGISTERED.read();
    registered.unwrap_or_else(PoisonError::into_inner).clone()
}

pub(super) fn find(is_wanted: impl Fn(&Definition) -> bool) -> Option<&'static Definition> {
    let registered = REGISTERED.read();
    let registered = registered.unwrap_or_else(PoisonError::into_inner);
    registered.iter().copied().find(|known| is_wanted(known))
}

pub(super) fn at(place: usize) -> Option<&'static Definition> {
    let registered = REGISTERED.read();
    let registered = registered.unwrap_or_else(PoisonError::into_inner);
    registered.get(place).copied()
}

/// How many were added before it.
pub(super) fn place(definition: &'static Definition) -> usize {
    let registered = REGISTERED.read();
    let registered = registered.unwrap_or_else(PoisonError::into_inner);
    let mut places = registered.iter();
    // One that is not there has never been handed out.
    places
        .position(|known| std::ptr::eq(*known, definition))
        .unwrap_or(registered.len())
}
