//! What a host that runs does not take is no success of `host install`: it exits with 1 and the host's reason, and the link and
//! the content that it has changed are as they were.

use std::fs;

use tests::follow::quiet;
use tests::host::Site;
use tests::installing::{expect, install, linked, serving, with_first};
use tests::scene::{NAME, SONAME, made, point};

#[test]
fn a_version_whose_init_fails_leaves_the_link_and_names_the_predecessor_that_may_be_the_cause() {
    let (site, host) = with_first("[plugin.hot-probe.config]\nlock = true\n");
    let said = install(&site, "1.1.0", &[], 1);
    expect(
        &said,
        &[
            "load-init",
            "would block",
            "may be held by hot-probe 1.0.0, which serves meanwhile",
            "1.0.0 serves on",
            "rm ",
        ],
    );
    assert_eq!(linked(&site), "1.0.0");
    let logged = host.wait_for_change_where("refused", "code", "load-init");
    assert!(logged["cure"].as_str().unwrap().contains("hot-probe 1.0.0"), "{logged}");
    // It is said again, with nothing changed; and a lower one, for which the link has to move first, gets it no longer.
    expect(&install(&site, "1.1.0", &[], 1), &["was there already", "load-init"]);
    point(&site, "1.1.0");
    quiet(&host, 0);
    expect(
        &install(&site, "1.1.0", &[], 1),
        &["load-init", "back to what serves: ln -sfn libhot_probe.so.1.0.0"],
    );
    point(&site, "1.0.0");
    quiet(&host, 0);
    expect(
        &install(&site, "1.0.1-rc.1", &[], 0),
        &["ln -sfn libhot_probe.so.1.0.1-rc.1"],
    );
    assert_eq!(serving(&site), "1.0.0");
    host.stop();
    let host = site.start();
    assert_eq!(host.wait_for_change("serving")["version"], "1.0.0");
    host.stop();
}

#[test]
fn a_link_that_was_moved_for_a_version_whose_init_fails_goes_back() {
    let site = Site::new("[plugin.hot-probe.config]\nlock = true\n");
    let host = site.start();
    install(&site, "1.1.0", &[], 0);
    expect(&install(&site, "1.0.0", &[], 1), &["load-init", "1.1.0 serves on"]);
    assert_eq!(linked(&site), "1.1.0");
    assert_eq!(serving(&site), "1.1.0");
    // Where there was no link there is none afterwards.
    site.configure("[plugin.hot-probe]\nconfig.fail = true\n");
    fs::remove_file(site.plugins().join(SONAME)).unwrap();
    host.wait_for_change("removed");
    quiet(&host, 0);
    expect(&install(&site, "1.0.0", &[], 1), &["told to fail"]);
    assert_eq!(site.link(SONAME), None);
    host.stop();
}

#[test]
fn what_is_refused_when_it_is_opened_or_for_its_configuration_is_no_success() {
    let constructed = |site: &Site| site.path().join("constructed");
    let site = Site::default();
    fs::create_dir(constructed(&site)).unwrap();
    let file = constructed(&site).join("journal");
    let host = site.spawn(&[("CONSTRUCTED", file.to_str().unwrap())]);
    host.wait_for("listening");
    install(&site, "1.0.0", &[], 0);
    // Its start-up code can't write any more, and ends the process that tries it out.
    fs::remove_dir_all(constructed(&site)).unwrap();
    expect(
        &install(&site, "1.1.0", &[], 1),
        &["load-crash", "cures for libhot_probe.so.1.1.0", "1.0.0 serves on"],
    );
    assert_eq!(linked(&site), "1.0.0");
    host.stop();

    let (site, host) = with_first("");
    // It is waited for what the host makes of the file by this configuration, which it has not read yet.
    site.configure("[plugin.hot-probe.config]\nnumbr = 1\n");
    expect(&install(&site, "1.0.0", &[], 1), &["load-config", "numbr"]);
    expect(
        &install(&site, "1.1.0", &[], 1),
        &["load-config", "numbr", "1.0.0 serves on"],
    );
    assert_eq!(linked(&site), "1.0.0");
    // Mended, and installed again at once.
    site.configure("[plugin.hot-probe.config]\nnumber = 1\n");
    expect(&install(&site, "1.1.0", &[], 0), &["libhot_probe.so.1.1.0 serves"]);
    site.configure("[plugin.hot-probe]\nenabled = false\n");
    expect(
        &install(&site, "1.2.0", &[], 1),
        &["enabled = false", "does not serve it"],
    );
    // Nothing stands against its link: once it is let in, it serves.
    assert_eq!(linked(&site), "1.2.0");
    site.configure("");
    host.wait_for_change_where("added", "version", "1.2.0");
    host.stop();
}

#[test]
fn other_content_under_a_name_that_serves_is_put_back_unless_the_host_takes_it() {
    let (site, host) = with_first("");
    let file = site.plugins().join("libhot_probe.so.1.0.0");
    let before = fs::read(&file).unwrap();
    let other = site.path().join("other/libhot_probe.so");
    fs::create_dir(other.parent().unwrap()).unwrap();
    fs::rename(made(&site, NAME, "1.0.0", 0x11), &other).unwrap();
    let replace = |exit| {
        let arguments = ["install", other.to_str().unwrap(), "--replace"];
        let (code, stdout, stderr) = site.with_configuration(&arguments);
        assert_eq!(code, exit, "{stdout}{stderr}");
        stdout
    };
    expect(
        &replace(1),
        &[
            "other-content",
            "has the content again that it had before",
            "1.0.0 serves on",
        ],
    );
    assert!(fs::read(&file).unwrap() == before);
    let names = |site: &Site| fs::read_dir(site.plugins()).unwrap().count();
    assert_eq!(names(&site), 2, "nothing else is left there");

    site.configure("plugins.replace = \"allow\"\n");
    expect(&replace(0), &["libhot_probe.so.1.0.0 serves"]);
    assert_eq!(names(&site), 2, "nothing else is left there");
    assert_eq!(host.connect().submit(0x11, b"").result, 0);
    host.stop();
}
