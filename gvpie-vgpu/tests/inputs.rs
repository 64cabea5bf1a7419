//! Features of WGSL, one kernel each, and sources of others.
//!
//! A file of `features` says in its first line what its kernel leaves in `out`, or why it is refused.
//! `GVPIE_NAGA_INPUTS` names a folder of naga's own test inputs (`naga/tests/in/wgsl` of its repository):
//! then each of their compute entry points runs, or is refused by name.

use gvpie_vgpu::ir::{BindingKind, Kernel};
use gvpie_vgpu::{Bindings, Buffer, Device, Error, Module, Options, RunError};
use std::path::{Path, PathBuf};
use std::time::Duration;

fn device() -> Device {
    let deadline = Some(Duration::from_secs(20));
    let options = Options { threads: 2, budget: 50_000_000, deadline, ..Options::default() };
    Device::new(options).unwrap()
}

/// The WGSL files of a folder, by name.
fn sources(folder: &Path) -> Vec<(String, String)> {
    let entries =
        std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "wgsl"));
    paths.sort();
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_string();
    paths.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

/// Buffers for all that a kernel binds, of `bytes` or as many as it needs, and the first of them that it
/// writes.
fn buffers(kernel: &Kernel, bytes: u64) -> (Bindings, Option<Buffer>) {
    let mut bindings = Bindings::new().immediate(&vec![0; kernel.immediate_bytes as usize]);
    let mut first = None;
    for binding in &kernel.bindings {
        let BindingKind::Buffer { least, writes, .. } = binding.kind else { continue };
        let buffer = Buffer::zeroed(least.max(bytes)).unwrap();
        bindings = bindings.buffer(binding.group, binding.binding, &buffer);
        if writes && first.is_none() {
            first = Some(buffer);
        }
    }
    (bindings, first)
}

/// Runs an entry point over zeros, and gives what is in the first buffer that it writes, or why it is
/// refused.
fn run(source: &str, entry: &str) -> Result<Vec<u32>, String> {
    let lower = |overrides: &[(String, f64)]| {
        let overrides: Vec<(&str, f64)> = overrides.iter().map(|(k, x)| (k.as_str(), *x)).collect();
        Module::new(source, &overrides)?.kernel(entry)
    };
    let mut overrides: Vec<(String, f64)> = Vec::new();
    let mut lowered = lower(&overrides);
    // Overrides without a value are 1.
    while let Err(Error::Override { name, .. }) = &lowered
        && overrides.iter().all(|(known, _)| known != name)
    {
        overrides.push((name.clone(), 1.0));
        lowered = lower(&overrides);
    }
    let kernel = match lowered {
        Ok(kernel) => kernel,
        Err(error @ (Error::Broken(_) | Error::Entry { .. })) => panic!("{entry}: {error}"),
        Err(error) => return Err(error.to_string()),
    };
    let (bindings, out) = buffers(&kernel, 1024);
    match device().dispatch(&kernel, &bindings, [1, 1, 1]) {
        Ok(()) => {}
        Err(error @ (RunError::Broken(_) | RunError::Kernel(_) | RunError::Address { .. })) => {
            panic!("{entry}: {error}")
        }
        Err(error) => return Err(error.to_string()),
    }
    let bytes = out.map_or(Vec::new(), |out| out.read(0, out.bytes()).unwrap());
    Ok(bytes.chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect())
}

#[test]
fn every_feature_runs_or_is_refused_by_name() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/features");
    let all = sources(&folder);
    assert!(all.len() >= 40, "{} files", all.len());
    let mut faults = Vec::new();
    for (name, source) in all {
        let first = source.lines().next().unwrap_or("");
        let came = run(&source, "main");
        let right = match (first.strip_prefix("// out: "), first.strip_prefix("// refused: ")) {
            (Some(words), None) => {
                let words: Vec<u32> = words.split(' ').map(|word| word.parse().unwrap()).collect();
                came.as_ref().is_ok_and(|found| found.starts_with(&words))
            }
            (None, Some(why)) => came.as_ref().is_err_and(|error| error.contains(why)),
            _ => panic!("{name}: what comes of it is not in its first line"),
        };
        if !right {
            let came = came.map(|mut words| {
                words.truncate(first.split(' ').count() - 2);
                words
            });
            faults.push(format!("{name}: {first}\n  came {came:?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn sources_of_naga_run_or_are_refused_by_name() {
    let Ok(folder) = std::env::var("GVPIE_NAGA_INPUTS") else {
        eprintln!("SKIPPED: GVPIE_NAGA_INPUTS names no folder");
        return;
    };
    let (mut ran, mut refused) = (0, 0);
    for (name, source) in sources(Path::new(&folder)) {
        let module = match Module::new(&source, &[]) {
            Ok(module) => module,
            Err(error) => {
                assert!(!error.to_string().contains("panicked"), "{name}: {error}");
                if source.contains("@compute") {
                    refused += 1;
                    println!("{name}: {:.300}", error.to_string().replace('\n', " "));
                }
                continue;
            }
        };
        for entry in module.entries() {
            match run(&source, &entry) {
                Ok(_) => ran += 1,
                Err(error) => {
                    assert!(!error.contains("panicked"), "{name}: {error}");
                    refused += 1;
                    println!("{name}, {entry}: {:.300}", error.replace('\n', " "));
                }
            }
        }
    }
    println!("{ran} entry points ran, {refused} are refused");
    assert!(ran > 0, "{folder}: no compute entry point");
}
