//! Newcomers that are no good: damaged, with start-up code that crashes, with an init that fails. Each has a name of its own,
//! so that the log tells which one was refused, and for what.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use object::read::elf::{ElfFile64, ProgramHeader};
use tests::crates::{PluginCrate, source};
use tests::files::{stripped, with_identity};
use tests::host::{Host, Site};
use tests::swaps::real_name;

use crate::scene::{Part, release};

const VERSION: &str = "1.0.0";

const CRASH: &str = r#"
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = construct;

extern "C" fn construct() {
    std::process::abort()
}
"#;

/// Kinds of them: the beginning of the name, the code of the refusal, and a library to be copied.
pub(crate) struct Newcomers {
    kinds: [(&'static str, &'static str, PathBuf); 3],
}

impl Newcomers {
    pub(crate) fn build(site: &Site) -> Newcomers {
        let kinds = [
            ("crash", "load-crash", source(CRASH, "Ack::ok()")),
            (
                "noini",
                "load-init",
                source("", "Ack::ok()").replace("Ok(Plugin)", "Err(Error::new(\"told to fail\"))"),
            ),
            ("holed", "load-crash", source("", "Ack::ok()")),
        ];
        let kinds = kinds.map(|(name, code, source)| {
            let mut plugin = PluginCrate::new(&name_of(name, 0));
            plugin.source = source;
            plugin.commands = Some("[0x20]".to_owned());
            let small = site.path().join(name);
            stripped(&release(plugin), &small);
            if name == "holed" {
                make_hole(&small);
            }
            (name, code, small)
        });
        Newcomers { kinds }
    }
}

fn name_of(kind: &str, number: usize) -> String {
    format!("{kind}-{number:05}")
}

/// One after another: each lies there until it was refused.
pub(crate) fn come(part: &Part<'_>) {
    let mut rng = part.rng(11);
    let scene = part.scene;
    while part.goes_on() {
        let (kind, code, library) = &scene.newcomers.kinds[rng.usize(..3)];
        let name = name_of(kind, 1 + scene.balance.bad().len());
        let path = scene.site.plugins().join(real_name(&name, VERSION));
        let new = scene.site.path().join("newcomer");
        with_identity(library, &new, &name, VERSION);
        scene.balance.is_bad(&name, code);
        let from = scene.host.wait_until("log", |log| Some(log.len()));
        fs::rename(new, &path).unwrap();
        wait_until_refused(&scene.host, from, &name);
        fs::remove_file(path).unwrap();
        scene.balance.did("newcomers that are no good");
        part.pause(Duration::from_millis(rng.u64(100..1500)));
    }
}

/// Its turn may come late: others are before it, and the machine may lack what it takes.
fn wait_until_refused(host: &Host, from: usize, name: &str) {
    host.wait_until(&format!("refusal of {name}"), |log| {
        let mut later = log.iter().skip(from);
        later
            .any(|line| line["message"] == "refused" && line["plugin"] == name)
            .then_some(())
    });
}

/// The code becomes zeros, as a transfer leaves it that reserved the space first.
fn make_hole(library: &Path) {
    let mut bytes = fs::read(library).unwrap();
    let (start, length) = {
        let file = ElfFile64::<object::Endianness>::parse(bytes.as_slice()).unwrap();
        let endian = file.endian();
        let mut headers = file.elf_program_headers().iter();
        let code = headers.find(|header| {
            header.p_type(endian) == object::elf::PT_LOAD && header.p_flags(endian).contains(object::elf::PF_X)
        });
        let number = |value: u64| usize::try_from(value).unwrap();
        code.map(|header| (number(header.p_offset(endian)), number(header.p_filesz(endian))))
            .unwrap()
    };
    bytes[start..start + length].fill(0);
    fs::write(library, bytes).unwrap();
}
