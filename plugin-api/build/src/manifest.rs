//! What the author wrote in Cargo.toml, as far as cargo does not tell a build script.
//!
//! Fields that a workspace may hand down (version, description) are not read here: cargo's
//! variables have them resolved.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::{Error, text};

/// One Cargo.toml.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) path: PathBuf,
    pub(crate) table: Table,
}

impl Manifest {
    /// The manifest in a folder.
    ///
    /// # Errors
    /// When it can't be read or is not TOML.
    pub(crate) fn read(folder: &Path) -> Result<Manifest, Error> {
        let path = folder.join("Cargo.toml");
        let text = text::read(&path).map_err(|source| Error::Read {
            path: path.clone(),
            source,
        })?;
        match text.parse() {
            Ok(table) => Ok(Manifest { path, table }),
            Err(source) => Err(Error::Toml { path, source }),
        }
    }

    /// The value under nested keys.
    pub(crate) fn get(&self, keys: &[&str]) -> Option<&Value> {
        let (first, rest) = keys.split_first()?;
        rest.iter()
            .try_fold(self.table.get(*first)?, |value, key| value.get(key))
    }

    /// The commands of `[package.metadata.plugin]`, in the author's order.
    ///
    /// # Errors
    /// When the table is missing, has other keys, or lists no commands, wrong ones or one twice.
    pub(crate) fn commands(&self) -> Result<Vec<u8>, Error> {
        let path = || self.path.clone();
        let Some(table) = self.get(&["package", "metadata", "plugin"]).and_then(Value::as_table) else {
            return Err(Error::NoPluginTable { path: path() });
        };
        if let Some(key) = table.keys().find(|key| !["commands", "host"].contains(&key.as_str())) {
            return Err(Error::UnknownKey {
                path: path(),
                key: key.clone(),
            });
        }
        let Some(value) = table.get("commands") else {
            return Err(Error::NoCommands { path: path() });
        };
        let not_commands = |found: &Value| Error::NotCommands {
            path: path(),
            found: found.to_string(),
        };
        let values = value.as_array().ok_or_else(|| not_commands(value))?;
        let mut commands = Vec::new();
        for value in values {
            let number = value.as_integer().ok_or_else(|| not_commands(value))?;
            let command = u8::try_from(number)
                .ok()
                .filter(|command| (0x02..=0x7F).contains(command))
                .ok_or_else(|| Error::CommandRange {
                    path: path(),
                    command: number,
                })?;
            if commands.contains(&command) {
                return Err(Error::CommandTwice { path: path(), command });
            }
            commands.push(command);
        }
        if commands.is_empty() {
            return Err(Error::NoCommands { path: path() });
        }
        Ok(commands)
    }

    /// The host's fingerprint that `[package.metadata.plugin]` names, relative to the manifest.
    ///
    /// # Errors
    /// When it is no path.
    pub(crate) fn host(&self) -> Result<Option<&str>, Error> {
        let Some(value) = self.get(&["package", "metadata", "plugin", "host"]) else {
            return Ok(None);
        };
        match value.as_str().filter(|path| !path.is_empty()) {
            Some(path) => Ok(Some(path)),
            None => Err(Error::NotHost {
                path: self.path.clone(),
                found: value.to_string(),
            }),
        }
    }

    /// Makes sure that the package builds a shared library of that name. Without this check cargo would build none, or one
    /// that no host finds, and say nothing.
    ///
    /// # Errors
    /// When there is no `cdylib` among the crate types, or `[lib]` gives another name.
    pub(crate) fn require_cdylib(&self, expected: &str) -> Result<(), Error> {
        let types = self.crate_types();
        let cdylib = |types: &Vec<Value>| types.iter().any(|kind| kind.as_str() == Some("cdylib"));
        if !types.and_then(Value::as_array).is_some_and(cdylib) {
            let found = types.map_or_else(|| "not set".to_owned(), Value::to_string);
            return Err(Error::NotCdylib {
                path: self.path.clone(),
                found,
            });
        }
        match self.get(&["lib", "name"]).and_then(Value::as_str) {
            Some(found) if found != expected => Err(Error::LibraryName {
                path: self.path.clone(),
                found: found.to_owned(),
                expected: expected.to_owned(),
            }),
            _ => Ok(()),
        }
    }

    fn crate_types(&self) -> Option<&Value> {
        self.get(&["lib", "crate-type"])
            .or_else(|| self.get(&["lib", "crate_type"]))
    }

    /// The root of the package's library, if other crates can link that.
    pub(crate) fn linkable_root(&self) -> Option<PathBuf> {
        let linkable = |kind: &Value| {
            kind.as_str()
                .is_some_and(|kind| ["lib", "rlib", "dylib"].contains(&kind))
        };
        let types = self.crate_types().and_then(Value::as_array);
        if types.is_some_and(|types| !types.iter().any(linkable)) {
            return None;
        }
        let path = self.get(&["lib", "path"]).and_then(Value::as_str);
        Some(self.path.with_file_name("").join(path.unwrap_or("src/lib.rs")))
    }

    /// Whether the package is a plugin's: only plugins have this table.
    pub(crate) fn is_plugin(&self) -> bool {
        self.get(&["package", "metadata", "plugin"]).is_some()
    }

    /// Whether the package says that it links a native library (the Cargo book, "The `links`
    /// field").
    pub(crate) fn links(&self) -> bool {
        self.get(&["package", "links"]).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> Manifest {
        Manifest {
            path: "Cargo.toml".into(),
            table: text.parse().expect("TOML"),
        }
    }

    fn commands(text: &str) -> Result<Vec<u8>, String> {
        manifest(text).commands().map_err(|error| error.to_string())
    }

    #[test]
    fn commands_are_read_in_order() {
        let table = "[package.metadata.plugin]\ncommands = [0x7F, 2, 0x03]";
        assert_eq!(commands(table), Ok(vec![0x7F, 2, 3]));
    }

    #[test]
    fn each_mistake_is_named() {
        for (table, message) in [
            (
                "",
                "add the commands that the plugin answers:\n[package.metadata.plugin]\ncommands",
            ),
            ("plugin = 1", "has no [package.metadata.plugin] table"),
            ("[package.metadata.plugin]", "at least one:\ncommands = [0x02]"),
            ("[package.metadata.plugin]\ncommands = []", "names no command"),
            (
                "[package.metadata.plugin]\ncommands = 2",
                "list of whole numbers, found 2",
            ),
            ("[package.metadata.plugin]\ncommands = [\"2\"]", "found \"2\""),
            ("[package.metadata.plugin]\ncommands = [1]", "command 0x01 of"),
            ("[package.metadata.plugin]\ncommands = [0x80]", "command 0x80 of"),
            ("[package.metadata.plugin]\ncommands = [-2]", "command -2 of"),
            ("[package.metadata.plugin]\ncommands = [258]", "expected 0x02 to 0x7F"),
            (
                "[package.metadata.plugin]\ncommands = [2, 3, 2]",
                "command 0x02 stands twice",
            ),
            ("[package.metadata.plugin]\ncommand = [2]", "unknown key \"command\""),
        ] {
            let error = commands(table).expect_err(table);
            assert!(error.contains(message), "{table}: {error}");
        }
    }

    #[test]
    fn a_plugin_is_a_cdylib_with_its_packages_name() {
        let check = |text| manifest(text).require_cdylib("submit_echo");
        assert!(check("lib = { crate-type = ['cdylib'] }").is_ok());
        assert!(check("lib = { crate_type = ['rlib', 'cdylib'], name = 'submit_echo' }").is_ok());
        assert!(matches!(check(""), Err(Error::NotCdylib { found, .. }) if found == "not set"));
        assert!(matches!(
            check("lib = { crate-type = ['dylib'] }"),
            Err(Error::NotCdylib { .. })
        ));
        let renamed = check("lib = { crate-type = ['cdylib'], name = 'echo' }");
        assert!(matches!(renamed, Err(Error::LibraryName { found, .. }) if found == "echo"));
    }
}
