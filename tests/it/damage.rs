//! Damage is found, and what is no damage is not taken for it: a file cut off anywhere is refused, headers may say what
//! they like, and a plugin without symbols or section headers serves.

use std::fs::{self, File};
use std::path::PathBuf;

use serde_json::Value;
use tests::bad::{Bad, small};
use tests::cargo::sample;
use tests::host::Site;
use tests::report::{codes, refused, shown};

#[test]
fn a_plugin_cut_off_anywhere_is_refused() {
    let site = Site::default();
    let plugin = small(site.path());
    site.copy(&plugin, "libsubmit_echo.so.1.1.0");
    let bytes = fs::read(&plugin).unwrap();
    let lengths: Vec<usize> = (0..bytes.len()).step_by(4096).collect();
    for length in &lengths {
        fs::write(site.plugins().join(format!("libcut_{length}.so.1")), &bytes[..*length]).unwrap();
    }
    // And of the debug build as it is, whose end holds nothing that is loaded.
    let whole = fs::metadata(sample("submit-echo")).unwrap().len();
    let cut = site.copy(&sample("submit-echo"), "libcut_whole.so.1");
    File::options()
        .write(true)
        .open(cut)
        .unwrap()
        .set_len(whole - 1)
        .unwrap();

    let host = site.start();
    assert_eq!(host.connect().submit(0x02, b"").result, 0);
    let logged = refused(&host);
    host.stop();
    let (code, report) = site.check(&[]);
    assert_eq!((code, shown(&report)), (1, logged));
    let files = report["files"].as_array().unwrap();
    let cut = |file: &&Value| file["file"].as_str().unwrap().contains("libcut_");
    assert_eq!(files.iter().filter(cut).count(), lengths.len() + 1);
    for file in files.iter().filter(cut) {
        let is_empty = file["file"].as_str().unwrap().ends_with("libcut_0.so.1");
        assert_eq!(
            codes(file),
            [if is_empty { "file-empty" } else { "file-truncated" }],
            "{file:#}"
        );
    }
}

#[test]
fn a_plugin_without_symbols_or_section_headers_serves() {
    let site = Site::default();
    let plugin = small(site.path());
    site.copy(&plugin, "libsubmit_echo.so.1.1.0");
    let bare = Bad::new(&site, &plugin, "refusal-raw", "lib?.so.1.1.0");
    bare.record(|record| record.commands = vec![0x20]);
    bare.put(0x28, &[0; 8]); // e_shoff
    bare.put(0x3A, &[0; 6]); // e_shentsize, e_shnum, e_shstrndx
    let host = site.start();
    let mut client = host.connect();
    assert_eq!(
        (client.submit(0x02, b"").result, client.submit(0x20, b"").result),
        (0, 0)
    );
    assert!(refused(&host).is_empty());
    host.stop();
}

#[test]
fn check_survives_any_headers() {
    let site = Site::default();
    let plugin = small(site.path());
    let bytes = fs::read(&plugin).unwrap();
    let good = Bad { path: plugin };
    let dynamic = usize::try_from(good.word(good.segment(2) + 8)).unwrap();
    let note = usize::try_from(good.word(good.segment(4) + 8)).unwrap();
    let headers = 64 + 56 * usize::from(bytes[56]);
    let places: Vec<usize> = (4..headers)
        .chain(dynamic..dynamic + 0x180)
        .chain(note..note + 28)
        .collect();
    let mut random = 1u64; // a fixed sequence: Knuth's, as in MMIX
    let mut next = || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap()
    };
    let files: Vec<PathBuf> = (0..200)
        .map(|number| {
            let mut mutant = bytes.clone();
            for _ in 0..=number % 4 {
                mutant[places[next() % places.len()]] ^= u8::try_from(next() % 255 + 1).unwrap();
            }
            let folder = site.path().join(number.to_string());
            fs::create_dir(&folder).unwrap();
            let file = folder.join("libsubmit_echo.so");
            fs::write(&file, mutant).unwrap();
            file
        })
        .collect();
    let (code, report) = site.check(&files.iter().map(PathBuf::as_path).collect::<Vec<_>>());
    assert_eq!(code, 1);
    shown(&report);
    let files = report["files"].as_array().unwrap();
    let refused = files.iter().filter(|file| file["state"] == "refused").count();
    assert_eq!(files.len(), 200);
    assert!(refused > 100, "the mutations do harm: {refused}");
}
