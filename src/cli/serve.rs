//! `vestibule serve`: the daemon.

use std::path::PathBuf;

use super::context::Global;
use super::failure::CommandResult;
use crate::config::Config;
use crate::daemon::{self, InheritedSockets, Reloading, Signals};
use crate::observe;

/// Run the daemon
///
/// Receives mail, sends verification mail, serves the pages and delivers, until SIGTERM. SIGHUP reloads the
/// configuration.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vestibule serve
  vestibule --config /etc/vestibule/vestibule.toml serve
  vestibule serve --ready-file ready.json     write the bound addresses once up")]
pub struct Args {
    /// Write the bound addresses as JSON into this file once all listeners are up
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

pub async fn run(args: &Args, global: &Global) -> CommandResult {
    let sockets = InheritedSockets::from_environment()?;
    let config = match Config::load(global.config.as_deref()) {
        Ok(config) => config,
        Err(mistakes) => {
            daemon::answer_waiting_clients(sockets, &mut Signals::new()?).await;
            return Err(mistakes.into());
        }
    };
    let reloading = Reloading {
        file: Config::path(global.config.as_deref()),
        logging: observe::init(&config.log).map_err(anyhow::Error::from)?,
    };
    Ok(daemon::serve(config, sockets, reloading, args.ready_file.as_deref()).await?)
}
