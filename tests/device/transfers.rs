//! Bytes there and back, on every back end: odd sizes, nothing at all, strided views, several
//! threads, files kept between runs.

use crate::adapter::{contexts, gpu, gpu_with};
use gvpie_core::{Bindings, Context, ContextOptions, Error, Gemm, Kernel, f16, wgpu};
use std::time::Duration;

#[test]
fn every_device_keep_pictures_of_any_width() {
    for ctx in contexts(ContextOptions::default()) {
        for (width, height) in [(1, 1), (3, 5), (63, 2), (64, 64), (65, 3), (101, 7), (1, 130)] {
            let texels: Vec<u8> =
                (0..width * height * 4).map(|i| (i * 7 + i / 256) as u8).collect();
            let picture = ctx.texture(width, height).unwrap();
            let what = format!("{width}x{height} on {}", ctx.backend());
            assert!(picture.download().unwrap().iter().all(|&byte| byte == 0), "{what}");
            picture.write(&texels).unwrap();
            assert_eq!(picture.download().unwrap(), texels, "{what}");
            let error = picture.write(&texels[1..]).unwrap_err();
            assert!(matches!(error, Error::Shape { .. }), "{what}: {error}");
            assert_eq!(
                picture.download().unwrap(),
                texels,
                "{what}: a refused write writes nothing"
            );
        }
        for (width, height) in [(0, 4), (4, 0), (0, 0)] {
            assert!(matches!(ctx.texture(width, height), Err(Error::Shape { .. })));
        }
        assert_eq!(ctx.device().pool().usage().in_use, 0);
    }
}

#[test]
fn every_device_hold_tensors_of_nothing() {
    for ctx in contexts(ContextOptions::default()) {
        let mut none = ctx.zeros::<f32>([3, 0, 2]).unwrap();
        assert!(none.is_empty());
        assert_eq!(none.download().unwrap(), [0.0_f32; 0]);
        none.write(&[]).unwrap();
        assert_eq!(ctx.upload::<f16>([0], &[]).unwrap().download().unwrap(), [f16::ZERO; 0]);
        assert_eq!(pollster::block_on(none.download_async()).unwrap(), [0.0_f32; 0]);
        let some = ctx.upload([4], &[1_u32, 2, 3, 4]).unwrap();
        assert_eq!(some.view().slice(0, 2..2).unwrap().download().unwrap(), [0_u32; 0]);
        assert_eq!(some.view().strided([0], &[1], 3).unwrap().download().unwrap(), [0_u32; 0]);
        // An inner extent of zero sums nothing.
        let (a, b) = (ctx.zeros::<f32>([2, 0]).unwrap(), ctx.zeros::<f32>([0, 3]).unwrap());
        assert_eq!(ctx.gemm(&a, &b).unwrap().download().unwrap(), [0.0; 6]);
        assert_eq!(
            ctx.gemm(&b, &ctx.zeros::<f32>([3, 0]).unwrap()).unwrap().download().unwrap(),
            [0.0_f32; 0]
        );
    }
}

#[test]
fn every_device_download_views_densely() {
    for ctx in contexts(ContextOptions::default()) {
        let data: Vec<f16> = (0..2 * 5 * 7_u16).map(|i| f16::from_f32(f32::from(i))).collect();
        let t = ctx.upload([2, 5, 7], &data).unwrap();
        let at = |i: usize, j: usize, k: usize| data[(i * 5 + j) * 7 + k];
        for (rows, columns) in [(0..5, 0..7), (1..4, 3..4), (2..5, 1..7), (4..5, 5..7)] {
            let view = t.view().slice(1, rows.clone()).unwrap().slice(2, columns.clone()).unwrap();
            let turned = view.permute(&[2, 0, 1]).unwrap();
            let mut expected = Vec::new();
            for k in columns.clone() {
                for i in 0..2 {
                    expected.extend(rows.clone().map(|j| at(i, j, k)));
                }
            }
            let what = format!("{rows:?} {columns:?} on {}", ctx.backend());
            assert_eq!(turned.download().unwrap(), expected, "{what}");
            assert_eq!(pollster::block_on(turned.download_async()).unwrap(), expected, "{what}");
        }
        // Odd numbers of halves: transfers move whole words.
        for count in [1, 2, 3, 69] {
            let part = ctx.upload([count], &data[..count]).unwrap();
            assert_eq!(part.download().unwrap(), data[..count]);
        }
    }
}

#[test]
fn every_device_time_their_work() {
    for ctx in contexts(ContextOptions::default()) {
        let a = ctx.upload([192, 192], &vec![1.0_f32; 192 * 192]).unwrap();
        let mut c = ctx.zeros::<f32>([192, 192]).unwrap();
        let plan = Gemm::new(192, 192, 192).plan(&ctx).unwrap();
        let time = |count: usize, c: &mut gvpie_core::Tensor<f32>| {
            let mut batch = ctx.batch("timed");
            for _ in 0..count {
                plan.record(&mut batch, &a, &a, &mut *c).unwrap();
            }
            batch.time().unwrap()
        };
        time(1, &mut c); // the first may compile
        // The least of several: others use this machine too.
        let one = (0..5).map(|_| time(1, &mut c)).min().unwrap();
        let many = (0..5).map(|_| time(32, &mut c)).min().unwrap();
        let what = format!("{}: {one:?}, {many:?}", ctx.backend());
        assert!(one > Duration::ZERO && many > one && many < Duration::from_secs(30), "{what}");
        assert_eq!(c.download().unwrap(), vec![192.0; 192 * 192]);
    }
}

#[test]
fn every_device_contexts_serve_several_threads() {
    let budget = Some(64 << 20);
    for ctx in contexts(ContextOptions { device_budget: budget, ..Default::default() }) {
        let kernel = Kernel::wgsl("broken", "fn f() -> f32 { return 1u; }");
        std::thread::scope(|scope| {
            for thread in 0..4_usize {
                let (ctx, kernel) = (ctx.clone(), &kernel);
                scope.spawn(move || {
                    for turn in 0..12 {
                        let n = 3 + 2 * thread + turn;
                        // Integers this small are multiplied and summed exactly.
                        let a: Vec<f32> = (0..n * n).map(|i| ((i + thread) % 9) as f32).collect();
                        let t = ctx.upload([n, n], &a).unwrap();
                        let c = ctx.gemm(&t, t.view().transpose().unwrap()).unwrap();
                        let found = c.download().unwrap();
                        for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))) {
                            let sum: f32 = (0..n).map(|k| a[i * n + k] * a[j * n + k]).sum();
                            assert_eq!(found[i * n + j], sum, "thread {thread}, {n}: {i}, {j}");
                        }
                        // One thread's mistakes are not another's.
                        if thread == 3 {
                            let full = ctx.zeros::<f32>([32 << 20]).unwrap_err();
                            let never =
                                matches!(full, Error::OutOfMemory { .. } | Error::Limit { .. });
                            assert!(never, "{full}");
                            let error = ctx.pipeline(kernel).unwrap_err();
                            let fits =
                                matches!(error, Error::Shader { .. } | Error::Unsupported { .. });
                            assert!(fits, "{error}");
                        }
                    }
                });
            }
        });
        assert_eq!(ctx.device().pool().usage().in_use, 0);
    }
}

const SQUARE: &str = "
    @group(0) @binding(0) var<storage, read_write> x: array<u32>;
    @compute @workgroup_size(1) fn square(@builtin(workgroup_id) id: vec3<u32>) {
        x[id.x] *= x[id.x];
    }";

fn squares(ctx: &Context) -> Vec<u32> {
    let mut x = ctx.upload([3], &[2_u32, 3, 4]).unwrap();
    let pipeline = ctx.pipeline(&Kernel::wgsl("square", SQUARE)).unwrap();
    let mut batch = ctx.batch("square");
    batch.dispatch(&pipeline, Bindings::new().write(&mut x), [3, 1, 1]).unwrap();
    batch.submit().unwrap();
    x.download().unwrap()
}

#[test]
fn gpu_pipelines_are_kept_on_disk_and_damage_is_moved_aside() {
    let Some(ctx) = gpu() else { return };
    if !ctx.device().gpu().unwrap().features().contains(wgpu::Features::PIPELINE_CACHE) {
        eprintln!("SKIPPED: this driver has no pipeline cache");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let cache = Some(folder.path().join("deep"));
        gpu_with(ContextOptions { cache, ..Default::default() }).unwrap()
    };
    let names = || -> Vec<String> {
        let files = std::fs::read_dir(folder.path().join("deep")).unwrap();
        let mut names: Vec<_> =
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let first = open();
    assert_eq!(squares(&first), [4, 9, 16]);
    drop(first);
    let [name] = &names()[..] else { panic!("{:?}", names()) };
    let path = folder.path().join("deep").join(name);
    let good = std::fs::read(&path).unwrap();

    let again = open();
    assert_eq!(squares(&again), [4, 9, 16]);
    drop(again);
    assert_eq!(names(), std::slice::from_ref(name), "a good file is used where it lies");

    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 0x10;
    for damaged in [&flipped[..], &good[..good.len() - 1], &good[..7], b""] {
        std::fs::write(&path, damaged).unwrap();
        let ctx = open();
        assert!(!path.exists(), "{} bytes were taken for whole", damaged.len());
        let aside = path.with_extension("damaged");
        assert_eq!(std::fs::read(&aside).unwrap(), damaged);
        assert_eq!(squares(&ctx), [4, 9, 16]);
        drop(ctx);
        assert!(path.exists(), "a whole file takes its place");
        std::fs::remove_file(aside).unwrap();
    }
}
