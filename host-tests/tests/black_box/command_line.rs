//! The command line of the embedded host: its errors, and its announcement.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use runnel_testing::{can_start_hosts, host_command, terminate_when_announced};

/// Runs the host, expects it to exit with an error, and returns its error message.
fn startup_error(state_dir: &Path, arguments: &[&str]) -> String {
    let output = host_command()
        .args(["--no-build", "--state-dir"])
        .arg(state_dir)
        .args(arguments)
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert_eq!(output.stdout, b"");
    assert!(errors.starts_with("error: "), "{errors}");
    assert_eq!(errors.lines().count(), 1, "{errors}");
    errors
}

#[test]
fn a_busy_port_is_reported_with_the_option_to_choose_another() {
    if !can_start_hosts("a busy port") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let errors = startup_error(directory.path(), &["--listen", &address]);
    assert!(
        errors.contains(&address) && errors.contains("--listen"),
        "{errors}"
    );
}

#[test]
fn an_unusable_state_directory_is_reported_with_its_path() {
    if !can_start_hosts("an unusable state directory") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "in the way").unwrap();
    for state_dir in [file.clone(), file.join("below")] {
        let errors = startup_error(&state_dir, &["--listen", "127.0.0.1:0"]);
        assert!(errors.contains(file.to_str().unwrap()), "{errors}");
    }
    assert_eq!(fs::read(&file).unwrap(), b"in the way");
}

#[test]
fn an_unknown_variable_is_reported_with_the_known_ones() {
    if !can_start_hosts("an unknown variable") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--variable",
        "hartbeat_seconds=1",
    ];
    let errors = startup_error(directory.path(), &arguments);
    assert!(errors.contains("hartbeat_seconds"), "{errors}");
    assert!(errors.contains("heartbeat_seconds"), "{errors}");
}

#[test]
fn a_host_that_has_announced_its_address_can_be_stopped_gracefully() {
    if !can_start_hosts("a stop right after the start") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..8 {
        let status = terminate_when_announced(directory.path());
        assert!(status.success(), "{status}");
    }
}
