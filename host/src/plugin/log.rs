//! Writes a plugin's events into the host's log under `plugin.NAME`.
//!
//! `tracing` wants the target of an event to be static, and plugins have names that are only known at run time. So each
//! library gets a callsite for each level, made once and kept for good, as the library itself is.

use std::sync::OnceLock;

use tracing::field::{FieldSet, Value};
use tracing::metadata::Kind;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, callsite};

const LEVELS: [Level; 5] = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];

/// Where one library's events go.
#[derive(Debug)]
pub(super) struct PluginLog {
    by_level: [&'static Callsite; 5],
}

impl PluginLog {
    /// Made once for each library, for good.
    pub(super) fn leak(plugin: &str) -> &'static PluginLog {
        let target: &'static str = Box::leak(format!("plugin.{plugin}").into_boxed_str());
        Box::leak(Box::new(PluginLog {
            by_level: LEVELS.map(|level| Callsite::leak(target, level)),
        }))
    }

    /// The most verbose level that the log's filter lets through: 0 none, 1 error to 5 trace.
    pub(super) fn max_level(&self) -> u8 {
        tracing::dispatcher::get_default(|dispatch| {
            let enabled = |callsite: &&'static Callsite| dispatch.enabled(callsite.metadata());
            self.by_level.into_iter().filter(enabled).count() as u8
        })
    }

    /// Writes one event; `level` as in [`max_level`](PluginLog::max_level), anything else counts as trace.
    pub(super) fn write(&self, level: u8, message: &str) {
        let at = usize::from(level).saturating_sub(1).min(LEVELS.len() - 1);
        let callsite: &'static Callsite = self.by_level[at];
        let metadata = callsite.metadata();
        tracing::dispatcher::get_default(|dispatch| {
            if dispatch.enabled(metadata)
                && let Some(field) = metadata.fields().field("message")
            {
                let message = format_args!("{message}");
                let values = [(&field, Some(&message as &dyn Value))];
                dispatch.event(&Event::new(metadata, &metadata.fields().value_set(&values)));
            }
        });
    }
}

#[derive(Debug)]
struct Callsite {
    // Filled right after the callsite is made: the metadata names the callsite, and the callsite the metadata.
    metadata: OnceLock<Metadata<'static>>,
}

impl Callsite {
    fn leak(target: &'static str, level: Level) -> &'static Callsite {
        let callsite: &'static Callsite = Box::leak(Box::new(Callsite {
            metadata: OnceLock::new(),
        }));
        let fields = FieldSet::new(&["message"], callsite::Identifier(callsite));
        let metadata = Metadata::new("plugin event", target, level, None, None, None, fields, Kind::EVENT);
        callsite.metadata.get_or_init(|| metadata);
        callsite
    }

    fn metadata(&self) -> &Metadata<'static> {
        self.metadata
            .get_or_init(|| unreachable!("filled where the callsite was made"))
    }
}

impl callsite::Callsite for Callsite {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        self.metadata()
    }
}
