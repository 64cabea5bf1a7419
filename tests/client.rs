//! The client in Python, against a server that it finds as everyone does: by the address it tells.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A server that ends with the test.
struct Served {
    child: Child,
    url: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}

/// A server of a new folder, with a token.
fn serve(folder: &tempfile::TempDir, token: &str) -> Served {
    let mut child = Command::new(env!("CARGO_BIN_EXE_gvpie"))
        .args(["serve", "--json", "--backend", "cpu", "--addr", "127.0.0.1:0", "--data"])
        .arg(folder.path())
        .env("GVPIE_TOKEN", token)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let told: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
    let url = told["url"].as_str().unwrap_or_default().to_string();
    let served = Served { child, url };
    assert!(!served.url.is_empty(), "the server told {line:?}");
    served
}

#[test]
fn the_client_in_python_sees_what_it_expects() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(&folder, "a token");
    let output = Command::new("python3")
        .arg("-B")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/client.py"))
        .args(["--url", &served.url, "--token", "a token"])
        .output()
        .expect("python3 is installed");
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}{wrong}");
    assert_eq!(said.lines().filter(|line| line.starts_with("ok  ")).count(), 8, "{said}");
}
