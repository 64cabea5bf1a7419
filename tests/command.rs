//! The command, run as a user runs it.

mod bodies;
#[cfg(feature = "vgpu")]
mod check;
mod pictures;
mod programs;
mod scripts;
mod spectra;
mod tensors;
mod tiers;

use gvpie_core::f16;
use npyz::WriterBuilder;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

fn gvpie(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gvpie"));
    command.args(arguments).env_remove("GVPIE_BACKEND").env("NO_COLOR", "1");
    command
}

/// Runs on the CPU, in a folder.
fn on_cpu(folder: &TempDir, arguments: &[&str]) -> Output {
    gvpie(arguments).args(["--backend", "cpu"]).current_dir(folder).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn succeeded(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", said(output));
}

/// Exit status 1, one line on stderr that holds each of `words`.
#[track_caller]
fn failed(output: &Output, words: &[&str]) {
    let message = said(output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert_eq!(message.trim_end().lines().count(), 1, "{message}");
    for word in words {
        assert!(message.contains(word), "'{word}' is not in: {message}");
    }
}

fn save<T: npyz::AutoSerialize + Copy>(
    folder: &TempDir,
    name: &str,
    order: npyz::Order,
    shape: &[u64],
    data: &[T],
) {
    let file = std::fs::File::create(folder.path().join(name)).unwrap();
    let options = npyz::WriteOptions::<T>::new().default_dtype().order(order).shape(shape);
    let mut writer = options.writer(file).begin_nd().unwrap();
    writer.extend(data.iter().copied()).unwrap();
    writer.finish().unwrap();
}

fn c_order<T: npyz::AutoSerialize + Copy>(f: &TempDir, name: &str, shape: &[u64], data: &[T]) {
    save(f, name, npyz::Order::C, shape, data);
}

fn load<T: npyz::Deserialize>(path: &Path) -> (Vec<u64>, Vec<T>) {
    let file = npyz::NpyFile::new(std::fs::File::open(path).unwrap()).unwrap();
    (file.shape().to_vec(), file.into_vec().unwrap())
}

/// The beginning of a file with this header text.
fn header(text: &str) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend_from_slice(&(text.len() as u16).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

fn header_of(descr: &str, shape: &str) -> Vec<u8> {
    header(&format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n"))
}

/// A folder with A (2x3), B (3x2) and C0 (2x2) in f32.
fn small() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    c_order(&folder, "a.npy", &[2, 3], &[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0]);
    c_order(&folder, "b.npy", &[3, 2], &[1.0_f32, 0.0, 0.0, 1.0, 1.0, 1.0]);
    c_order(&folder, "c0.npy", &[2, 2], &[10.0_f32, 20.0, 30.0, 40.0]);
    folder
}

#[test]
fn gemm_multiplies_files() {
    let f = small();
    succeeded(&on_cpu(&f, &["gemm", "a.npy", "b.npy", "-o", "c.npy"]));
    let product = load::<f32>(&f.path().join("c.npy"));
    assert_eq!(product, (vec![2, 2], vec![4.0, 5.0, 10.0, 11.0]));

    let all = ["--alpha", "-2", "--beta", "0.5", "--c", "c0.npy", "--transpose-b"];
    let arguments = [&["gemm", "a.npy", "a.npy", "--output", "c.npy"], &all[..]].concat();
    succeeded(&on_cpu(&f, &arguments));
    let (_, product) = load::<f32>(&f.path().join("c.npy"));
    assert_eq!(product, [-23.0, -54.0, -49.0, -134.0]);

    succeeded(&on_cpu(&f, &["gemm", "a.npy", "a.npy", "-o", "c.npy", "--transpose-a"]));
    let (shape, product) = load::<f32>(&f.path().join("c.npy"));
    assert_eq!((shape, product[8]), (vec![3, 3], 45.0));
}

#[test]
fn gemm_reads_fortran_order_and_batches() {
    let f = small();
    // The same A, column by column.
    save(&f, "af.npy", npyz::Order::Fortran, &[2, 3], &[1.0_f32, 4.0, 2.0, 5.0, 3.0, 6.0]);
    succeeded(&on_cpu(&f, &["gemm", "af.npy", "b.npy", "-o", "c.npy"]));
    assert_eq!(load::<f32>(&f.path().join("c.npy")).1, [4.0, 5.0, 10.0, 11.0]);

    let twice: Vec<f32> = (1..=12).map(|i| i as f32).collect();
    c_order(&f, "a3.npy", &[2, 2, 3], &twice);
    succeeded(&on_cpu(&f, &["gemm", "a3.npy", "b.npy", "-o", "c.npy"]));
    let (shape, product) = load::<f32>(&f.path().join("c.npy"));
    assert_eq!(shape, [2, 2, 2]);
    assert_eq!(product, [4.0, 5.0, 10.0, 11.0, 16.0, 17.0, 22.0, 23.0]);
}

#[test]
fn gemm_promotes_and_never_narrows_unasked() {
    let f = small();
    c_order(&f, "a16.npy", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0].map(f16::from_f32));
    c_order(&f, "b64.npy", &[3, 2], &[1.0_f64, 0.0, 0.0, 1.0, 1.0, 1e-9]);
    let c = f.path().join("c.npy");
    succeeded(&on_cpu(&f, &["gemm", "a16.npy", "b64.npy", "-o", "c.npy"]));
    assert_eq!(load::<f64>(&c).1[1], 2.0 + 3e-9);
    succeeded(&on_cpu(&f, &["gemm", "a16.npy", "b.npy", "-o", "c.npy"]));
    assert_eq!(load::<f32>(&c).1, [4.0, 5.0, 10.0, 11.0]);
    succeeded(&on_cpu(&f, &["gemm", "a16.npy", "a16.npy", "-o", "c.npy", "--transpose-b"]));
    assert_eq!(load::<f16>(&c).1[3], f16::from_f32(77.0));
    succeeded(&on_cpu(&f, &["gemm", "a.npy", "b64.npy", "-o", "c.npy", "--dtype", "f32"]));
    assert_eq!(load::<f32>(&c).1, [4.0, 2.0, 10.0, 5.0]);
    // C0 in f64 would have to be narrowed: only when the result's type is named.
    c_order(&f, "c64.npy", &[2, 2], &[0.5_f64; 4]);
    let keep = ["gemm", "a.npy", "b.npy", "-o", "c.npy", "--beta", "1", "--c", "c64.npy"];
    failed(&on_cpu(&f, &keep), &["C0", "f32", "f64"]);
    succeeded(&on_cpu(&f, &[&keep[..], &["--dtype", "f32"]].concat()));
    assert_eq!(load::<f32>(&c).1, [4.5, 5.5, 10.5, 11.5]);
}

#[test]
fn gemm_keeps_the_accuracy_asked_for() {
    let f = small();
    for accuracy in ["f32", "exact", "f16"] {
        let gemm = ["gemm", "a.npy", "b.npy", "-o", "c.npy", "--json", "--accuracy", accuracy];
        let output = on_cpu(&f, &gemm);
        succeeded(&output);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["accuracy"], accuracy);
        // Exact in f16 too.
        assert_eq!(load::<f32>(&f.path().join("c.npy")).1, [4.0, 5.0, 10.0, 11.0]);
    }
}

#[test]
fn gemm_of_nothing_and_of_nan() {
    let f = small();
    c_order::<f32>(&f, "wide.npy", &[2, 0], &[]);
    c_order::<f32>(&f, "tall.npy", &[0, 2], &[]);
    let c = f.path().join("c.npy");
    succeeded(&on_cpu(&f, &["gemm", "wide.npy", "tall.npy", "-o", "c.npy"]));
    assert_eq!(load::<f32>(&c), (vec![2, 2], vec![0.0; 4]));
    let kept = ["gemm", "wide.npy", "tall.npy", "-o", "c.npy", "--beta", "2", "--c", "c0.npy"];
    succeeded(&on_cpu(&f, &kept));
    assert_eq!(load::<f32>(&c).1, [20.0, 40.0, 60.0, 80.0]);
    succeeded(&on_cpu(&f, &["gemm", "tall.npy", "c0.npy", "-o", "c.npy"]));
    assert_eq!(load::<f32>(&c), (vec![0, 2], vec![]));

    c_order(&f, "nan.npy", &[2, 2], &[f32::NAN, 1.0, f32::INFINITY, 1.0]);
    c_order(&f, "one.npy", &[2, 2], &[1.0_f32, 0.0, 0.0, 1.0]);
    succeeded(&on_cpu(&f, &["gemm", "nan.npy", "one.npy", "-o", "c.npy"]));
    let (_, product) = load::<f32>(&c);
    assert!(product[0].is_nan() && product[2] == f32::INFINITY, "{product:?}");
}

#[test]
fn gemm_names_files_that_are_no_use() {
    let f = small();
    let whole = std::fs::read(f.path().join("a.npy")).unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(f.path().join(name), bytes).unwrap();
    write("cut.npy", &whole[..whole.len() - 5]);
    write("stub.npy", &whole[..20]);
    write("text.npy", b"1 2 3\n4 5 6\n");
    write("empty.npy", b"");
    let of = |descr: &str, shape: &str| [header_of(descr, shape), vec![0; 64]].concat();
    write("object.npy", &of("|O", "(2, 2)"));
    write("big.npy", &of(">f4", "(2, 2)"));
    write("integer.npy", &of("<i8", "(2, 2)"));
    write("huge.npy", &of("<f4", "(9223372036854775807, 9223372036854775807)"));
    write("negative.npy", &of("<f4", "(-1, 4)"));
    write("deep.npy", &header(&"(".repeat(9_000)));
    c_order(&f, "line.npy", &[3], &[1.0_f32; 3]);
    let cases: [(&str, &[&str]); 12] = [
        ("missing.npy", &["missing.npy", "No such file"]),
        ("cut.npy", &["cut.npy", "expected 24 bytes", "2x3", "found 19"]),
        ("stub.npy", &["stub.npy", "not a .npy file"]),
        ("text.npy", &["text.npy", "not a .npy file"]),
        ("empty.npy", &["empty.npy", "not a .npy file"]),
        ("object.npy", &["object.npy", "|O"]),
        ("big.npy", &["big.npy", "little-endian", ">f4"]),
        ("integer.npy", &["integer.npy", "<i8"]),
        ("huge.npy", &["huge.npy", "found 64"]),
        ("negative.npy", &["negative.npy", "negative"]),
        ("deep.npy", &["deep.npy", "not a .npy file"]),
        ("line.npy", &["A", "2 axes", "shape 3"]),
    ];
    for (name, words) in cases {
        failed(&on_cpu(&f, &["gemm", name, "b.npy", "-o", "c.npy"]), words);
        assert!(!f.path().join("c.npy").exists(), "{name} left an output");
    }
    failed(&on_cpu(&f, &["gemm", ".", "b.npy", "-o", "c.npy"]), &["directory"]);
    failed(&on_cpu(&f, &["gemm", "a.npy", "a.npy", "-o", "c.npy"]), &["B", "3 rows", "2x3"]);
    let c0 = ["gemm", "a.npy", "b.npy", "-o", "c.npy", "--beta", "1", "--c", "a.npy"];
    failed(&on_cpu(&f, &c0), &["C0", "2x2", "2x3"]);
}

#[test]
fn outputs_appear_whole_or_not_at_all() {
    let f = small();
    let to = |path: &str| on_cpu(&f, &["gemm", "a.npy", "b.npy", "-o", path]);
    failed(&to("no/such/folder/c.npy"), &["no/such/folder/c.npy", "cannot write"]);
    failed(&to("."), &["cannot write"]);
    std::fs::write(f.path().join("c.npy"), "old").unwrap();
    failed(&on_cpu(&f, &["gemm", "a.npy", "a.npy", "-o", "c.npy"]), &["B"]);
    assert_eq!(std::fs::read(f.path().join("c.npy")).unwrap(), b"old");
    let names: Vec<PathBuf> =
        std::fs::read_dir(&f).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(names.len(), 4, "something was left behind: {names:?}");
}

#[test]
fn usage_errors_exit_with_2() {
    let f = small();
    for arguments in [
        &["gemm"][..],
        &["gemm", "a.npy", "b.npy"],
        &["gemm", "a.npy", "b.npy", "-o", "c.npy", "--beta", "1"],
        &["gemm", "a.npy", "b.npy", "-o", "c.npy", "--accuracy", "f8"],
        &["bench", "--shape", "4096"],
        &["bench", "nonsense"],
        &["bench", "gemm", "--accuracy", "f64"],
        &["bench", "gemm", "--out", "i32"],
        &["tune", "--shape", "64x64"],
        &["tune", "--op", "nonsense"],
        &["tune", "--reset", "--dry-run"],
        &["--backend", "cuda"],
        &["nonsense"],
    ] {
        let output = gvpie(arguments).current_dir(&f).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    let output = gvpie(&[]).env("GVPIE_BACKEND", "cuda").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let output = gvpie(&["doctor"]).env("GVPIE_TIMEOUT", "soon").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("GVPIE_TIMEOUT=soon"), "{}", said(&output));
}

#[test]
fn help_reads_like_a_manual() {
    for (arguments, words) in [
        (
            &["help"][..],
            &["Examples:", "Environment:", "Exit status:", "gemm", "GVPIE_CHECK", "NO_COLOR"][..],
        ),
        (&["help", "gemm"], &["--transpose-a", "--beta", "Fortran"]),
        (&["help", "bench"], &["--csv", "median", "--shape", "--accuracy", "--out", "exact"]),
        (&["help", "tune"], &["tune.json", "--dry-run", "--reset", "checked", "halving"]),
    ] {
        let output = gvpie(arguments).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        for word in words {
            assert!(text.contains(word), "'{word}' is not in {arguments:?}: {text}");
        }
    }
}

#[test]
fn backend_gpu_fails_where_there_is_none() {
    let f = small();
    // An API that no adapter of a Linux machine has.
    for arguments in [&["--backend", "gpu"][..], &["doctor", "--backend", "GPU"]] {
        let output = gvpie(arguments).env("WGPU_BACKEND", "dx12").output().unwrap();
        failed(&output, &["no usable GPU adapter"]);
    }
    let gemm = ["gemm", "a.npy", "b.npy", "-o", "c.npy", "--backend", "gpu"];
    let output = gvpie(&gemm).env("WGPU_BACKEND", "dx12").current_dir(&f).output().unwrap();
    failed(&output, &["no usable GPU adapter", "--backend cpu"]);
    assert!(!f.path().join("c.npy").exists());
    // Free to choose, it computes on the CPU and says so once.
    let gemm = ["gemm", "a.npy", "b.npy", "-o", "c.npy"];
    let output = gvpie(&gemm).env("WGPU_BACKEND", "dx12").current_dir(&f).output().unwrap();
    succeeded(&output);
    assert_eq!(said(&output).matches("computing on the CPU").count(), 1, "{}", said(&output));
}

#[test]
fn the_tour_and_doctor_speak_json() {
    let f = small();
    let output = on_cpu(&f, &["--json"]);
    succeeded(&output);
    let tour: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(tour["operations"][0]["op"], "gemm");
    assert_eq!(tour["operations"][0]["verified"], true);
    assert_eq!(tour["operations"][1]["op"], "glyph");
    assert_eq!(tour["operations"][2]["op"], "fft");
    let (width, height, _) = picture(&f.path().join("gvpie-tour.png"));
    assert_eq!((width, height), (40 * 6, 9 * 8));
    assert!(tour["operations"][0]["tflops"].as_f64().unwrap() > 0.0);
    let output = on_cpu(&f, &["doctor", "--json"]);
    succeeded(&output);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["paths"]["gemm f64 64x64x64"], "cpu-f64");
    assert_eq!(report["paths"]["fft f64 1013"], "cpu");
    let output = on_cpu(&f, &["gemm", "a.npy", "b.npy", "-o", "c.npy", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["shape"], serde_json::json!([2, 2]));
    assert_eq!(report["accuracy"], "f32");
    let tour = on_cpu(&f, &[]);
    succeeded(&tour);
    let text = String::from_utf8(tour.stdout).unwrap();
    assert!(text.contains("verified") && text.contains("TFLOP/s"), "{text}");
}

#[test]
fn bench_prints_csv_of_rfc_4180() {
    let f = small();
    let shapes = ["--shape", "32x32x32", "--shape", "3x8x9x10"];
    let output = on_cpu(&f, &[&["bench", "gemm", "--csv"], &shapes[..]].concat());
    succeeded(&output);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.split("\r\n").collect();
    let columns = "op,dtype,accuracy,shape,batch,path,ms_median,rate,unit,gbps,adapter,driver";
    assert_eq!(lines[0], columns);
    assert!(lines[1].starts_with("gemm,f32,f32,32x32x32,1,cpu-f32,"), "{text}");
    assert!(lines[2].starts_with("gemm,f32,f32,8x9x10,3,cpu-f32,"), "{text}");
    assert_eq!(lines.len(), 4, "{text}");
}

#[test]
fn bench_measures_each_accuracy_and_type() {
    let f = small();
    let row = |arguments: &[&str]| {
        let shape = ["bench", "gemm", "--json", "--shape", "1x64x64"];
        let output = on_cpu(&f, &[&shape, arguments].concat());
        succeeded(&output);
        let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        rows[0].clone()
    };
    for accuracy in ["f32", "exact", "f16"] {
        assert_eq!(row(&["--accuracy", accuracy])["accuracy"], accuracy);
    }
    let mixed = row(&["--dtype", "f16", "--out", "f32"]);
    assert_eq!(mixed["dtype"], "f16->f32");
    let least = (64.0 + 64.0 * 64.0) * 2.0 + 64.0 * 4.0;
    let gbps = least / mixed["ms_median"].as_f64().unwrap() / 1e6;
    assert!((mixed["gbps"].as_f64().unwrap() / gbps - 1.0).abs() < 1e-9, "{mixed}");
    let text = on_cpu(&f, &["bench", "gemm", "--shape", "8x8x8", "--accuracy", "exact"]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("GB/s") && text.contains(" exact "), "{text}");
}

#[test]
fn gpu_gemm_of_files_agrees_with_the_cpu() {
    let Some(gpu) = crate::adapter::gpu() else { return };
    let f = small();
    let run = |arguments: &[&str]| {
        let all = [&["gemm"], arguments, &["--backend", "gpu"]].concat();
        gvpie(&all).current_dir(&f).output().unwrap()
    };
    succeeded(&run(&["a.npy", "b.npy", "-o", "c.npy"]));
    assert_eq!(load::<f32>(&f.path().join("c.npy")).1, [4.0, 5.0, 10.0, 11.0]);
    c_order(&f, "a64.npy", &[2, 3], &[1.0_f64; 6]);
    let doubles = run(&["a64.npy", "b.npy", "-o", "d.npy"]);
    if gpu.device().gpu().unwrap().has_f64() {
        succeeded(&doubles);
        assert_eq!(load::<f64>(&f.path().join("d.npy")).1, [2.0; 4]);
    } else {
        failed(&doubles, &["f64", "not supported"]);
        assert!(!f.path().join("d.npy").exists());
    }

    // A matrix past the device's largest buffer: which limit, and by how much.
    let limits = gpu.device().gpu().unwrap().limits();
    let floats = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size) / 4;
    if floats <= 64 << 20 {
        let rows = floats / 1024 + 1;
        let beginning = header_of("<f4", &format!("({rows}, 1024)"));
        let path = f.path().join("large.npy");
        std::fs::write(&path, &beginning).unwrap();
        let large = std::fs::File::options().append(true).open(path).unwrap();
        large.set_len(beginning.len() as u64 + rows * 4096).unwrap(); // zeros, without their blocks
        c_order(&f, "thin.npy", &[1024, 1], &[0.0_f32; 1024]);
        let words = ["max_storage_buffer_binding_size", "too many"];
        failed(&run(&["large.npy", "thin.npy", "-o", "d.npy"]), &words);
    }
    let tour = gvpie(&["--backend", "gpu", "--json"]).current_dir(&f).output().unwrap();
    succeeded(&tour);
    let report: serde_json::Value = serde_json::from_slice(&tour.stdout).unwrap();
    assert_eq!(report["backend"], "gpu");
    let named = gvpie(&["--backend", "gpu"]).env("WGPU_ADAPTER_NAME", "no such card").output();
    failed(&named.unwrap(), &["no such card", &gpu.adapter()]);
}

/// Width, height and RGBA bytes of a picture.
fn picture(path: &Path) -> (u32, u32, Vec<u8>) {
    let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut bytes).unwrap();
    (info.width, info.height, bytes)
}

#[test]
fn the_cpu_has_nothing_to_tune() {
    let f = tempfile::tempdir().unwrap();
    let tune = |arguments: &[&str]| {
        let output = on_cpu(&f, &[&["tune"], arguments].concat());
        succeeded(&output);
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(tune(&[]).contains("Nothing to tune"));
    assert!(tune(&["--reset"]).contains("Nothing to tune"));
    let report: serde_json::Value = serde_json::from_str(&tune(&["--json"])).unwrap();
    assert_eq!(report["tuned"], serde_json::json!([]));
}

#[test]
fn gpu_choices_are_measured_kept_and_used() {
    if crate::adapter::gpu().is_none() {
        return;
    }
    let f = small();
    let file = f.path().join("tune.json");
    let gpu = |arguments: &[&str]| {
        let mut command = gvpie(&[arguments, &["--backend", "gpu"]].concat());
        command.env("GVPIE_CACHE_DIR", f.path()).env_remove("RUST_LOG").current_dir(&f);
        command
    };
    let tune = |arguments: &[&str]| {
        let shape = ["tune", "--shape", "64x64x64", "--json"];
        let output = gpu(&[&shape, arguments].concat()).output().unwrap();
        succeeded(&output);
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let path = || {
        let output = gpu(&["bench", "gemm", "--shape", "64x64x64", "--json"]).output().unwrap();
        succeeded(&output);
        let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (rows[0]["path"].as_str().unwrap().to_string(), said(&output))
    };
    let quiet = String::new;

    assert_eq!(tune(&["--dry-run"])["file"], serde_json::Value::Null);
    assert!(!file.exists());
    let report = tune(&[]);
    let row = &report["tuned"][0];
    let winner = row["winner"].as_str().unwrap();
    assert_eq!(report["file"].as_str().map(Path::new), Some(file.as_path()));
    assert_eq!((row["failed"].as_u64(), row["shape"].as_str()), (Some(0), Some("64x64x64")));
    let tried = row["tried"].as_u64().unwrap();
    assert!(tried >= 2 && row["default_ms"].as_f64().unwrap() > 0.0, "{row}");
    assert_eq!(path(), (winner.to_string(), quiet()));

    // Whatever the file names is used, if it is one of the candidates.
    let kept = std::fs::read_to_string(&file).unwrap();
    let named = |name: &str| {
        let words = format!("\"algorithm\": \"{winner}\"");
        std::fs::write(&file, kept.replace(&words, &format!("\"algorithm\": \"{name}\""))).unwrap();
    };
    let default = row["default"].as_str().unwrap();
    let names = row["trials"].as_array().unwrap().iter().map(|t| t["algorithm"].as_str().unwrap());
    let other = names.into_iter().find(|name| *name != default).unwrap();
    named(other);
    assert_eq!(path(), (other.to_string(), quiet()));
    for useless in ["no-such-algorithm", "cpu-f32"] {
        named(useless);
        let (path, words) = path();
        assert_eq!(path, default);
        assert!(words.contains(useless) && words.contains("ignored"), "{words}");
        assert_eq!(words.trim_end().lines().count(), 1, "{words}");
    }

    // A damaged file changes no result.
    let multiply = || {
        let output = gpu(&["gemm", "a.npy", "b.npy", "-o", "c.npy"]).output().unwrap();
        succeeded(&output);
        assert_eq!(load::<f32>(&f.path().join("c.npy")).1, [4.0, 5.0, 10.0, 11.0]);
        said(&output)
    };
    std::fs::write(&file, &kept[..kept.len() / 2]).unwrap();
    let words = multiply();
    assert!(words.contains("tune.damaged.json"), "{words}");
    assert!(!file.exists() && f.path().join("tune.damaged.json").exists());
    assert_eq!(multiply(), "");

    std::fs::write(&file, &kept).unwrap();
    let output = gpu(&["tune", "--reset"]).output().unwrap();
    succeeded(&output);
    assert!(String::from_utf8_lossy(&output.stdout).contains("forgotten: 1"));
    assert_eq!(path(), (default.to_string(), quiet()));

    let output = gpu(&["tune"]).env("GVPIE_CACHE_DIR", "").output().unwrap();
    failed(&output, &["GVPIE_CACHE_DIR", "--dry-run"]);
}
