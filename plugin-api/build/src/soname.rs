//! The name that the library carries: its compatibility line, so that a link of that name can move
//! from one compatible version to the next.
//!
//! Cargo has a directive for the linking of a package's cdylib alone, `rustc-cdylib-link-arg`. It also passes that on to the
//! cdylibs of all packages that depend on it (cargo issue 9562), behind their own arguments, so that a plugin which uses
//! another plugin's crate would get that one's name. `rustc-link-arg` is not passed on. It reaches the package's programs,
//! tests and examples too, where ELF linkers have no use for `-soname`; the one of macOS takes `-install_name` for a
//! dynamic library alone, so there the first one stays, and `shared.rs` warns.

use plugin_record::Line;

use crate::{Error, env};

/// How the target writes a library's own name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Elf,
    MachO,
    Other,
}

impl Target {
    /// # Errors
    /// When this is not a build.rs that cargo runs.
    pub(crate) fn of_build_script() -> Result<Target, Error> {
        let vendor = env::text("CARGO_CFG_TARGET_VENDOR")?;
        // Absent for targets of no family; several are separated by commas.
        let families = env::text("CARGO_CFG_TARGET_FAMILY").unwrap_or_default();
        Ok(Target::of(&vendor, &families))
    }

    fn of(vendor: &str, families: &str) -> Target {
        match vendor {
            "apple" => Target::MachO,
            _ if families.split(',').any(|family| family == "unix") => Target::Elf,
            _ => Target::Other,
        }
    }
}

/// What cargo is told: an argument for the linker, through the C compiler that rustc links with.
pub(crate) fn directive(package: &str, line: &Line, target: Target) -> Option<String> {
    let name = package.replace('-', "_");
    match target {
        Target::Elf => Some(format!("cargo::rustc-link-arg=-Wl,-soname,lib{name}.so.{line}")),
        Target::MachO => Some(format!(
            "cargo::rustc-cdylib-link-arg=-Wl,-install_name,@rpath/lib{name}.{line}.dylib"
        )),
        Target::Other => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soname_carries_the_line() {
        for (version, elf, macho) in [
            ("1.1.0", "libsubmit_echo.so.1", "libsubmit_echo.1.dylib"),
            ("0.3.4", "libsubmit_echo.so.0.3", "libsubmit_echo.0.3.dylib"),
            ("0.0.5", "libsubmit_echo.so.0.0.5", "libsubmit_echo.0.0.5.dylib"),
        ] {
            let line = Line::of(&version.parse().expect("a version"));
            let told = |target| directive("submit-echo", &line, target);
            assert_eq!(
                told(Target::Elf),
                Some(format!("cargo::rustc-link-arg=-Wl,-soname,{elf}"))
            );
            let expected = format!("cargo::rustc-cdylib-link-arg=-Wl,-install_name,@rpath/{macho}");
            assert_eq!(told(Target::MachO), Some(expected));
            assert_eq!(told(Target::Other), None);
        }
    }

    #[test]
    fn targets_are_told_by_vendor_and_family() {
        assert_eq!(Target::of("unknown", "unix"), Target::Elf);
        assert_eq!(Target::of("apple", "unix"), Target::MachO);
        assert_eq!(Target::of("pc", "windows"), Target::Other);
        assert_eq!(Target::of("unknown", ""), Target::Other);
    }
}
