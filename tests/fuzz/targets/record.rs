//! Records: whatever the text, it is parsed without a panic; what was parsed can be written and is the same when it is
//! parsed again; and it can be compared, with itself without a difference.
#![no_main]

use host::admission::host_record::host_record;
use libfuzzer_sys::fuzz_target;
use plugin_record::{Code, FORMAT, Identity, Policy, compare, note, path_to};

fuzz_target!(|bytes: &[u8]| {
    let _ = note::decode(bytes); // as a whole note
    let Ok(record) = note::parse(FORMAT, bytes) else {
        return;
    };
    match note::encode(&record) {
        Ok(note) => assert_eq!(note::decode(&note).expect("our own note"), record),
        // Keys that may be left out are written: then it can be longer than what was read.
        Err(note::ParseError::TooLarge { .. }) => {}
        Err(error) => panic!("{error}"),
    }
    for index in 0..record.packages.len().min(16) {
        let path = path_to(&record, index);
        assert!(path.is_empty() || (path[0] == 0 && path[path.len() - 1] == index));
    }
    compare(host_record(), &record, &Policy::default());
    compare(&record, host_record(), &Policy::default());
    let itself = compare(&record, &record, &Policy::default());
    let unknown = |identity: &Identity| matches!(identity, Identity::Registry { checksum: None });
    if !record.packages.iter().any(|package| unknown(&package.identity)) {
        assert!(itself.refusals.iter().all(|refusal| refusal.code != Code::Dependency));
    }
});
