//! Which names and versions a plugin can have. Cargo's rules are wider than the host's: a name becomes a part of file
//! names, link names and keys of configuration files, and is ASCII in all of them. What the host would refuse is refused
//! here, before a library is made of it.

use plugin_record::is_of_package_name;
use semver::Version;

use crate::{Error, env::Env};

/// Of one part of a path, in bytes; the file systems allow no longer ones.
const MAX_FILE_NAME: usize = 255;

/// # Errors
/// When no host could take a plugin of this name and version.
pub(crate) fn check(env: &Env) -> Result<(), Error> {
    if let Some(found) = env.name.chars().find(|c| !is_of_package_name(*c)) {
        return Err(Error::PackageName {
            path: env.manifest_dir.join("Cargo.toml"),
            name: env.name.clone(),
            found,
        });
    }
    let file_name = real_name(&env.name, &env.version);
    match file_name.len() > MAX_FILE_NAME {
        true => Err(Error::LongName {
            path: env.manifest_dir.join("Cargo.toml"),
            size: file_name.len(),
            limit: MAX_FILE_NAME,
        }),
        false => Ok(()),
    }
}

/// The longer of the two systems' names; the version is without build metadata, which is in no file name.
fn real_name(name: &str, version: &Version) -> String {
    let Version {
        major,
        minor,
        patch,
        pre,
        ..
    } = version;
    let hyphen = if pre.is_empty() { "" } else { "-" };
    format!("lib{name}.{major}.{minor}.{patch}{hyphen}{pre}.dylib")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(name: &str, version: &str) -> Option<String> {
        let mut env = Env::sample();
        (env.name, env.version) = (name.to_owned(), version.parse().expect("a version"));
        check(&env).err().map(|error| error.to_string())
    }

    #[test]
    fn names_are_those_that_the_host_takes() {
        for (name, version) in [
            ("submit-echo", "1.1.0"),
            ("a_B9", "0.0.1-rc.1"),
            ("x", "1.0.0+build.of-a-day"),
        ] {
            assert_eq!(error(name, version), None);
        }
        let refused = error("écho", "1.0.0").expect("not ASCII");
        assert!(refused.contains("\"écho\" has 'é'"), "{refused}");
        let long = "x".repeat(240);
        assert_eq!(error(&long, "1.0.0"), None);
        let refused = error(&format!("{long}x"), "1.0.0").expect("too long");
        assert!(refused.contains("256 bytes"), "{refused}");
        assert_eq!(error(&long, &format!("1.0.0+{long}")), None);
        assert!(error("x", &format!("1.0.0-{long}")).is_some());
    }
}
