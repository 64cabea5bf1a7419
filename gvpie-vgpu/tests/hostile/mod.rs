//! Sources that were written to crash, hang or exhaust whoever compiles and runs them: each comes back
//! with a result or an error that names what was too much, in seconds and within a bound of memory.
//!
//! Each runs in a process of its own under `ulimit -v`: a stack that overflows or memory that runs out
//! ends that process, and is seen.

mod cases;

use cases::cases;
use gvpie_vgpu::{Bindings, Buffer, Device, Module, Options};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a case may take, a whole process of it, unoptimised and on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// KiB of address space that a process may have: a stack of 64 MiB for the compiler, two of 16 MiB for
/// the device, and what is below.
const SPACE: u32 = 1 << 20;

/// Bytes that the device may use.
const MEMORY: u64 = 64 << 20;

/// Compiles and runs a source, and tells what came of it.
fn outcome(source: &str) -> String {
    let run = || -> Result<u32, String> {
        let module = Module::new(source, &[]).map_err(|error| format!("{error}"))?;
        let entry = module.entries().into_iter().next().unwrap_or("main".into());
        let kernel = module.kernel(&entry).map_err(|error| format!("{error}"))?;
        let options = Options {
            threads: 2,
            budget: 200_000,
            deadline: Some(Duration::from_secs(5)),
            memory: MEMORY,
            ..Options::default()
        };
        let buffer = Buffer::zeroed(8).map_err(|error| format!("{error}"))?;
        let bound = kernel.bindings.iter().fold(Bindings::new(), |bindings, binding| {
            bindings.buffer(binding.group, binding.binding, &buffer)
        });
        let device = Device::new(options).map_err(|error| format!("{error}"))?;
        device.dispatch(&kernel, &bound, [1, 1, 1]).map_err(|error| format!("{error}"))?;
        let bytes = buffer.read(0, 4).map_err(|error| format!("{error}"))?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    };
    match run() {
        Ok(word) => format!("done: {word}"),
        Err(error) => error,
    }
}

/// The process of a case.
#[test]
fn one_hostile_source() {
    let Ok(wanted) = std::env::var("GVPIE_HOSTILE") else { return };
    let (_, source, _) = cases().into_iter().find(|(name, ..)| *name == wanted).unwrap();
    println!("OUTCOME {}", format!("{:.2000}", outcome(&source)).replace('\n', " | "));
}

/// Runs a case in a process of its own.
fn contained(name: &str) -> Result<String, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let begin = Instant::now();
    let mut child = Command::new("sh")
        .args(["-c", &format!("ulimit -v {SPACE} && exec \"$0\" \"$@\"")])
        .arg(program)
        .args(["--exact", "hostile::one_hostile_source", "--nocapture"])
        .env("GVPIE_HOSTILE", name)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    while begin.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            let output = child.wait_with_output().map_err(|error| error.to_string())?;
            let text = String::from_utf8_lossy(&output.stdout);
            if let Some((_, rest)) = text.split_once("OUTCOME ") {
                return Ok(rest.lines().next().unwrap_or("").into());
            }
            return Err(format!("{status}: {}", String::from_utf8_lossy(&output.stderr)));
        }
        std::thread::sleep(Duration::from_millis(3));
    }
    child.kill().map_err(|error| error.to_string())?;
    Err(format!("still at it after {PATIENCE:?}"))
}

#[test]
#[cfg(unix)]
fn hostile_sources_come_back() {
    let (mut faults, mut slowest) = (Vec::new(), (Duration::ZERO, ""));
    for (name, source, said) in cases() {
        let begin = Instant::now();
        let came = contained(name);
        let took = begin.elapsed();
        println!(
            "{took:>8.0?} {name} ({} bytes): {:.150}",
            source.len(),
            came.as_deref().unwrap_or("?")
        );
        slowest = slowest.max((took, name));
        match came {
            Ok(text) if text.contains(said) => {}
            Ok(text) => faults.push(format!("{name}: expected '{said}', came '{text:.300}'")),
            Err(fault) => faults.push(format!("{name}: {fault:.600}")),
        }
    }
    println!("slowest: {slowest:?}");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
