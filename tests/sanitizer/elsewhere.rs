//! WGSL that is not among the shaders: who looks at it.

use std::path::Path;

/// Sources with kernels of their own, and the test there that runs them under the sanitizer.
const OWN: [(&str, &str); 2] = [
    ("src/cli/bandwidth.rs", "fn its_kernels_pass_the_sanitizer"),
    ("src/cli/bench_vgpu/kernels.rs", "fn all_pass_the_sanitizer"),
];

fn files(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap();
            found.push((name.to_str().unwrap().into(), std::fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn kernels_elsewhere_have_tests_of_their_own() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    for folder in ["src", "gvpie-core/src", "gvpie-bootstrap/src"] {
        files(&root.join(folder), &mut sources);
    }
    let mut found = Vec::new();
    for (name, text) in &sources {
        let product = text.split("#[cfg(test)]").next().unwrap();
        let test_file = name.ends_with("tests.rs") || name.contains("/tests/");
        let code = |line: &str| !line.trim_start().starts_with("//");
        if !test_file && product.lines().any(|l| l.contains("@compute @workgroup") && code(l)) {
            found.push(name.as_str());
            let test = OWN.iter().find(|(own, _)| own == name).map(|(_, test)| test);
            let test = test.unwrap_or_else(|| panic!("{name}: no test looks at its kernels"));
            assert!(text.contains(test), "{name} has no {test}");
        }
    }
    found.sort_unstable();
    assert_eq!(found, OWN.map(|(name, _)| name));
    // The window's only draws.
    let window = std::fs::read_to_string(root.join("shaders/present.wgsl")).unwrap();
    assert!(window.contains("@fragment") && !window.contains("@compute"));
}
