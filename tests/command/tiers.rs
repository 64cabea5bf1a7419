//! Budgets on the command line, and the table of them.

use super::{c_order, failed, load, on_cpu, save, succeeded};
use gvpie_core::Complex;
use serde_json::Value;
use tempfile::TempDir;

fn json(output: &std::process::Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Pages of a folder for spilled ones that are left in it.
fn left(folder: &TempDir) -> usize {
    std::fs::read_dir(folder.path().join("spill")).map_or(0, Iterator::count)
}

const BUDGETS: [&str; 6] =
    ["--device-budget", "256KiB", "--host-budget", "512KiB", "--spill-dir", "spill"];

#[test]
fn gemm_under_budgets_is_gemm() {
    let f = tempfile::tempdir().unwrap();
    let whole = |count: usize| -> Vec<f32> { (0..count).map(|i| (i % 7) as f32 - 3.0).collect() };
    c_order(&f, "a.npy", &[400, 300], &whole(400 * 300));
    save(&f, "b.npy", npyz::Order::Fortran, &[300, 350], &whole(300 * 350));
    c_order(&f, "c0.npy", &[400, 350], &whole(400 * 350));
    let all = ["gemm", "a.npy", "b.npy", "--alpha", "2", "--beta", "-1", "--c", "c0.npy"];
    succeeded(&on_cpu(&f, &[&all[..], &["-o", "whole.npy"]].concat()));
    let tiled = on_cpu(&f, &[&all[..], &["-o", "tiled.npy", "--json"], &BUDGETS].concat());
    succeeded(&tiled);
    let (one, other) = ("whole.npy", "tiled.npy");
    assert!(load::<f32>(&f.path().join(one)) == load::<f32>(&f.path().join(other)));
    let report = json(&tiled);
    assert!(report["path"].as_str().unwrap().contains("tiles of"), "{report}");
    let moved = |name: &str| report["moved"][name].as_u64().unwrap();
    assert!(moved("peak_device_bytes") <= 256 << 10, "{report}");
    assert!(moved("peak_host_bytes") <= 512 << 10, "{report}");
    for name in ["bytes_to_device", "bytes_spilled", "bytes_read", "spills", "stalls"] {
        assert!(moved(name) > 0, "{name}: {report}");
    }
    assert_eq!(left(&f), 0);
}

#[test]
fn einsum_under_budgets_is_einsum() {
    let f = tempfile::tempdir().unwrap();
    let whole = |count: usize| -> Vec<f32> { (0..count).map(|i| (i % 5) as f32 - 2.0).collect() };
    // Twice as large as both budgets together.
    c_order(&f, "a.npy", &[6, 300, 220], &whole(6 * 300 * 220));
    c_order(&f, "b.npy", &[6, 220, 200], &whole(6 * 220 * 200));
    let all = ["einsum", "bij,bjk->bik", "a.npy", "b.npy"];
    succeeded(&on_cpu(&f, &[&all[..], &["-o", "whole.npy"]].concat()));
    let blocks = on_cpu(&f, &[&all[..], &["-o", "blocks.npy", "--json"], &BUDGETS].concat());
    succeeded(&blocks);
    let (one, other) = ("whole.npy", "blocks.npy");
    assert!(load::<f32>(&f.path().join(one)) == load::<f32>(&f.path().join(other)));
    let report = json(&blocks);
    assert!(report["blocks"].as_u64().unwrap() > 6, "{report}");
    let moved = |name: &str| report["moved"][name].as_u64().unwrap();
    assert!(moved("peak_device_bytes") <= 256 << 10, "{report}");
    assert!(moved("peak_host_bytes") <= 512 << 10, "{report}");
    assert!(moved("bytes_spilled") > 0 && moved("bytes_to_device") > 0, "{report}");
    assert_eq!(left(&f), 0);
    // Files of several types, of which the wider one is the result's.
    let double: Vec<f64> = (0..220 * 300).map(|i| f64::from(i % 3)).collect();
    c_order(&f, "d.npy", &[220, 300], &double);
    let mixed = ["einsum", "bij,jk->ik", "a.npy", "d.npy", "-o", "mixed.npy"];
    succeeded(&on_cpu(&f, &[&mixed[..], &BUDGETS].concat()));
    assert_eq!(load::<f64>(&f.path().join("mixed.npy")).0, [300, 300]);
    // What is wrong with the expression is told as ever.
    let wrong = ["einsum", "bij,bjk->bix", "a.npy", "b.npy", "-o", "x.npy"];
    let told = on_cpu(&f, &[&wrong[..], &BUDGETS].concat());
    assert_eq!(told.status.code(), Some(1));
    assert!(super::said(&told).contains("index 'x'"), "{}", super::said(&told));
    assert!(!f.path().join("x.npy").exists());
}

#[test]
fn fft_under_budgets_is_fft() {
    let f = tempfile::tempdir().unwrap();
    let x: Vec<f32> = (0..300 * 256).map(|i| ((i * 37) % 101) as f32 / 101.0).collect();
    c_order(&f, "x.npy", &[300, 256], &x);
    for kind in [&["--axes", "0,1"][..], &["--real", "--axes", "0,1"], &["--axes", "0"]] {
        let command = [&["fft", "x.npy"][..], kind].concat();
        succeeded(&on_cpu(&f, &[&command[..], &["-o", "whole.npy"]].concat()));
        succeeded(&on_cpu(&f, &[&command[..], &["-o", "slabs.npy"], &BUDGETS].concat()));
        let (shape, whole) = load::<Complex<f32>>(&f.path().join("whole.npy"));
        let (other, slabs) = load::<Complex<f32>>(&f.path().join("slabs.npy"));
        assert_eq!(shape, other);
        let norm = |x: &mut dyn Iterator<Item = f32>| x.map(f64::from).sum::<f64>().sqrt();
        let wrong = norm(&mut whole.iter().zip(&slabs).map(|(a, b)| (a - b).norm_sqr()));
        assert!(
            wrong <= 1e-6 * norm(&mut whole.iter().map(Complex::norm_sqr)),
            "{kind:?}: {wrong}"
        );
    }
    assert_eq!(left(&f), 0);
}

#[test]
fn budgets_that_mean_nothing_are_refused() {
    let f = super::small();
    let with = |budget: &[&str]| {
        on_cpu(&f, &[&["gemm", "a.npy", "b.npy", "-o", "c.npy"], budget].concat())
    };
    let garbled = with(&["--device-budget", "much"]);
    assert_eq!(garbled.status.code(), Some(2));
    assert!(
        super::said(&garbled).contains("expected bytes, as in 4096"),
        "{}",
        super::said(&garbled)
    );
    failed(&with(&["--host-budget", "0"]), &["host_budget=0", "at least 1 byte"]);
    failed(&with(&["--spill-dir", "/dev/null/x"]), &["/dev/null/x"]);
    failed(&with(&["--device-budget", "16"]), &["out of memory"]);
    assert!(!f.path().join("c.npy").exists());
}

#[test]
fn memory_shows_budgets_and_bandwidths() {
    let f = tempfile::tempdir().unwrap();
    let budgets =
        ["memory", "--device-budget", "8MiB", "--host-budget", "16MiB", "--spill-dir", "spill"];
    let shown = on_cpu(&f, &budgets);
    succeeded(&shown);
    let text = String::from_utf8(shown.stdout).unwrap();
    for words in ["8.0 MiB", "16.0 MiB", "host to device", "disk to host"] {
        assert!(text.contains(words), "{text}");
    }
    let report = on_cpu(&f, &[&budgets[..], &["--json"]].concat());
    succeeded(&report);
    let report = json(&report);
    assert_eq!(report["device"]["budget"], 8 << 20);
    for way in ["host_to_device", "device_to_host", "host_to_disk", "disk_to_host"] {
        assert!(report["bytes_per_second"][way].as_f64().unwrap() > 1e6, "{report}");
    }
    assert_eq!(left(&f), 0);
}
