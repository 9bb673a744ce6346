//! Bad files are refused, each with its own code, both sides and a cure, the same in `check` and in the log; all reasons
//! of one file are shown together; and none keeps the host from serving what is good.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use plugin_record::Record;
use serde_json::{Value, json};
use tests::bad::{Bad, small};
use tests::cargo::{root, sample, succeed};
use tests::files::fifo;
use tests::host::Site;
use tests::report::{assert_names_what_is_known, codes, named, refused, shown};

/// A good name; `?` stands for the plugin's own.
const GOOD: &str = "lib?.so.1.1.0";

/// What is wrong; the file's name; the codes; and how a good plugin of that name becomes such a file.
type Case = (&'static str, &'static str, &'static [&'static str], fn(&Bad));

#[rustfmt::skip] // one line, one case
const CASES: &[Case] = &[
    ("nothing in it", GOOD, &["file-empty"], |bad| bad.is(b"")),
    ("text", "lib?.so.1", &["file-format"], |bad| bad.is(b"INPUT(libc.so.6)\n")),
    ("another system's object", GOOD, &["file-format"], |bad| bad.is(&[0xCF, 0xFA, 0xED, 0xFE, 7, 0, 0, 1])),
    ("a directory", GOOD, &["file-kind"], |bad| { bad.remove(); fs::create_dir(&bad.path).unwrap() }),
    ("a pipe", GOOD, &["file-kind"], |bad| { bad.remove(); fifo(&bad.path); }),
    ("a socket", GOOD, &["file-unreadable"], |bad| { bad.remove(); UnixListener::bind(&bad.path).unwrap(); }),
    ("writable by everybody", GOOD, &["file-mode"], |bad| bad.mode(0o757)),
    ("another user's", GOOD, &["file-owner"], |bad| chown(&bad.path, Some(12345), None).unwrap()),
    ("too large", GOOD, &["file-size"], |bad| bad.file().set_len((256 << 20) + 1).unwrap()),
    ("another machine's", GOOD, &["file-machine"], |bad| bad.put(18, &[22, 0])),
    ("32 bits", GOOD, &["file-machine"], |bad| bad.put(4, &[1])),
    ("the other byte order", GOOD, &["file-machine"], |bad| bad.put(5, &[2])),
    ("a relocatable object", GOOD, &["file-type"], |bad| bad.compiled(&["-c"])),
    ("an executable at a fixed address", GOOD, &["file-type"], |bad| bad.compiled(&["-no-pie"])),
    ("an executable", GOOD, &["file-type"], |bad| bad.compiled(&["-pie"])),
    ("a library that forbids it", GOOD, &["file-type"], |bad| bad.compiled(&["-shared", "-Wl,-z,nodlopen"])),
    ("no plugin", GOOD, &["record-missing", "soname-missing"], |bad| bad.compiled(&["-shared"])),
    ("no plugin, but a soname", GOOD, &["record-missing"], |bad| bad.compiled(&["-shared", &bad.soname_argument()])),
    ("no plugin, and another soname", "libother.so.1", &["record-missing", "soname-file"], |bad| bad.compiled(&["-shared", &bad.soname_argument()])),
    ("cut off in the ELF header", GOOD, &["file-truncated"], |bad| bad.cut(40)),
    ("cut off in the program headers", GOOD, &["file-truncated"], |bad| bad.cut(100)),
    ("without its last byte", GOOD, &["file-truncated"], |bad| bad.cut(bad.bytes().len() - 1)),
    ("a wrong size of program headers", GOOD, &["file-malformed"], |bad| bad.put(54, &[1])),
    ("no dynamic section", GOOD, &["file-malformed"], |bad| bad.put(bad.segment(2), &[0])),
    ("no soname", GOOD, &["soname-missing"], |bad| bad.put(bad.soname_entry(), &[21])),
    ("another soname", GOOD, &["soname-file", "soname-record"], Bad::other_soname),
    ("no record of ours", GOOD, &["record-missing"], |bad| bad.note(|note| note[12] = b'x')),
    ("a format to come", GOOD, &["record-format"], |bad| bad.note(|note| note[8] = 2)),
    ("a record that is no JSON", GOOD, &["record-malformed"], |bad| bad.note(|note| note[24] = b'[')),
    ("a record with an unknown key", GOOD, &["record-malformed"], |bad| bad.note(|note| note[26] = b'N')),
    ("two records", GOOD, &["record-duplicate"], Bad::two_records),
    ("another plugin's name", "libother.so.1.1.0", &["name-record", "soname-file"], |_| {}),
    ("a version that is not the record's", "lib?.so.1.2.0", &["version-record"], |_| {}),
    ("two parts of another version", "lib?.so.1.2", &["version-record"], |_| {}),
    ("another line", "lib?.so.2", &["soname-file", "version-record"], |_| {}),
    ("a pre-release that is none", "lib?.so.1.1.0-rc.1", &["version-record"], |_| {}),
    ("a record of another name", GOOD, &["name-record", "soname-record"], |bad| bad.record(|record| record.name = "other".into())),
    ("a record of another version", GOOD, &["version-record"], |bad| bad.record(|record| record.version.minor = 0)),
    ("a record of another line", GOOD, &["soname-record", "version-record"], |bad| bad.record(|record| record.version.major = 2)),
    ("a name that no package has", GOOD, &["name-record", "record-name", "soname-record"], |bad| bad.record(|record| record.name = "../x".into())),
    ("no commands", GOOD, &["record-commands"], |bad| bad.record(|record| record.commands.clear())),
    ("the command of Conn", GOOD, &["record-commands"], |bad| bad.record(|record| record.commands = vec![1])),
    ("an ack's command", GOOD, &["record-commands"], |bad| bad.record(|record| record.commands = vec![2, 0x80])),
    ("a command twice", GOOD, &["record-commands"], |bad| bad.record(|record| record.commands = vec![2, 3, 2])),
    ("another compiler", GOOD, &["compiler"], |bad| bad.record(other_compiler)),
    ("another target", GOOD, &["abi-target"], |bad| bad.record(|record| record.target = "x86_64-other-linux".into())),
    ("other pointers", GOOD, &["abi-target"], |bad| bad.record(|record| record.pointer_width = 32)),
    ("panics abort", GOOD, &["abi-panic"], |bad| bad.record(|record| record.panic = "abort".into())),
    ("the next plugin-api", GOOD, &["abi-plugin-api"], |bad| bad.record(|record| package(record, "plugin-api").version.major += 1)),
    ("no plugin-api", GOOD, &["abi-plugin-api"], |bad| bad.record(|record| package(record, "plugin-api").name = "x".into())),
    ("another line of abi_stable", GOOD, &["abi-stable"], |bad| bad.record(|record| package(record, "abi_stable").version.minor += 1)),
    ("another serde_json", GOOD, &["dependency"], |bad| bad.record(|record| package(record, "serde_json").version.patch += 1)),
    ("everything at once", "lib?.so.1.2.0", &["abi-panic", "abi-target", "compiler", "file-mode", "record-commands", "version-record"], |bad| {
        bad.mode(0o777);
        bad.record(|record| {
            other_compiler(record);
            record.panic = "abort".into();
            record.pointer_width = 32;
            record.commands.clear();
        });
    }),
];

/// A file of each case in the plugin directory: what is wrong, where it lies, and the codes.
fn bad_files(site: &Site, plugin: &Path) -> Vec<(&'static str, PathBuf, Vec<&'static str>)> {
    let mut expected = Vec::new();
    for (number, (what, name, codes, make)) in CASES.iter().enumerate() {
        if *codes == ["file-owner"] && !is_root() {
            eprintln!("SKIPPED: {what}: only root can give a file away");
            continue;
        }
        let bad = Bad::new(site, plugin, &format!("refusal-{number:03}"), name);
        make(&bad);
        expected.push((*what, bad.path.clone(), codes.to_vec()));
    }
    expected
}

#[test]
fn every_bad_file_has_its_code_and_keeps_nobody_from_being_served() {
    let site = Site::new("[plugin.submit-echo]\nrequired = true\nconfig.reply = true\n");
    let plugin = small(site.path());
    site.copy(&plugin, "libsubmit_echo.so.1.1.0");
    let expected = bad_files(&site, &plugin);

    // First the host, whose log is waited for: a file that it hangs on ends the test.
    let host = site.start();
    assert_eq!(host.connect().submit(0x02, b"still here").body, b"still here");
    let logged = refused(&host);
    host.stop();
    let (code, report) = site.check(&[]);
    assert_eq!(code, 1, "{report}");
    assert_eq!(shown(&report), logged, "the log and `check` show the same");
    assert_eq!(report["plugins"], json!([]));

    for (what, path, codes) in expected {
        let file = named(&report, &path);
        assert_eq!(self::codes(file), codes, "{what}: {file:#}");
        assert_eq!(file["state"], "refused", "{what}");
        if what == "an ack's command" {
            assert_eq!(file["refusals"][0]["plugin"], "[0x02, 0x80]");
        }
    }
}

/// Whether the shell has this command: not each machine has sudo, or compilers that rustup keeps.
fn can_run(site: &Site, command: &str) -> bool {
    let words: Vec<&str> = command.split(' ').collect();
    match words[..] {
        ["cargo", release, ..] if release.starts_with('+') => std::process::Command::new("cargo")
            .args([release, "-V"])
            .output()
            .is_ok_and(|output| output.status.success()),
        // As another user it must reach the program and the directory, which is for installed hosts to give.
        ["sudo", ..] => false,
        _ => site.path().exists(),
    }
}

#[test]
fn every_cure_of_a_bad_file_runs_as_it_stands_and_names_what_is_known() {
    let site = Site::default();
    let plugin = small(site.path());
    bad_files(&site, &plugin);
    let (_, report) = site.check(&[]);
    let mut built = 0;
    for file in report["files"].as_array().unwrap() {
        // As `check` shows them: what cures several is said once.
        let refusals = file["refusals"].as_array().unwrap().iter();
        let cures: BTreeSet<&str> = refusals.map(|refusal| refusal["cure"].as_str().unwrap()).collect();
        for cure in cures {
            assert_names_what_is_known(cure);
            if !can_run(&site, cure) {
                eprintln!("SKIPPED: {cure}");
                continue;
            }
            // Where the plugin's author would paste it: the folder of a package of that name.
            let name = file["plugin"].as_str().unwrap_or("refusal-unknown");
            let is_build = cure.starts_with("cargo") && !cure.contains(" update ");
            if is_build && name.starts_with("refusal-") {
                let author = tests::crates::PluginCrate::new(name);
                author.write();
                succeed(author.shell(cure).env("CARGO_TARGET_DIR", author.target()));
                built += 1;
            } else if !cure.starts_with("cargo") {
                succeed(std::process::Command::new("sh").args(["-c", cure]));
            }
        }
    }
    assert!(built > 3, "{report:#}");
    // What was wrong with names and modes is mended; what is in the files is not.
    let (_, report) = site.check(&[]);
    let files = report["files"].as_array().unwrap();
    let left: BTreeSet<&str> = files.iter().flat_map(codes).collect();
    for mended in ["file-mode", "file-kind", "version-record"] {
        assert!(!left.contains(mended), "{mended}: {report:#}");
    }
}

#[test]
fn a_directory_that_others_may_change_serves_nothing() {
    for (what, spoil) in [("writable by everybody", Some(0o777)), ("another user's", None)] {
        let site = Site::default();
        let plugin = small(site.path());
        site.copy(&plugin, "libsubmit_echo.so.1.1.0");
        Bad::new(&site, &plugin, "refusal-dir", "lib?.so.1.1.0").mode(0o757);
        match spoil {
            Some(mode) => fs::set_permissions(site.plugins(), Permissions::from_mode(mode)).unwrap(),
            None if is_root() => chown(site.plugins(), Some(12345), None).unwrap(),
            None => {
                eprintln!("SKIPPED: {what}: only root can give a directory away");
                continue;
            }
        }
        let host = site.start();
        assert_eq!(host.connect().submit(0x02, b"").result, 0xF0, "{what}");
        let logged = refused(&host);
        host.stop();
        let (code, report) = site.check(&[]);
        assert_eq!((code, shown(&report)), (1, logged), "{what}");
        let found: Vec<_> = report["files"].as_array().unwrap().iter().map(codes).collect();
        // The file's own fault is not hidden.
        assert_eq!(
            found,
            [vec!["directory-mode", "file-mode"], vec!["directory-mode"]],
            "{what}"
        );
    }
}

#[test]
fn a_file_from_elsewhere_needs_a_plugins_name() {
    let site = Site::default();
    let file = site.path().join("plugin.bin");
    fs::copy(small(site.path()), &file).unwrap();
    let (code, report) = site.check(&[&file]);
    assert_eq!((code, codes(named(&report, &file))), (1, vec!["name-form"]));
}

#[test]
fn code_in_a_refused_file_does_not_run() {
    let site = Site::default();
    let mark = site.path().join("constructed");
    let environment = [("REFUSALS_MARK", mark.to_str().unwrap())];
    let name = "librefusals_constructor.so.1.0.0";

    site.copy(&constructor("wrong-soname", "record.name = \"else\".to_owned();"), name);
    let check = site
        .command()
        .args(["check", "--json", "--plugins"])
        .arg(site.configuration())
        .envs(environment)
        .output();
    let check = check.unwrap();
    let report: Value = serde_json::from_slice(&check.stdout).unwrap();
    assert_eq!(check.status.code(), Some(1));
    assert_eq!(codes(&report["files"][0]), ["soname-file", "soname-record"]);
    assert!(!mark.exists(), "check ran the constructor");
    let host = site.spawn(&environment);
    assert_eq!(host.connect().submit(0x10, b"").result, 0xF0);
    assert_eq!(refused(&host).len(), 2);
    host.stop();
    assert!(!mark.exists(), "the host ran the constructor");

    // The same with the right soname: that the constructor works is what makes its silence mean something.
    site.copy(&constructor("right-soname", ""), name);
    let host = site.spawn(&environment);
    assert_eq!(host.connect().submit(0x10, b"").result, 0);
    assert!(mark.exists());
    host.stop();
}

#[test]
fn a_file_that_does_not_load_is_refused_like_any_other() {
    // Text in the file, and what is put in its place: what it links, what it exports, and what its types look like.
    let cases = [
        ("load-open", "libgcc_s.so.1", "libgone_.so.1"),
        ("load-entry", "HOST_PLUGIN_ENTRY", "HOST_PLUGIN_OTHER"),
        (
            "load-layout",
            "abi stable library for Rust",
            "abi stable library for Gust",
        ),
        ("load-layout", "handle_batch;", "answer_batch;"),
    ];
    let site = Site::default();
    let plugin = small(site.path());
    site.copy(&plugin, "libsubmit_echo.so.1.1.0");
    for (number, (_, old, new)) in cases.iter().enumerate() {
        let bad = Bad::new(&site, &plugin, &format!("refusal-{number:03}"), GOOD);
        bad.record(|record| record.commands = vec![0x40 + u8::try_from(number).unwrap()]);
        bad.replace(old.as_bytes(), new.as_bytes());
    }
    let (code, report) = site.check(&[]);
    assert_eq!(code, 0, "{report:#}");
    let host = site.start();
    let mut client = host.connect();
    assert_eq!(client.submit(0x02, b"").result, 0);
    let refusals = refused(&host);
    assert_eq!(refusals.len(), cases.len(), "{refusals:#?}");
    for (number, (code, old, new)) in cases.iter().enumerate() {
        let soname = format!("librefusal_{number:03}.so.1");
        let refusal = refusals.iter().find(|[file, ..]| *file == soname);
        assert_eq!(refusal.unwrap()[1], *code, "{old} made {new}: {refusals:#?}");
        assert_eq!(client.submit(0x40 + u8::try_from(number).unwrap(), b"").result, 0xF0);
        assert!(
            !site.plugins().join(soname).exists(),
            "what does not serve gets no link"
        );
    }
    host.stop();
}

#[test]
fn the_host_exports_nothing() {
    use object::{Object, ObjectSymbol};
    let exported = |file: &Path| -> Vec<String> {
        let bytes = fs::read(file).unwrap();
        let file = object::File::parse(bytes.as_slice()).unwrap();
        let own = file.dynamic_symbols().filter(|symbol| symbol.is_definition());
        own.map(|symbol| symbol.name().unwrap().to_owned()).collect()
    };
    assert_eq!(exported(tests::cargo::host_binary()), Vec::<String>::new());
    assert!(exported(&sample("submit-echo")).contains(&"HOST_PLUGIN_ENTRY".to_owned()));
}

#[test]
fn every_code_is_asked_for_by_some_test() {
    let codes: Vec<&str> = plugin_record::Code::ALL.iter().map(|code| code.as_str()).collect();
    let tests = fs::read_dir(root().join("tests/it")).unwrap();
    let tests: String = tests
        .map(|test| fs::read_to_string(test.unwrap().path()).unwrap())
        .collect();
    let forgotten: Vec<&&str> = codes
        .iter()
        .filter(|code| !tests.contains(&format!("\"{code}\"")))
        .collect();
    assert!(forgotten.is_empty(), "no test asks for {forgotten:?}");
}

fn other_compiler(record: &mut Record) {
    record.compiler.release = "1.2.3".into();
    record.compiler.version_line = "rustc 1.2.3 (of long ago)".into();
}

#[track_caller]
fn package<'a>(record: &'a mut Record, name: &str) -> &'a mut plugin_record::Package {
    record.packages.iter_mut().find(|package| package.name == name).unwrap()
}

/// A plugin whose constructor creates the file that REFUSALS_MARK names; `before_naming` may change the record from which
/// the soname is made.
fn constructor(variant: &str, before_naming: &str) -> PathBuf {
    let mut plugin = tests::crates::PluginCrate::new("refusals-constructor").variant(variant);
    plugin.build = Some(format!(
        "#[allow(unused_mut)]\nfn main() {{\n    let facts = plugin_build::gather().unwrap();\n    \
         plugin_build::write(&facts).unwrap();\n    let mut record = facts.record;\n    {before_naming}\n    plugin_build::name_library(&record).unwrap();\n}}\n"
    ));
    let constructor = "#[used]\n#[unsafe(link_section = \".init_array\")]\nstatic START: extern \"C\" fn() = start;\n\
        extern \"C\" fn start() {\n    if let Some(mark) = std::env::var_os(\"REFUSALS_MARK\") {\n        \
        std::fs::write(mark, \"\").unwrap();\n    }\n}\n";
    plugin.source = tests::crates::source(constructor, "Ack::ok()");
    plugin.library()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
