//! Where the timeouts of connections fire: decides which connections of an event loop have waited too long, and drops them. How
//! long each wait may last is `connection::timeouts`' decision, whether one is really over the connection's.

use super::run_queue::RunQueue;

impl RunQueue {
    /// Drops the connections whose timeout has come, and finds out when the next one may come: by the tick before the polls.
    /// After a pause of the process, what came meanwhile is seen before any connection is overdue.
    pub(super) fn sweep(&mut self) {
        let Some(now) = self.readiness.seen_until().filter(|now| self.load.first_due() <= *now) else {
            return;
        };
        let mut first = u32::MAX;
        let mut overdue = Vec::new();
        for (key, entry) in &self.connections {
            if entry.due > now {
                first = first.min(entry.due);
            } else if entry.is_queued || entry.connection.is_none() {
                first = now.saturating_add(1); // it is not waiting; then we shall see
            } else {
                overdue.push(key);
            }
        }
        self.load.set_first_due(first);
        for key in overdue {
            let entry = &mut self.connections[key];
            let Some(mut connection) = entry.connection.take() else {
                continue;
            };
            if connection.is_overdue(entry.waiting, now, &self.context.shared) {
                drop(connection); // before its slot
                self.remove(key);
            } else {
                entry.connection = Some(connection);
                entry.due = self.load.due(entry.waiting, &self.context);
            }
        }
    }
}
