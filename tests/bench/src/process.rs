//! What processes use, as Linux tells it in /proc; elsewhere nothing is told, and figures that need
//! it are left out.

use std::fs;
use std::time::Duration;

/// Of the times in /proc: the kernel's USER_HZ, which is this on every machine we run on.
const TICKS_PER_SECOND: u32 = 100;
/// After the name in `/proc/…/stat`: state is the first field there, and these are.
const USER_TIME: usize = 11;
const SYSTEM_TIME: usize = 12;

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Of all cores together, in user and system mode.
    pub(crate) cpu: Duration,
    pub(crate) resident_bytes: u64,
}

impl Usage {
    pub(crate) fn of(process: u32) -> Option<Self> {
        Self::read(&process.to_string())
    }

    /// Of this process.
    pub(crate) fn own() -> Option<Self> {
        Self::read("self")
    }

    fn read(process: &str) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name is in brackets, and may have some itself.
        let (_, fields) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let ticks = |field: usize| fields.get(field)?.parse::<u32>().ok();
        let cpu =
            Duration::from_secs(1) * (ticks(USER_TIME)? + ticks(SYSTEM_TIME)?) / TICKS_PER_SECOND;
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let resident = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
        let kibibytes: u64 = resident.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(Self {
            cpu,
            resident_bytes: kibibytes * 1_024,
        })
    }
}
