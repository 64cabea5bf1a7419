//! Generated kernels: the same bits from every executor, and nothing that a sanitizer tells.
//!
//! `GVPIE_PROOF=full` tries ten thousand, `quick` some; a kernel depends on its seed alone, and
//! `GVPIE_SEED` begins with it.

use crate::effort::Effort;
use crate::executors::{Executor, Gpu, Software};
use crate::generate::{Features, Generated, generate};
use gvpie_vgpu::{Execution, Options};
use std::time::Instant;

/// The interpreter at a size of subgroups.
fn interpreter(subgroup: usize) -> Software {
    let execution = Execution::Interpreted;
    Software::new("interpreter", Options { threads: 2, subgroup, execution, ..Options::default() })
}

/// Machine code, so many lanes at a time.
fn compiled(lanes: usize) -> Software {
    let options = Options { threads: 2, subgroup: lanes, warp: lanes, ..Options::default() };
    Software::new("machine code", options)
}

/// Calls `check` with kernels of so many seeds, and tells which of them failed.
fn none_fails(
    what: &str,
    counts: [u64; 2],
    features: impl Fn(u64) -> Features,
    check: impl Fn(&Generated) -> Result<(), String>,
) {
    let effort = Effort::of_environment();
    let count = counts[usize::from(effort == Effort::Full)];
    let first = effort.seed();
    println!("{}: {count} kernels, {what}", effort.again(first));
    let start = Instant::now();
    let mut failures = Vec::new();
    for seed in first..first + count {
        let kernel = generate(seed, features(seed));
        if let Err(fault) = check(&kernel) {
            println!("{}: {fault}\n{}", effort.again(seed), kernel.source);
            failures.push(seed);
            if failures.len() == 10 {
                break;
            }
        }
    }
    assert!(failures.is_empty(), "{what}: seeds {failures:?}");
    println!("{count} kernels, {what}: {:.0?}", start.elapsed());
}

/// What a kernel leaves behind is what one executor says, to the last bit where it must be.
fn same(
    kernel: &Generated,
    one: &dyn Executor,
    other: &dyn Executor,
    bits: bool,
) -> Result<(), String> {
    let name = |executor: &dyn Executor, error| format!("{}: {error}", executor.name());
    let a = one.run(kernel).map_err(|error| name(one, error))?;
    let b = other.run(kernel).map_err(|error| name(other, error))?;
    let result = |k: usize| kernel.near.iter().any(|near| near.at + 2 == k % kernel.words);
    for (what, a, b) in [("result", &a[0], &b[0]), ("counter", &a[1], &b[1])] {
        for (k, (a, b)) in a.iter().zip(b).enumerate() {
            if a != b && (bits || what == "counter" || !result(k)) {
                let (lane, word) = (k / kernel.words, k % kernel.words);
                return Err(format!(
                    "{what} {k} (lane {lane}, word {word}): {a:#x} by {}, {b:#x} by {}",
                    one.name(),
                    other.name()
                ));
            }
        }
    }
    // A lane that returned early has zeros.
    for (name, out) in [(one.name(), &a[0]), (other.name(), &b[0])] {
        for lane in out.chunks(kernel.words) {
            for near in &kernel.near {
                let words = [lane[near.at], lane[near.at + 1], lane[near.at + 2]];
                if words != [0; 3]
                    && let Some(fault) = near.of.fault(words)
                {
                    return Err(format!("{name}: {fault}"));
                }
            }
        }
    }
    Ok(())
}

/// Lanes that machine code runs at a time.
const LANES: [usize; 4] = [4, 8, 16, 32];

/// All that the software device has.
fn all(seed: u64) -> Features {
    Features {
        half: seed.is_multiple_of(2),
        double: seed.is_multiple_of(3),
        long: seed.is_multiple_of(5),
        stray: true,
        ..Features::default()
    }
}

#[test]
fn machine_code_does_what_the_interpreter_does() {
    let software = interpreter(32);
    let compiled = LANES.map(compiled);
    none_fails("compiled and interpreted", [20, 10_000], all, |kernel| {
        compiled.iter().try_for_each(|compiled| same(kernel, &software, compiled, true))
    });
}

#[test]
fn machine_code_does_what_the_interpreter_does_in_subgroups() {
    let both = LANES.map(|lanes| (interpreter(lanes), compiled(lanes)));
    let features = |seed| Features { subgroups: true, ..all(seed) };
    none_fails("compiled and interpreted, with subgroups", [20, 10_000], features, |kernel| {
        both.iter().try_for_each(|(software, compiled)| same(kernel, software, compiled, true))
    });
}

#[test]
fn generated_kernels_agree_with_the_gpu() {
    let Some(gpu) = Gpu::wanted() else {
        eprintln!("SKIPPED: no GPU");
        return;
    };
    let has = |feature, wanted: bool| wanted && gpu.features.contains(feature);
    let features = |seed| Features {
        half: has(wgpu::Features::SHADER_F16, all(seed).half),
        double: has(wgpu::Features::SHADER_F64, all(seed).double),
        long: has(wgpu::Features::SHADER_INT64, all(seed).long),
        vulkan: true,
        ..Features::default()
    };
    let software = interpreter(32);
    none_fails("with the GPU", [20, 10_000], features, |kernel| {
        same(kernel, &software, &gpu, false)
    });
}

#[test]
fn clean_kernels_have_nothing_to_tell() {
    let features = |seed| Features { clean: true, stray: false, ..all(seed) };
    let software = interpreter(32);
    none_fails("under the sanitizer", [60, 1000], features, |kernel| {
        let report = software.check(kernel)?;
        let told: Vec<String> = report.findings.iter().map(|f| f.text(&kernel.source)).collect();
        if told.is_empty() { Ok(()) } else { Err(told.join("\n")) }
    });
}
