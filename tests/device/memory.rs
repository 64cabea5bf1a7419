//! Budgets, counters, and memory that is really gone.

use super::child;
use crate::adapter::{contexts, gpu};
use gvpie_core::{Backend, Context, ContextOptions, Error, Gemm, Result, Tensor, Turn};
use std::process::Command;

const MIB: u64 = 1 << 20;

#[test]
fn every_device_keep_a_budget_and_lose_nothing() {
    let budget = Some(2 * MIB);
    for ctx in contexts(ContextOptions { device_budget: budget, ..Default::default() }) {
        let pool = ctx.device().pool().clone();
        assert_eq!(
            pool.usage().in_use,
            0,
            "{}: the self-test gives back what it took",
            ctx.backend()
        );
        let before = pool.usage();
        let data: Vec<u32> = (0..3 << 17).collect();
        let kept = ctx.upload([3 << 17], &data).unwrap(); // 1.5 MiB

        let error = ctx.zeros::<f32>([512, 512]).unwrap_err();
        match &error {
            Error::OutOfMemory { what, asked, in_use, budgets } => {
                assert!(what.contains("512x512 (f32)"), "{what}");
                assert_eq!((*asked, *in_use, budgets.device), (MIB, 3 * MIB / 2, budget));
            }
            other => panic!("{other:?}"),
        }
        let words = error.to_string();
        assert!(words.contains("1048576 bytes") && words.contains("budget of 2097152"), "{words}");
        assert_eq!(error.turn(), Turn::Later);
        let refused = ctx.texture(512, 512).unwrap_err();
        assert!(matches!(refused, Error::OutOfMemory { asked: MIB, .. }), "{refused}");

        let usage = pool.usage();
        assert_eq!((usage.in_use, usage.peak), (3 * MIB / 2, 3 * MIB / 2));
        assert_eq!(usage.allocations - before.allocations, 1);
        assert_eq!(usage.refused - before.refused, 2);
        assert_eq!(kept.download().unwrap(), data, "{}", ctx.backend());

        drop(kept);
        assert_eq!(pool.usage().in_use, 0);
        let whole = ctx.zeros::<f32>([512, 1024]).unwrap(); // all of the budget
        assert!(matches!(ctx.zeros::<u32>([1]), Err(Error::OutOfMemory { asked: 16, .. })));
        drop(whole);
        assert_eq!((pool.usage().in_use, pool.usage().peak), (0, 2 * MIB));
    }
}

/// 64 MiB, below every device's limits.
const BLOCK: usize = 16 << 20;

/// Takes blocks until there are no more; then drops them and shows that the context still works.
fn exhaust(ctx: &Context, take: impl Fn() -> Result<Tensor<u32>>) {
    let mut held: Vec<Tensor<u32>> = Vec::new();
    let error = loop {
        assert!(held.len() < 1 << 14, "1 TiB was granted: nothing limits this process");
        match take() {
            Ok(block) => held.push(block),
            Err(error) => break error,
        }
    };
    assert!(!held.is_empty(), "not one block: {error}");
    let bytes = BLOCK as u64 * 4;
    match &error {
        Error::OutOfMemory { in_use, budgets, asked, .. } if budgets.device.is_none() => {
            // What was reserved for the block itself, before the driver was asked, may count.
            let blocks = held.len() as u64;
            assert!([blocks, blocks + 1].contains(&(in_use / bytes)) && *asked <= bytes, "{error}");
        }
        other => panic!("{other:?}"),
    }
    held.truncate(1);
    assert_eq!(ctx.device().pool().usage().in_use, bytes, "refused blocks are given back");
    let ones = vec![1_u32; BLOCK];
    held[0].write(&ones).unwrap();
    assert_eq!(held[0].download().unwrap(), ones);
    let again = ctx.upload([2, 2], &[1.0_f32, 2.0, 3.0, 4.0]).unwrap();
    assert_eq!(ctx.gemm(&again, &again).unwrap().download().unwrap(), [7.0, 10.0, 15.0, 22.0]);
    println!("SURVIVED {error}");
}

#[test]
#[ignore = "run by its parent under a limit of address space"]
fn host_until_it_is_full() {
    let ctx = Context::on(Backend::Cpu).unwrap();
    let ones = vec![1_u32; BLOCK];
    exhaust(&ctx, || ctx.upload([BLOCK], &ones));
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_host_is_an_error_and_not_the_end() {
    let inner = child("device::memory::host_until_it_is_full");
    let limited = Command::new("sh")
        .args(["-c", "ulimit -v 1048576 && exec \"$0\" \"$@\""]) // KiB
        .arg(inner.get_program())
        .args(inner.get_args())
        .env("RAYON_NUM_THREADS", "2")
        .output()
        .unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&limited.stdout), String::from_utf8_lossy(&limited.stderr));
    assert!(limited.status.success(), "{}\n{out}\n{err}", limited.status);
    assert!(out.contains("SURVIVED out of memory"), "{out}\n{err}");
}

#[test]
fn a_full_gpu_is_an_error_and_not_the_end() {
    let Some(ctx) = gpu() else { return };
    if ctx.device().gpu().unwrap().is_software() {
        eprintln!("SKIPPED: software drivers grant memory that they do not have");
        return;
    }
    exhaust(&ctx, || ctx.zeros([BLOCK]));
}

#[test]
fn host_work_on_the_same_buffers_in_other_roles_does_not_deadlock() {
    let ctx = Context::on(Backend::Cpu).unwrap();
    let plan = Gemm::new(8, 8, 8).plan(&ctx).unwrap();
    let batches = || -> Vec<gvpie_core::Batch> { Vec::new() };
    let (mut forth, mut back) = (batches(), batches());
    let mut x = ctx.upload([8, 8], &[1.0_f32; 64]).unwrap();
    let mut y = ctx.upload([8, 8], &[1.0_f32; 64]).unwrap();
    for _ in 0..2000 {
        let mut batch = ctx.batch("y from x");
        plan.record(&mut batch, &x, &x, &mut y).unwrap();
        forth.push(batch);
        let mut batch = ctx.batch("x from y");
        plan.record(&mut batch, &y, &y, &mut x).unwrap();
        back.push(batch);
    }
    let (sender, receiver) = std::sync::mpsc::channel();
    for batches in [forth, back] {
        let sender = sender.clone();
        std::thread::spawn(move || {
            let done: Result<(), Error> =
                batches.into_iter().try_for_each(gvpie_core::Batch::submit);
            sender.send(done).unwrap();
        });
    }
    for _ in 0..2 {
        receiver.recv_timeout(std::time::Duration::from_secs(60)).expect("a deadlock").unwrap();
    }
}

fn request(options: ContextOptions) -> Result<Context> {
    pollster::block_on(Context::request(options))
}

#[test]
fn budgets_of_zero_and_folders_that_cannot_be_written_are_refused() {
    let with = |change: fn(&mut ContextOptions)| {
        let mut options =
            ContextOptions { backend: Some(Backend::Cpu), ..ContextOptions::default() };
        change(&mut options);
        request(options).unwrap_err()
    };
    for (name, error) in [
        ("device_budget", with(|options| options.device_budget = Some(0))),
        ("host_budget", with(|options| options.host_budget = Some(0))),
        ("disk_budget", with(|options| options.disk_budget = Some(0))),
    ] {
        assert!(matches!(&error, Error::Setting { name: named, .. } if named == name), "{error}");
    }
    // A file is in the place of the folder, which not even root can write into.
    let error = with(|options| options.spill_folder = Some("/dev/null/spilled".into()));
    match &error {
        Error::File { path, .. } => assert!(path.starts_with("/dev/null"), "{error}"),
        other => panic!("{other}"),
    }
}

#[test]
#[ignore = "run by its parent, which kills it"]
fn spill_until_killed() {
    let options = ContextOptions {
        backend: Some(Backend::Cpu),
        host_budget: Some(MIB),
        spill_folder: std::env::var_os("SPILL_HERE").map(Into::into),
        ..ContextOptions::default()
    };
    let ctx = request(options).unwrap();
    let mut x = ctx.paged::<u32>([4 << 20]).unwrap();
    for round in 0.. {
        x.write(0, &vec![round; 4 << 20]).unwrap();
        println!("SPILLED {}", ctx.device().pool().usage().spills);
    }
}

#[test]
fn what_a_killed_process_spilled_is_gone_with_the_next_start() {
    use std::io::{BufRead, BufReader};
    let folder = tempfile::tempdir().unwrap();
    let entries = || std::fs::read_dir(folder.path()).unwrap().count();
    let mut spilling = child("device::memory::spill_until_killed")
        .env("SPILL_HERE", folder.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(spilling.stdout.take().unwrap()).lines();
    let spilled = lines.map_while(std::io::Result::ok).any(|line| line.starts_with("SPILLED"));
    assert!(spilled && entries() == 1);
    let options = ContextOptions {
        backend: Some(Backend::Cpu),
        spill_folder: Some(folder.path().into()),
        ..ContextOptions::default()
    };
    let beside = request(options.clone()).unwrap();
    assert_eq!(entries(), 2, "the folder of a living process stays");
    spilling.kill().unwrap(); // SIGKILL
    spilling.wait().unwrap();
    assert_eq!(entries(), 2);
    let next = request(options).unwrap();
    assert_eq!(entries(), 2, "the folder of the killed one is gone");
    drop((beside, next));
    assert_eq!(entries(), 0);
}

#[test]
#[ignore = "run by its parent, with budgets"]
#[cfg(target_os = "linux")]
fn multiply_within_budgets() {
    let folder = tempfile::tempdir().unwrap();
    let options = ContextOptions {
        backend: Some(Backend::Cpu),
        device_budget: Some(16 * MIB),
        host_budget: Some(32 * MIB),
        spill_folder: Some(folder.path().into()),
        ..ContextOptions::default()
    };
    let ctx = request(options).unwrap();
    // The baseline: the program, its threads, and a product of the same kind that fits.
    let warm = ctx.upload([512, 512], &vec![1.0_f32; 512 * 512]).unwrap();
    assert_eq!(ctx.gemm(&warm, &warm).unwrap().download().unwrap()[0], 512.0);
    drop(warm);
    let before = resident_peak();
    let row = |i: usize| vec![(i % 5) as f32; 4096];
    let mut a = ctx.paged::<f32>([6144, 4096]).unwrap(); // 96 MiB
    for i in 0..6144 {
        a.write(i * 4096, &row(i)).unwrap();
    }
    let mut b = ctx.paged::<f32>([4096, 64]).unwrap();
    b.write(0, &vec![1.0; 4096 * 64]).unwrap();
    let c = ctx.gemm_paged(&a, &b).unwrap();
    let mut last = [0.0_f32; 64];
    c.read(6143 * 64, &mut last).unwrap();
    assert_eq!(last, [4096.0 * (6143 % 5) as f32; 64]);
    let usage = ctx.device().pool().usage();
    assert!(usage.peak <= 16 * MIB && usage.host.peak <= 32 * MIB, "{usage:?}");
    println!("GREW {}", resident_peak() - before);
}

/// The most memory that this process ever had, in bytes.
#[cfg(target_os = "linux")]
fn resident_peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() << 10
}

#[test]
#[cfg(target_os = "linux")]
fn host_memory_stays_within_the_budgets_and_a_tenth() {
    let output = child("device::memory::multiply_within_budgets").output().unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    let grew = out.lines().find_map(|line| line.split_once("GREW ")).unwrap().1;
    let grew: u64 = grew.trim().parse().unwrap();
    // On the host, what the device holds is host memory too.
    let allowed = (16 + 32) * MIB * 11 / 10;
    assert!(grew <= allowed, "{grew} of {allowed} bytes");
}

#[test]
#[ignore = "run by its parent under a limit of file sizes"]
fn spill_until_the_disk_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let options = ContextOptions {
        backend: Some(Backend::Cpu),
        host_budget: Some(MIB),
        spill_folder: Some(folder.path().into()),
        ..ContextOptions::default()
    };
    let ctx = request(options).unwrap();
    let mut x = ctx.paged::<u32>([4 << 20]).unwrap();
    let block = vec![7_u32; 1 << 16];
    let error = (0..64).find_map(|i| x.write(i << 16, &block).err()).unwrap();
    assert!(matches!(error, Error::File { .. }), "{error}");
    let mut first = vec![0; 1 << 16];
    x.read(0, &mut first).unwrap();
    assert_eq!(first, block);
    drop((x, ctx));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    println!("SURVIVED {error}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error_and_leaves_nothing() {
    let inner = child("device::memory::spill_until_the_disk_is_full");
    let limited = Command::new("sh")
        // A file that would exceed the limit (of 512 bytes each) fails, instead of ending the process.
        .args(["-c", "trap '' XFSZ; ulimit -f 256 && exec \"$0\" \"$@\""])
        .arg(inner.get_program())
        .args(inner.get_args())
        .output()
        .unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&limited.stdout), String::from_utf8_lossy(&limited.stderr));
    assert!(limited.status.success(), "{}\n{out}\n{err}", limited.status);
    assert!(out.contains("SURVIVED"), "{out}\n{err}");
}
