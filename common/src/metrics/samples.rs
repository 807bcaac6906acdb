//! Numbers as they are at one moment, by family and labels.

use std::collections::{BTreeMap, btree_map};

use super::family::{Family, Kind};
use super::table::FAMILIES;
use crate::model::Histogram;

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Number(f64),
    Durations(Histogram),
}

/// The samples of all families. Several of a process that count the same are one sample.
#[derive(Debug, Default)]
pub struct Samples {
    by_name: BTreeMap<&'static str, BTreeMap<Vec<String>, Value>>,
}

impl Samples {
    /// Labels are given in the family's order.
    pub fn number(&mut self, family: &'static Family, labels: &[&str], number: f64) {
        match self.at(family, labels).or_insert(Value::Number(0.0)) {
            Value::Number(there) if family.kind == Kind::State => *there = there.max(number),
            Value::Number(there) => *there += number,
            Value::Durations(_) => debug_assert!(false, "{} is of durations", family.name),
        }
    }

    pub fn count(&mut self, family: &'static Family, labels: &[&str], count: u64) {
        self.number(family, labels, count as f64);
    }

    /// 1 for the one of all names that is so, 0 for the others.
    pub fn one_of(
        &mut self,
        family: &'static Family,
        of: &str,
        names: impl IntoIterator<Item = &'static str>,
        one: &str,
    ) {
        for name in names {
            self.number(family, &[of, name], f64::from(u8::from(name == one)));
        }
    }

    pub fn durations(&mut self, family: &'static Family, labels: &[&str], durations: &Histogram) {
        let none = Value::Durations(Histogram::default());
        match self.at(family, labels).or_insert(none) {
            Value::Durations(there) => there.merge(durations),
            Value::Number(_) => debug_assert!(false, "{} is a number", family.name),
        }
    }

    /// Families that have samples, in the order of the table.
    pub fn families(
        &self,
    ) -> impl Iterator<Item = (&'static Family, &BTreeMap<Vec<String>, Value>)> {
        let families = FAMILIES.iter();
        families.filter_map(|family| Some((*family, self.by_name.get(family.name)?)))
    }

    /// The sample of these labels.
    pub fn get(&self, family: &Family, labels: &[&str]) -> Option<&Value> {
        let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
        self.by_name.get(family.name)?.get(&labels)
    }

    fn at(
        &mut self,
        family: &'static Family,
        labels: &[&str],
    ) -> btree_map::Entry<'_, Vec<String>, Value> {
        debug_assert_eq!(labels.len(), family.labels.len(), "{}", family.name);
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        let samples = self.by_name.entry(family.name).or_default();
        samples.entry(labels)
    }
}
