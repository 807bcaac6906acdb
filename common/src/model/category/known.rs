//! Reading what others have written, who may know categories that this process does not: what is
//! of such a one is left out, and the rest counts.

use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, Deserializer, Error};
use serde::{Deserialize, de};
use serde_json::Value;

use super::Category;

/// For lists of what has a `category`, or is a pair whose first part has.
pub fn known_only<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let all = Vec::<Value>::deserialize(deserializer)?;
    all.into_iter().filter(is_known).map(read).collect()
}

/// For one of that kind, where it may be missing.
pub fn known_or_none<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let value = Option::<Value>::deserialize(deserializer)?;
    value.filter(is_known).map(read).transpose()
}

/// For maps by category.
pub fn known_keys<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<BTreeMap<Category, T>, D::Error> {
    let all = BTreeMap::<String, T>::deserialize(deserializer)?;
    let known = |(name, value): (String, T)| Some((Category::named(&name)?, value));
    Ok(all.into_iter().filter_map(known).collect())
}

fn is_known(value: &Value) -> bool {
    let of = value.get(0).unwrap_or(value);
    let name = of.get("category").and_then(Value::as_str);
    name.is_none_or(|name| Category::named(name).is_some())
}

fn read<T: DeserializeOwned, E: de::Error>(value: Value) -> Result<T, E> {
    T::deserialize(value).map_err(Error::custom)
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde_json::json;

    use super::super::super::{Lane, Priority};
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Told {
        #[serde(deserialize_with = "known_only")]
        lanes: Vec<(Lane, u64)>,
        #[serde(default, deserialize_with = "known_or_none")]
        one: Option<Lane>,
        #[serde(deserialize_with = "known_keys")]
        slots: BTreeMap<Category, u64>,
    }

    #[test]
    fn only_the_unknown_is_left_out() {
        let lane = |category: &str| json!({"category": category, "priority": "low"});
        let told = |lanes, one| {
            let slots = json!({"query": 1, "never_heard_of": 2});
            Told::deserialize(json!({"lanes": lanes, "one": one, "slots": slots}))
        };
        let lanes = json!([[lane("never_heard_of"), 1], [lane("query"), 2]]);
        let read = told(lanes, lane("never_heard_of")).unwrap();
        let query = Lane {
            category: Category::Query,
            priority: Priority::Low,
        };
        assert_eq!((read.lanes, read.one), (vec![(query, 2)], None));
        assert_eq!(read.slots, BTreeMap::from([(Category::Query, 1)]));
        assert_eq!(told(json!([]), lane("query")).unwrap().one, Some(query));
        // What is broken still is.
        assert!(told(json!([[lane("query"), "two"]]), lane("query")).is_err());
        assert!(told(json!([]), json!({"category": "query"})).is_err());
    }
}
