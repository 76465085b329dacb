//! What a process and all its descendants have used, as /proc tells (proc(5)).

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

/// Sums over a process and its descendants.
pub struct Usage {
    /// User and system time, that of descendants that have ended included.
    pub cpu: Duration,
    /// Octets: the sum of each one's greatest resident set.
    pub peak: u64,
}

/// A clock tick of /proc is 10 ms on every Linux that runs this (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

pub fn usage(root: u32) -> Usage {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let processes = fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    for process in processes {
        if let Some(stat) = stat(process) {
            children.entry(stat.parent).or_default().push(process);
        }
    }
    let mut usage = Usage {
        cpu: Duration::ZERO,
        peak: 0,
    };
    let mut waiting = vec![root];
    while let Some(process) = waiting.pop() {
        if let Some(stat) = stat(process) {
            usage.cpu += TICK * stat.ticks;
            usage.peak += peak(process);
        }
        waiting.extend(children.remove(&process).unwrap_or_default());
    }
    usage
}

struct Stat {
    parent: u32,
    ticks: u32,
}

fn stat(process: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name stands in parentheses and may hold anything, so that fields count from the last one.
    let fields: Vec<_> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u32>().ok();
    Some(Stat {
        parent: number(4)?,
        ticks: number(14)? + number(15)? + number(16)? + number(17)?,
    })
}

fn peak(process: u32) -> u64 {
    fs::read_to_string(format!("/proc/{process}/status"))
        .ok()
        .and_then(|text| {
            let line = text
                .lines()
                .find(|line| line.starts_with("VmHWM:"))?
                .to_owned();
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        })
        .unwrap_or(0)
        * 1024
}
