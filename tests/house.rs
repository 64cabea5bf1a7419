//! The layout of `gvpie-core`, held to its own rules: which file may name what.

use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_under(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            files_under(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// (path below gvpie-core/src, code without comments)
fn sources() -> Vec<(String, String)> {
    let folder = root().join("gvpie-core/src");
    let mut paths = Vec::new();
    files_under(&folder, &mut paths);
    let code = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        lines.collect::<Vec<_>>().join("\n")
    };
    let name = |path: &PathBuf| path.strip_prefix(&folder).unwrap().to_str().unwrap().to_string();
    paths.iter().map(|path| (name(path), code(path))).collect()
}

/// The folders of gvpie-core/src that hold an operation.
fn operations(sources: &[(String, String)]) -> Vec<String> {
    let folder = |(path, _): &(String, String)| Some(path.strip_suffix("/plan.rs")?.to_string());
    sources.iter().filter_map(folder).collect()
}

#[test]
fn wgpu_is_named_only_where_devices_are_handled() {
    let allowed = ["adapter", "device", "buffer", "texture", "shader", "kernel", "batch", "lib"];
    for (path, code) in sources() {
        if !allowed.contains(&path.trim_end_matches(".rs")) && !path.starts_with("memory/") {
            assert!(!code.contains("wgpu::"), "{path} names wgpu");
        }
    }
}

#[test]
fn every_operation_has_the_five_files_and_their_arrows() {
    let sources = sources();
    let code = |path: String| &sources.iter().find(|(p, _)| *p == path).expect(&path).1;
    let operations = operations(&sources);
    assert!(operations.len() >= 2, "{operations:?}");
    for op in &operations {
        for file in ["mod", "plan", "gpu", "cpu", "tests"] {
            code(format!("{op}/{file}.rs"));
        }
        let (gpu, cpu) = (code(format!("{op}/gpu.rs")), code(format!("{op}/cpu.rs")));
        assert!(!gpu.contains("cpu::"), "{op}: gpu.rs sees cpu.rs");
        assert!(!cpu.contains("gpu::"), "{op}: cpu.rs sees gpu.rs");
        assert!(!cpu.contains("Context"), "{op}: cpu.rs needs a context");
        for other in operations.iter().filter(|other| *other != op) {
            for file in ["gpu", "cpu"] {
                let (_, mine): (Vec<_>, Vec<_>) = sources
                    .iter()
                    .filter(|(path, _)| path.starts_with(&format!("{op}/")))
                    .cloned()
                    .unzip();
                let named = format!("{other}::{file}::");
                assert!(!mine.concat().contains(&named), "{op} reaches into {other}/{file}.rs");
            }
        }
    }
    // Below the operations nothing knows them.
    for (path, code) in sources.iter().filter(|(path, _)| !path.contains('/') && path != "lib.rs") {
        for op in &operations {
            assert!(!code.contains(&format!("crate::{op}")), "{path} knows {op}");
        }
    }
}

#[test]
fn paths_say_what_is_in_them() {
    let words = [
        "manager", "helper", "utils", "util", "common", "base", "types", "misc", "fast", "new",
        "v2",
    ];
    for folder in [
        "gvpie-core/src",
        "gvpie-bootstrap/src",
        "gvpie-vgpu/src",
        "src",
        "shaders",
        "tests",
        "benches",
    ] {
        let mut paths = Vec::new();
        files_under(&root().join(folder), &mut paths);
        for path in paths {
            let name = path.file_name().unwrap().to_string_lossy().to_lowercase();
            for word in name.split(['_', '-', '.']) {
                assert!(!words.contains(&word), "{}", path.display());
            }
        }
    }
}
