//! Asks the manager to reload when SIGHUP says so, and tells where the manager is busy: a plugin's init may take its time.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::logging::{LEFT_OUT, RateLimit};
use crate::manager::events::{Request, Sender};
use crate::process::async_runtime::AsyncRuntime;

/// How long the manager may take before the log says so. A reload is mostly done within a tenth of a second.
const LONG: Duration = Duration::from_secs(2);
const WAITS: &str = "the reload waits: the manager is at something else, which the lines before this one tell";

/// What is to be done at each SIGHUP. Never waits.
pub fn on_hangup(manager: Sender, runtime: AsyncRuntime) -> impl Fn() + Send + 'static {
    let limit = RateLimit::new(|lines| tracing::warn!(lines, like = WAITS, "{LEFT_OUT}"));
    let limit = std::sync::Arc::new(limit);
    move || {
        let (reply, answer) = oneshot::channel();
        if manager.request(Request::Reload(reply)).is_err() {
            return; // the host ends
        }
        let (limit, stop) = (std::sync::Arc::clone(&limit), runtime.stop().clone());
        runtime.spawn("reload", async move {
            // An answer that never comes is one of many that were asked for at once, or of a host that ends.
            let waited = stop.run_until_cancelled(timeout(LONG, answer)).await;
            if waited.is_some_and(|waited| waited.is_err()) && limit.admits() {
                tracing::warn!("{WAITS}");
            }
        });
    }
}
