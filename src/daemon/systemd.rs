//! `sd_notify(3)`; does nothing without systemd.

use sd_notify::NotifyState;
use tokio_util::task::AbortOnDropHandle;

/// Reports that all listeners are up, and from then on notifies the watchdog, if there is one.
pub fn ready() -> Option<AbortOnDropHandle<()>> {
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    let interval = sd_notify::watchdog_enabled()?;
    Some(AbortOnDropHandle::new(tokio::spawn(async move {
        let mut ticks = tokio::time::interval(interval / 2);
        loop {
            ticks.tick().await;
            let _ = sd_notify::notify(&[NotifyState::Watchdog]);
        }
    })))
}

pub fn stopping() {
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
}

pub fn reloading() {
    let now = NotifyState::monotonic_usec_now();
    let _ = now.map(|now| sd_notify::notify(&[NotifyState::Reloading, now]));
}

pub fn notify_reloaded() {
    let _ = sd_notify::notify(&[NotifyState::Ready]);
}
