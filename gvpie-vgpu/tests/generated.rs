//! Generated kernels: the same bits from every executor, and nothing that a sanitizer tells.
//!
//! `GVPIE_PROOF=full` tries ten thousand, `quick` some; a kernel depends on its seed alone, and
//! `GVPIE_SEED` begins with it.

use crate::effort::Effort;
use crate::executors::{Executor, Gpu, Software};
use crate::generate::{Features, Generated, generate};
use gvpie_vgpu::{Execution, Options};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// The interpreter at a size of subgroups.
fn interpreter(subgroup: usize) -> Software {
    let execution = Execution::Interpreted;
    Software::new("interpreter", Options { threads: 1, subgroup, execution, ..Options::default() })
}

/// Machine code, so many lanes at a time.
fn compiled(lanes: usize) -> Software {
    let options = Options { threads: 1, subgroup: lanes, warp: lanes, ..Options::default() };
    Software::new("machine code", options)
}

/// What naga says of what is no kernel: one in a thousand divides by a constant 0 in some part of a vector,
/// or has an array of constants that naga 30 itself puts together twice.
const NO_KERNEL: [&str; 2] = [" is invalid\n", "Cannot cast scalar components"];

/// Checks kernels of so many seeds on all cores, each with a `check` of its own, and tells which failed.
fn none_fails<C: FnMut(&Generated) -> Result<(), String>>(
    what: &str,
    counts: [u64; 2],
    features: impl Fn(u64) -> Features + Sync,
    check: impl Fn() -> C + Sync,
) {
    let effort = Effort::of_environment();
    let count = counts[usize::from(effort == Effort::Full)];
    let first = effort.seed();
    println!("{}: {count} kernels, {what}", effort.again(first));
    let start = Instant::now();
    let (next, failures) = (AtomicU64::new(first), Mutex::new(Vec::new()));
    let refused = AtomicU64::new(0);
    let work = || {
        let mut check = check();
        loop {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= first + count || failures.lock().unwrap().len() >= 10 {
                return;
            }
            let kernel = generate(seed, features(seed));
            let Err(fault) = check(&kernel) else { continue };
            if NO_KERNEL.iter().any(|what| fault.contains(what)) {
                refused.fetch_add(1, Relaxed);
            } else {
                println!("{}: {fault}\n{}", effort.again(seed), kernel.source);
                failures.lock().unwrap().push(seed);
            }
        }
    };
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{what}: seeds {failures:?}");
    let refused = refused.into_inner();
    assert!(refused * 100 <= count, "{what}: naga refused {refused} of {count}");
    println!("{count} kernels, {refused} refused by naga, {what}: {:.0?}", start.elapsed());
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
    none_fails("compiled and interpreted", [20, 10_000], all, || {
        let software = interpreter(32);
        let compiled = LANES.map(compiled);
        move |kernel: &Generated| {
            compiled.iter().try_for_each(|compiled| same(kernel, &software, compiled, true))
        }
    });
}

#[test]
fn machine_code_does_what_the_interpreter_does_in_subgroups() {
    let features = |seed| Features { subgroups: true, ..all(seed) };
    none_fails("compiled and interpreted, with subgroups", [20, 10_000], features, || {
        let both = LANES.map(|lanes| (interpreter(lanes), compiled(lanes)));
        move |kernel: &Generated| {
            both.iter().try_for_each(|(software, compiled)| same(kernel, software, compiled, true))
        }
    });
}

#[test]
fn generated_kernels_agree_with_the_gpu() {
    let Some(gpu) = Gpu::wanted() else {
        eprintln!("SKIPPED: no GPU");
        return;
    };
    let offered = gpu.features;
    drop(gpu);
    let has = |feature, wanted: bool| wanted && offered.contains(feature);
    let features = |seed| Features {
        half: has(wgpu::Features::SHADER_F16, all(seed).half),
        double: has(wgpu::Features::SHADER_F64, all(seed).double),
        long: has(wgpu::Features::SHADER_INT64, all(seed).long),
        vulkan: true,
        ..Features::default()
    };
    none_fails("with the GPU", [20, 10_000], features, || {
        let (software, gpu) = (interpreter(32), Gpu::wanted());
        move |kernel: &Generated| match &gpu {
            Some(gpu) => same(kernel, &software, gpu, false),
            None => Err("the GPU is gone".into()),
        }
    });
}

#[test]
fn clean_kernels_have_nothing_to_tell() {
    let features = |seed| Features { clean: true, stray: false, ..all(seed) };
    none_fails("under the sanitizer", [60, 1000], features, || {
        let software = interpreter(32);
        move |kernel: &Generated| {
            let report = software.check(kernel)?;
            let told: Vec<String> =
                report.findings.iter().map(|f| f.text(&kernel.source)).collect();
            if told.is_empty() { Ok(()) } else { Err(told.join("\n")) }
        }
    });
}
