//! How the cargo that runs this build script was started: in which folder, and with which arguments that change how it
//! resolves. Cargo tells a build script neither, and both decide the answer when cargo is asked again: configuration files
//! are looked for from the folder upwards, and `--config` has a say in everything, `[patch]` included.
//!
//! Where the system shows a process's command line (Linux: proc(5)), both are read there, from the parent process, if that
//! is the cargo of this build. Elsewhere nothing is known, and an error of the inner cargo says so. An alias is expanded
//! inside cargo, so what stands in one is not seen either.

use std::{ffi::OsString, path::PathBuf};

/// What is known of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outer {
    /// Where it was started.
    pub(crate) folder: PathBuf,
    /// Its `--config` and `-Z` arguments, for any other cargo.
    pub(crate) arguments: Vec<OsString>,
    /// The values of `--config`: a file, or a line of TOML.
    pub(crate) configs: Vec<OsString>,
}

impl Outer {
    /// The cargo that started this process, if the system tells.
    #[cfg(unix)]
    pub(crate) fn of_build_script(cargo: &std::ffi::OsStr) -> Option<Outer> {
        use std::{fs, os::unix::ffi::OsStringExt};
        let process = PathBuf::from(format!("/proc/{}", std::os::unix::process::parent_id()));
        // Somebody else may have started us, and a process that has ended leaves its child to another one.
        let program = fs::canonicalize(process.join("exe")).ok()?;
        if fs::canonicalize(cargo).ok()? != program {
            return None;
        }
        let line = fs::read(process.join("cmdline")).ok()?;
        let words = line
            .strip_suffix(&[0])?
            .split(|byte| *byte == 0)
            .map(|word| OsString::from_vec(word.to_owned()));
        Some(Outer {
            folder: fs::read_link(process.join("cwd")).ok()?,
            ..Outer::of_words(words)
        })
    }

    #[cfg(not(unix))]
    pub(crate) fn of_build_script(_: &std::ffi::OsStr) -> Option<Outer> {
        None
    }

    /// What a command line says. Behind `--` stands what is meant for somebody else.
    fn of_words(words: impl Iterator<Item = OsString>) -> Outer {
        let mut outer = Outer::default();
        let mut words = words.take_while(|word| word != "--");
        while let Some(word) = words.next() {
            // Options that matter here are ASCII; a value may be anything, and is passed on as it is.
            let (name, value) = split(word);
            match name.as_str() {
                "--config" => {
                    let Some(value) = value.or_else(|| words.next()) else {
                        break;
                    };
                    outer.arguments.extend(["--config".into(), value.clone()]);
                    outer.configs.push(value);
                }
                "-Z" => {
                    let Some(value) = value.or_else(|| words.next()) else {
                        break;
                    };
                    outer.arguments.extend(["-Z".into(), value]);
                }
                _ => {}
            }
        }
        outer
    }
}

/// An option's name, and its value where that stands in the same word.
fn split(word: OsString) -> (String, Option<OsString>) {
    let Some(text) = word.to_str() else {
        return (String::new(), None);
    };
    match text.strip_prefix("-Z") {
        Some("") => ("-Z".to_owned(), None),
        Some(value) => ("-Z".to_owned(), Some(value.into())),
        None => match text.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.into())),
            None => (text.to_owned(), None),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Outer {
        Outer::of_words(words.iter().map(OsString::from))
    }

    #[test]
    fn what_changes_the_resolution_is_taken_from_a_command_line() {
        let line = [
            "cargo",
            "--config",
            "a=1",
            "-Zbindeps",
            "build",
            "-p",
            "x",
            "--config=b.c=\"d=e\"",
            "-Z",
            "script",
            "--",
            "--config",
            "of=the program",
        ];
        let outer = of(&line);
        let expected = [
            "--config",
            "a=1",
            "-Z",
            "bindeps",
            "--config",
            "b.c=\"d=e\"",
            "-Z",
            "script",
        ];
        assert_eq!(outer.arguments, expected);
        assert_eq!(outer.configs, ["a=1", "b.c=\"d=e\""]);
        assert_eq!(of(&["cargo", "build", "--release"]), Outer::default());
        assert_eq!(of(&["cargo", "build", "--config"]), Outer::default(), "cut off");
    }
}
