//! What cargo tells a build script about the build, read once and checked for form.
//! Source of the names: the Cargo book, "Environment variables Cargo sets for build scripts".

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use semver::Version;

use crate::{Error, outer::Outer};

/// The build that this script is part of.
#[derive(Debug)]
pub(crate) struct Env {
    pub(crate) name: String,
    pub(crate) version: Version,
    pub(crate) description: String,
    pub(crate) manifest_dir: PathBuf,
    pub(crate) out_dir: PathBuf,
    pub(crate) target: String,
    pub(crate) pointer_width: u16,
    pub(crate) profile: String,
    pub(crate) opt_level: String,
    pub(crate) cargo: OsString,
    pub(crate) rustc: OsString,
    /// Where cargo keeps what it downloads, if that is known.
    pub(crate) cargo_home: Option<PathBuf>,
    /// How the cargo of this build was started, if the system tells.
    pub(crate) outer: Option<Outer>,
}

impl Env {
    /// Reads the variables of the running build script.
    ///
    /// # Errors
    /// When one is missing or has another form than cargo gives it.
    pub(crate) fn of_build_script() -> Result<Env, Error> {
        let version = text("CARGO_PKG_VERSION")?;
        let width = text("CARGO_CFG_TARGET_POINTER_WIDTH")?;
        let cargo = os("CARGO")?;
        Ok(Env {
            name: text("CARGO_PKG_NAME")?,
            version: version.parse().map_err(|_| Error::Variable {
                name: "CARGO_PKG_VERSION",
                value: version,
                expected: "a semantic version",
            })?,
            description: text("CARGO_PKG_DESCRIPTION").unwrap_or_default(),
            manifest_dir: os("CARGO_MANIFEST_DIR")?.into(),
            out_dir: out_dir()?,
            target: text("TARGET")?,
            pointer_width: width.parse().map_err(|_| Error::Variable {
                name: "CARGO_CFG_TARGET_POINTER_WIDTH",
                value: width,
                expected: "a number of bits",
            })?,
            profile: text("PROFILE")?,
            opt_level: text("OPT_LEVEL")?,
            outer: Outer::of_build_script(&cargo),
            cargo,
            rustc: os("RUSTC")?,
            cargo_home: cargo_home(),
        })
    }

    /// Where cargo looks for its configuration from, and what relative paths on its command line are relative to: where
    /// it was started, else the package's folder.
    pub(crate) fn folder(&self) -> &Path {
        self.outer.as_ref().map_or(&self.manifest_dir, |outer| &outer.folder)
    }

    /// The library's crate name: the package's with `-` as `_`, as cargo derives it.
    pub(crate) fn library_name(&self) -> String {
        self.name.replace('-', "_")
    }
}

#[cfg(test)]
impl Env {
    /// Some build, for tests that need one.
    pub(crate) fn sample() -> Env {
        Env {
            name: "x".into(),
            version: Version::new(1, 0, 0),
            description: String::new(),
            manifest_dir: "/x".into(),
            out_dir: "/out".into(),
            target: String::new(),
            pointer_width: 64,
            profile: String::new(),
            opt_level: String::new(),
            cargo: "cargo".into(),
            rustc: "rustc".into(),
            cargo_home: None,
            outer: None,
        }
    }
}

/// Where this build script may write.
pub(crate) fn out_dir() -> Result<PathBuf, Error> {
    os("OUT_DIR").map(PathBuf::from)
}

/// A variable as text. One that is not UTF-8 counts as missing: cargo sets none of these so.
pub(crate) fn text(name: &str) -> Result<String, Error> {
    env::var(name).map_err(|_| Error::NoVariable { name: name.to_owned() })
}

fn os(name: &str) -> Result<OsString, Error> {
    env::var_os(name).ok_or_else(|| Error::NoVariable { name: name.to_owned() })
}

/// As cargo finds it (the Cargo book, "Cargo Home"): the variable, else a folder in the user's
/// home. `HOME` alone decides here, cargo's further fallbacks are for systems without plugins.
fn cargo_home() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("CARGO_HOME").or_else(|| Some(set("HOME")?.join(".cargo")))
}
