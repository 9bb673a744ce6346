//! A compiler as `rustc -vV` describes itself: how that is read, and when two are the same.

use crate::Compiler;

impl Compiler {
    /// Reads what `rustc -vV` prints; `None` if it does not name its release.
    pub fn parse(text: &str) -> Option<Compiler> {
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        let (release, version_line) = (value("release:")?, text.lines().next()?);
        Some(Compiler {
            release: release.to_owned(),
            // A distribution's build often does not know the commit.
            commit: value("commit-hash:")
                .filter(|hash| *hash != "unknown")
                .map(str::to_owned),
            channel: channel(release).to_owned(),
            version_line: version_line.to_owned(),
        })
    }

    /// Whether the two are known to be the same build of a compiler.
    pub fn is_same(&self, other: &Compiler) -> bool {
        // A distribution's compiler does not know its commit; then its whole description decides.
        self.release == other.release
            && self.commit == other.commit
            && (self.commit.is_some() || self.version_line == other.version_line)
    }

    /// The name that rustup knows it by; `None` for what rustup does not have, as a distribution's build.
    pub fn toolchain(&self) -> Option<&str> {
        self.commit.as_ref()?;
        match self.channel.as_str() {
            "stable" => Some(&self.release),
            channel @ ("beta" | "nightly") => Some(channel),
            _ => None,
        }
    }
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
        for (release, channel, toolchain) in [
            ("1.95.0", "stable", Some("1.95.0")),
            ("1.96.0-beta.3", "beta", Some("beta")),
            ("1.96.0-beta", "beta", Some("beta")),
            ("1.97.0-nightly", "nightly", Some("nightly")),
            ("1.97.0-dev", "dev", None),
        ] {
            let text = format!("rustc {release} (x)\ncommit-hash: 0abc\nrelease: {release}\n");
            let compiler = Compiler::parse(&text).expect(release);
            assert_eq!(
                (compiler.release.as_str(), compiler.channel.as_str()),
                (release, channel)
            );
            assert_eq!(compiler.commit.as_deref(), Some("0abc"));
            assert_eq!(compiler.version_line, format!("rustc {release} (x)"));
            assert_eq!(compiler.toolchain(), toolchain);
        }
    }

    #[test]
    fn an_unknown_commit_is_none() {
        let text = "rustc 1.96.0 (from source)\ncommit-hash: unknown\nrelease: 1.96.0\n";
        let compiler = Compiler::parse(text).expect("a compiler");
        assert_eq!((&compiler.commit, compiler.toolchain()), (&None, None));
        assert!(Compiler::parse("clang 21").is_none());
    }
}
