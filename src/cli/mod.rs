//! The command line. In: arguments. Out: output and an exit status.
//!
//! One file for each group of commands. Commands that read or change the database use the same operations of
//! [`crate::store`] as the daemon, whether it runs or not; none of them writes a log.

mod access;
mod audit;
mod backup;
pub mod check;
mod compact;
mod completions;
mod context;
mod customers;
mod deliveries;
mod demo;
mod doctor;
mod dropped;
mod explain;
mod failure;
mod find;
pub mod init;
mod migrate;
mod nodes;
mod operators;
mod output;
mod paging;
mod recover;
mod replay;
mod requests;
mod serve;
mod settings_file;
mod shell_path;
mod short_id;
mod stats;
mod tail;
mod templates;
mod time_range;
mod toml_string;
mod transfer;
mod try_address;
mod value_parser;

use std::ffi::OsString;
use std::num::NonZero;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use context::Global;
use failure::{CommandError, CommandResult};
use output::Output;

/// Inbound mail gateway for help desks
///
/// Receives mail for portals over SMTP, decides by the sender's domain who may write, holds requests
/// until the sender has verified the address, drops the rest, and can explain every decision.
#[derive(Debug, Parser)]
#[command(
    name = "vestibule",
    version,
    max_term_width = 100,
    disable_help_subcommand = true,
    after_help = "\
Examples:
  vestibule demo                           see it work, on loopback
  vestibule access approve corp.example    employees become internal customers
  vestibule access test ann@corp.example   how her mail would be decided
  vestibule explain ann@corp.example       where is her mail?
  vestibule requests list --state held     what waits for verification

Exit status: 0 done, 1 failed, 2 usage or configuration, 3 not found."
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Serve(serve::Args),
    Init(init::Args),
    Check(check::Args),
    /// Decide messages in files, without side effects
    Replay(replay::Args),
    /// Settings that decide who may write to a portal
    #[command(subcommand)]
    Access(access::Command),
    /// Accounts of people who write to a portal
    #[command(subcommand)]
    Customers(customers::Command),
    /// Messages on their way to a help desk
    #[command(subcommand)]
    Requests(requests::Command),
    /// Dropped messages and their recovery
    #[command(subcommand)]
    Dropped(dropped::Command),
    /// Explain a verdict rule by rule, with all later events
    Explain(explain::Args),
    /// Find customers and messages by address, name, subject, domain or id
    Find(find::Args),
    /// Destinations, hooks and their queues
    #[command(subcommand)]
    Deliveries(deliveries::Command),
    /// Accounts for the pages and the API
    #[command(subcommand)]
    Operators(operators::Command),
    Tail(tail::Args),
    /// Texts and templates of mail and pages, to customize them
    #[command(subcommand)]
    Templates(templates::Command),
    /// List what operators did, newest first
    Audit(audit::AuditArgs),
    /// Count messages and requests
    Stats(stats::Args),
    Backup(backup::Args),
    Compact(compact::Args),
    Migrate(migrate::Args),
    /// Daemons that share the store
    #[command(subcommand)]
    Nodes(nodes::Command),
    Transfer(transfer::Args),
    Doctor(doctor::Args),
    /// Completions for a shell
    Completions(completions::Completions),
    /// Manual pages
    Man(completions::Man),
}

/// Runs the command that the arguments name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let matches = Cli::command().try_get_matches_from(arguments);
    let cli = match matches.and_then(|mut matches| Cli::from_arg_matches_mut(&mut matches)) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are errors here, too, with status 0.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let mut out = Output::new(cli.global.json);
    let outcome = dispatch(cli.command, &cli.global, &mut out);
    match outcome.and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Flush first, so that findings precede the failure.
            let _ = out.flush();
            failure.report()
        }
    }
}

fn dispatch(command: Command, global: &Global, out: &mut Output) -> CommandResult {
    match command {
        Command::Demo(args) => wait_on_threads(demo::run(args, out)),
        Command::Serve(args) => wait_on_threads(serve::run(&args, global)),
        Command::Init(args) => {
            let answers = &mut std::io::stdin().lock();
            init::run(&args, global.config.as_deref(), answers, out.sink())
        }
        Command::Check(args) => report(&check::run(args, global.config.as_deref())?, out),
        Command::Replay(args) => replay::run(args, global, out),
        Command::Access(command) => wait(access::run(command, global, out)),
        Command::Customers(command) => wait(customers::run(command, global, out)),
        Command::Requests(command) => wait(requests::run(command, global, out)),
        Command::Dropped(command) => wait(dropped::run(command, global, out)),
        Command::Explain(args) => wait(explain::run(args, global, out)),
        Command::Find(args) => wait(find::run(args, global, out)),
        Command::Deliveries(command) => wait(deliveries::run(command, global, out)),
        Command::Operators(command) => wait(operators::run(command, global, out)),
        Command::Tail(args) => wait(tail::run(args, global, out)),
        Command::Templates(command) => templates::run(command, global, out),
        Command::Audit(args) => wait(audit::run(args, global, out)),
        Command::Stats(args) => wait(stats::run(args, global, out)),
        Command::Backup(args) => backup::run(&args, global, out),
        Command::Compact(_) => compact::run(global, out),
        Command::Migrate(_) => migrate::run(global, out),
        Command::Nodes(command) => wait(nodes::run(command, global, out)),
        Command::Transfer(args) => transfer::run(&args, global, out),
        Command::Doctor(args) => doctor::run(&args, global, out),
        Command::Completions(args) => completions::completions(&args, Cli::command(), out),
        Command::Man(args) => completions::man(&args, Cli::command(), out),
    }
}

/// Prints the findings; a problem is a failure.
fn report(findings: &[check::Finding], out: &mut Output) -> CommandResult {
    let (json, width) = (out.is_json(), out.width());
    check::show(findings, json, width, out.sink())?;
    if check::has_problem(findings) {
        return Err(CommandError::Said);
    }
    Ok(())
}

/// Runs a command on this thread.
fn wait(command: impl Future<Output = CommandResult>) -> CommandResult {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CommandError::from)?
        .block_on(command)
}

/// Runs the daemon with one thread fewer than there are cores. The remaining core is for the committing
/// thread: with a thread for every core they would compete, and cause needless wakeups.
fn wait_on_threads(daemon: impl Future<Output = CommandResult>) -> CommandResult {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.saturating_sub(1).max(1))
        .enable_all()
        .build()
        .map_err(CommandError::from)?
        .block_on(daemon)
}

/// Every command with its subcommand, for a comparison with the pages and the API.
#[cfg(test)]
pub fn command_paths() -> Vec<String> {
    let cli = Cli::command();
    let mut paths = Vec::new();
    for command in cli.get_subcommands() {
        let name = command.get_name();
        if command.has_subcommands() {
            let subcommands = command.get_subcommands();
            paths.extend(subcommands.map(|sub| format!("{name} {}", sub.get_name())));
        } else {
            paths.push(name.to_owned());
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example_of_itself_that_fits_a_terminal() {
        fn look(command: &clap::Command, path: &str) {
            if !command.has_subcommands() || path == "vestibule" {
                let help = command
                    .get_after_help()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                assert!(help.contains(path), "{path} --help shows no example of it");
            }
            for text in [command.get_after_help(), command.get_after_long_help()] {
                let text = text.map(ToString::to_string).unwrap_or_default();
                for line in text.lines() {
                    assert!(line.chars().count() <= 80, "{path}: folded at 80: {line}");
                }
            }
            for sub in command.get_subcommands() {
                look(sub, &format!("{path} {}", sub.get_name()));
            }
        }
        look(&Cli::command(), "vestibule");
    }
}
