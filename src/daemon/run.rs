//! The life of the daemon: starts it, reloads it at SIGHUP, and drains it at SIGTERM or SIGINT.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{
    BoundAddresses, Daemon, InheritedSockets, Listeners, Signal, Signals, answer_waiting_clients,
    systemd,
};
use crate::config::Config;
use crate::observe::{Logging, events};

/// The configuration file that a reload reads again, and the log that it reconfigures.
pub struct Reloading {
    pub file: PathBuf,
    pub logging: Logging,
}

/// Runs on these sockets, and on the configured addresses that they do not replace, until SIGTERM or SIGINT, and
/// notifies systemd.
///
/// # Errors
/// Errors that prevent the start.
pub async fn serve(
    config: Config,
    sockets: InheritedSockets,
    reloading: Reloading,
    ready_file: Option<&Path>,
) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let waiting = sockets.share()?;
    let mut starting = Box::pin(start(config, sockets));
    let mut must_reload = false;
    let started = loop {
        tokio::select! {
            started = &mut starting => break started,
            signal = signals.next() => match signal {
                Signal::Stop(name) => {
                    events::daemon_stopping(name);
                    systemd::stopping();
                    events::daemon_stopped();
                    return Ok(());
                }
                Signal::Reload => must_reload = true,
            },
        }
    };
    let daemon = match started {
        Ok(daemon) => daemon,
        Err(error) => {
            answer_waiting_clients(waiting, &mut signals).await;
            return Err(error);
        }
    };
    drop(waiting);
    if must_reload {
        reload(&daemon, &reloading);
    }
    if let Some(file) = ready_file {
        write_ready_file(file, daemon.bound_addresses())?;
    }
    let _watchdog = systemd::ready();
    loop {
        let signal = tokio::select! {
            signal = signals.next() => signal,
            // Nothing can be stored any more. Everything that was answered 250 is on disk; the supervisor
            // restarts the daemon.
            failure = daemon.store.wait_for_failure() => return Err(failure.into()),
        };
        match signal {
            Signal::Stop(name) => {
                events::daemon_stopping(name);
                systemd::stopping();
                daemon.drain().await;
                return Ok(());
            }
            Signal::Reload => {
                systemd::reloading();
                reload(&daemon, &reloading);
                systemd::notify_reloaded();
            }
        }
    }
}

async fn start(config: Config, sockets: InheritedSockets) -> anyhow::Result<Daemon> {
    let listeners = Listeners::bind_missing(sockets, &config).await?;
    Box::pin(Daemon::start(config, listeners)).await
}

fn reload(daemon: &Daemon, reloading: &Reloading) {
    let file = &reloading.file;
    let outcome = Config::load(Some(file))
        .map_err(|mistakes| mistakes.to_string())
        .and_then(|config| {
            let log = config.log.clone();
            daemon
                .reload(config)
                .map(|()| log)
                .map_err(|error| format!("{error:#}"))
        });
    match outcome {
        Ok(log) => {
            reloading.logging.reload(&log);
            events::config_reloaded(file);
        }
        Err(cause) => events::config_refused(file, &cause),
    }
}

/// Writes a temporary file and renames it, so that readers never see a partial file.
fn write_ready_file(file: &Path, bound: &BoundAddresses) -> anyhow::Result<()> {
    let draft = file.with_extension("new");
    std::fs::write(&draft, serde_json::to_vec(bound)?)
        .and_then(|()| std::fs::rename(&draft, file))
        .with_context(|| format!("cannot write the ready file {}", file.display()))
}
