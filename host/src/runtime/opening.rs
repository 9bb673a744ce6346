//! What comes of opening a library, beside the library: whether it is still under way, what a failure here means when it opened
//! well in another process, and what is left for the next one. Opens nothing.

use plugin_record::{Code, Refusal};

use crate::admission::admit::Admitted;
use crate::admission::static_tls::Room;
use crate::unavailable::LoadError;

/// Tells in time that the reserve comes to its end.
pub(super) fn warn_of_the_next(admitted: &Admitted, room: Room) {
    if let Some(need) = admitted.static_tls()
        && !room.is_enough_for([need])
    {
        let record = admitted.record();
        tracing::warn!(
            plugin = record.name,
            version = %record.version,
            needs = %need,
            left = room.left,
            total = room.total,
            "too little static TLS is left for another version of this plugin, by estimate: restart the host, which frees what older \
             ones hold, or raise glibc.rtld.optional_static_tls in GLIBC_TUNABLES"
        );
    }
}

/// What opened well in another process, and fails here.
pub(super) fn opens_once(here: &Refusal) -> Refusal {
    let cure = "# what its start-up code (constructors, statics of native libraries) takes for itself, as a port or a lock file, \
                belongs into init, where it can fail";
    Refusal::new(
        Code::LoadOnce,
        "load",
        "a library that opens here as it did in a process of its own",
        format!("{}: {}", here.code.as_str(), here.plugin),
        cure,
    )
}

/// Whether the library's start-up code still runs.
pub(super) fn is_under_way(error: &LoadError) -> bool {
    match error {
        LoadError::Stopping => true,
        LoadError::Refused(refusal) => refusal.code == Code::LoadTimeout,
        LoadError::Unavailable(_) => false,
    }
}
