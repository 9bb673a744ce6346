//! The name that the library carries: its compatibility line, so that a link of that name can move
//! from one compatible version to the next.

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

/// The linker's argument, through the C compiler that rustc links with.
pub(crate) fn link_argument(package: &str, line: &Line, target: Target) -> Option<String> {
    let name = package.replace('-', "_");
    match target {
        Target::Elf => Some(format!("-Wl,-soname,lib{name}.so.{line}")),
        Target::MachO => Some(format!("-Wl,-install_name,@rpath/lib{name}.{line}.dylib")),
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
            let argument = |target| link_argument("submit-echo", &line, target);
            assert_eq!(argument(Target::Elf), Some(format!("-Wl,-soname,{elf}")));
            let expected = format!("-Wl,-install_name,@rpath/{macho}");
            assert_eq!(argument(Target::MachO), Some(expected));
            assert_eq!(argument(Target::Other), None);
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
