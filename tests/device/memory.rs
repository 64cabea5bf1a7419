//! Budgets, counters, and memory that is really gone.

use super::child;
use crate::adapter::{contexts, gpu};
use gvpie_core::{Backend, Context, ContextOptions, Error, Gemm, Result, Tensor, Turn};
use std::process::Command;

const MIB: u64 = 1 << 20;

#[test]
fn every_device_keep_a_budget_and_lose_nothing() {
    let budget = Some(2 * MIB);
    for ctx in contexts(ContextOptions { memory_budget: budget, ..Default::default() }) {
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
            Error::OutOfMemory { what, asked, in_use, budget: Some(bytes) } => {
                assert!(what.contains("512x512 (f32)"), "{what}");
                assert_eq!((*asked, *in_use, *bytes), (MIB, 3 * MIB / 2, 2 * MIB));
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
        Error::OutOfMemory { in_use, budget: None, asked, .. } => {
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
