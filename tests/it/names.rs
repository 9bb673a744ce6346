//! What a package or a table is called, where two are called nearly the same.

use std::fs;

use serde_json::Value;
use tests::client::Client;
use tests::follow::quiet;
use tests::host::Site;
use tests::scene::{SONAME, bring_on, made, point};

// Long: one story, whose steps need each other.
#[test]
fn packages_whose_names_differ_in_their_dashes_do_not_displace_each_other() {
    let configuration = "[plugin.hot-probe]\nrequired = true\n";
    let site = Site::new(configuration);
    bring_on(&site, "hot-probe", "1.0.0", 0x10);
    let host = site.start();
    let mut client = host.connect();
    let results = |client: &mut Client| [0x10, 0x11].map(|command| client.submit(command, b"").result);

    // A higher version of the same soname, of another package; and one with a soname of its own.
    bring_on(&site, "hot_probe", "1.1.0", 0x11);
    let refused = host.wait_for_change("refused");
    assert_eq!(
        (&refused["code"], &refused["plugin"]),
        (&"name-taken".into(), &"hot_probe".into()),
        "{refused:#}"
    );
    bring_on(&site, "hot_probe", "2.0.0", 0x12);
    quiet(&host, 0);
    assert_eq!(results(&mut client), [0, 0xF0]);
    assert_eq!(client.submit(0x12, b"").result, 0xF0);
    assert_eq!(site.link(SONAME).unwrap(), "libhot_probe.so.1.0.0");
    assert!(!site.plugins().join("libhot_probe.so.2").exists());

    let (code, report) = site.check(&[]);
    let of_plugins: Vec<&Value> = report["plugins"]
        .as_array()
        .unwrap()
        .iter()
        .map(|of| &of["refusal"]["code"])
        .collect();
    assert_eq!(
        (code, of_plugins),
        (1, vec![&"name-taken".into(), &"name-taken".into()]),
        "{report:#}"
    );
    let other = made(&site, "hot_probe", "1.2.0", 0x11);
    let offered = site.path().join("libhot_probe.so");
    fs::rename(other, &offered).unwrap();
    let (code, said, _) = site.with_configuration(&["install", offered.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(said.contains("name-taken"), "{said}");

    // The link says which one it is.
    site.configure("");
    quiet(&host, 0);
    point(&site, "1.1.0");
    host.wait_for_change_where("added", "plugin", "hot_probe");
    assert_eq!(results(&mut client), [0xF0, 0]);
    assert_eq!(host.wait_for_change("removed")["plugin"], "hot-probe");
    site.configure(configuration);
    quiet(&host, 0);
    assert_eq!(results(&mut client), [0xF0, 0]);
    assert_eq!(site.link(SONAME).unwrap(), "libhot_probe.so.1.1.0");

    // A link that is taken away is taken away from both.
    fs::remove_file(site.plugins().join(SONAME)).unwrap();
    quiet(&host, 0);
    host.wait_for_change_where("removed", "plugin", "hot_probe");
    quiet(&host, 0);
    assert_eq!(results(&mut client), [0xF0, 0xF0]);
    assert!(!site.plugins().join(SONAME).exists());
    host.stop();

    // Where there is no link a start gives it to the one that has a table.
    let host = site.start();
    assert_eq!(results(&mut host.connect()), [0, 0xF0]);
    host.stop();
}

/// As for any other link: what it was moved to fails, and what serves goes on.
#[test]
fn a_link_that_is_moved_to_a_package_that_fails_leaves_what_serves() {
    let site = Site::new("[plugin.hot_probe.config]\nfail = true\n");
    bring_on(&site, "hot-probe", "1.0.0", 0x10);
    let host = site.start();
    let mut client = host.connect();
    bring_on(&site, "hot_probe", "1.1.0", 0x11);
    quiet(&host, 0);
    point(&site, "1.1.0");
    host.wait_for_change_where("refused", "code", "load-init");
    quiet(&host, 0);
    assert_eq!(client.submit(0x10, b"").result, 0);
    // Mended, it takes over.
    site.configure("");
    host.wait_for_change_where("added", "plugin", "hot_probe");
    assert_eq!(
        (client.submit(0x10, b"").result, client.submit(0x11, b"").result),
        (0xF0, 0)
    );
    host.stop();
}

#[test]
fn while_a_link_is_damaged_its_package_keeps_the_soname() {
    let site = Site::default();
    let file = bring_on(&site, "hot_probe", "1.0.0", 0x11);
    let host = site.start();
    let mut client = host.connect();
    fs::remove_file(file).unwrap();
    quiet(&host, 0);
    bring_on(&site, "hot-probe", "1.1.0", 0x10);
    quiet(&host, 0);
    quiet(&host, 0);
    assert_eq!(
        (client.submit(0x10, b"").result, client.submit(0x11, b"").result),
        (0xF0, 0)
    );
    assert_eq!(site.link(SONAME).unwrap(), "libhot_probe.so.1.0.0");
    host.stop();
}

#[test]
fn a_table_that_is_nearly_named_as_its_package_is_told_the_package() {
    for table in ["hot_probe", "hot-prob"] {
        let site = Site::new(&format!("[plugin.{table}]\ncommands = [0x05]\n"));
        bring_on(&site, "hot-probe", "1.0.0", 0x10);
        let (code, report) = site.check(&[]);
        assert_eq!(code, 1);
        let refusal = &report["plugins"][0]["refusal"];
        assert_eq!(refusal["code"], "plugin-missing");
        assert_eq!(
            refusal["plugin"], "libhot_probe.so.1 of the package hot-probe",
            "{refusal:#}"
        );
        let cure = refusal["cure"].as_str().unwrap();
        assert!(cure.contains("write [plugin.hot-probe]"), "{cure}");
    }
    // A file that is refused is why there is none.
    let site = Site::new("[plugin.hot-probe]\n");
    let file = bring_on(&site, "hot-probe", "1.0.0", 0x10);
    fs::rename(&file, site.plugins().join("libhot_probe.so.1.5.0")).unwrap();
    let refusal = &site.check(&[]).1["plugins"][0]["refusal"];
    assert_eq!(
        refusal["plugin"], "libhot_probe.so.1.5.0, which is refused",
        "{refusal:#}"
    );
    // Another plugin is no slip of the hand.
    let site = Site::new("[plugin.hot-prove-it]\n");
    bring_on(&site, "hot-probe", "1.0.0", 0x10);
    let refusal = &site.check(&[]).1["plugins"][0]["refusal"];
    assert_eq!(refusal["plugin"], "none that is admitted", "{refusal:#}");
    // And another line.
    let site = Site::new("[plugin.hot-probe]\nversion = \"3\"\n");
    bring_on(&site, "hot-probe", "1.0.0", 0x10);
    let refusal = &site.check(&[]).1["plugins"][0]["refusal"];
    assert_eq!(refusal["plugin"], "libhot_probe.so.1");
    assert!(
        refusal["cure"].as_str().unwrap().contains("`version = \"1\"`"),
        "{refusal:#}"
    );
}
