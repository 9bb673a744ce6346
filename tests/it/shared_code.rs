//! A crate may be a plugin and a library for other plugins. Each of them is a plugin of its own name; where that can't be,
//! the build says why, or the host's verdict does.

use serde_json::json;
use tests::cargo::{run, scratch, text};
use tests::crates::{PluginCrate, source, write};
use tests::host::Site;

use crate::dependencies::only_refusal;

const EXPORT: &str = "export_plugin!(Plugin);\n";

#[test]
fn a_plugin_that_uses_the_crate_of_another_plugin_has_its_own_name() {
    let base = base("shared-base", "#[cfg(feature = \"export\")]");
    // The other one's build leaves a library of this name as well, without a plugin in it; in an earlier run, too.
    base.forget();
    // Through a crate between them, and with an example, a program and a test of its own beside the library.
    let between = scratch().join("crates/shared-between");
    let manifest = format!(
        "[package]\nname = \"between\"\nedition = \"2024\"\n[dependencies]\n\
         base = {{ package = \"shared-base\", path = {:?}, default-features = false }}\n[workspace]\n",
        base.folder()
    );
    write(&between.join("Cargo.toml"), &manifest);
    write(&between.join("src/lib.rs"), "pub use base::answer;\n");
    let top = top("shared-top", &format!("between = {{ path = {between:?} }}"), "between");
    let program = "fn main() { assert_eq!(shared_top::answer(), 42) }\n";
    for file in ["examples/example.rs", "src/bin/program.rs"] {
        write(&top.folder().join(file), program);
    }
    write(
        &top.folder().join("tests/test.rs"),
        "#[test]\nfn answer() { assert_eq!(shared_top::answer(), 42) }\n",
    );

    let libraries = [base.library(), top.library()];
    let site = Site::default();
    for library in &libraries {
        let (code, report) = site.check(&[library]);
        assert_eq!(code, 0, "{report:#}");
        site.install(library);
    }
    let host = site.start();
    let mut client = host.connect();
    assert_eq!([0x10, 0x11].map(|command| client.submit(command, b"").result), [0, 0]);
    host.stop();

    let output = run(top
        .cargo("test")
        .args(["--lib", "--bins", "--tests", "--examples"])
        .env("CARGO_TARGET_DIR", top.target()));
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("test answer ... ok"), "{}", text(&output));
}

#[test]
fn a_second_plugin_in_a_library_is_an_error_that_says_what_to_write() {
    for (variant, condition) in [("always", ""), ("feature", "#[cfg(feature = \"export\")]\n/// Text.")] {
        let name = format!("shared-{variant}");
        let base = base(&name, condition);
        base.write();
        let dependency = format!("base = {{ package = {name:?}, path = {:?} }}", base.folder());
        let printed = top(&format!("{name}-top"), &dependency, "base")
            .try_library()
            .expect_err(variant);
        for part in [
            &*format!("{name}, which {name}-top depends on, is a plugin itself, and "),
            "src/lib.rs exports it in this build: a library holds one plugin",
            "Move the code that both need into a crate of its own",
        ] {
            assert!(printed.contains(part), "{variant}: {part:?} is not in\n{printed}");
        }
    }
}

#[test]
fn a_name_that_cargo_has_passed_on_is_refused_with_its_cause() {
    let mut base = base("shared-older", "#[cfg(feature = \"export\")]");
    // As a plugin-build did it that knew nothing of this.
    let argument = "cargo::rustc-cdylib-link-arg=-Wl,-soname,libshared_older.so.1";
    base.build = Some(format!("fn main() {{ println!({argument:?}) }}"));
    base.write();
    let dependency = format!(
        "base = {{ package = \"shared-older\", path = {:?}, default-features = false }}",
        base.folder()
    );
    let library = top("shared-named", &dependency, "base").library();
    let refusal = only_refusal(&Site::default(), &library);
    assert_eq!(
        (&refusal["code"], &refusal["plugin"]),
        (&json!("soname-record"), &json!("libshared_older.so.1"))
    );
    let cure = refusal["cure"].as_str().unwrap();
    assert!(
        cure.starts_with(
            "cargo build --release -p shared-named # after moving the code that it needs of shared-older into a crate of its own"
        ),
        "{cure}"
    );
}

/// A plugin that is a library, too. It is exported under `condition`, and its default feature is `export`.
fn base(name: &str, condition: &str) -> PluginCrate {
    let mut base = PluginCrate::new(name);
    base.lib = "crate-type = [\"cdylib\", \"rlib\"]".to_owned();
    base.manifest = "[features]\ndefault = [\"export\"]\nexport = []\n".to_owned();
    base.source = source("pub fn answer() -> u8 { 42 }", "Ack::ok()")
        .replace(EXPORT, &format!("{condition}\nplugin_api::{EXPORT}"))
        .replace(", export_plugin}", "}")
        .replace("struct Plugin", "pub struct Plugin");
    base
}

/// A plugin that uses it, on command 0x11; a library as well, for its own tests.
fn top(name: &str, dependency: &str, by: &str) -> PluginCrate {
    let mut top = PluginCrate::new(name);
    top.commands = Some("[0x11]".to_owned());
    top.lib = "crate-type = [\"cdylib\", \"rlib\"]".to_owned();
    top.dependencies = format!("{dependency}\n");
    top.source = source(
        &format!("pub use {by}::answer;"),
        "if answer() == 42 { Ack::ok() } else { Ack::result(1) }",
    );
    top
}
