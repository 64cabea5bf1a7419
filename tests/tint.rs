//! Our shaders in the hands of another implementation of WGSL: Tint, of Dawn and Chrome.
//!
//! Where the command `tint` is there. It knows the extensions of the standard, not those of wgpu.

use crate::effort::Effort;
use crate::uniformity::{CLEAN, PARTED, module, texts};
use gvpie_core::Kernel;
use std::collections::BTreeMap;
use std::process::{Command, Output};

/// Renderings of one shader that are tried unless all are.
const MOST: usize = 12;

/// What it says of a text; nothing where there is no such command.
fn tint(text: &str) -> Option<Output> {
    let folder = tempfile::tempdir().unwrap();
    let [given, made] = ["given.wgsl", "made.wgsl"].map(|name| folder.path().join(name));
    std::fs::write(&given, text).unwrap();
    let mut command = Command::new("tint");
    let run = command.args(["--format", "wgsl", "-o"]).arg(made).arg(given).output();
    run.map_err(|error| assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "tint: {error}"))
        .ok()
}

/// Whether there is one; says so if not.
fn present() -> bool {
    let present = tint("@compute @workgroup_size(1) fn main() {}").is_some();
    if !present {
        println!("No tint on the PATH: shaders are checked by naga alone.");
    }
    present
}

/// Whether it keeps to what every browser has: neither extensions of wgpu nor f64, which are naga's.
fn of_the_standard(text: &str) -> bool {
    text.lines().all(|line| {
        let code = line.split("//").next().unwrap_or("");
        let mut words = code.split(|c: char| !c.is_alphanumeric());
        !code.trim_start().starts_with("enable wgpu_") && words.all(|word| word != "f64")
    })
}

/// All of them with `GVPIE_PROOF=full`, else a few of each shader.
#[test]
fn every_shader_compiles_in_tint() {
    if !present() {
        return;
    }
    let most = if Effort::of_environment() == Effort::Full { usize::MAX } else { MOST };
    let texts = texts();
    let mut by_shader: BTreeMap<Option<&str>, Vec<(&String, &Kernel)>> = BTreeMap::new();
    for (text, kernel) in texts.iter().filter(|(text, _)| of_the_standard(text)) {
        by_shader.entry(kernel.shader()).or_default().push((text, kernel));
    }
    let chosen = by_shader.values().flat_map(|of| of.iter().step_by(of.len().div_ceil(most)));
    let (mut checked, mut wrong) = (0, Vec::new());
    for (text, kernel) in chosen {
        let output = tint(text).unwrap();
        let (said, label) = (String::from_utf8_lossy(&output.stderr), kernel.label());
        checked += 1;
        if !output.status.success() {
            wrong.push(format!("{label}: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {checked}:\n{}", wrong.len(), wrong.join("\n"));
    println!("tint compiles {checked} of {} shaders", texts.len());
}

#[test]
fn tint_and_the_lint_agree_on_barriers() {
    if !present() {
        return;
    }
    for (snippets, sound) in [(PARTED, false), (CLEAN, true)] {
        for snippet in snippets {
            let output = tint(&module(snippet)).unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.success(), sound, "{snippet}: {said}");
            assert!(sound || said.contains("uniform"), "{snippet}: {said}");
        }
    }
}
