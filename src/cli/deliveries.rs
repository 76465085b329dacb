//! `deliveries`: destinations, and what waits for them.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::failure::{Failure, Outcome};
use super::house::{Global, House, by};
use super::output::{Column, Layout, Output};
use crate::config::Destination;
use crate::domain::{DestinationName, PortalName, RequestState, Timestamp};
use crate::store::RequestCount;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  vestibule deliveries list
  vestibule deliveries pause helpdesk")]
pub enum Command {
    /// List destinations and what waits for each
    #[command(after_help = "\
Examples:
  vestibule deliveries list
  vestibule deliveries list --json")]
    List,
    /// Hand nothing over to a destination for now; requests wait
    #[command(after_help = "\
Examples:
  vestibule deliveries pause helpdesk")]
    Pause(Which),
    /// Go on with a paused destination
    #[command(after_help = "\
Examples:
  vestibule deliveries resume helpdesk")]
    Resume(Which),
}

#[derive(Debug, Args)]
pub struct Which {
    /// The destination's name in the configuration
    #[arg(value_name = "NAME")]
    destination: DestinationName,
}

/// A destination and its queue.
#[derive(Serialize)]
struct Queue {
    destination: DestinationName,
    #[serde(rename = "type")]
    kind: &'static str,
    portals: Vec<PortalName>,
    state: &'static str,
    waiting: u64,
    failed: u64,
}

const COLUMNS: &[Column<Queue>] = &[
    Column::new("destination", Layout::Whole, |queue| {
        queue.destination.to_string()
    }),
    Column::new("type", Layout::Whole, |queue| queue.kind.to_owned()),
    Column::new("state", Layout::Word, |queue| queue.state.to_owned()),
    Column::new("waiting", Layout::Number, |queue| queue.waiting.to_string()),
    Column::new("failed", Layout::Number, |queue| queue.failed.to_string()),
    Column::new("portals", Layout::Text, |queue| {
        let names: Vec<_> = queue.portals.iter().map(PortalName::as_str).collect();
        names.join(", ")
    }),
];

pub async fn run(command: Command, global: &Global, out: &mut Output) -> Outcome {
    let house = global.open().await?;
    match command {
        Command::List => {
            let mut queues = Vec::new();
            let paused = house.store.paused_destinations().await?;
            for (name, destination) in &house.config.destinations {
                queues.push(queue(&house, name, destination, paused.contains(name)).await?);
            }
            out.list(&queues, None, COLUMNS)
        }
        Command::Pause(which) => pause(&house, which, true, out).await,
        Command::Resume(which) => pause(&house, which, false, out).await,
    }
}

async fn queue(
    house: &House,
    name: &DestinationName,
    destination: &Destination,
    paused: bool,
) -> Result<Queue, Failure> {
    let portals: Vec<PortalName> = house
        .config
        .portals
        .iter()
        .filter(|portal| portal.destination == *name)
        .map(|portal| portal.name.clone())
        .collect();
    let counts = house.store.counts(Timestamp::now()).await?.requests;
    let count = |state| {
        let here = |count: &&RequestCount| count.state == state && portals.contains(&count.portal);
        counts.iter().filter(here).map(|count| count.requests).sum()
    };
    let waiting = count(RequestState::Released);
    let failed = count(RequestState::Failed);
    Ok(Queue {
        destination: name.clone(),
        kind: match destination {
            Destination::Smtp(_) => "smtp",
            Destination::Maildir(_) => "maildir",
            Destination::Webhook(_) => "webhook",
            Destination::Command(_) => "command",
        },
        portals,
        state: if paused { "paused" } else { "running" },
        waiting,
        failed,
    })
}

async fn pause(house: &House, which: Which, paused: bool, out: &mut Output) -> Outcome {
    let name = which.destination;
    let Some(destination) = house.config.destinations.get(&name) else {
        let known: Vec<_> = house
            .config
            .destinations
            .keys()
            .map(DestinationName::as_str)
            .collect();
        return Err(Failure::NotFound(format!(
            "there is no destination {name}; the destinations are {}",
            known.join(", ")
        )));
    };
    house
        .store
        .pause_destination(name.clone(), paused, by(), Timestamp::now())
        .await?;
    let queue = queue(house, &name, destination, paused).await?;
    if out.is_json() {
        return out.object(&queue);
    }
    out.line(format_args!(
        "{name} is {}; {} waiting",
        queue.state, queue.waiting
    ))
}
