//! Who answers a command: an immutable table, replaced whole. The manager stores a new one. Each thread that gives turns has a
//! place of its own for it, where it is replaced too, so no two of those threads ever wait for each other, and the manager waits
//! for a thread to look a plugin up, never for a call.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::runtime::Plugin;

/// The current table, shared by the manager and all threads.
#[derive(Default)]
pub struct Routes {
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    table: Arc<RouteTable>,
    readers: Vec<Weak<Reader>>,
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

    /// Puts a table in force, for all threads at once: nobody is answered by an older one after anybody was answered by this
    /// one. The one before comes back, and nobody looks into it any more.
    pub fn swap(&self, table: Arc<RouteTable>) -> Arc<RouteTable> {
        let mut current = lock(&self.current);
        let readers: Vec<Arc<Reader>> = current.readers.iter().filter_map(Weak::upgrade).collect();
        // No thread ever waits for a second one of these, so this can't be a deadlock.
        let places: Vec<_> = readers.iter().map(|reader| lock(&reader.table)).collect();
        for mut place in places {
            *place = Arc::clone(&table); // the one before is not its last: it is in `current`
        }
        std::mem::replace(&mut current.table, table)
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

impl Reader {
    /// The current table, which is not replaced here meanwhile: only to look somebody up, never during a call.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, Arc<RouteTable>> {
        lock(&self.table)
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Command to plugin.
pub struct RouteTable {
    // Submit commands are 0x02..=0x7F, so an index needs no hashing, and is in range by its type.
    by_command: [Option<Arc<Plugin>>; COMMANDS],
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
    /// A table in which each plugin answers its commands. Where two claim one command the first keeps it; admission has
    /// refused the second before it comes to this.
    pub fn new(plugins: impl IntoIterator<Item = (Vec<u8>, Arc<Plugin>)>) -> RouteTable {
        let mut table = RouteTable::default();
        for (commands, plugin) in plugins {
            for command in commands {
                if let Some(slot) = table.by_command.get_mut(usize::from(command)) {
                    slot.get_or_insert_with(|| Arc::clone(&plugin));
                }
            }
        }
        table
    }

    /// The plugin that answers a command of a request: 0x01 to 0x7F, of which Conn (0x01) has none.
    #[inline]
    pub fn get(&self, command: u8) -> Option<&Arc<Plugin>> {
        self.by_command[usize::from(command) % COMMANDS].as_ref()
    }

    /// How often the table holds a plugin.
    pub fn references(&self, plugin: &Arc<Plugin>) -> usize {
        let held = self.by_command.iter().flatten();
        held.filter(|held| Arc::ptr_eq(held, plugin)).count()
    }

    /// Every plugin that answers something, once each, in the order of its lowest command.
    pub fn plugins(&self) -> Vec<Arc<Plugin>> {
        let mut plugins: Vec<Arc<Plugin>> = Vec::new();
        for plugin in self.by_command.iter().flatten() {
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
}
