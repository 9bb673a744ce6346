//! However wrong a plugin's own `handle_batch` is, each Submit gets one ack, and the log says what was wrong.

use tests::client::{frame, id};
use tests::crates::PluginCrate;
use tests::host::{Site, show};

#[test]
fn a_wrong_batch_handler_still_gives_one_ack_for_each_submit() {
    let mut plugin = PluginCrate::new("batches");
    plugin.source = include_str!("../plugins/batches.rs").to_owned();
    let site = Site::with("", &[&plugin.library()]);
    const MISSING: &str = "the batch handler returned without an ack for this Submit";
    // The payloads of one batch, their results, and what the log says.
    let batches: &[(&[&str], &[u8], &str)] = &[
        (&["", "", ""], &[0, 0, 0], ""),
        (&["", "panic", ""], &[0, 0xF1, 0xF1], "in the middle of a batch"),
        (&["panic"], &[0xF1], "panicked at src/lib.rs:"),
        (&["", "", "return", ""], &[0, 0, 0xF1, 0xF1], MISSING),
        (&["return"], &[0xF1], MISSING),
        (
            &["", "twice"],
            &[0, 0],
            "the batch handler gave 1 acks more than it was given Submits",
        ),
        (
            &["twice", "twice"],
            &[0, 0],
            "the batch handler gave 2 acks more than it was given Submits",
        ),
        (&["", "inner", ""], &[0, 0xF1, 0], "in one answer"),
        (&["", "f5", ""], &[0, 0xF1, 0], "result 0xf5 is the host's"),
    ];
    for (payloads, results, says) in batches {
        let host = site.start();
        let mut client = host.connect();
        let frames = payloads.iter().enumerate();
        let bytes: Vec<u8> = frames
            .flat_map(|(n, payload)| frame(0x10, &id(n), payload.as_bytes()))
            .collect();
        client.send(&bytes);
        for (number, result) in results.iter().enumerate() {
            let ack = client.ack();
            assert_eq!((ack.id, ack.result), (id(number), *result), "{payloads:?}");
        }
        // Nothing extra comes before the answer to the next one.
        assert_eq!(client.submit(0x10, b"").result, 0, "{payloads:?}");
        let log = host.stop();
        let errors: Vec<String> = log
            .iter()
            .filter(|event| event["level"] == "ERROR")
            .map(|event| event.to_string())
            .collect();
        assert_eq!(errors.is_empty(), says.is_empty(), "{payloads:?}:\n{}", show(&log));
        assert!(
            errors.iter().all(|error| error.contains(says)),
            "{payloads:?}: expected {says}:\n{}",
            show(&log)
        );
    }
}
