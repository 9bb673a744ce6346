//! The shortest way through everything.

use tests::cargo::sample;
use tests::crates::PluginCrate;
use tests::host::Site;

#[test]
fn installed_plugins_answer() {
    let site = Site::with(
        "[plugin.submit-echo.config]\nreply = true\n",
        &[&sample("submit-echo"), &PluginCrate::new("smoke").library()],
    );
    let host = site.start();
    let mut client = host.connect();
    assert_eq!(client.submit(0x02, b"hello").body, b"hello");
    assert_eq!(client.submit(0x10, b"hello").result, 0);
    assert_eq!(client.submit(0x11, b"hello").result, 0xF0);
    host.stop();
}
