//! What can be told of a scraping task before a worker has it: how its page is rendered, what
//! is known of it, and how far its site is followed. The worker has the same rules.

use flotilla_common::model::Discover;
use serde_json::{Map, Value};

use crate::body::Fields;
use crate::problem::Problem;

const RENDER: [&str; 3] = ["auto", "always", "never"];
const SELECTOR_BYTES_MAX: usize = 512;
const VALIDATOR_BYTES_MAX: usize = 512;

/// They are of one page.
const KNOWN: [&str; 3] = ["if_changed_from", "etag", "last_modified"];

pub(super) fn check(fields: &Fields) -> Result<(), Problem> {
    fields.read::<bool>("embed")?;
    check_rendering(fields)?;
    check_hash(fields)?;
    check_validator(fields, "etag")?;
    check_validator(fields, "last_modified")?;
    // An object: a list would fill its fields in order.
    fields.read::<Map<String, Value>>("discover")?;
    if fields.read::<Discover>("discover")?.is_none() {
        return Ok(());
    }
    for field in KNOWN {
        if fields.read::<String>(field)?.is_some() {
            let why = format!("{field}: it is of one page; leave it out where discover is given");
            return Err(Problem::invalid(field, why));
        }
    }
    Ok(())
}

fn check_rendering(fields: &Fields) -> Result<(), Problem> {
    let render = fields.read::<String>("render")?;
    if render.is_some_and(|render| !RENDER.contains(&&*render)) {
        let why = format!("render: use one of {}", RENDER.join(", "));
        return Err(Problem::invalid("render", why));
    }
    let selector = fields.read::<String>("wait_for")?;
    let is_one = |text: &String| !text.trim().is_empty() && text.len() <= SELECTOR_BYTES_MAX;
    if selector.as_ref().is_none_or(is_one) {
        return Ok(());
    }
    let why = format!("wait_for: give a CSS selector of 1 to {SELECTOR_BYTES_MAX} bytes");
    Err(Problem::invalid("wait_for", why))
}

fn check_hash(fields: &Fields) -> Result<(), Problem> {
    let hash = fields.read::<String>("if_changed_from")?;
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let is_hash = |hash: &String| hash.len() == 64 && hash.bytes().all(is_digit);
    if hash.as_ref().is_none_or(is_hash) {
        return Ok(());
    }
    let why = "if_changed_from: give the content_hash of a result, 64 hexadecimal digits";
    Err(Problem::invalid("if_changed_from", why))
}

fn check_validator(fields: &Fields, field: &str) -> Result<(), Problem> {
    let value = fields.read::<String>(field)?;
    let is_one = |value: &String| {
        (1..=VALIDATOR_BYTES_MAX).contains(&value.len())
            && value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
    };
    if value.as_ref().is_none_or(is_one) {
        return Ok(());
    }
    let why = format!(
        "{field}: give the header's value as it was sent, 1 to {VALIDATOR_BYTES_MAX} characters of ASCII"
    );
    Err(Problem::invalid(field, why))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(body: &Value) -> Result<(), String> {
        let fields = Fields::parse(body.to_string().as_bytes()).unwrap();
        check(&fields).map_err(|problem| format!("{problem:?}"))
    }

    #[test]
    fn what_is_right_passes() {
        for good in [
            json!({}),
            json!({"render": "auto"}),
            json!({"render": "never", "wait_for": "main .price"}),
            json!({"discover": {}}),
            json!({"discover": {"depth": 3, "include": ["/docs/"], "sitemap": false}}),
            json!({"if_changed_from": "a".repeat(64), "etag": "W/\"1\""}),
        ] {
            assert_eq!(checked(&good), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let hash = "a".repeat(64);
        for (wrong, expected) in [
            (json!({"render": "yes"}), "auto, always, never"),
            (json!({"wait_for": " "}), "CSS selector"),
            (json!({"discover": {"depth": 99}}), "discover.depth"),
            (json!({"discover": {"dept": 1}}), "unknown field `dept`"),
            (json!({"discover": true}), "discover"),
            (json!({"if_changed_from": "abc"}), "if_changed_from"),
            (json!({"etag": ""}), "etag"),
            (json!({"last_modified": "ä"}), "last_modified"),
            (
                json!({"discover": {}, "if_changed_from": hash}),
                "leave it out",
            ),
        ] {
            let error = checked(&wrong).unwrap_err();
            assert!(error.contains(expected), "{wrong}: {error}");
        }
    }
}
