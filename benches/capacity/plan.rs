//! The model. In: throughput and cost of one shard, and the mail of an organisation. Out: the number of shards,
//! octets, syncs, connections and the time for operators' queries.

/// Measurements of one shard.
#[derive(Debug, Clone, Copy)]
pub struct Costs {
    /// Maximum messages a second.
    pub rate: f64,
    /// Octets of a message without its content, for as long as the ledger keeps it.
    pub entry: f64,
    /// Syncs per message at a fifth of the highest rate; fewer at higher rates, and up to one at lower rates.
    pub syncs: f64,
    /// Maximum connections of a node.
    pub connections: usize,
    /// Duration of an operator's queries in milliseconds.
    pub question: f64,
}

/// An organisation. The figures are assumptions; replace them with your own.
struct Organisation {
    messages_a_day: f64,
    /// Messages a second in the busiest minute.
    busiest: f64,
    octets: f64,
    /// Days for which content and entries are kept.
    keep_content: f64,
    keep_entries: f64,
    questions_a_day: f64,
}

const ORGANISATION: Organisation = Organisation {
    messages_a_day: 2000.0,
    busiest: 2.0,
    octets: 50.0 * 1024.0,
    keep_content: 30.0,
    keep_entries: 365.0,
    questions_a_day: 1000.0,
};

/// Planned load of a shard, as a fraction of its highest rate.
const LOAD: f64 = 0.5;

/// Nodes of a shard.
const NODES: f64 = 2.0;

const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

pub fn show(costs: &Costs) {
    let one = ORGANISATION;
    println!(
        "an organisation: {} messages a day, {} a second in the busiest minute, {:.0} KiB each, content for {} \
         days, entries for {}, {} queries a day",
        one.messages_a_day,
        one.busiest,
        one.octets / 1024.0,
        one.keep_content,
        one.keep_entries,
        one.questions_a_day
    );
    println!(
        "{:>14} {:>8} {:>12} {:>12} {:>14} {:>12} {:>14}",
        "organisations",
        "shards",
        "busiest/s",
        "syncs/s",
        "GiB in a year",
        "connections",
        "queries/day"
    );
    for organisations in [1.0, 10.0, 1000.0] {
        let busiest = organisations * one.busiest;
        let shards = (busiest / (costs.rate * LOAD)).ceil();
        let entries = one.messages_a_day * one.keep_entries.min(365.0) * costs.entry;
        let content = one.messages_a_day * one.keep_content * one.octets;
        println!(
            "{organisations:>14} {shards:>8} {busiest:>12.0} {:>12.0} {:>14.1} {:>12.0} {:>12.0} s",
            busiest * costs.syncs.min(1.0),
            organisations * (entries + content) / GIB,
            shards * NODES * costs.connections as f64,
            organisations * one.questions_a_day * costs.question / 1000.0
        );
    }
}
