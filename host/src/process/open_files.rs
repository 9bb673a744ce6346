//! How many files the process may have open. Each connection is one, and the usual soft limit of 1024 is a relic that
//! programs which don't use `select` are meant to raise. Raising the hard limit is the administrator's decision.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{debug, warn};

/// What else is open: the listener, what event loops wait with, logs, clients of the control socket, plugin files and their staged
/// copies.
const RESERVE: u64 = 256;

/// Raises the soft limit on open files to the hard one, and warns if that is too low for `max_connections`. Returns
/// the limit that now holds, `None` if there is none.
pub fn raise_open_files(max_connections: usize) -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: maximum,
        maximum,
    };
    let limit = match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => maximum,
        Err(error) => {
            warn!(%error, soft = current, hard = maximum, "can't raise the limit on open files");
            current
        }
    };
    debug!(before = current, now = limit, "limit on open files");
    let needed = u64::try_from(max_connections)
        .unwrap_or(u64::MAX)
        .saturating_add(RESERVE);
    if let Some(limit) = limit.filter(|limit| *limit < needed) {
        warn!(
            limit,
            needed,
            max_connections,
            "too few open files for server.max_connections: raise the hard limit (ulimit -Hn, \
             LimitNOFILE=) or lower the setting"
        );
    }
    limit
}
