//! `sd_notify(3)`; does nothing without systemd.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::task::AbortOnDropHandle;

/// Reports that all listeners are up, and from then on notifies the watchdog, if there is one.
pub fn ready() -> Option<AbortOnDropHandle<()>> {
    let _ = sd_notify::notify(&[NotifyState::Ready, NotifyState::Status("")]);
    let interval = sd_notify::watchdog_enabled()?;
    Some(AbortOnDropHandle::new(tokio::spawn(async move {
        let mut ticks = tokio::time::interval(interval / 2);
        loop {
            ticks.tick().await;
            let _ = sd_notify::notify(&[NotifyState::Watchdog]);
        }
    })))
}

/// Asks for more time to start, from now on.
pub fn extend_start(time: Duration) {
    let time = time.as_micros().try_into().unwrap_or(u32::MAX);
    let _ = sd_notify::notify(&[NotifyState::ExtendTimeoutUsec(time)]);
}

/// Shows a status in `systemctl status`. A cause can span lines, each of which would be a separate message.
pub fn set_status(status: &str) {
    let status = status.replace(char::is_control, " ");
    let _ = sd_notify::notify(&[NotifyState::Status(&status)]);
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
