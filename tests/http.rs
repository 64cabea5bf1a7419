//! The description of the HTTP interface, held against what is served: by schemathesis, where it is
//! installed (`pip install schemathesis`).

use crate::adapter::{Wish, wish};
use crate::effort::Effort;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A server of its own, which is ended with this.
struct Served {
    process: Child,
    url: String,
    folder: tempfile::TempDir,
}

impl Served {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_gvpie"))
            .args(["serve", "--json", "--addr", "127.0.0.1:0", "--backend", "cpu", "--data"])
            .arg(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: serde_json::Value = serde_json::from_str(&line).unwrap();
        Served { process, url: said["url"].as_str().unwrap().into(), folder }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn what_is_described_is_what_is_served() {
    let there = Command::new("schemathesis").arg("--version").stdout(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        assert!(wish() != Wish::Require, "GVPIE_GPU=require: schemathesis is not installed");
        eprintln!("SKIPPED: schemathesis is not installed");
        return;
    }
    let effort = Effort::of_environment();
    let cases = if effort == Effort::Full { "200" } else { "5" };
    let seed = effort.seed();
    println!("{}", effort.again(seed));
    let served = Served::start();
    let output = Command::new("schemathesis")
        .args([
            "--config-file",
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/http/schemathesis.toml"),
        ])
        .arg("run")
        .arg(format!("{}/api/openapi.json", served.url))
        .args([
            "--seed",
            &seed.to_string(),
            "--max-examples",
            cases,
            "--workers",
            "1",
            "--continue-on-failure",
        ])
        .current_dir(served.folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    println!("{}", said.lines().filter(|line| line.contains("generated")).collect::<String>());
}
