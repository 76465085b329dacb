//! Assembles the parts: the order in which they start, and the order in which they drain.
//!
//! Start: sockets, database, first settings, workers, pages, and SMTP last, so that no message is accepted before
//! everything that handles it runs. Drain: the reverse order; the database closes last, after every part that could
//! write.

mod listeners;
mod lock;
mod low_disk;
mod missing_portals;
mod node;
mod opening;
mod operator_log;
mod run;
mod shutdown;
mod signals;
mod systemd;

pub use listeners::{BoundAddresses, InheritedSockets, Listeners};
pub use lock::{Lock, refuse_lone_mount};
pub use opening::answer_waiting_clients;
pub use run::{Reloading, serve};
pub use signals::{Signal, Signals};

use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::shutdown::Stage;
use crate::access::Enforcement;
use crate::clock::{self, Clock, Movement};
use crate::config::Config;
use crate::domain::Timestamp;
use crate::intake::Intake;
use crate::observe::events;
use crate::sender_auth::Checker;
use crate::store::Store;
use crate::templates::Templates;
use crate::verification::ConfirmingWords;
use crate::web::{Operators, Public, Readiness};
use crate::{canary, delivery, housekeeping, smtp, verification, web};

/// The running parts.
pub struct Daemon {
    config: watch::Sender<Arc<Config>>,
    smtp_settings: watch::Sender<Arc<smtp::ServerSettings>>,
    checker: watch::Sender<Option<Checker>>,
    bound: BoundAddresses,
    store: Store,
    /// Tasks that accept input; they are stopped first.
    intake: Stage,
    /// The pages.
    pages: Stage,
    readiness: Readiness,
    /// Tasks that process accepted input.
    workers: Stage,
    _lock: Lock,
}

impl Daemon {
    /// Starts every part on these sockets once the store is open.
    ///
    /// # Errors
    /// A database that cannot be opened, a certificate that cannot be read, a bad template.
    pub async fn start(mut config: Config, listeners: Listeners) -> anyhow::Result<Self> {
        let bound = listeners.bound_addresses()?;
        settle_port(&mut config, &bound);
        make_private_folder(&config.data_dir)?;
        let lock = Lock::take(&config.data_dir, &config.database())?;
        let settings = smtp_settings(&config)?;
        let (checker, checking) = watch::channel(checker(&config)?);
        let templates = Arc::new(Templates::load(config.verification.templates.as_deref())?);
        let store = opening::open(&config, &listeners).await?;
        let clock = housekeeping::check_clock(&store).await;
        let started_at = Timestamp::now();
        node::record_start(&config, &store, started_at).await;
        let (config, watching) = watch::channel(Arc::new(config));
        let (smtp_settings, smtp_watching) = watch::channel(Arc::new(settings));
        let daemon = Self {
            config,
            smtp_settings,
            checker,
            bound,
            store,
            intake: Stage::default(),
            pages: Stage::default(),
            readiness: Readiness::default(),
            workers: Stage::default(),
            _lock: lock,
        };
        daemon.start_workers(&watching, &templates, clock, started_at)?;
        daemon.start_pages(&watching, &templates, listeners.http, listeners.admin);
        daemon.start_intake(
            &watching,
            &templates,
            checking,
            &smtp_watching,
            listeners.smtp,
        );
        daemon.readiness.listeners_are_up(true);
        events::daemon_started(&daemon.bound.smtp, daemon.bound.http, daemon.bound.admin);
        Ok(daemon)
    }

    fn start_workers(
        &self,
        config: &watch::Receiver<Arc<Config>>,
        templates: &Arc<Templates>,
        (clock, movement): (Clock, Movement),
        started_at: Timestamp,
    ) -> anyhow::Result<()> {
        let (Stage { stop, tasks }, store) = (&self.workers, &self.store);
        let listening = store.listen_for_others()?;
        tasks.spawn(stop.clone().run_until_cancelled_owned(listening));
        let (checks, clock) = clock::channel(clock);
        tasks.spawn(delivery::run(
            config.clone(),
            store.clone(),
            clock,
            stop.clone(),
        ));
        tasks.spawn(verification::mail_queue::run(
            config.clone(),
            store.clone(),
            templates.clone(),
            stop.clone(),
        ));
        tasks.spawn(delivery::dropped_calls::run(store.clone(), stop.clone()));
        tasks.spawn(verification::digest::run(
            config.clone(),
            store.clone(),
            templates.clone(),
            stop.clone(),
        ));
        tasks.spawn(store.clone().keep_heartbeat(stop.clone()));
        tasks.spawn(store.clone().extend_log_in_idle_time(stop.clone()));
        tasks.spawn(node::run(
            config.clone(),
            store.clone(),
            started_at,
            stop.clone(),
        ));
        tasks.spawn(low_disk::run(store.clone(), stop.clone()));
        tasks.spawn(operator_log::run(store.clone(), stop.clone()));
        tasks.spawn(missing_portals::run(
            config.clone(),
            store.clone(),
            stop.clone(),
        ));
        tasks.spawn(housekeeping::run(
            config.clone(),
            store.clone(),
            checks,
            movement,
            stop.clone(),
        ));
        tasks.spawn(housekeeping::search_index::run(store.clone(), stop.clone()));
        Ok(())
    }

    fn start_pages(
        &self,
        config: &watch::Receiver<Arc<Config>>,
        templates: &Arc<Templates>,
        http: TcpListener,
        admin: TcpListener,
    ) {
        let Stage { stop, tasks } = &self.pages;
        let public = web::public(Public {
            config: config.clone(),
            store: self.store.clone(),
            templates: templates.clone(),
            readiness: self.readiness.clone(),
            tasks: tasks.clone(),
        });
        let operators = web::operators(Operators {
            config: config.clone(),
            store: self.store.clone(),
            templates: templates.clone(),
            beside: Some(
                web::metrics_router(self.store.clone(), self.readiness.clone())
                    .merge(web::api_router(
                        config.clone(),
                        self.store.clone(),
                        tasks.clone(),
                    ))
                    .merge(web::scim_router(config.clone(), self.store.clone())),
            ),
        });
        let is_proxy = || {
            let config = config.clone();
            move |peer: IpAddr| {
                let proxies = &config.borrow().http.trusted_proxies;
                proxies.iter().any(|net| net.contains(&peer))
            }
        };
        tasks.spawn(web::serve(http, public, is_proxy(), stop.clone()));
        tasks.spawn(web::serve(admin, operators, is_proxy(), stop.clone()));
    }

    fn start_intake(
        &self,
        config: &watch::Receiver<Arc<Config>>,
        templates: &Templates,
        checker: watch::Receiver<Option<Checker>>,
        settings: &watch::Receiver<Arc<smtp::ServerSettings>>,
        listeners: Vec<TcpListener>,
    ) {
        let words = ConfirmingWords::of(templates);
        let intake = Intake::new(config.clone(), checker, self.store.clone(), words);
        let intake = Arc::new(intake);
        let Stage { stop, tasks } = &self.intake;
        if let Some(&listening) = self.bound.smtp.first() {
            let readiness = self.readiness.clone();
            tasks.spawn(canary::run(
                config.clone(),
                self.store.clone(),
                listening,
                move |arrived| readiness.canary_arrived(arrived),
                stop.clone(),
            ));
        }
        tasks.spawn(smtp::serve(
            listeners,
            settings.clone(),
            intake,
            stop.clone(),
        ));
    }

    #[must_use]
    pub fn bound_addresses(&self) -> &BoundAddresses {
        &self.bound
    }

    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The current configuration.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        self.config.borrow().clone()
    }

    /// Applies another configuration, without dropping a connection. Resources that are bound or opened at
    /// the start stay: listeners, `data_dir`.
    ///
    /// # Errors
    /// A certificate that cannot be read; the old settings stay.
    pub fn reload(&self, mut config: Config) -> anyhow::Result<()> {
        settle_port(&mut config, &self.bound);
        config.data_dir.clone_from(&self.config.borrow().data_dir);
        let settings = smtp_settings(&config)?;
        self.checker.send_replace(checker(&config)?);
        self.smtp_settings.send_replace(Arc::new(settings));
        self.config.send_replace(Arc::new(config));
        Ok(())
    }
}

/// Replaces port 0 in a public URL by the actual port of the listener.
fn settle_port(config: &mut Config, bound: &BoundAddresses) {
    if let Some(host) = config.http.public_url.strip_suffix(":0") {
        config.http.public_url = format!("{host}:{}", bound.http.port());
    }
}

/// The checker of authentication: `None` if it is off, or if our MTA has checked everything that counts.
fn checker(config: &Config) -> anyhow::Result<Option<Checker>> {
    let settings = &config.authentication;
    let is_mta_enough = settings.authserv_id.is_some() && settings.trusted_arc_sealers.is_empty();
    if settings.mode == Enforcement::Off || is_mta_enough {
        return Ok(None);
    }
    match Checker::new(settings, &config.smtp.trusted_peers) {
        Ok(checker) => Ok(Some(checker)),
        // In report mode an error need not prevent the start.
        Err(error) if settings.mode == Enforcement::Report => {
            events::fault("authentication", &error);
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn smtp_settings(config: &Config) -> anyhow::Result<smtp::ServerSettings> {
    let tls = match &config.smtp.tls {
        Some(tls) => Some(smtp::Tls {
            config: smtp::tls::server_config(&read(&tls.certificate)?, &read(&tls.key)?)
                .with_context(|| format!("smtp.tls.certificate: {}", tls.certificate.display()))?,
            required: tls.required,
        }),
        None => None,
    };
    Ok(smtp::ServerSettings {
        trusted_peers: config.smtp.trusted_peers.clone(),
        max_message_size: config.smtp.max_message_size,
        max_header_size: config.smtp.max_header_size,
        max_connections: config.smtp.max_connections,
        max_recipients: config.smtp.max_recipients,
        memory_budget: config.smtp.memory_budget,
        command_timeout: config.smtp.command_timeout,
        tls,
        ..smtp::ServerSettings::new(config.hostname.clone())
    })
}

/// Creates a folder that only this user can read, because it holds other people's mail.
fn make_private_folder(folder: &Path) -> anyhow::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("data_dir: cannot create {}", folder.display()))
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}
