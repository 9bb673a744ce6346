//! Which compiler builds the plugin, as it describes itself with `-vV`.

use std::process::Command;

use plugin_record::Compiler;

use crate::{Error, cargo, env::Env};

/// Asks the compiler that cargo uses for this build.
///
/// # Errors
/// When it can't be run or does not name its release.
pub(crate) fn read(env: &Env) -> Result<Compiler, Error> {
    let mut command = Command::new(&env.rustc);
    command.current_dir(&env.manifest_dir).arg("-vV");
    let text = cargo::stdout(command, "")?;
    Compiler::parse(&text).ok_or(Error::Output {
        command: "rustc -vV",
        found: text,
        expected: "a line \"release: ..\"",
    })
}
