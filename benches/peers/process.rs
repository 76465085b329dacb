//! Resource usage of a process and all its descendants, from /proc (proc(5)).

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

/// Sums over a process and its descendants.
pub struct Usage {
    /// User and system time, including that of descendants that have ended.
    pub cpu: Duration,
    /// In octets: the sum of the peak resident sets.
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
    // The name is in parentheses and may contain anything, so fields are counted from the last parenthesis.
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
