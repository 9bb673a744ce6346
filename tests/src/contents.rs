//! Everything that may come to lie in the plugin directory of a random schedule: some plugins, each in several versions,
//! each of which has two contents.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::swaps::{Probe, soname};

/// The plugins, with their commands: the last one wants a command of the first.
pub const PLUGINS: [(&str, &[u8]); 3] = [
    ("mix-aprobe", &[0x10]),
    ("mix-bprobe", &[0x11]),
    ("mix-cprobe", &[0x10, 0x12]),
];
/// Their versions. The last one is of another compatibility line.
pub const VERSIONS: [&str; 4] = ["1.0.0", "1.1.0", "1.2.0", "2.0.0"];
/// The contents of one version.
pub const VARIANTS: [char; 2] = ['a', 'b'];

/// Every content, made once.
pub struct Contents {
    folder: PathBuf,
}

impl Contents {
    /// Makes them in a folder.
    pub fn new(folder: &Path) -> Contents {
        let probe = Probe::new();
        let contents = Contents {
            folder: folder.to_owned(),
        };
        for (name, commands) in PLUGINS {
            for version in VERSIONS {
                for variant in VARIANTS {
                    let file = contents.file(&body(name, version, variant));
                    probe.write_as(&file, name, version, commands, variant);
                }
            }
        }
        contents
    }

    /// The library that acks this.
    pub fn file(&self, body: &str) -> PathBuf {
        self.folder.join(body)
    }
}

/// What a content acks.
pub fn body(name: &str, version: &str, variant: char) -> String {
    format!("{name} {version} {variant}")
}

/// Name, version and variant of what an ack's body says.
pub fn parts(body: &str) -> (&str, &str, &str) {
    let mut parts = body.split(' ');
    [(); 3].map(|()| parts.next().unwrap()).into()
}

/// The soname of a real file, whose name has two numbers more.
pub fn soname_of(file: &str) -> String {
    file.rsplitn(3, '.').last().unwrap().to_owned()
}

/// Every soname that there can be.
pub fn sonames() -> BTreeSet<String> {
    let all = PLUGINS
        .iter()
        .flat_map(|(name, _)| VERSIONS.map(|version| soname(name, version)));
    all.collect()
}
