//! `nodes`: the daemons that share the store.

use clap::Subcommand;

use super::context::Global;
use super::failure::CommandResult;
use super::output::{Layout, Output, TableColumn, time};
use crate::operations::{NodeStatus, list_nodes};

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  vestibule nodes list
  vestibule nodes list --json")]
pub enum Command {
    /// List the nodes, with their versions, clocks and duties, and how their configurations differ
    #[command(after_help = "\
Examples:
  vestibule nodes list
  vestibule nodes list --json")]
    List,
}

const COLUMNS: &[TableColumn<NodeStatus>] = &[
    TableColumn::new("node", Layout::Whole, |node| node.name.clone()),
    TableColumn::optional(3, "id", Layout::Whole, |node| node.id.clone()),
    TableColumn::new("version", Layout::Word, |node| node.version.clone()),
    TableColumn::new("seen", Layout::Whole, |node| time(node.seen_at)),
    TableColumn::optional(1, "started", Layout::Whole, |node| time(node.started_at)),
    TableColumn::new("clock", Layout::Number, |node| {
        format!("{:+.1} s", seconds(node.clock_offset))
    }),
    TableColumn::optional(2, "duties", Layout::Whole, |node| node.duties.join(" ")),
    TableColumn::optional(4, "configuration", Layout::Word, |node| {
        node.configuration.chars().take(8).collect()
    }),
    TableColumn::new("differs in", Layout::Whole, |node| node.differs.join(" ")),
];

#[expect(
    clippy::cast_precision_loss,
    reason = "a clock is not off by that much"
)]
fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}

pub async fn run(command: Command, global: &Global, out: &mut Output) -> CommandResult {
    let Command::List = command;
    let context = global.open().await?;
    out.list(&list_nodes(&context.store).await?, None, COLUMNS)
}
