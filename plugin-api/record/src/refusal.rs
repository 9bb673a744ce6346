//! A refusal: one reason why a file does not serve. The same value is shown by the log, by `check` and in JSON.

use serde::{Deserialize, Serialize};

use crate::printable;

/// One reason, with both sides and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What kind of reason; stable across versions.
    pub code: Code,
    /// What was compared, e.g. `soname` or `dependency serde_json`.
    pub field: String,
    /// The host's value, or what it expects.
    pub host: String,
    /// The plugin's value.
    pub plugin: String,
    /// What mends it, as a line for a shell: a command where there is one, and behind a `#` what else there is to know.
    pub cure: String,
}

impl Refusal {
    /// A refusal; see the fields for what belongs where.
    pub fn new(
        code: Code,
        field: impl Into<String>,
        host: impl Into<String>,
        plugin: impl Into<String>,
        cure: impl Into<String>,
    ) -> Refusal {
        Refusal {
            code,
            field: printable(field.into()),
            host: printable(host.into()),
            plugin: printable(plugin.into()),
            cure: printable(cure.into()),
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: {}: expected {}, found {}; {}",
            self.code.as_str(),
            self.field,
            self.host,
            self.plugin,
            self.cure
        )
    }
}

/// A word as it can be pasted into a shell. Cures hold words of files that are not trusted.
pub fn quoted(word: &str) -> String {
    quoted_bytes(word.as_bytes())
}

/// The same for what need not be text, as the names of files. What is no printable text is put together by
/// printf(1), in any shell: no terminal obeys it, and it survives being printed.
pub fn quoted_bytes(word: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+@%:,=".contains(byte);
    if !word.is_empty() && word.iter().all(plain) {
        return String::from_utf8_lossy(word).into_owned();
    }
    match std::str::from_utf8(word) {
        Ok(text) if printable(text.to_owned()) == text => format!("'{}'", text.replace('\'', r"'\''")),
        _ => {
            let escaped: String = word.iter().map(|byte| escaped(*byte)).collect();
            format!("\"$(printf '{escaped}')\"")
        }
    }
}

fn escaped(byte: u8) -> String {
    match byte {
        b'%' => "%%".to_owned(),
        b' '..=b'~' if byte != b'\'' && byte != b'\\' => char::from(byte).to_string(),
        _ => format!("\\{byte:03o}"),
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal,)+) => {
        /// What kind of reason a refusal is. The text of a code never changes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Code {
            $($(#[doc = $doc])+ #[serde(rename = $text)] $variant,)+
        }

        impl Code {
            /// All codes, in the order in which admission looks at them.
            pub const ALL: &[Code] = &[$(Code::$variant,)+];

            /// The code as it is written in logs and JSON.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Code::$variant => $text,)+
                }
            }
        }
    };
}

codes! {
    /// A link that leads nowhere.
    LinkDangling = "link-dangling",
    /// A link that leads back to itself.
    LinkLoop = "link-loop",
    /// A link to a file outside the plugin directory.
    LinkOutside = "link-outside",
    /// A link to something that is not named as a plugin's file is.
    LinkTarget = "link-target",
    /// A link whose name is not the soname of the file that it leads to.
    LinkSoname = "link-soname",
    /// A directory that everybody may write to, or that belongs to somebody else.
    DirectoryMode = "directory-mode",
    /// A file that can't be read.
    FileUnreadable = "file-unreadable",
    /// Not a regular file.
    FileKind = "file-kind",
    /// A file of another user than root or the host's own.
    FileOwner = "file-owner",
    /// A file that everybody may write to.
    FileMode = "file-mode",
    /// Larger than any plugin may be.
    FileSize = "file-size",
    /// Nothing in it.
    FileEmpty = "file-empty",
    /// Not an object file of this system's format.
    FileFormat = "file-format",
    /// An object file for another machine.
    FileMachine = "file-machine",
    /// An object file, but no shared object.
    FileType = "file-type",
    /// Cut off: its headers name parts that are not there.
    FileTruncated = "file-truncated",
    /// Its headers contradict themselves.
    FileMalformed = "file-malformed",
    /// A file name that no plugin has.
    NameForm = "name-form",
    /// The file's name and the record's name disagree.
    NameRecord = "name-record",
    /// The file name's version and the record's version disagree.
    VersionRecord = "version-record",
    /// No DT_SONAME.
    SonameMissing = "soname-missing",
    /// DT_SONAME and the record disagree.
    SonameRecord = "soname-record",
    /// DT_SONAME and the file's name disagree.
    SonameFile = "soname-file",
    /// No record: not a plugin, or built without plugin-build.
    RecordMissing = "record-missing",
    /// More than one record.
    RecordDuplicate = "record-duplicate",
    /// A record of a format that this host does not know.
    RecordFormat = "record-format",
    /// A record that can't be read.
    RecordMalformed = "record-malformed",
    /// A name that no package can have.
    RecordName = "record-name",
    /// No commands, or some that are out of range or listed twice.
    RecordCommands = "record-commands",
    /// Another compiler.
    Compiler = "compiler",
    /// Another target or pointer width.
    AbiTarget = "abi-target",
    /// A panic strategy that would end the host.
    AbiPanic = "abi-panic",
    /// Another major version of plugin-api.
    AbiPluginApi = "abi-plugin-api",
    /// Another compatibility line of abi_stable.
    AbiStable = "abi-stable",
    /// A shared dependency with another version or content.
    Dependency = "dependency",
    /// It needs a newer C library than the one that runs.
    SystemGlibc = "system-glibc",
    /// It brings search paths for libraries.
    SystemRpath = "system-rpath",
    /// It asks for an executable stack.
    SystemExecstack = "system-execstack",
    /// Its code is changed while it is opened.
    SystemTextrel = "system-textrel",
    /// Another package serves whose name differs in `-` and `_` alone.
    NameTaken = "name-taken",
    /// A command that another plugin serves.
    CommandTaken = "command-taken",
    /// A plugin that the configuration names and no file brings.
    PluginMissing = "plugin-missing",
    /// Other content under the name of a file that a running host serves.
    OtherContent = "other-content",
    /// Its own code ended the process that opened it.
    LoadCrash = "load-crash",
    /// The dynamic linker would not open it.
    LoadOpen = "load-open",
    /// It needs thread-local storage in every thread's fixed part, and there is too little left.
    StaticTls = "static-tls",
    /// It exports no entry.
    LoadEntry = "load-entry",
    /// Its types are laid out otherwise.
    LoadLayout = "load-layout",
    /// It does not take its configuration.
    LoadConfig = "load-config",
    /// Its init failed or panicked.
    LoadInit = "load-init",
    /// Its constructors, the check of its configuration or its init did not return in time.
    LoadTimeout = "load-timeout",
    /// It opened well in a process of its own, and not in the host.
    LoadOnce = "load-once",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_words_are_one_word_for_a_shell() {
        for (word, expected) in [
            ("/srv/plugins/libx.so.1", "/srv/plugins/libx.so.1"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("$(reboot)", "'$(reboot)'"),
            ("ü", "'ü'"),
            ("a\nb'\\%", r#""$(printf 'a\012b\047\134%%')""#),
            ("\u{202e}x", r#""$(printf '\342\200\256x')""#),
        ] {
            assert_eq!(quoted(word), expected);
            assert_eq!(printable(expected.to_owned()), expected, "it can be printed");
        }
        assert_eq!(quoted_bytes(b"a\xff1"), r#""$(printf 'a\3771')""#);
    }
}
