//! The page of `gvpie serve`, as a person sees it: in headless Chromium, driven by
//! `tests/browser/page.py`.

use crate::adapter::{Wish, wish};
use std::process::{Command, Stdio};

/// Whether a command succeeds.
fn works(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// A Python that has Selenium, where there is all that the page is tested with; what is missing is
/// said aloud.
fn python() -> Option<&'static str> {
    // The system's packages are for the system's Python, which need not come first on the PATH.
    let has = |python: &&str| works(Command::new(python).args(["-c", "import selenium"]));
    let python = ["python3", "/usr/bin/python3"].into_iter().find(has);
    let tools = ["chromium", "chromedriver"];
    let mut missing: Vec<_> =
        tools.into_iter().filter(|tool| !works(Command::new(tool).arg("--version"))).collect();
    if python.is_none() {
        missing.push("python3-selenium");
    }
    if missing.is_empty() {
        return python;
    }
    let words = format!("not installed: {}", missing.join(", "));
    assert!(wish() != Wish::Require, "GVPIE_GPU=require: {words}");
    eprintln!("SKIPPED: {words}");
    None
}

#[test]
fn the_page_serves_a_person_from_mistake_to_cartridge() {
    let Some(python) = python() else { return };
    let output = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/page.py"))
        .args(["--gvpie", env!("CARGO_BIN_EXE_gvpie")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}{wrong}");
}
