//! deploy/flotilla.toml documents the configuration: it has every key, at its default.

use flotilla_common::broker::{self, StreamLimits};
use flotilla_common::model::Category;
use flotilla_common::service::{Fleet, LogConfig, OpsConfig, Settings};
use flotilla_common::telemetry::Links;
use flotilla_common::worker;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::path::Path;

fn documented() -> Settings {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/flotilla.toml");
    Settings::load(Some(&file), std::iter::empty(), &[]).unwrap()
}

/// The file's section reads as the defaults; a key that is unknown fails to read at all.
fn is_default<T: DeserializeOwned + Default + Debug>(section: &'static str) {
    let read: T = documented().section(section).unwrap();
    assert_eq!(
        format!("{read:#?}"),
        format!("{:#?}", T::default()),
        "[{section}]"
    );
}

#[test]
fn the_documented_values_are_the_defaults() {
    is_default::<broker::Config>("nats");
    is_default::<StreamLimits>("streams");
    is_default::<Fleet>("fleet");
    is_default::<LogConfig>("log");
    is_default::<Links>("telemetry");
    is_default::<OpsConfig>("ops");
    is_default::<flotilla_gateway::Config>("gateway");
    is_default::<flotilla_stats::Config>("stats");
    is_default::<flotilla_scraping::Config>("scraping");
    is_default::<flotilla_scraping::BrowserConfig>("browser");
    is_default::<flotilla_knowledge::Config>("knowledge");
    is_default::<flotilla_remote::openai::Config>("openai");
    is_default::<flotilla_knowledge::chroma::Config>("chromadb");
    is_default::<flotilla_batch::Config>("batch");
    is_default::<flotilla_bridge::Config>("bridge");
    is_default::<flotilla_maintenance::Config>("maintenance");
    is_default::<crate::embedded::Config>("embedded");
}

#[test]
fn the_documented_slots_and_timeouts_are_the_defaults() {
    let read: worker::Config = documented().section("worker").unwrap();
    let default = worker::Config::default();
    assert_eq!(
        (read.drain_grace, read.running_after),
        (default.drain_grace, default.running_after)
    );
    for category in Category::BUILT_IN {
        assert!(
            read.slots.contains_key(&category) && read.timeout.contains_key(&category),
            "{category}"
        );
        assert_eq!(read.slots(category), default.slots(category));
        assert_eq!(read.timeout(category), default.timeout(category));
    }
}

#[test]
fn every_documented_key_is_one_and_every_key_is_documented() {
    let text = include_str!("../../../deploy/flotilla.toml");
    for default in [
        format!("{:?}", StreamLimits::default()),
        format!("{:?}", broker::Config::default()),
        format!("{:?}", Links::default()),
        format!("{:?}", OpsConfig::default()),
        format!("{:?}", flotilla_gateway::Config::default()),
        format!("{:?}", flotilla_stats::Config::default()),
        format!("{:?}", flotilla_scraping::Config::default()),
        format!("{:?}", flotilla_scraping::BrowserConfig::default()),
        format!("{:?}", flotilla_knowledge::Config::default()),
        format!("{:?}", flotilla_remote::openai::Config::default()),
        format!("{:?}", flotilla_knowledge::chroma::Config::default()),
        format!("{:?}", flotilla_batch::Config::default()),
        format!("{:?}", flotilla_bridge::Config::default()),
        format!("{:?}", flotilla_common::model::category::Custom::default()),
        format!("{:?}", flotilla_maintenance::Config::default()),
        format!("{:?}", crate::embedded::Config::default()),
    ] {
        let (_, fields) = default.split_once('{').unwrap();
        for field in fields
            .split(": ")
            .filter_map(|part| part.rsplit([' ', '{']).next())
        {
            let is_key =
                !field.is_empty() && field.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            assert!(
                !is_key || text.contains(&format!("{field} =")),
                "{field} is not documented"
            );
        }
    }
}
