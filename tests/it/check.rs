//! `host check` judges a plugin directory or single files: for people with both values and the cure of every refusal, for
//! machines as JSON with the fields that are documented.

use std::fs;
use std::path::Path;

use tests::cargo::sample;
use tests::files::with_record;
use tests::host::Site;

use crate::cli::keys;

const ECHO: &str = "libsubmit_echo.so.1.1.0";

// Long: a list of fields.
#[test]
fn a_checks_json_has_the_documented_fields() {
    let site = directory_with_one_of_each();
    let (code, report) = site.check(&[]);
    assert_eq!(code, 1);
    assert_eq!(
        keys(&report),
        "files misnamed plugins running running_error summary unversioned"
    );
    let states: Vec<(&str, &str)> = report["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| {
            (
                file["file"].as_str().unwrap().rsplit_once('/').unwrap().1,
                file["state"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("libsubmit_echo.so.1", "serving"),
        ("libsubmit_echo.so.1.1.0", "serving"),
        ("libsubmit_echo.so.1.2.0", "standby"),
        ("libsubmit_log.so.1.0.0", "refused"),
    ];
    assert_eq!(states, expected, "{report:#}");
    for file in report["files"].as_array().unwrap() {
        let fields =
            "commands differences digest file idle link notes opened plugin refusals state unavailable version";
        assert_eq!(keys(file), fields, "{file:#}");
        assert_eq!(file["digest"].as_str().unwrap().len(), 64, "{file:#}");
    }
    let link = &report["files"][0];
    assert_eq!(
        (&link["link"], &link["commands"]),
        (&ECHO.into(), &vec![0x02].into()),
        "{link:#}"
    );
    assert_eq!(
        (&link["plugin"], &link["version"]),
        (&"submit-echo".into(), &"1.1.0".into()),
        "{link:#}"
    );
    let refusal = &report["files"][3]["refusals"][0];
    assert_eq!(keys(refusal), "code cure field host plugin", "{refusal:#}");
    assert_eq!(
        (&refusal["code"], &refusal["plugin"]),
        (&"abi-panic".into(), &"abort".into()),
        "{refusal:#}"
    );
    let unserved = &report["plugins"][0];
    assert_eq!(keys(unserved), "plugin refusal soname", "{unserved:#}");
    assert_eq!(unserved["refusal"]["code"], "plugin-missing", "{unserved:#}");
    assert!(
        report["unversioned"][0]
            .as_str()
            .unwrap()
            .ends_with("/libunversioned.so"),
        "{report:#}"
    );
}

#[test]
fn a_check_for_people_shows_both_values_and_the_cures() {
    let site = directory_with_one_of_each();
    let (code, stdout, stderr) = site.with_configuration(&["check"]);
    assert_eq!((code, &*stderr), (1, ""), "{stdout}");
    for line in [
        "| libsubmit_echo.so.1.1.0 | serves [0x02]; layout: at load |",
        "| libsubmit_echo.so.1.2.0 | admitted, does not serve |",
        "| panic strategy | unwind | abort | refused: abi-panic |",
        "libsubmit_log.so.1.0.0:\n  abi-panic:\n    cargo build --release -p submit-log # after removing `panic = \"abort\"`",
        "not served: plugin-missing |",
        "cures for absent:\n  plugin-missing:\n    cargo build --release -p absent && host install",
        "libunversioned.so does not serve: its name has no version",
    ] {
        // Columns are as wide as their widest cell.
        let narrow = stdout
            .split(' ')
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join(" ");
        assert!(
            stdout.contains(line) || narrow.contains(line),
            "expected {line:?} in:\n{stdout}"
        );
    }
}

#[test]
fn a_file_of_the_directory_is_checked_as_such_and_one_from_elsewhere_alone() {
    let site = directory_with_one_of_each();
    let state = |file: &Path, expected: i32| {
        let (code, report) = site.check(&[file]);
        assert_eq!(code, expected, "{report:#}");
        assert_eq!(report["files"].as_array().unwrap().len(), 1, "{report:#}");
        report["files"][0]["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state(&site.plugins().join("libsubmit_echo.so.1"), 0), "serving");
    assert_eq!(state(&site.plugins().join(ECHO), 0), "serving");
    assert_eq!(state(&site.plugins().join("libsubmit_echo.so.1.2.0"), 0), "standby");
    assert_eq!(state(&site.plugins().join("libsubmit_log.so.1.0.0"), 1), "refused");
    assert_eq!(state("plugins/../plugins/libsubmit_echo.so.1".as_ref(), 0), "serving");
    // The same plugin by cargo's name, while another file holds its place in the directory.
    assert_eq!(state(&sample("submit-echo"), 0), "admitted");
    assert_eq!(state(&sample("submit-log"), 0), "admitted");
}

/// A plugin directory with a plugin that serves, one in standby, one refused, one missing, and a file without a version.
fn directory_with_one_of_each() -> Site {
    let site = Site::new("[plugin.absent]\n");
    let echo = sample("submit-echo");
    site.install(&echo);
    with_record(&echo, &site.plugins().join("libsubmit_echo.so.1.2.0"), |record| {
        record.version = "1.2.0".parse().unwrap();
    });
    with_record(
        &sample("submit-log"),
        &site.plugins().join("libsubmit_log.so.1.0.0"),
        |record| {
            record.panic = "abort".to_owned();
        },
    );
    fs::write(site.plugins().join("libunversioned.so"), "").unwrap();
    site
}
