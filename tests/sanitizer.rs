//! Every kernel of the project under the sanitizer of the device in software, with no driver at all.
//!
//! For each operation a test runs its hard cases, those that are small, and holds what they give against
//! their oracles. What ran is then held against every rendering that a plan can ask for, the list that
//! `shaders` validates: each entry point of each file, and each line of its text but for the numbers in it,
//! must have been in a kernel that ran and in which nothing was found. A shader that no test names is told.
//!
//! Without `GVPIE_CHECK=1` nobody looks on: the same cases run as machine code, and are held to the same oracles.

mod cases;
mod elsewhere;

use crate::adapter::{Wish, wish};
use crate::shaders::kernels;
use gvpie_core::wgpu::DeviceType;
use gvpie_core::{AdapterChoice, Bindings, Context, ContextOptions, Kernel};
use gvpie_vgpu::sanitize::Kind;
use gvpie_vgpu::wgpu::{Collector, Options, instance};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Shaders that do not run here, and why.
const LEFT_OUT: [(&str, &str); 1] = [(
    "gemm_coop.wgsl.jinja",
    "cooperative matrices, which the device in software has not; those of `emulated`, with functions in their \
     place, run with the rest of GEMM",
)];

/// A device in software whose every dispatch is looked at, if that is asked for.
struct Sanitizer {
    ctx: Context,
    collector: Collector,
    looks: bool,
}

impl Sanitizer {
    /// One that says it is a GPU, with so many invocations of a workgroup and bytes of its memory, so that
    /// plans ask for the kernels that they ask for there. `None`, said aloud, where tests are on another
    /// device.
    fn new(invocations: usize, workgroup_memory: u32) -> Option<Self> {
        if wish() != Wish::Vgpu {
            eprintln!("SKIPPED: not GVPIE_GPU=vgpu");
            return None;
        }
        let collector = Collector::new();
        let looks = std::env::var("GVPIE_CHECK").is_ok_and(|check| check == "1");
        let device = gvpie_vgpu::Options {
            workgroup: invocations,
            budget: u64::MAX,
            ..gvpie_vgpu::Options::default()
        };
        let check = looks.then(|| collector.clone());
        let kind = DeviceType::DiscreteGpu;
        let instance = instance(Options { device, check, workgroup_memory, kind }).unwrap();
        let timeout = Duration::from_secs(600);
        let options = ContextOptions { timeout, ..ContextOptions::default() };
        let ctx = pollster::block_on(async {
            let adapter = AdapterChoice::default().adapter(&instance, None).await?;
            Context::on_adapter(adapter, &options).await
        });
        Some(Sanitizer { ctx: ctx.unwrap(), collector, looks })
    }

    /// What most GPUs have at least.
    fn usual() -> Option<Self> {
        Sanitizer::new(256, 32 << 10)
    }

    /// What was found in what ran last. The birth of a NaN is no fault: there are inputs that ask for it.
    fn found(&self) -> Option<String> {
        self.collector.take().into_iter().find_map(|mut checked| {
            checked.report.findings.retain(|found| found.kind != Kind::NotANumber);
            (!checked.report.findings.is_empty()).then(|| checked.to_string())
        })
    }

    /// Fails if there was something.
    #[track_caller]
    fn clean(&self, what: &str) {
        if let Some(found) = self.found() {
            panic!("{what}: {found}");
        }
    }
}

/// Lines of kernels, by their entry points.
type Lines = BTreeMap<String, BTreeSet<String>>;

/// Holds what ran on these devices against all that there is of these shaders.
#[track_caller]
fn nothing_is_left(devices: &[Sanitizer], files: &[&str]) {
    if devices.iter().any(|device| !device.looks) {
        return;
    }
    devices.iter().for_each(|device| device.clean("the last case"));
    let left = left(devices, files);
    assert!(left.is_empty(), "never looked at:\n{}", left.join("\n"));
}

/// Entry points of these shaders with lines of which no kernel ran.
fn left(devices: &[Sanitizer], files: &[&str]) -> Vec<String> {
    // What runs for a shader that is left out is not its text.
    let all = kernels();
    let out = |kernel: &&Kernel| LEFT_OUT.iter().any(|(file, _)| kernel.shader() == Some(file));
    let out: BTreeSet<&str> = all.iter().filter(out).map(Kernel::label).collect();
    let mut seen = Lines::new();
    for device in devices {
        let covered = device.collector.covered();
        for kernel in covered.into_iter().filter(|kernel| !out.contains(kernel.pipeline.as_str())) {
            let text =
                kernel.source.expect("without debug assertions wgpu hands on no text of shaders");
            seen.entry(kernel.entry).or_default().extend(text.lines().filter_map(form));
        }
    }
    let mut left: BTreeMap<(&str, String), BTreeSet<String>> = BTreeMap::new();
    for kernel in &all {
        let Some(&file) = files.iter().find(|file| kernel.shader() == Some(file)) else { continue };
        let entry = kernel.reflect().unwrap().entry;
        let text = kernel.text().unwrap();
        let ran = seen.get(&entry);
        let new = |line: &String| ran.is_none_or(|ran| !ran.contains(line));
        let lines: Vec<String> = text.lines().filter_map(form).filter(new).collect();
        if !lines.is_empty() {
            left.entry((file, entry)).or_default().extend(lines);
        }
    }
    let told = left.iter().map(|((file, entry), lines)| {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        format!("{entry} of {file}:\n    {}", lines.join("\n    "))
    });
    told.collect()
}

/// A line of code with `#` for each number in it; `None` where there is none.
fn form(line: &str) -> Option<String> {
    let code = line.split("//").next().unwrap_or_default().trim();
    let mut form = String::new();
    let mut rest = code.chars().peekable();
    let mut number = false;
    while let Some(c) = rest.next() {
        if number && c == 'e' && rest.peek().is_some_and(|c| "+-0123456789".contains(*c)) {
            rest.next(); // an exponent's sign or first digit
        } else if c.is_ascii_digit() || number && c == '.' {
            if !number {
                form.push('#');
            }
            number = true;
        } else {
            form.push(c);
            number = false;
        }
    }
    (!form.is_empty()).then_some(form)
}

/// What the other tests rely on.
#[test]
fn gpu_faults_and_what_is_left_are_told_by_the_sanitizer() {
    let Some(device) = Sanitizer::usual().filter(|device| device.looks) else { return };
    let race = "
        @group(0) @binding(0) var<storage, read_write> y: array<u32>;
        @compute @workgroup_size(8) fn expand(@builtin(local_invocation_index) i: u32) { y[i / 2u] = i; }";
    let pipeline = device.ctx.pipeline(&Kernel::wgsl("race", race)).unwrap();
    let mut y = device.ctx.zeros::<u32>([8]).unwrap();
    assert_eq!(device.found(), None);
    let mut batch = device.ctx.batch("race");
    batch.dispatch(&pipeline, Bindings::new().write(&mut y), [1; 3]).unwrap();
    batch.submit().unwrap();
    y.download().unwrap();
    let found = device.found().unwrap();
    assert!(found.contains("expand of 'race'") && found.contains("race"), "{found}");
    // The self-test has run, of the glyphs' kernel another with its name, of sorts nothing.
    let left = left(&[device], &["selftest.wgsl", "glyph.wgsl.jinja", "sort_scan.wgsl.jinja"]);
    let [glyph, scan] = left.as_slice() else { panic!("{left:?}") };
    assert!(glyph.starts_with("expand of glyph.wgsl.jinja:\n    "), "{glyph}");
    assert!(scan.starts_with("sort_scan of sort_scan.wgsl.jinja:\n    "), "{scan}");
}

#[test]
fn lines_are_told_apart_but_for_their_numbers() {
    assert_eq!(
        form("  let x1 = v[12u] * 1.5e-7lf; // twelve").as_deref(),
        Some("let x# = v[#u] * #lf;")
    );
    assert_eq!(form("a.x + 2.0").as_deref(), Some("a.x + #"));
    assert_eq!(form("   // nothing"), None);
}

/// No shader is without a test of its own here, and none is named that is not there.
#[test]
fn every_shader_is_looked_at_by_some_test() {
    let all = kernels();
    let all: BTreeSet<&str> = all.iter().filter_map(|kernel| kernel.shader()).collect();
    let mut named: Vec<&str> = cases::FILES.into_iter().flatten().copied().collect();
    named.extend(LEFT_OUT.map(|(file, _)| file));
    assert_eq!(named.len(), all.len(), "{named:?}");
    assert_eq!(named.into_iter().collect::<BTreeSet<_>>(), all);
}
