//! Transfer rate of a client: the average since the start, and that of the last seconds.
//!
//! Both count: a client that sends most of a message at once and then an octet from time to time keeps a good
//! average for a long time.

use std::time::Duration;

use tokio::time::Instant;

/// Rate in octets per second below which a client is slow. At nine tenths of it, the largest message takes the
/// whole half hour that it has by default.
const MIN_RATE: u64 = 16 * 1024;

/// Length of the measuring window. A rate is known after the first one.
const WINDOW: Duration = Duration::from_secs(10);

/// Transfer statistics of one client.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    began: Instant,
    octets: u64,
    window_began: Instant,
    window_octets: u64,
    /// Octets per second in the last complete window.
    last: Option<u64>,
}

impl Rate {
    pub fn begin(now: Instant) -> Self {
        Self {
            began: now,
            octets: 0,
            window_began: now,
            window_octets: 0,
            last: None,
        }
    }

    pub fn record(&mut self, octets: usize, now: Instant) {
        let octets = octets as u64;
        self.octets += octets;
        self.window_octets += octets;
        let elapsed = now.duration_since(self.window_began);
        if elapsed >= WINDOW {
            self.last = Some(a_second(self.window_octets, elapsed));
            self.window_began = now;
            self.window_octets = 0;
        }
    }

    /// Excludes time in which the client had to wait for us.
    pub fn pause(&mut self, pause: Duration) {
        self.began += pause;
        self.window_began += pause;
    }

    /// The lower of the average and the recent rate, in octets per second; None before the first window has
    /// passed.
    pub fn octets_a_second(&self, now: Instant) -> Option<u64> {
        let elapsed = now.saturating_duration_since(self.began);
        if elapsed < WINDOW {
            return None;
        }
        let window = now.saturating_duration_since(self.window_began);
        let recent = if window >= WINDOW {
            Some(a_second(self.window_octets, window))
        } else {
            self.last
        };
        let average = a_second(self.octets, elapsed);
        Some(recent.map_or(average, |recent| recent.min(average)))
    }

    /// True if the client is known to be too slow for others to wait for it.
    pub fn is_slow(&self, now: Instant) -> bool {
        self.octets_a_second(now)
            .is_some_and(|rate| rate < MIN_RATE)
    }
}

fn a_second(octets: u64, time: Duration) -> u64 {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    octets.saturating_mul(1000) / millis
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_slow_after(pieces: &[(u64, usize)], at: u64) -> bool {
        let begin = Instant::now();
        let mut rate = Rate::begin(begin);
        for (second, octets) in pieces {
            rate.record(*octets, begin + Duration::from_secs(*second));
        }
        rate.is_slow(begin + Duration::from_secs(at))
    }

    #[tokio::test]
    async fn a_client_is_slow_on_average_or_in_the_last_window() {
        let trickle: Vec<_> = (0..60).step_by(5).map(|second| (second, 5000)).collect();
        let steady: Vec<_> = (0..60).map(|second| (second, 20_000)).collect();
        let mut at_first = trickle.clone();
        at_first.insert(0, (0, 8 << 20));
        for (pieces, at, slow) in [
            (&[][..], 9, false),
            (&[], 10, true),
            (&trickle, 9, false),
            (&trickle, 10, true),
            (&trickle, 60, true),
            (&steady, 15, false),
            (&steady, 60, false),
            (&at_first, 5, false),
            (&at_first, 25, true),
            (&at_first, 60, true),
            (&[(0, 1 << 20)], 9, false),
            (&[(0, 1 << 20)], 80, true),
        ] {
            assert_eq!(is_slow_after(pieces, at), slow, "{pieces:?} at {at}");
        }
    }

    #[tokio::test]
    async fn time_spent_waiting_for_us_does_not_count() {
        let begin = Instant::now();
        let mut rate = Rate::begin(begin);
        rate.record(200_000, begin + Duration::from_secs(1));
        rate.pause(Duration::from_mins(1));
        assert!(!rate.is_slow(begin + Duration::from_secs(70)));
        assert!(rate.is_slow(begin + Duration::from_secs(100)));
    }
}
