//! The process itself, as the operating system counts it. What a system does not tell is left
//! out; Linux tells all.

use std::fs;

use jiff::Timestamp;

use super::samples::Samples;
use super::table::{PROCESS_CPU, PROCESS_FDS, PROCESS_FDS_MAX, PROCESS_MEMORY, PROCESS_START};

/// Clock ticks a second, as Linux shows them to programs on every architecture of today.
const TICKS_PER_SECOND: f64 = 100.0;

pub(crate) fn collect(samples: &mut Samples, started_at: Timestamp) {
    samples.number(
        &PROCESS_START,
        &[],
        started_at.as_millisecond() as f64 / 1e3,
    );
    let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    if let Some(seconds) = cpu_seconds(&read("stat")) {
        samples.number(&PROCESS_CPU, &[], seconds);
    }
    if let Some(bytes) = resident_bytes(&read("status")) {
        samples.count(&PROCESS_MEMORY, &[], bytes);
    }
    if let Some(max) = open_files_max(&read("limits")) {
        samples.count(&PROCESS_FDS_MAX, &[], max);
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        // One of them is this look itself.
        let open = files.count().saturating_sub(1);
        samples.count(&PROCESS_FDS, &[], open as u64);
    }
}

/// Fields 14 and 15; the second one, a name, may hold anything but ends with the last bracket.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

/// `VmRSS:     12345 kB`
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024)
}

/// `Max open files            1024                 524288               files`
fn open_files_max(limits: &str) -> Option<u64> {
    let name = "Max open files";
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_writes_is_read() {
        let stat = "7 (a) b (c)) S 1 2 3 0 -1 4194560 9 0 0 0 250 150 0 0 20 0 5 0 100 1 1";
        assert_eq!(cpu_seconds(stat), Some(4.0));
        assert_eq!(resident_bytes("Name: x\nVmRSS:\t   12 kB\n"), Some(12_288));
        let limits = "Limit  Soft Limit\nMax open files            1024       524288     files\n";
        assert_eq!(open_files_max(limits), Some(1_024));
        assert_eq!(
            (cpu_seconds(""), resident_bytes(""), open_files_max("")),
            (None, None, None)
        );
    }
}
