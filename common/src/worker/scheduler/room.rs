use super::Lane;

/// Slots that are left to give away, while the lanes are gone through.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) any: usize,
    pub(super) unreserved: usize,
}

impl Room {
    pub(super) fn of<T>(self, lane: &Lane<T>) -> usize {
        if lane.is_urgent {
            self.any
        } else {
            self.any.min(self.unreserved)
        }
    }

    pub(super) fn take<T>(&mut self, lane: &Lane<T>, slots: usize) {
        let slots = slots.min(self.of(lane));
        self.any -= slots;
        if !lane.is_urgent {
            self.unreserved -= slots;
        }
    }
}
