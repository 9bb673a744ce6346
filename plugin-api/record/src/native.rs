//! What an operator should know of a plugin's native code. It is no difference from the host and no policy asks for it: two
//! copies in one process can disturb each other whatever their versions, and one alone can disturb the host.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{Record, printable};

/// So many packages are named: a record that a file makes up can have thousands.
const NAMED: usize = 8;

const NATIVE_CODE: &str = "packages with a `links` key, so native code, or what a process should have once: each plugin has a \
                           copy of its own, and copies of any versions share the process's file locks, signal handlers and \
                           static TLS without knowing of each other; so no two plugins should open one SQLite database, for \
                           example";

/// What is worth knowing of a plugin and is neither a difference from the host nor a reason to refuse it. Not to be confused
/// with [the ELF note](crate::note) that a record is written as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What kind of note; stable across versions.
    pub code: NoteCode,
    /// What it is about, e.g. `native code`.
    pub field: Cow<'static, str>,
    /// The plugin's value.
    pub plugin: String,
    /// What that means for those who run it.
    pub text: Cow<'static, str>,
}

/// What kind of note it is. The text of a code never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoteCode {
    /// The plugin links packages with native code.
    #[serde(rename = "native-code")]
    NativeCode,
}

impl NoteCode {
    /// All codes.
    pub const ALL: &[NoteCode] = &[NoteCode::NativeCode];

    /// The code as it is written in logs and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            NoteCode::NativeCode => "native-code",
        }
    }
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: {}: {}; {}",
            self.code.as_str(),
            self.field,
            self.plugin,
            self.text
        )
    }
}

/// The notes on a plugin's record.
pub fn notes(plugin: &Record) -> Vec<Note> {
    native_code(plugin).into_iter().collect()
}

/// What a build could not find out is not said to be native.
fn native_code(plugin: &Record) -> Option<Note> {
    let linked = plugin.packages.iter().skip(1);
    let native: Vec<_> = linked.filter(|package| package.native == Some(true)).collect();
    if native.is_empty() {
        return None;
    }
    let named = native.iter().take(NAMED);
    let named: Vec<String> = named
        .map(|package| format!("{} {}", package.name, package.version))
        .collect();
    let more = match native.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(Note {
        code: NoteCode::NativeCode,
        field: "native code".into(),
        plugin: printable(format!("{}{more}", named.join(", "))),
        text: NATIVE_CODE.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dependencies::tests::{record, registry};

    fn plugin(native: &[Option<bool>]) -> Record {
        let names: Vec<String> = (0..native.len()).map(|number| format!("dep{number}")).collect();
        let packages: Vec<_> = names
            .iter()
            .map(|name| (name.as_str(), "1.0.0", registry("a")))
            .collect();
        let mut plugin = record("plugin", &packages);
        for (package, native) in plugin.packages[1..].iter_mut().zip(native) {
            package.native = *native;
        }
        plugin
    }

    #[test]
    fn native_packages_are_named_in_one_note_of_bounded_length() {
        assert_eq!(notes(&plugin(&[Some(false), None])), []);
        let [note] = &notes(&plugin(&[Some(true), Some(false), Some(true)]))[..] else {
            panic!("one note")
        };
        assert_eq!(note.plugin, "dep0 1.0.0, dep2 1.0.0");
        let [note] = &notes(&plugin(&[Some(true); 11]))[..] else {
            panic!("one note")
        };
        assert!(note.plugin.ends_with(", dep7 1.0.0 and 3 more"), "{}", note.plugin);
    }

    #[test]
    fn codes_are_written_as_they_are_called() {
        for code in NoteCode::ALL {
            assert_eq!(serde_json::json!(code), code.as_str());
        }
    }
}
