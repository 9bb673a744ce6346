//! `host submit`: what is sent is what was given, byte by byte, what is printed is what came back, and whatever the other end
//! does there is an end with a reason.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output, Stdio};

use tests::cargo::sample;
use tests::client::{frame, hex};
use tests::false_host;
use tests::host::{Host, Site};

const ECHO: &str = "[plugin.submit-echo.config]\nreply = true\n";

/// A host with submit-echo.
fn serve(configuration: &str) -> (Site, Host) {
    let site = Site::with(configuration, &[&sample("submit-echo")]);
    let host = site.start();
    (site, host)
}

fn submit(site: &Site, address: &str, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = site.command();
    command.args(["submit", "--addr", address]).args(arguments);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(input); // not everybody reads it
    child.wait_with_output().unwrap()
}

fn streams(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Arguments, the standard input, exit code, standard output.
type Call<'a> = (&'a [&'a str], &'a [u8], i32, &'a str);

// Long: a table of cases.
#[test]
fn payloads_are_sent_and_acks_printed() {
    let (site, host) = serve(ECHO);
    let file = site.path().join("payload");
    fs::write(&file, b"a\n\xff\r\n").unwrap();
    let file = file.to_str().unwrap();
    let hello = "ack 0x81 of 00000001: result 0x00 (success), body \"hello\"\n";
    let empty = "ack 0x81 of 00000001: result 0x00 (success)\n";
    let bytes = "ack 0x81 of 00000001: result 0x00 (success), body in hex 610aff0d0a\n";
    let two = format!("{hello}ack 0x81 of 00000002: result 0x00 (success), body \"world\"\n");
    let conn = format!("ack 0x80 of Conn 00000000: result 0x00 (success)\n{hello}");
    let calls: &[Call<'_>] = &[
        (&["hello"], b"", 0, hello),
        (&["-c", "2", "hello"], b"", 0, hello),
        (&["--command", "0x02", ""], b"", 0, empty),
        // Lines, however they end.
        (&[], b"hello\nworld\n", 0, &two),
        (&[], b"hello\r\nworld", 0, &two),
        (&[], b"", 0, ""),
        (&[], b"\n", 0, empty),
        // The same bytes in three ways.
        (&["--hex", "610a ff\n0d 0A"], b"", 0, bytes),
        (&["--file", file], b"", 0, bytes),
        (&["--file", "-"], b"a\n\xff\r\n", 0, bytes),
        (&["--hex", ""], b"", 0, empty),
        (&["--file", "/dev/null"], b"", 0, empty),
        (&["--conn", "hello"], b"", 0, &conn),
        (&["--conn=who I am", "hello"], b"", 0, &conn),
        (
            &["--conn"],
            b"",
            0,
            "ack 0x80 of Conn 00000000: result 0x00 (success)\n",
        ),
        (
            &["-c", "0x7f", "hello"],
            b"",
            1,
            "ack 0xfe of 00000001: result 0xf0 (no plugin for this command)\n",
        ),
        (
            &["--json", "hello"],
            b"",
            0,
            "{\"request\":2,\"command\":129,\"id\":\"00000001\",\"result\":0,\"meaning\":\"success\",\"body\":\"hello\",\
             \"body_hex\":\"68656c6c6f\"}\n",
        ),
        (
            &["--json", "--hex", "ff00"],
            b"",
            0,
            "{\"request\":2,\"command\":129,\"id\":\"00000001\",\"result\":0,\"meaning\":\"success\",\"body\":null,\
             \"body_hex\":\"ff00\"}\n",
        ),
    ];
    for (arguments, input, code, expected) in calls {
        let output = submit(&site, &host.address(), arguments, input);
        let expected = (Some(*code), (*expected).to_owned(), String::new());
        assert_eq!(streams(&output), expected, "{arguments:?}");
    }
    // An argument that is no text.
    let mut command = site.command();
    command.args(["submit", "--addr", &host.address()]);
    command.arg(OsStr::from_bytes(b"a\n\xff\r\n"));
    assert_eq!(streams(&command.output().unwrap()).1, bytes);
    host.stop();
}

/// Who asks for several payloads, or for one that is none, is told before anything is sent.
#[test]
fn what_is_no_payload_is_wrong_usage() {
    let site = Site::default();
    for (arguments, says) in [
        (&["--hex", "00 1"][..], "the digit at character 4 has no second one"),
        (&["--hex", "0g"], "'g' at character 2 is no hex digit"),
        (&["--hex", "00", "text"], "cannot be used with"),
        (&["--file", "x", "--hex", "00"], "cannot be used with"),
        (&["--file"], "--file <FILE>"),
    ] {
        let (code, stdout, stderr) = streams(&submit(&site, "127.0.0.1:1", arguments, b""));
        assert_eq!((code, &*stdout), (Some(2), ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains(says), "{arguments:?}: expected {says}\n{stderr}");
    }
    for (file, says) in [
        ("nowhere", "host: can't read nowhere: No such file"),
        ("plugins", "host: can't read plugins: Is a directory"),
    ] {
        let (code, _, stderr) = streams(&submit(&site, "127.0.0.1:1", &["--file", file], b""));
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.starts_with(says), "{stderr}");
    }
    for (address, says) in [
        (
            "127.0.0.1:1",
            "can't reach a host at 127.0.0.1:1; does it run?: Connection refused",
        ),
        ("localhost", "\"localhost\" is no address: expected one with a port"),
    ] {
        let (code, _, stderr) = streams(&submit(&site, address, &["x"], b""));
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains(says), "{stderr}");
    }
}

#[test]
fn a_payload_that_is_too_long_names_both_sizes() {
    let (site, host) = serve("");
    // More than any host takes: nobody is asked.
    let file = site.path().join("long");
    File::create(&file).unwrap().set_len((64 << 20) + 1).unwrap();
    for (path, size) in [(file.to_str().unwrap(), "67108865"), ("/dev/zero", "more")] {
        let (code, _, stderr) = streams(&submit(&site, "127.0.0.1:1", &["--file", path], b""));
        assert_eq!(code, Some(1), "{stderr}");
        let says = format!("{path} is too long for a payload: expected at most 67108851 bytes, found {size}");
        assert!(stderr.contains(&says), "{stderr}");
    }
    // As much as this host takes, and more.
    for (size, code) in [(65_523, 0), (65_524, 1)] {
        File::create(&file).unwrap().set_len(size).unwrap();
        let output = submit(&site, &host.address(), &["--file", file.to_str().unwrap()], b"");
        assert_eq!(output.status.code(), Some(code), "{size}: {output:?}");
        let stderr = streams(&output).2;
        let says = "no ack for Submit 00000001 (the frame has 65537 bytes, and this host may take fewer: by default \
                    server.max_frame is 65536): the host closed the connection";
        assert!(code == 0 || stderr.contains(says), "{stderr}");
    }
    host.stop();
}

#[test]
fn hosts_that_are_none_are_found_out() {
    let site = Site::default();
    let lie = |length: i32, more: &[u8]| [&length.to_be_bytes()[..], more].concat();
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (
            vec![],
            "no ack for Submit 00000001: the host closed the connection after 0 bytes of it",
        ),
        (
            frame(0x81, b"00000001", b"\0whole")[..16].to_vec(),
            "the host closed the connection after 16 bytes of it",
        ),
        (
            lie(-1, b""),
            "its length would be -1 bytes, expected 14 to 67108864: is this a host?",
        ),
        (lie(i32::MAX, b"x"), "its length would be 2147483647 bytes"),
        (b"HTTP/1.1 400 Bad Request\r\n".to_vec(), "is this a host?"),
        (
            frame(0x81, b"000\xff0002", b"\0"),
            "expected the ack of Submit 00000001, found one of 000\\xff0002: is this a host?",
        ),
        (
            frame(0x02, b"00000001", b"\0"),
            "expected ack 0x81 or 0x82 for Submit 00000001, found 0x02: is this a host?",
        ),
    ];
    for (answer, says) in cases {
        let address = false_host::listen(move |mut stream| answer_with(&mut stream, &answer));
        let (code, stdout, stderr) = streams(&submit(&site, &address, &["x"], b""));
        assert_eq!((code, &*stdout), (Some(1), ""), "{says}: {stderr}");
        assert!(stderr.contains(says), "expected {says}\n{stderr}");
    }
    // protocol.ack = "documented"; and a Conn that is not let in is the last word.
    let address = false_host::listen(|mut stream| answer_with(&mut stream, &frame(0x82, b"00000001", b"\0")));
    assert_eq!(submit(&site, &address, &["x"], b"").status.code(), Some(0));
    let address = false_host::listen(|mut stream| answer_with(&mut stream, &frame(0x80, b"00000000", b"\xf4")));
    let (code, stdout, stderr) = streams(&submit(&site, &address, &["--conn=me", "x"], b""));
    let refused = "ack 0x80 of Conn 00000000: result 0xf4 (not authorised)\n";
    assert_eq!((code, &*stdout, &*stderr), (Some(1), refused, ""));
}

/// Reads one request, answers and hangs up.
fn answer_with(stream: &mut TcpStream, answer: &[u8]) {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut rest = vec![0; u32::from_be_bytes(length) as usize - 4];
    stream.read_exact(&mut rest).unwrap();
    stream.write_all(answer).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let _ = stream.read(&mut rest); // until the client has gone
}

/// An ack that is said to have 64 MiB takes as much memory as has come of it.
#[test]
fn the_length_of_an_ack_takes_no_memory() {
    let site = Site::default();
    let address = false_host::listen(|mut stream| answer_with(&mut stream, &hex("04 00 00 00 81")));
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "ulimit -v 60000; exec \"$0\" submit --addr \"$1\" x"])
        .arg(site.command().get_program())
        .arg(&address)
        .stdin(Stdio::null());
    let (code, _, stderr) = streams(&shell.output().unwrap());
    assert_eq!(code, Some(1), "{stderr}");
    assert!(
        stderr.contains("the host closed the connection after 5 bytes of it"),
        "{stderr}"
    );
}
