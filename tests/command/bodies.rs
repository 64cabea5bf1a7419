//! `gvpie fmm`, `gvpie nbody` and `gvpie bench fmm`.

use super::{c_order, failed, gvpie, header_of, load, on_cpu, picture, save, succeeded};
use gvpie_core::f16;
use std::process::Output;
use tempfile::TempDir;

/// Three charges: rows x, y, z, q.
const CHARGES: [f64; 12] = [0.0, 0.0, 0.0, 2.0, 3.0, 4.0, 0.0, -1.0, 0.0, 0.0, 2.0, 5.0];

/// Their potential and gradient, by the formula.
fn direct(sources: &[f64], targets: &[f64], softening: f64) -> Vec<f64> {
    let of = |x: &[f64]| {
        let mut sum = [0.0; 4];
        for y in sources.chunks(4) {
            let d: Vec<f64> = (0..3).map(|axis| y[axis] - x[axis]).collect();
            let square = d.iter().map(|d| d * d).sum::<f64>() + softening * softening;
            if square > 0.0 {
                sum[0] += y[3] / square.sqrt();
                (0..3).for_each(|axis| sum[axis + 1] += y[3] * d[axis] / square.powf(1.5));
            }
        }
        sum
    };
    targets.chunks(4).flat_map(of).collect()
}

#[track_caller]
fn near(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= tolerance, "{found} is not {expected}");
    }
}

fn folder() -> TempDir {
    let f = tempfile::tempdir().unwrap();
    c_order(&f, "x.npy", &[3, 4], &CHARGES);
    c_order(&f, "x32.npy", &[3, 4], &CHARGES.map(|x| x as f32));
    f
}

fn wide(data: Vec<f32>) -> Vec<f64> {
    data.into_iter().map(f64::from).collect()
}

fn json(output: &Output) -> serde_json::Value {
    succeeded(output);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn fmm_sums_files() {
    let f = folder();
    let y = f.path().join("y.npy");
    for method in ["auto", "direct", "fmm"] {
        succeeded(&on_cpu(&f, &["fmm", "x.npy", "-o", "y.npy", "--method", method]));
        let (shape, found) = load::<f64>(&y);
        assert_eq!(shape, [3, 4]);
        near(&found, &direct(&CHARGES, &CHARGES, 0.0), 1e-5);
    }
    succeeded(&on_cpu(&f, &["fmm", "x32.npy", "-o", "y.npy", "--softening", "0.5"]));
    near(&wide(load::<f32>(&y).1), &direct(&CHARGES, &CHARGES, 0.5), 1e-6);
    c_order(&f, "x16.npy", &[3, 4], &CHARGES.map(f16::from_f64));
    succeeded(&on_cpu(&f, &["fmm", "x16.npy", "-o", "y.npy", "--order", "6"]));
    near(&wide(load::<f32>(&y).1), &direct(&CHARGES, &CHARGES, 0.0), 1e-3);
    // The same column by column.
    let columns: Vec<f64> = (0..12).map(|i| CHARGES[(i % 3) * 4 + i / 3]).collect();
    save(&f, "xf.npy", npyz::Order::Fortran, &[3, 4], &columns);
    succeeded(&on_cpu(&f, &["fmm", "xf.npy", "-o", "y.npy"]));
    near(&load::<f64>(&y).1, &direct(&CHARGES, &CHARGES, 0.0), 1e-12);
}

#[test]
fn fmm_computes_at_other_points() {
    let f = folder();
    let y = f.path().join("y.npy");
    let targets = [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 2.0, 0.0];
    let expected = direct(&CHARGES, &targets, 0.0);
    c_order(&f, "t3.npy", &[2, 3], &[1.0, 1.0, 1.0, 0.0, 0.0, 2.0]);
    c_order(&f, "t4.npy", &[2, 4], &[1.0, 1.0, 1.0, f64::NAN, 0.0, 0.0, 2.0, 9.0]);
    c_order(&f, "t32.npy", &[2, 3], &[1.0_f32, 1.0, 1.0, 0.0, 0.0, 2.0]);
    for (points, name) in [("x.npy", "t3.npy"), ("x.npy", "t4.npy"), ("x32.npy", "t3.npy")] {
        succeeded(&on_cpu(&f, &["fmm", points, "-o", "y.npy", "--targets", name]));
        let (shape, found) = load::<f64>(&y);
        assert_eq!(shape, [2, 4]);
        near(&found, &expected, 1e-12);
    }
    succeeded(&on_cpu(&f, &["fmm", "x32.npy", "-o", "y.npy", "--targets", "t32.npy"]));
    near(&wide(load::<f32>(&y).1), &expected, 1e-6);
    // None, and at nothing.
    c_order::<f32>(&f, "none.npy", &[0, 4], &[]);
    succeeded(&on_cpu(&f, &["fmm", "none.npy", "-o", "y.npy"]));
    assert_eq!(load::<f32>(&y), (vec![0, 4], vec![]));
    succeeded(&on_cpu(&f, &["fmm", "none.npy", "-o", "y.npy", "--targets", "t32.npy"]));
    assert_eq!(load::<f32>(&y), (vec![2, 4], vec![0.0; 8]));
}

#[test]
fn fmm_says_what_it_did() {
    let f = folder();
    let report =
        json(&on_cpu(&f, &["fmm", "x.npy", "-o", "y.npy", "--json", "--method", "direct"]));
    assert_eq!((&report["method"], &report["pairs"]), (&"direct".into(), &9.into()));
    assert_eq!((&report["sources"], &report["dtype"]), (&3.into(), &"f64".into()));
    for name in ["levels", "cells", "leaves", "translations", "bound", "seconds", "tree_seconds"] {
        assert!(report[name].is_number(), "{name}: {report}");
    }
    let output = on_cpu(&f, &["fmm", "x32.npy", "-o", "y.npy"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("y.npy: 3x4 f32, direct on "), "{text}");
}

#[test]
fn fmm_names_what_is_no_use() {
    let f = folder();
    c_order(&f, "three.npy", &[4, 3], &[0.0_f32; 12]);
    c_order(&f, "flat.npy", &[12], &[0.0_f32; 12]);
    let mut bad = CHARGES;
    bad[9] = f64::NAN;
    c_order(&f, "nan.npy", &[3, 4], &bad);
    bad[9] = f64::INFINITY;
    c_order(&f, "inf.npy", &[3, 4], &bad);
    c_order(&f, "t5.npy", &[1, 5], &[0.0_f32; 5]);
    let of = |descr: &str| [header_of(descr, "(2, 4)"), vec![0; 64]].concat();
    std::fs::write(f.path().join("integer.npy"), of("<i4")).unwrap();
    std::fs::write(f.path().join("complex.npy"), of("<c8")).unwrap();
    let cases: [(&[&str], &[&str]); 9] = [
        (&["missing.npy"], &["missing.npy", "No such file"]),
        (&["three.npy"], &["three.npy", "Nx4", "charge", "4x3"]),
        (&["flat.npy"], &["flat.npy", "Nx4", "shape 12"]),
        (&["nan.npy"], &["nan.npy", "row 2", "finite", "NaN"]),
        (&["inf.npy"], &["inf.npy", "row 2", "inf"]),
        (&["integer.npy"], &["integer.npy", "f64", "<i4"]),
        (&["complex.npy"], &["complex.npy", "f64", "<c8"]),
        (&["x.npy", "--targets", "t5.npy"], &["t5.npy", "Mx3 or Mx4", "1x5"]),
        (&["x.npy", "--targets", "nan.npy"], &["nan.npy", "row 2", "NaN"]),
    ];
    for (arguments, words) in cases {
        failed(&on_cpu(&f, &[&["fmm", "-o", "y.npy"], arguments].concat()), words);
        assert!(!f.path().join("y.npy").exists(), "{arguments:?} left an output");
    }
    failed(&on_cpu(&f, &["fmm", "x.npy", "-o", "no/y.npy"]), &["no/y.npy", "cannot write"]);
    for arguments in [
        &["--softening", "-1"][..],
        &["--softening", "NaN"],
        &["--tolerance", "0"],
        &["--tolerance", "1e-3", "--order", "4"],
        &["--periodic", "-2"],
        &["--background"],
        &["--method", "guess"],
        &["--order", "0"],
    ] {
        let all = [&["fmm", "x.npy", "-o", "y.npy"], arguments].concat();
        assert_eq!(on_cpu(&f, &all).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn gpu_fmm_of_files_agrees_with_the_formula() {
    if crate::adapter::gpu().is_none() {
        return;
    }
    let f = folder();
    let run = |input: &str| {
        let all = ["fmm", input, "-o", "y.npy", "--backend", "gpu"];
        gvpie(&all).current_dir(&f).output().unwrap()
    };
    failed(&run("x.npy"), &["not supported", "--backend cpu may do it"]);
    succeeded(&run("x32.npy"));
    let found = wide(load::<f32>(&f.path().join("y.npy")).1);
    near(&found, &direct(&CHARGES, &CHARGES, 0.0), 1e-5);
}

/// Two bodies on a circle of radius ½, in rows x, y, z, vx, vy, vz, m.
const CIRCLE: [f64; 14] = [0.5, 0.0, 0.0, 0.0, 0.5, 0.0, 0.5, -0.5, 0.0, 0.0, 0.0, -0.5, 0.0, 0.5];

#[test]
fn nbody_goes_round() {
    let f = tempfile::tempdir().unwrap();
    c_order(&f, "in.npy", &[2, 7], &CIRCLE);
    let dt = (std::f64::consts::TAU / 400.0).to_string();
    let all = ["nbody", "in.npy", "--steps", "400", "--dt", &dt, "-o", "out.npy"];
    let extra = ["--energy", "e.csv", "--every", "100", "--json"];
    let report = json(&on_cpu(&f, &[&all[..], &extra].concat()));
    assert_eq!((&report["bodies"], &report["steps"]), (&2.into(), &400.into()));
    assert_eq!((&report["dtype"], &report["evaluations"]), (&"f64".into(), &401.into()));
    assert!((report["energy"].as_f64().unwrap() + 0.125).abs() < 1e-5, "{report}");
    let (shape, rows) = load::<f64>(&f.path().join("out.npy"));
    assert_eq!(shape, [2, 7]);
    near(&rows, &CIRCLE, 1e-3);
    let text = std::fs::read_to_string(f.path().join("e.csv")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("step,time,kinetic,potential,total,relative_drift,momentum_x"));
    assert!(lines[1].starts_with("0,0.0,0.125,-0.25,-0.125,0.0,"), "{text}");
    assert_eq!(lines.len(), 6, "{text}");
    let text = String::from_utf8(on_cpu(&f, &all).stdout).unwrap();
    assert!(text.starts_with("out.npy: 2 bodies after 400 steps"), "{text}");
}

#[test]
fn nbody_goes_on_from_a_checkpoint_to_the_bit() {
    let f = tempfile::tempdir().unwrap();
    c_order(&f, "in.npy", &[2, 7], &CIRCLE);
    for (source, extra) in [
        ("plummer:60", &["--seed", "3", "--softening", "0.05", "--adaptive", "0.01"][..]),
        ("in.npy", &["--method", "direct", "--tolerance", "1e-7"]),
    ] {
        let begin = |steps: &str, output: &str, more: &[&str]| {
            let all = ["nbody", source, "--dt", "0.1", "--steps", steps, "-o", output];
            succeeded(&on_cpu(&f, &[&all[..], extra, more].concat()));
        };
        begin("10", "whole.npy", &["--energy", "whole.csv", "--every", "1"]);
        begin("5", "half.npy", &["--checkpoint", "c.npz"]);
        let go_on = ["nbody", "--resume", "c.npz", "--steps", "10", "-o", "rest.npy"];
        let rows = ["--energy", "rest.csv", "--every", "1", "--checkpoint", "c.npz"];
        succeeded(&on_cpu(&f, &[&go_on[..], &rows].concat()));
        let bytes = |name: &str| std::fs::read(f.path().join(name)).unwrap();
        assert_eq!(bytes("whole.npy"), bytes("rest.npy"), "{source}");
        assert_ne!(bytes("whole.npy"), bytes("half.npy"));
        let lines = |name: &str| {
            let text = String::from_utf8(bytes(name)).unwrap();
            text.lines().map(String::from).collect::<Vec<_>>()
        };
        assert_eq!(lines("whole.csv")[6..], lines("rest.csv")[1..], "{source}");
        // It has been replaced by that of the last step, from which nothing is left to do.
        succeeded(&on_cpu(&f, &go_on));
        assert_eq!(bytes("whole.npy"), bytes("rest.npy"));
        let beyond = ["nbody", "--resume", "c.npz", "--steps", "9", "-o", "rest.npy"];
        failed(&on_cpu(&f, &beyond), &["c.npz", "has gone 10 steps", "asks for 9"]);
    }
}

#[test]
fn nbody_draws_movies() {
    let f = tempfile::tempdir().unwrap();
    let all = ["nbody", "galaxy:300", "--steps", "4", "--dt", "0.1", "-o", "o.npy", "--every", "2"];
    let soft = ["--softening", "0.05", "--json"];
    let run = |movie: &str| on_cpu(&f, &[&all[..], &soft, &["--movie", movie]].concat());
    assert_eq!(json(&run("m.gif"))["frames"], 3);
    let mut decoder = gif::DecodeOptions::new();
    decoder.set_color_output(gif::ColorOutput::Indexed);
    let file = std::fs::File::open(f.path().join("m.gif")).unwrap();
    let mut decoder = decoder.read_info(file).unwrap();
    assert_eq!((decoder.width(), decoder.height()), (512, 512));
    let mut first = Vec::new();
    let mut count = 0;
    while let Some(frame) = decoder.read_next_frame().unwrap() {
        if count == 0 {
            first = frame.buffer.to_vec();
        }
        count += 1;
    }
    assert_eq!(count, 3);
    assert!(first.contains(&0) && first.contains(&255));

    assert_eq!(json(&run("frames/"))["frames"], 3);
    let mut names: Vec<String> = std::fs::read_dir(f.path().join("frames"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["00000000.png", "00000002.png", "00000004.png"]);
    let (width, height, pixels) = picture(&f.path().join("frames/00000000.png"));
    assert_eq!((width, height), (512, 512));
    // The same picture: of its darkest colour where the animation has colour 0.
    let darkest = &pixels[4 * first.iter().position(|&i| i == 0).unwrap()..][..4];
    assert!(pixels.chunks(4).zip(&first).all(|(pixel, &i)| (pixel == darkest) == (i == 0)));
    failed(&run("m.mp4"), &["--movie", "m.mp4", ".gif"]);
}

#[test]
fn nbody_names_what_is_no_use() {
    let f = tempfile::tempdir().unwrap();
    c_order(&f, "three.npy", &[4, 3], &[0.0_f32; 12]);
    c_order::<f32>(&f, "none.npy", &[0, 7], &[]);
    let mut bad = CIRCLE;
    bad[10] = f64::NAN;
    c_order(&f, "nan.npy", &[2, 7], &bad);
    bad[10] = 0.0;
    bad[13] = -0.5;
    c_order(&f, "negative.npy", &[2, 7], &bad);
    let of = |descr: &str| [header_of(descr, "(1, 7)"), vec![0; 64]].concat();
    std::fs::write(f.path().join("integer.npy"), of("<i8")).unwrap();
    std::fs::write(f.path().join("c.npz"), "no archive").unwrap();
    c_order(&f, "in.npy", &[2, 7], &CIRCLE);
    let cases: [(&[&str], &[&str]); 8] = [
        (&["missing.npy"], &["missing.npy", "No such file"]),
        (&["three.npy"], &["three.npy", "Nx7", "vx", "4x3"]),
        (&["none.npy"], &["none.npy", "at least 1 body", "0x7"]),
        (&["nan.npy"], &["nan.npy", "row 1", "NaN"]),
        (&["negative.npy"], &["negative.npy", "row 1", "-0.5"]),
        (&["integer.npy"], &["integer.npy", "f64", "<i8"]),
        (&["in.npy", "--adaptive", "0.1"], &["softening=0", "above 0"]),
        (&["in.npy", "--energy", "no/e.csv"], &["no/e.csv", "cannot write"]),
    ];
    for (arguments, words) in cases {
        let all = ["nbody", "--steps", "2", "--dt", "0.1", "-o", "o.npy"];
        failed(&on_cpu(&f, &[&all, arguments].concat()), words);
        assert!(!f.path().join("o.npy").exists(), "{arguments:?} left an output");
    }
    let resume = ["nbody", "--steps", "2", "-o", "o.npy", "--resume"];
    for (name, words) in
        [("missing.npz", &["missing.npz", "No such file"][..]), ("c.npz", &["not a checkpoint"])]
    {
        failed(&on_cpu(&f, &[&resume[..], &[name]].concat()), words);
    }
    for arguments in [
        &["in.npy", "--steps", "2", "-o", "o.npy"][..],
        &["in.npy", "--dt", "0.1", "-o", "o.npy"],
        &["in.npy", "--steps", "2", "--dt", "-0.1", "-o", "o.npy"],
        &["in.npy", "--steps", "2", "--dt", "0", "-o", "o.npy"],
        &["plummer:0", "--steps", "2", "--dt", "0.1", "-o", "o.npy"],
        &["in.npy", "--resume", "c.npz", "--steps", "2", "-o", "o.npy"],
        &["--resume", "c.npz", "--softening", "1", "--steps", "2", "-o", "o.npy"],
        &["--steps", "2", "--dt", "0.1", "-o", "o.npy"],
    ] {
        let all = [&["nbody"], arguments].concat();
        assert_eq!(on_cpu(&f, &all).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn gpu_nbody_agrees_with_the_cpu() {
    if crate::adapter::gpu().is_none() {
        return;
    }
    let f = tempfile::tempdir().unwrap();
    let all = ["nbody", "plummer:300", "--steps", "8", "--dt", "0.01", "--softening", "0.05", "-o"];
    let output = gvpie(&[&all[..], &["gpu.npy", "--backend", "gpu"]].concat())
        .current_dir(&f)
        .output()
        .unwrap();
    succeeded(&output);
    succeeded(&on_cpu(&f, &[&all[..], &["cpu.npy"]].concat()));
    let rows = |name: &str| wide(load::<f32>(&f.path().join(name)).1);
    near(&rows("gpu.npy"), &rows("cpu.npy"), 1e-5);
}

#[test]
fn bench_fmm_has_checked_rows() {
    let f = tempfile::tempdir().unwrap();
    let points = ["--points", "500", "--points", "plummer:400", "--points", "direct:300"];
    let csv = on_cpu(&f, &[&["bench", "fmm", "--csv"], &points[..]].concat());
    succeeded(&csv);
    let text = String::from_utf8(csv.stdout).unwrap();
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert!(lines[1].starts_with("fmm,f32,1e-5,500,1,\""), "{text}");
    assert!(lines[2].starts_with("fmm,f32,1e-5,plummer:400,1,\""), "{text}");
    assert!(lines[3].starts_with("fmm,f32,1e-5,direct:300,1,\"direct, errors "), "{text}");
    assert_eq!(lines.len(), 5, "{text}");
    let double = ["bench", "fmm", "--json", "--points", "direct:300", "--dtype", "f64"];
    let rows = json(&on_cpu(&f, &double));
    assert_eq!((&rows[0]["dtype"], &rows[0]["unit"]), (&"f64".into(), &"Gpair/s".into()));
    let rate = 9e4 / rows[0]["ms_median"].as_f64().unwrap() / 1e6;
    assert!((rows[0]["rate"].as_f64().unwrap() / rate - 1.0).abs() < 1e-9, "{rows}");
    let half = ["bench", "fmm", "--dtype", "f16", "--points", "8"];
    failed(&on_cpu(&f, &half), &["fmm", "f32 or f64", "f16"]);
    for bad in ["0", "cube:5"] {
        assert_eq!(on_cpu(&f, &["bench", "fmm", "--points", bad]).status.code(), Some(2));
    }
}

#[test]
fn help_tells_of_bodies() {
    for (arguments, words) in [
        (&["help"][..], &["gvpie fmm", "gvpie nbody", "gvpie bench fmm"][..]),
        (
            &["help", "fmm"],
            &["potential", "--tolerance", "--targets", "--periodic", "--background"],
        ),
        (&["help", "nbody"], &["plummer:N", "galaxy:N", "--movie", "--resume", "leapfrog"]),
        (&["help", "bench"], &["--points", "plummer:N"]),
    ] {
        let text = String::from_utf8(gvpie(arguments).output().unwrap().stdout).unwrap();
        for word in words {
            assert!(text.contains(word), "'{word}' is not in {arguments:?}: {text}");
        }
    }
}
