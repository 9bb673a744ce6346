//! The route table, which maps commands to targets: immutable, and replaced whole by the manager, until it is closed at the end of
//! the host. Each worker thread has a place of its own for the table, where it is replaced too; so no two worker threads ever
//! wait for each other, and the manager waits for a thread to look a target up, never for a call.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::target::Target;
use crate::runtime::plugin::Plugin;

/// The current table, shared by the manager and all threads.
#[derive(Default)]
pub struct Routes {
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    table: Arc<RouteTable>,
    readers: Vec<Weak<Reader>>,
    /// No further table is put in force.
    closed: bool,
}

/// One thread's place for the current table.
pub struct Reader {
    table: Mutex<Arc<RouteTable>>,
}

impl Routes {
    /// The current table.
    pub fn current(&self) -> Arc<RouteTable> {
        Arc::clone(&lock(&self.current).table)
    }

    /// Has the current table read, which is not replaced meanwhile: only for a moment.
    pub fn read<T>(&self, read: impl FnOnce(&RouteTable) -> T) -> T {
        read(&lock(&self.current).table)
    }

    /// Puts a table in force, for all threads at once: no Submit is answered by an older one after one was answered by this
    /// one. The one before comes back, and no thread looks into it any more. Once the routes are closed the new table comes back
    /// instead, and the empty one stays in force.
    pub fn swap(&self, table: Arc<RouteTable>) -> Arc<RouteTable> {
        let mut current = lock(&self.current);
        match current.closed {
            true => table,
            false => current.swap(table),
        }
    }

    /// Takes every target out of the table, for good: no table is put in force after that.
    pub fn close(&self) {
        let mut current = lock(&self.current);
        current.closed = true;
        current.swap(Arc::default());
    }

    /// A place for one thread. It follows the current table as long as it lasts.
    pub fn reader(&self) -> Arc<Reader> {
        let mut current = lock(&self.current);
        let reader = Arc::new(Reader {
            table: Mutex::new(Arc::clone(&current.table)),
        });
        // Threads come and go much more often than tables.
        current.readers.retain(|reader| reader.strong_count() > 0);
        current.readers.push(Arc::downgrade(&reader));
        reader
    }
}

impl Current {
    fn swap(&mut self, table: Arc<RouteTable>) -> Arc<RouteTable> {
        let readers: Vec<Arc<Reader>> = self.readers.iter().filter_map(Weak::upgrade).collect();
        // No thread ever waits for a second one of these, so this can't be a deadlock.
        let places: Vec<_> = readers.iter().map(|reader| lock(&reader.table)).collect();
        for mut place in places {
            *place = Arc::clone(&table); // the one before is not its last: it is in `self`
        }
        std::mem::replace(&mut self.table, table)
    }
}

impl Reader {
    /// The current table, which is not replaced here meanwhile: only to look a target up, never during a call.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, Arc<RouteTable>> {
        lock(&self.table)
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Which target answers which command.
pub struct RouteTable {
    // Submit commands are 0x02..=0x7F, so an index needs no hashing, and is in range by its type.
    by_command: [Option<Target>; COMMANDS],
}

const COMMANDS: usize = 128;

impl Default for RouteTable {
    fn default() -> RouteTable {
        RouteTable {
            by_command: [const { None }; COMMANDS],
        }
    }
}

impl RouteTable {
    /// A table in which each target answers its commands. Where two have one command the first keeps it; selection has refused
    /// it to the second before it comes to this.
    pub fn new(targets: impl IntoIterator<Item = (Vec<u8>, Target)>) -> RouteTable {
        let mut table = RouteTable::default();
        for (commands, target) in targets {
            for command in commands {
                if let Some(slot) = table.by_command.get_mut(usize::from(command)) {
                    slot.get_or_insert_with(|| target.clone());
                }
            }
        }
        table
    }

    /// What answers a command of a request: 0x01 to 0x7F, of which Conn (0x01) has no target.
    #[inline]
    pub fn get(&self, command: u8) -> Option<&Target> {
        self.by_command[usize::from(command) % COMMANDS].as_ref()
    }

    /// Every plugin that answers something, once each, in the order of its lowest command.
    pub fn plugins(&self) -> Vec<Arc<Plugin>> {
        let mut plugins: Vec<Arc<Plugin>> = Vec::new();
        for Target::Library(plugin) in self.by_command.iter().flatten() {
            if !plugins.iter().any(|known| Arc::ptr_eq(known, plugin)) {
                plugins.push(Arc::clone(plugin));
            }
        }
        plugins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_reader_keeps_a_table_that_was_replaced() {
        let routes = Routes::default();
        let readers = [routes.reader(), routes.reader()];
        for _ in 0..3 {
            let table = Arc::new(RouteTable::default());
            let before = routes.swap(Arc::clone(&table));
            assert_eq!(Arc::strong_count(&before), 1);
            assert!(readers.iter().all(|reader| Arc::ptr_eq(&reader.lock(), &table)));
        }
        drop(readers);
        for _ in 0..3 {
            drop(routes.reader());
            assert_eq!(lock(&routes.current).readers.len(), 1, "those before are forgotten");
        }
    }

    #[test]
    fn no_table_comes_after_the_end() {
        let routes = Routes::default();
        let reader = routes.reader();
        let before = Arc::new(RouteTable::default());
        routes.swap(Arc::clone(&before));
        routes.close();
        assert_eq!(Arc::strong_count(&before), 1, "it is in force nowhere");
        let late = Arc::new(RouteTable::default());
        assert!(Arc::ptr_eq(&routes.swap(Arc::clone(&late)), &late));
        for current in [
            routes.current(),
            Arc::clone(&reader.lock()),
            Arc::clone(&routes.reader().lock()),
        ] {
            assert!(!Arc::ptr_eq(&current, &late));
        }
    }
}
