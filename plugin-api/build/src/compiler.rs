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
    parse(&cargo::stdout(command)?)
}

fn parse(text: &str) -> Result<Compiler, Error> {
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    let (Some(release), Some(version_line)) = (value("release:"), text.lines().next()) else {
        return Err(Error::Output {
            command: "rustc -vV",
            found: text.to_owned(),
            expected: "a line \"release: ..\"",
        });
    };
    Ok(Compiler {
        release: release.to_owned(),
        // A distribution's build often does not know the commit.
        commit: value("commit-hash:")
            .filter(|hash| *hash != "unknown")
            .map(str::to_owned),
        channel: channel(release).to_owned(),
        version_line: version_line.to_owned(),
    })
}

/// `1.95.0`, `1.96.0-beta.3`, `1.97.0-nightly`, `1.97.0-dev`.
fn channel(release: &str) -> &str {
    let suffix = release.split_once('-').map_or("stable", |(_, suffix)| suffix);
    suffix.split('.').next().unwrap_or(suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_all_channels() {
        for (release, channel) in [
            ("1.95.0", "stable"),
            ("1.96.0-beta.3", "beta"),
            ("1.96.0-beta", "beta"),
            ("1.97.0-nightly", "nightly"),
            ("1.97.0-dev", "dev"),
        ] {
            let text = format!("rustc {release} (x)\ncommit-hash: 0abc\nrelease: {release}\n");
            let compiler = parse(&text).expect(release);
            assert_eq!(
                (compiler.release.as_str(), compiler.channel.as_str()),
                (release, channel)
            );
            assert_eq!(compiler.commit.as_deref(), Some("0abc"));
            assert_eq!(compiler.version_line, format!("rustc {release} (x)"));
        }
    }

    #[test]
    fn an_unknown_commit_is_none() {
        let text = "rustc 1.96.0 (from source)\ncommit-hash: unknown\nrelease: 1.96.0\n";
        assert_eq!(parse(text).expect("a compiler").commit, None);
        assert!(parse("clang 21").is_err());
    }
}
