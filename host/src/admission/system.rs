//! Decides whether this system gives a library what it asks for: compares its [`Needs`] with the running C library and with
//! how the host opens libraries. Pure. Policy changes nothing here: what is refused would not open, or would weaken the whole
//! process.

use plugin_record::{Code, Refusal};

use super::glibc::Glibc;
use super::inspect::Needs;
use crate::shell::quoted;

/// All that speaks against it. `running` is the host's C library, as far as it is known; `plugin` the name of the
/// plugin's package, likewise.
pub fn check(needs: &Needs, running: Option<Glibc>, plugin: Option<&str>) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let mut refuse = |code, field: &str, host: &str, found: &str, cure: String| {
        let build = plugin.map_or_else(String::new, |name| {
            format!("cargo build --release -p {} ", quoted(name))
        });
        refusals.push(Refusal::new(code, field, host, found, format!("{build}# {cure}")));
    };
    if let (Some(needed), Some(running)) = (needs.glibc, running)
        && needed > running
    {
        refuse(
            Code::SystemGlibc,
            "C library",
            &format!("glibc {running}"),
            &format!("needs GLIBC_{needed}"),
            format!(
                "on a system with glibc {running} or older (`ldd --version` shows which); or run the host on glibc {needed}"
            ),
        );
    }
    for (tag, path) in &needs.search_paths {
        refuse(
            Code::SystemRpath,
            tag,
            "none",
            path,
            "without `-rpath` link arguments: libraries are opened from a private copy, where $ORIGIN leads nowhere. \
             Link what lies there statically, or install it where the system looks: ldconfig(8)"
                .to_owned(),
        );
    }
    if let Some(found) = needs.executable_stack {
        refuse(
            Code::SystemExecstack,
            "stack",
            "not executable",
            found,
            "without `-z execstack`, and with a section .note.GNU-stack in every assembly source that it links: \
             opening it would make the stacks of the whole process executable"
                .to_owned(),
        );
    }
    if let Some(found) = needs.text_relocations {
        refuse(
            Code::SystemTextrel,
            "text relocations",
            "none",
            found,
            "without `-z notext`, and with `-fPIC` for all native code that it links: its code would have to be \
             writable while it is opened"
                .to_owned(),
        );
    }
    refusals
}
