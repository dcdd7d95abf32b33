//! The embedded host says what is wrong with how it was started.

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use crate::server::{host_binary, host_command, may_start_hosts};

/// Runs the host, which must give up, and returns what it says.
fn refused(state_dir: &Path, arguments: &[&str]) -> String {
    let output = host_command(host_binary())
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
fn a_busy_port_is_named_with_a_way_out() {
    if !may_start_hosts("a busy port") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let errors = refused(folder.path(), &["--listen", &address]);
    assert!(
        errors.contains(&address) && errors.contains("--listen"),
        "{errors}"
    );
}

#[test]
fn a_state_folder_that_cannot_be_one_is_named() {
    if !may_start_hosts("an unusable state folder") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "in the way").unwrap();
    for state_dir in [file.clone(), file.join("below")] {
        let errors = refused(&state_dir, &["--listen", "127.0.0.1:0"]);
        assert!(errors.contains(file.to_str().unwrap()), "{errors}");
    }
    assert_eq!(fs::read(&file).unwrap(), b"in the way");
}

#[test]
fn an_unknown_variable_is_named_with_the_known_ones() {
    if !may_start_hosts("an unknown variable") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--variable",
        "hartbeat_seconds=1",
    ];
    let errors = refused(folder.path(), &arguments);
    assert!(errors.contains("hartbeat_seconds"), "{errors}");
    assert!(errors.contains("heartbeat_seconds"), "{errors}");
}
