//! What happened when, as a pure fold like the state: reports are added to the stretch of time
//! in which the broker stored them. A stretch that is over never changes, so that it is saved
//! once, by itself; what is not over is saved with the state.

use std::collections::{BTreeMap, VecDeque};

use flotilla_common::model::SeriesQuery;
use flotilla_common::model::category::{known_keys, known_only};
use flotilla_common::model::{
    Category, Counts, Lane, Line, Point, Priority, Range, SplitBy, Tally,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stretch {
    /// Seconds since 1970.
    begins: i64,
    #[serde(default, skip_serializing_if = "Tally::is_empty")]
    tally: Tally,
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "known_keys"
    )]
    slots: BTreeMap<Category, Slots>,
    /// As last looked at.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "known_only"
    )]
    waiting: Vec<(Lane, u64)>,
}

/// Of the live workers of a category.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slots {
    pub(crate) slots: u64,
    /// The most that were seen at once.
    pub(crate) busy: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct History {
    range: Range,
    current: Stretch,
    /// Oldest first.
    #[serde(skip)]
    over: VecDeque<Stretch>,
    /// How many of them, the newest, are not saved yet.
    #[serde(skip)]
    unsaved: usize,
}

impl History {
    pub(crate) fn new(range: Range) -> Self {
        Self {
            range,
            current: Stretch::default(),
            over: VecDeque::new(),
            unsaved: 0,
        }
    }

    pub(crate) fn range(&self) -> Range {
        self.range
    }

    /// Moves on to the stretch of this time. The broker's clock may be set back: that stays in
    /// the current one.
    pub(crate) fn reach(&mut self, at: Timestamp) {
        let begins = self.begin_of(at);
        if begins <= self.current.begins {
            return;
        }
        let next = Stretch {
            begins,
            ..Stretch::default()
        };
        let last = std::mem::replace(&mut self.current, next);
        if last.begins > 0 {
            self.over.push_back(last);
            self.unsaved += 1;
        }
        let oldest = self.oldest(begins);
        while self.over.front().is_some_and(|first| first.begins < oldest) {
            self.over.pop_front();
        }
        self.unsaved = self.unsaved.min(self.over.len());
    }

    pub(crate) fn add(&mut self, tally: &Tally) {
        self.current.tally.merge(tally);
    }

    pub(crate) fn saw_slots(&mut self, category: Category, now: Slots) {
        let seen = self.current.slots.entry(category).or_default();
        seen.slots = now.slots;
        seen.busy = seen.busy.max(now.busy);
    }

    pub(crate) fn saw_waiting(&mut self, waiting: Vec<(Lane, u64)>) {
        self.current.waiting = waiting;
    }

    /// What is over and not saved yet, each with its place.
    pub(crate) fn unsaved(&self) -> impl Iterator<Item = (u64, &Stretch)> {
        let saved = self.over.len() - self.unsaved;
        let unsaved = self.over.iter().skip(saved);
        unsaved.map(|stretch| (self.place(stretch), stretch))
    }

    pub(crate) fn saved(&mut self) {
        self.unsaved = 0;
    }

    /// A place for every stretch that is kept, and some more, so that none is overwritten early.
    pub(crate) fn places(&self) -> u64 {
        self.range.steps() as u64 + 8
    }

    fn place(&self, stretch: &Stretch) -> u64 {
        let number = stretch.begins / self.step();
        u64::try_from(number).unwrap_or(0) % self.places()
    }

    /// Takes in what was saved, in any order.
    pub(crate) fn load(&mut self, saved: Vec<Stretch>) {
        let (oldest, current) = (self.oldest(self.current.begins), self.current.begins);
        let mut saved = saved;
        // What is not over is in the state; what seems to be later was saved by one that came
        // further, and comes again out of the log.
        saved.retain(|stretch| (oldest..current).contains(&stretch.begins));
        saved.sort_by_key(|stretch| stretch.begins);
        self.over = saved.into();
        self.unsaved = 0;
    }

    /// Outcomes since a time, by lane. A stretch that began before it counts for the part that lies
    /// after: what is divided by the whole time would otherwise fall short by up to a stretch.
    pub(crate) fn ended_since(&self, since: Timestamp) -> BTreeMap<Lane, u64> {
        let mut ended: BTreeMap<Lane, f64> = BTreeMap::new();
        let (since, step) = (since.as_millisecond() as f64 / 1e3, self.step() as f64);
        for stretch in self.all() {
            let part = ((stretch.begins as f64 + step - since) / step).min(1.0);
            if part <= 0.0 {
                continue;
            }
            for (lane, counts) in stretch.tally.lanes() {
                let count = counts.completed + counts.failed + counts.cancelled + counts.expired;
                *ended.entry(lane).or_default() += count as f64 * part;
            }
        }
        let rounded = |(lane, count): (Lane, f64)| (lane, count.round() as u64);
        ended.into_iter().map(rounded).collect()
    }

    pub(crate) fn lines(&self, query: &SeriesQuery, now: Timestamp) -> Vec<Line> {
        let line = |category: Option<Category>, priority: Option<Priority>| {
            let takes = |lane: Lane| {
                query.category.takes(&lane.category)
                    && query.priority.takes(&lane.priority)
                    && category.is_none_or(|category| category == lane.category)
                    && priority.is_none_or(|priority| priority == lane.priority)
            };
            let by_priority = priority.is_some() || !query.priority.is_any();
            Line {
                category,
                priority,
                points: self.points(now, &takes, by_priority),
            }
        };
        let categories = Category::all().filter(|c| query.category.takes(c));
        let priorities = Priority::ALL
            .into_iter()
            .filter(|p| query.priority.takes(p));
        match query.by {
            SplitBy::Nothing => vec![line(None, None)],
            SplitBy::Category => categories.map(|c| line(Some(c), None)).collect(),
            SplitBy::Priority => priorities.map(|p| line(None, Some(p))).collect(),
        }
    }

    /// The beginning of the first stretch, and the end of the one of now.
    pub(crate) fn span(&self, now: Timestamp) -> (Timestamp, Timestamp) {
        let begins = self.begin_of(now);
        let at = |second| Timestamp::from_second(second).unwrap_or(now);
        (at(self.oldest(begins)), at(begins + self.step()))
    }

    fn points(
        &self,
        now: Timestamp,
        takes: &dyn Fn(Lane) -> bool,
        by_priority: bool,
    ) -> Vec<Point> {
        let by_time: BTreeMap<i64, &Stretch> = self
            .all()
            .map(|stretch| (stretch.begins, stretch))
            .collect();
        let newest = self.begin_of(now);
        let steps = i64::try_from(self.range.steps()).unwrap_or(0);
        let begins = (1 - steps..=0).map(|n| newest + n * self.step());
        let point = |begins: i64| {
            let at = Timestamp::from_second(begins).unwrap_or(now);
            match by_time.get(&begins) {
                Some(stretch) => stretch.point(at, takes, by_priority),
                None => Point::of(at, &Counts::default()),
            }
        };
        begins.map(point).collect()
    }

    fn all(&self) -> impl Iterator<Item = &Stretch> {
        self.over.iter().chain([&self.current])
    }

    fn step(&self) -> i64 {
        i64::try_from(self.range.step().as_secs()).unwrap_or(i64::MAX)
    }

    fn begin_of(&self, at: Timestamp) -> i64 {
        at.as_second() - at.as_second().rem_euclid(self.step())
    }

    /// The first that belongs to the range of which this is the last.
    fn oldest(&self, last: i64) -> i64 {
        last - self.step() * (i64::try_from(self.range.steps()).unwrap_or(0) - 1)
    }
}

impl Stretch {
    fn point(&self, at: Timestamp, takes: &dyn Fn(Lane) -> bool, by_priority: bool) -> Point {
        let mut counts = Counts::default();
        for (_, more) in self.tally.lanes().filter(|(lane, _)| takes(*lane)) {
            counts.merge(more);
        }
        let waiting = self.waiting.iter().filter(|(lane, _)| takes(*lane));
        let takes_category = |category| {
            let lane = |priority| Lane { category, priority };
            Priority::ALL
                .into_iter()
                .any(|priority| takes(lane(priority)))
        };
        let slots = self.slots.iter();
        let slots: Vec<_> = slots
            .filter(|(category, _)| !by_priority && takes_category(**category))
            .map(|(_, slots)| slots)
            .collect();
        let seen = |of: fn(&Slots) -> u64| {
            (!slots.is_empty()).then(|| slots.iter().map(|slots| of(slots)).sum())
        };
        Point {
            waiting: (!self.waiting.is_empty()).then(|| waiting.map(|(_, waiting)| waiting).sum()),
            slots: seen(|slots| slots.slots),
            busy: seen(|slots| slots.busy),
            ..Point::of(at, &counts)
        }
    }
}
