//! `deliveries`: destinations and hooks, and what waits for them.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::failure::{Failure, Outcome};
use super::house::{Global, House, by};
use super::output::{Column, Layout, Output};
use crate::config::{Destination, Hook};
use crate::domain::{DestinationName, EventPattern, PortalName, RequestState, Timestamp};
use crate::store::RequestCount;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  vestibule deliveries list
  vestibule deliveries pause helpdesk
  vestibule deliveries retry directory")]
pub enum Command {
    /// List destinations and hooks, and what waits for each
    #[command(after_help = "\
Examples:
  vestibule deliveries list
  vestibule deliveries list --json")]
    List,
    /// Hand nothing over to a destination, or tell a hook nothing, for now; what comes waits
    #[command(after_help = "\
Examples:
  vestibule deliveries pause helpdesk")]
    Pause(Which),
    /// Go on with a paused destination or hook
    #[command(after_help = "\
Examples:
  vestibule deliveries resume helpdesk")]
    Resume(Which),
    /// Try again at once: all that failed for a destination or hook, and all that waits for its time
    #[command(after_help = "\
Examples:
  vestibule deliveries retry directory")]
    Retry(Which),
}

#[derive(Debug, Args)]
pub struct Which {
    /// The destination's or hook's name in the configuration
    #[arg(value_name = "NAME")]
    destination: DestinationName,
}

/// A destination, or a hook, and its queue.
#[derive(Serialize)]
struct Queue {
    destination: DestinationName,
    #[serde(rename = "type")]
    kind: &'static str,
    portals: Vec<PortalName>,
    /// What a hook is told; empty of a destination.
    events: Vec<EventPattern>,
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
    Column::new("for", Layout::Text, |queue| {
        let portals = queue.portals.iter().map(ToString::to_string);
        let events = queue.events.iter().map(ToString::to_string);
        portals.chain(events).collect::<Vec<_>>().join(", ")
    }),
];

/// What a name of the configuration stands for.
enum Place<'a> {
    Destination(&'a Destination),
    Hook(&'a Hook),
}

pub async fn run(command: Command, global: &Global, out: &mut Output) -> Outcome {
    let house = global.open().await?;
    match command {
        Command::List => {
            let mut queues = Vec::new();
            for (name, destination) in &house.config.destinations {
                queues.push(queue(&house, name, &Place::Destination(destination)).await?);
            }
            for hook in &house.config.hooks {
                queues.push(queue(&house, &hook.name, &Place::Hook(hook)).await?);
            }
            out.list(&queues, None, COLUMNS)
        }
        Command::Pause(which) => pause(&house, which, true, out).await,
        Command::Resume(which) => pause(&house, which, false, out).await,
        Command::Retry(which) => retry(&house, which, out).await,
    }
}

async fn queue(house: &House, name: &DestinationName, place: &Place<'_>) -> Result<Queue, Failure> {
    let paused = house.store.paused_destinations().await?.contains(name);
    let mut queue = Queue {
        destination: name.clone(),
        kind: "hook",
        portals: Vec::new(),
        events: Vec::new(),
        state: if paused { "paused" } else { "running" },
        waiting: 0,
        failed: 0,
    };
    match place {
        Place::Hook(hook) => {
            let count = house.store.hook_count(name.clone()).await?;
            queue.events.clone_from(&hook.events);
            queue.waiting = count.waiting;
            queue.failed = count.failed;
        }
        Place::Destination(destination) => {
            queue.kind = destination.kind();
            queue.portals = house
                .config
                .portals
                .iter()
                .filter(|portal| portal.destination == *name)
                .map(|portal| portal.name.clone())
                .collect();
            let counts = house.store.counts(Timestamp::now()).await?.requests;
            let count = |state| {
                let here = |count: &&RequestCount| {
                    count.state == state && queue.portals.contains(&count.portal)
                };
                counts.iter().filter(here).map(|count| count.requests).sum()
            };
            (queue.waiting, queue.failed) =
                (count(RequestState::Released), count(RequestState::Failed));
        }
    }
    Ok(queue)
}

fn find<'a>(house: &'a House, name: &DestinationName) -> Result<Place<'a>, Failure> {
    if let Some(destination) = house.config.destinations.get(name) {
        return Ok(Place::Destination(destination));
    }
    if let Some(hook) = house.config.hooks.iter().find(|hook| hook.name == *name) {
        return Ok(Place::Hook(hook));
    }
    let destinations = house.config.destinations.keys();
    let hooks = house.config.hooks.iter().map(|hook| &hook.name);
    let known: Vec<_> = destinations
        .chain(hooks)
        .map(DestinationName::as_str)
        .collect();
    Err(Failure::NotFound(format!(
        "there is no destination or hook {name}; there are {}",
        known.join(", ")
    )))
}

async fn pause(house: &House, which: Which, paused: bool, out: &mut Output) -> Outcome {
    let name = which.destination;
    let place = find(house, &name)?;
    house
        .store
        .pause_destination(name.clone(), paused, by(), Timestamp::now())
        .await?;
    tell(&queue(house, &name, &place).await?, out)
}

async fn retry(house: &House, which: Which, out: &mut Output) -> Outcome {
    let name = which.destination;
    let place = find(house, &name)?;
    match &place {
        Place::Hook(_) => {
            house
                .store
                .retry_hook_calls(name.clone(), by(), Timestamp::now())
                .await?;
        }
        Place::Destination(_) => {
            for state in [RequestState::Failed, RequestState::Released] {
                for id in super::requests::all_for(house, &name, state).await? {
                    house
                        .store
                        .retry_request(id, by(), Timestamp::now())
                        .await?;
                }
            }
        }
    }
    tell(&queue(house, &name, &place).await?, out)
}

fn tell(queue: &Queue, out: &mut Output) -> Outcome {
    if out.is_json() {
        return out.object(queue);
    }
    out.line(format_args!(
        "{} is {}; {} waiting",
        queue.destination, queue.state, queue.waiting
    ))
}
