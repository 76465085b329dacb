//! `nodes`: the daemons that share the store.

use clap::Subcommand;

use super::context::Global;
use super::failure::CommandResult;
use super::output::{Output, TableColumn, columns, time};
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

const COLUMNS: &[TableColumn<NodeStatus>] = columns! { node: NodeStatus;
    "node" Whole => node.name,
    "id" Whole 3 => node.id,
    "version" Word => node.version,
    "seen" Time => time(node.seen_at),
    "started" Time 1 => time(node.started_at),
    "clock" Number => format!("{:+.1} s", seconds(node.clock_offset)),
    "duties" Whole 2 => node.duties.join(" "),
    "configuration" Word 4 => node.configuration.chars().take(8).collect::<String>(),
    "differs in" Whole => node.differs.join(" "),
};

#[expect(
    clippy::cast_precision_loss,
    reason = "a clock offset is far smaller than that"
)]
fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}

pub async fn run(command: Command, global: &Global, out: &mut Output) -> CommandResult {
    let Command::List = command;
    let context = global.open().await?;
    out.list(&list_nodes(&context.store).await?, None, COLUMNS)
}
