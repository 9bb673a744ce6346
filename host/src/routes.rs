//! Who answers a command: an immutable table, replaced whole. The manager stores a new one, connections load the current
//! one once for each read, nobody locks.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::plugin::Plugin;

/// The current table, shared by the manager and all connections.
pub type Routes = ArcSwap<RouteTable>;

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

    /// Whether a plugin answers something.
    pub fn contains(&self, plugin: &Arc<Plugin>) -> bool {
        self.by_command.iter().flatten().any(|known| Arc::ptr_eq(known, plugin))
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
