//! Files: whatever the bytes, they are read, and what was read is judged, without a panic.
#![no_main]

use host::admission::host_record::host_record;
use host::admission::inspect;
use libfuzzer_sys::fuzz_target;
use plugin_record::{Policy, compare};

fuzz_target!(|bytes: &[u8]| {
    let read = inspect::read(bytes);
    // What this machine could load is what can be read, and is read the same.
    match (&read, inspect::inspect(bytes)) {
        (Ok(read), Ok(inspection)) => assert_eq!(read.soname, inspection.soname),
        (Err(fault), Ok(_)) => panic!("{fault}"),
        (_, Err(fault)) => drop(fault.to_string()),
    }
    if let Ok(Ok(record)) = read.map(|inspection| inspection.record) {
        compare(host_record(), &record, &Policy::default());
    }
});
