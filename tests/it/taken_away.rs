//! What is taken away is shut down, and what another version has taken over from waits, or is shut down as well, as the
//! operator says; and the folder that a plugin has for its own files.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tests::cargo::sample;
use tests::crates::lines;
use tests::files::with_identity;
use tests::host::Site;
use tests::scene::{NAME, SONAME, bring, lived, point};

#[test]
fn what_is_disabled_or_has_no_link_is_shut_down_with_what_waits_behind_it() {
    for by_link in [true, false] {
        let site = Site::default();
        bring(&site, NAME, "1.0.0");
        let host = site.start();
        bring(&site, NAME, "1.1.0");
        assert_eq!(
            host.wait_for_change_where("drained", "version", "1.0.0")["then"],
            "standby"
        );
        match by_link {
            true => fs::remove_file(site.plugins().join(SONAME)).unwrap(),
            false => site.configure("[plugin.hot-probe]\nenabled = false\n"),
        }
        let removed = host.wait_for_change_where("removed", "version", "1.1.0");
        let reason = if by_link {
            "its link is gone"
        } else {
            "[plugin.hot-probe] has enabled = false"
        };
        assert_eq!(removed["reason"], reason);
        for version in ["1.0.0", "1.1.0"] {
            let retired = host.wait_for_change_where("retired", "version", version);
            assert_eq!(retired["reason"], "it was taken away: nothing of it serves any more");
        }
        let gone = ["init", "init", "shutdown", "drop", "shutdown", "drop"];
        let mut so_far = lived(&site);
        so_far[2..].sort(); // the two end beside each other
        assert_eq!(so_far, ["init", "init", "drop", "drop", "shutdown", "shutdown"]);
        assert_eq!(host.connect().submit(0x10, b"").result, 0xF0);

        // Asked for again, it is made anew.
        match by_link {
            true => point(&site, "1.1.0"),
            false => site.configure(""),
        }
        host.wait_for_change("added");
        assert_eq!(lived(&site)[gone.len()..], ["init"]);
        assert_eq!(host.connect().submit(0x10, b"").result, 0);
        host.stop();
    }
}

/// A table speaks for one line of its plugin. What waits of another one was made without its configuration, and waits on.
#[test]
fn a_replaced_version_of_a_line_without_a_table_waits_in_standby() {
    let site = Site::new("[plugin.submit-echo]\ncommands = [0x30]\nconfig.reply = true\n");
    let bring = |version: &str| {
        let new = site.path().join("new");
        with_identity(&sample("submit-echo"), &new, "submit-echo", version);
        fs::rename(new, site.plugins().join(format!("libsubmit_echo.so.{version}"))).unwrap();
    };
    bring("1.0.0");
    bring("2.0.0");
    let host = site.start();
    bring("2.1.0");
    assert_eq!(
        host.wait_for_change_where("drained", "version", "2.0.0")["then"],
        "standby"
    );
    let client = &mut host.connect();
    assert_eq!(client.submit(0x30, b"by the table").body, b"by the table");
    assert_eq!(client.submit(0x02, b"by the record").body, b"");
    host.stop();
}

#[test]
fn a_version_that_was_replaced_is_shut_down_where_the_operator_says_so() {
    let site = Site::new("plugins.standby = \"shutdown\"\n");
    bring(&site, NAME, "1.0.0");
    let host = site.start();
    bring(&site, NAME, "1.1.0");
    assert_eq!(
        host.wait_for_change_where("drained", "version", "1.0.0")["then"],
        "shutdown"
    );
    let retired = host.wait_for_change_where("retired", "version", "1.0.0");
    assert_eq!(
        retired["reason"],
        "another version serves, and plugins.standby is \"shutdown\""
    );
    point(&site, "1.0.0");
    host.wait_for_change_where("rolled-back", "version", "1.0.0");
    host.wait_for_change_where("retired", "version", "1.1.0");
    assert_eq!(
        lived(&site),
        ["init", "init", "shutdown", "drop", "init", "shutdown", "drop"]
    );
    // Taken back, versions wait again; set again, those that wait are shut down.
    site.configure("plugins.standby = \"keep\"\n");
    host.wait_for_change("configuration-reread");
    point(&site, "1.1.0");
    host.wait_for_change_where("drained", "then", "standby");
    site.configure("plugins.standby = \"shutdown\"\n");
    host.wait_for_status("retired again", |_| {
        let retired = host.changes("retired").into_iter();
        retired.filter(|event| event["version"] == "1.0.0").nth(1)
    });
    host.stop();
}

#[test]
fn a_plugin_has_a_folder_of_its_own_that_the_host_makes() {
    let mode = |folder: &Path| fs::metadata(folder).unwrap().permissions().mode() & 0o7777;
    // By default beside the plugin directory; else where the configuration says, relative to its file.
    for (configuration, folder) in [
        ("", "data"),
        ("plugins.data_dir = \"state/of/plugins\"\n", "state/of/plugins"),
    ] {
        let site = Site::new(configuration);
        bring(&site, NAME, "1.0.0");
        let host = site.start();
        let folder = site.path().join(folder);
        assert_eq!((mode(&folder), mode(&folder.join("hot-probe"))), (0o700, 0o700));
        assert_eq!(lines(&folder.join("hot-probe/life")), ["init"]);
        host.stop();
    }
    // One that is there is left as it is; where others can write, it is said.
    let site = Site::default();
    bring(&site, NAME, "1.0.0");
    let folder = site.path().join("data/hot-probe");
    fs::create_dir_all(&folder).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
    let host = site.start();
    let warning = host.wait_for("others can write to the plugin's data directory");
    assert_eq!((&warning["plugin"], mode(&folder)), (&"hot-probe".into(), 0o777));
    host.stop();
    // One that can't be made keeps nobody from serving who needs none.
    let site = Site::new("plugins.data_dir = \"/proc/nowhere\"\n");
    site.copy(&tests::cargo::sample("submit-echo"), "libsubmit_echo.so.1.1.0");
    let host = site.start();
    host.wait_for("the plugin's data directory can't be made, in case it needs one");
    assert_eq!(host.connect().submit(0x02, b"").result, 0);
    host.stop();
}
