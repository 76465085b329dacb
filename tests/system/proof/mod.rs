//! Evidence that no message is lost and none is wrongly accepted: the real binary, killed, cut off from its
//! disk, attacked and flooded, and an account of every message afterwards.
//!
//! Each test has a short form for every run and a long one for `tests/run --long`. `docs/reliability.md` lists the
//! promises and their tests.

mod account;
mod bystander;
mod clients;
mod crash;
mod disk;
mod faults;
mod floods;
mod forgers;
mod help_desk;
mod hostile;
mod injection;
mod load;
mod nodes;
mod pages;
mod rows;
mod syncs;
mod timing;

/// True in the long form.
fn is_long() -> bool {
    std::env::var_os("VESTIBULE_LONG").is_some()
}

/// Number of rounds in an ordinary run and in a long one.
fn rounds(short: usize, long: usize) -> usize {
    if is_long() { long } else { short }
}

/// Pseudo-random numbers, the same in every run unless timing affects their use.
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
