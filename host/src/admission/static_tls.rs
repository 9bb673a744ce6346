//! Static TLS: the part of each thread's memory in which a library's thread-local variables must lie if its code was built
//! for a place that is fixed at start (the initial-exec model; DF_STATIC_TLS in the file). For libraries that are opened
//! later the C library keeps a reserve, and what one of them has taken is free again only when the process ends.
//!
//! The C library does not report how much is left, so this is an estimate: what the reserve has at the start, less what is
//! declared by the libraries that are open. It is reported, and it decides how thoroughly a new library is tried out, but refuses
//! nothing: the dynamic linker does that, in a child process first, and before any code of the library runs.
//!
//! Source of the rules: glibc's manual, "Dynamic Linking Tunables", and the comments in its elf/dl-tls.c: the reserve is
//! `rtld.optional_static_tls` and 288 bytes for each of `rtld.nns` namespaces, 1664 bytes by default as in all releases
//! before there were tunables. Rounding may add up to 63 bytes. A block is placed at a multiple of its alignment; none can
//! be aligned to more than what was open at the start. Libraries without DF_STATIC_TLS may take from it as well (TLS
//! descriptors, up to `rtld.optional_static_tls`), and so do those that a plugin links: both unknown here. musl has no
//! reserve.

use std::fmt;
use std::sync::OnceLock;

use plugin_record::{Code, Refusal};
use plugin_record::{Record, quoted};
use serde::{Deserialize, Serialize};

const TUNABLES: &str = "GLIBC_TUNABLES";
const OPTIONAL: &str = "glibc.rtld.optional_static_tls";
const NAMESPACES: &str = "glibc.rtld.nns";
/// What the reserve has for each namespace, in bytes.
const FOR_NAMESPACE: u64 = 288;
/// What rounding may add to the reserve, in bytes.
const ROUNDING: u64 = 63;
/// The alignment, in bytes, that every process has room for. More there is only where a library that was open at the start
/// asked for more.
const ALIGNMENT: u64 = 64;
/// A cure gives room for so many versions.
const VERSIONS: u64 = 8;
/// But not for more than this, in bytes: every thread has it, beside its stack.
const MOST: u64 = 64 << 10;

/// Packages whose native code takes static TLS, and the feature that keeps them from it.
const KNOWN: [(&str, &str); 2] = [
    ("tikv-jemalloc-sys", "disable_initial_exec_tls"),
    ("libmimalloc-sys", "local_dynamic_tls"),
];

/// What a library takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaticTls {
    /// Bytes, in every thread.
    pub size: u64,
    /// What its address is a multiple of, in bytes; at least 1.
    pub align: u64,
}

impl fmt::Display for StaticTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = |count: u64| if count == 1 { "byte" } else { "bytes" };
        write!(f, "{} {}, aligned to {}", self.size, unit(self.size), self.align)
    }
}

/// The reserve of a process, by estimate, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// At the start; 0 where the C library has none.
    pub total: u64,
    /// How much of that a tunable says.
    optional: u64,
    /// What should be left by now, at least.
    pub left: u64,
}

impl Room {
    /// What this process had at its start.
    pub fn at_start() -> Room {
        static AT_START: OnceLock<Room> = OnceLock::new();
        *AT_START.get_or_init(|| match cfg!(target_env = "gnu") {
            true => Room::with(&tunables()),
            false => Room {
                total: 0,
                optional: 0,
                left: 0,
            },
        })
    }

    fn with(tunables: &str) -> Room {
        let optional = tunable(tunables, OPTIONAL).unwrap_or(512);
        let namespaces = tunable(tunables, NAMESPACES).filter(|count| (1..=16).contains(count));
        let total = optional.saturating_add(namespaces.unwrap_or(4) * FOR_NAMESPACE);
        Room {
            total,
            optional,
            left: total,
        }
    }

    /// What is left once these libraries are open. One that finds none takes none.
    pub fn after(self, needs: impl IntoIterator<Item = StaticTls>) -> Room {
        needs.into_iter().fold(self, |room, need| {
            let left = room.left.saturating_sub(need.size);
            let left = left - left % need.align.max(1);
            Room { left, ..room }
        })
    }

    /// Whether all of these should find room, one after the other.
    pub fn is_enough_for(self, needs: impl IntoIterator<Item = StaticTls>) -> bool {
        let mut room = self;
        needs.into_iter().all(|need| {
            let is_enough = need.size <= room.left && need.align <= ALIGNMENT;
            room = room.after([need]);
            is_enough
        })
    }

    /// Whether this one can't find room even where all that is uncertain is in its favour.
    pub fn is_too_small_for(self, need: StaticTls) -> bool {
        need.size > self.left.saturating_add(ROUNDING)
    }

    /// The value of `rtld.optional_static_tls` with which all that is open and more versions of a library would find room; none
    /// for a library that takes too much of every thread.
    fn optional_for(self, need: StaticTls) -> Option<u64> {
        let block = need.size.checked_next_multiple_of(need.align.clamp(1, ALIGNMENT));
        let block = block.filter(|block| *block <= MOST)?;
        let wanted = (block * VERSIONS).min(MOST);
        // By the estimate there was enough, and yet there was not: then none of it counts.
        let left = if need.size > self.left { self.left } else { 0 };
        let optional = self.optional.saturating_add(wanted.saturating_sub(left));
        optional.checked_next_multiple_of(512)
    }
}

/// A library that found no room here. `dependency` is the library that it links and that asked for it, if it was not itself.
pub fn refusal(need: Option<StaticTls>, dependency: Option<&str>, room: Room, record: &Record) -> Refusal {
    refusal_of_host(need, dependency, room, &tunables(), record)
}

/// The same of a host that runs with these tunables (GLIBC_TUNABLES).
pub fn refusal_of_host(
    need: Option<StaticTls>,
    dependency: Option<&str>,
    room: Room,
    tunables: &str,
    record: &Record,
) -> Refusal {
    let rebuild = match KNOWN.iter().find(|(package, _)| record.package(package).is_some()) {
        Some((package, feature)) => format!("build it with the feature {feature} of {package}"),
        None => "build its native code with -ftls-model=global-dynamic (of jemalloc and mimalloc the crates have a feature for \
                 it: disable_initial_exec_tls, local_dynamic_tls)"
            .to_owned(),
    };
    let refuse =
        |host: &str, plugin: &str, cure: String| Refusal::new(Code::StaticTls, "static TLS", host, plugin, cure);
    let found = match (dependency, need) {
        (Some(dependency), _) => format!("{dependency}, which it links, needs more"),
        (None, Some(need)) => format!("needs {need}"),
        (None, None) => "needs more".to_owned(),
    };
    if room.total == 0 {
        let host = "none for libraries that are opened while a process runs: this C library keeps no reserve";
        return refuse(host, &found, format!("# {rebuild}"));
    }
    if dependency.is_none() && need.is_some_and(|need| need.align > ALIGNMENT) {
        let host = format!("an alignment of at most {ALIGNMENT} bytes");
        return refuse(
            &host,
            &found,
            format!("# {rebuild}, or align its thread-local variables to {ALIGNMENT} bytes"),
        );
    }
    let need = need
        .filter(|_| dependency.is_none())
        .unwrap_or(StaticTls { size: 512, align: 1 });
    let host = match need.size > room.left {
        true => format!("about {} of {} bytes left", room.left, room.total),
        false => format!(
            "less than about {} of {} bytes left, for others take some as well",
            room.left, room.total
        ),
    };
    let Some(optional) = room.optional_for(need) else {
        return refuse(&host, &found, format!("# {rebuild}: every thread would have that much"));
    };
    let cure = format!(
        "export {TUNABLES}={} # in the environment that the host is started in, and restart it: room for what is open and for \
         further versions. A restart alone frees what older versions hold. Or {rebuild}",
        quoted(&with_tunable(tunables, OPTIONAL, optional))
    );
    refuse(&host, &found, cure)
}

/// Whether what `refusal` says depends on the record having this package.
pub fn is_known(package: &str) -> bool {
    KNOWN.iter().any(|(known, _)| *known == package)
}

/// What this process was started with.
pub fn tunables() -> String {
    std::env::var(TUNABLES).unwrap_or_default()
}

/// A number in `NAME=VALUE:NAME=VALUE`; the last one counts. As strtoul(3) reads it: hexadecimal and octal as well.
fn tunable(tunables: &str, name: &str) -> Option<u64> {
    let mut values = tunables.split(':').filter_map(|entry| entry.split_once('='));
    let value = values.rfind(|(found, _)| *found == name)?.1;
    let radix = |digits: &str, radix| u64::from_str_radix(digits, radix).ok();
    match value.strip_prefix("0x").or_else(|| value.strip_prefix("0X")) {
        Some(digits) => radix(digits, 16),
        None if value.len() > 1 && value.starts_with('0') => radix(&value[1..], 8),
        None => radix(value, 10),
    }
}

/// The same tunables with another value for one of them.
fn with_tunable(tunables: &str, name: &str, value: u64) -> String {
    let is_other = |entry: &&str| !entry.is_empty() && entry.split('=').next() != Some(name);
    let others = tunables.split(':').filter(is_other).map(str::to_owned);
    let all: Vec<String> = others.chain([format!("{name}={value}")]).collect();
    all.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn need(size: u64, align: u64) -> StaticTls {
        StaticTls { size, align }
    }

    #[test]
    fn the_reserve_is_what_the_tunables_say() {
        assert_eq!(Room::with("").total, 1664);
        assert_eq!(Room::with("glibc.rtld.optional_static_tls=0x400").total, 2176);
        assert_eq!(Room::with("glibc.malloc.check=3:glibc.rtld.nns=1").total, 800);
        let twice = "glibc.rtld.optional_static_tls=1:glibc.rtld.optional_static_tls=0";
        assert_eq!(Room::with(twice).total, 1152);
        for ignored in [
            "glibc.rtld.optional_static_tls=much",
            "glibc.rtld.nns=17",
            ":=:",
            "glibc.rtld.nns",
        ] {
            assert_eq!(Room::with(ignored).total, 1664, "{ignored}");
        }
        assert_eq!(tunable("x=010", "x"), Some(8));
    }

    #[test]
    fn what_is_left_falls_by_sizes_and_alignments() {
        let room = Room::with("");
        assert_eq!(room.after([need(500, 1), need(500, 1)]).left, 664);
        assert_eq!(room.after([need(1, 64)]).left, 1600);
        assert!(room.is_enough_for([need(500, 1); 3]) && !room.is_enough_for([need(500, 1); 4]));
        assert!(!room.is_enough_for([need(1, 128)]), "the start had no such alignment");
        assert!(!room.is_too_small_for(need(1727, 1)) && room.is_too_small_for(need(1728, 1)));
        // A file may say anything.
        assert_eq!(room.after([need(u64::MAX, 0), need(1, u64::MAX)]).left, 0);
        assert_eq!(room.optional_for(need(u64::MAX, u64::MAX)), None);
    }

    #[test]
    fn the_value_of_a_cure_suffices() {
        let room = Room::with("").after([need(500, 8); 3]);
        let value = room.optional_for(need(500, 8)).expect("a value");
        let with = Room::with(&with_tunable("", OPTIONAL, value));
        assert!(with.is_enough_for([need(500, 8); 11]), "{with:?}");
        let value = room.optional_for(need(60_000, 64)).expect("a value");
        let with = Room::with(&with_tunable("", OPTIONAL, value));
        assert!(
            with.after([need(500, 8); 3]).is_enough_for([need(60_000, 64)]),
            "{with:?}"
        );
        let others = with_tunable("a=1:glibc.rtld.optional_static_tls=600:b=2", OPTIONAL, 1024);
        assert_eq!(others, "a=1:b=2:glibc.rtld.optional_static_tls=1024");
    }
}
