//! Who answers a command: an immutable table, replaced whole. The manager stores a new one, connections load the current
//! one once for each read, nobody locks.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::plugin::Plugin;

/// The current table, shared by the manager and all connections.
pub type Routes = ArcSwap<RouteTable>;

/// Command to plugin.
#[derive(Default)]
pub struct RouteTable {
    // Submit commands are 0x02..=0x7F, so an index needs no hashing; 128 words are two kilobytes at most.
    by_command: Vec<Option<Arc<Plugin>>>,
}

impl RouteTable {
    /// A table in which each plugin answers its commands. Where two claim one command the first keeps it; admission has
    /// refused the second before it comes to this.
    pub fn new(plugins: impl IntoIterator<Item = (Vec<u8>, Arc<Plugin>)>) -> RouteTable {
        let mut by_command: Vec<Option<Arc<Plugin>>> = vec![None; 128];
        for (commands, plugin) in plugins {
            for command in commands {
                if let Some(slot) = by_command.get_mut(usize::from(command)) {
                    slot.get_or_insert_with(|| Arc::clone(&plugin));
                }
            }
        }
        RouteTable { by_command }
    }

    /// The plugin that answers a command.
    pub fn get(&self, command: u8) -> Option<&Arc<Plugin>> {
        self.by_command.get(usize::from(command))?.as_ref()
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
