//! Proof that no message is lost and no wrong one let in: the real binary, killed, cut off from its
//! disk, lied to and flooded, and an account of every message afterwards.
//!
//! Each test has a short form for every run, and a long one for `tests/run --long`. The folders are
//! shared with `tests/daemon`; what is promised and how it is tested stands in `docs/reliability.md`.

#[path = "../daemon/client.rs"]
#[allow(dead_code, reason = "tests/daemon uses more of it")]
mod client;
#[path = "../daemon/harness.rs"]
#[allow(dead_code, reason = "tests/daemon uses more of it")]
mod harness;

mod account;
mod bystander;
mod clients;
mod crash;
mod desk;
mod disk;
mod faults;
mod floods;
mod forgers;
mod hostile;
mod injection;
mod load;
mod pages;
mod syncs;
mod timing;

/// So many in an ordinary run, so many in a long one.
fn rounds(short: usize, long: usize) -> usize {
    if std::env::var_os("VESTIBULE_LONG").is_some() {
        long
    } else {
        short
    }
}

/// Numbers that look random and are the same in every run, but where the clock has a say.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}
