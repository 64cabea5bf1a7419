//! `gvpie fft`, `gvpie spectrogram` and `gvpie bench fft`.

use super::{c_order, failed, gvpie, header_of, load, on_cpu, picture, said, save, succeeded};
use gvpie_core::{Complex, f16};
use std::f64::consts::{PI, TAU};
use tempfile::TempDir;

type C32 = Complex<f32>;
type C64 = Complex<f64>;

/// Three rows of four; its transforms below are NumPy's.
const A: [f64; 12] = [1.0, 2.0, 3.0, 0.0, 4.0, -5.0, 6.0, 1.0, 0.0, 2.0, -1.0, 3.0];

/// numpy.fft.fftn(A)
const FFTN: [(f64, f64); 12] = [
    (16.0, 0.0),
    (-3.0, 5.0),
    (10.0, 0.0),
    (-3.0, -5.0),
    (1.0, -1.732050808),
    (2.830127019, -2.901923789),
    (-2.0, -17.320508076),
    (-5.830127019, 8.098076211),
    (1.0, 1.732050808),
    (-5.830127019, -8.098076211),
    (-2.0, 17.320508076),
    (2.830127019, 2.901923789),
];

/// Half a spectrum of six or seven, and with it numpy.fft.irfft(HALF) and irfft(HALF, n=7)
const HALF: [(f64, f64); 4] = [(6.0, 0.0), (1.0, -2.0), (-3.0, 1.0), (2.0, 0.0)];
const OF_SIX: [f64; 6] =
    [0.666666667, 1.622008468, 2.53269207, -0.666666667, 0.800641263, 1.044658199];
const OF_SEVEN: [f64; 7] =
    [0.857142857, 0.879385692, 2.603172811, 0.40946252, -0.533165458, 1.241035917, 0.542965661];

fn complex(parts: &[(f64, f64)]) -> Vec<C64> {
    parts.iter().map(|&(re, im)| C64::new(re, im)).collect()
}

fn narrow(wide: &[C64]) -> Vec<C32> {
    wide.iter().map(|z| C32::new(z.re as f32, z.im as f32)).collect()
}

#[track_caller]
fn near(found: &[C64], expected: &[C64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).norm() <= tolerance, "{found} is not {expected}");
    }
}

/// Transforms x.npy on the CPU; shape and elements in double precision.
#[track_caller]
fn fft(f: &TempDir, arguments: &[&str]) -> (Vec<u64>, Vec<C64>) {
    let all = [&["fft", "x.npy", "-o", "y.npy"], arguments].concat();
    succeeded(&on_cpu(f, &all));
    let y = f.path().join("y.npy");
    let bytes = std::fs::read(&y).unwrap();
    let descr = String::from_utf8_lossy(&bytes[..60]);
    if descr.contains("<c8") {
        let (shape, data) = load::<C32>(&y);
        return (shape, data.iter().map(|z| C64::new(z.re.into(), z.im.into())).collect());
    }
    if descr.contains("<f4") {
        let (shape, data) = load::<f32>(&y);
        return (shape, data.into_iter().map(|x| C64::from(f64::from(x))).collect());
    }
    if descr.contains("<f8") {
        let (shape, data) = load::<f64>(&y);
        return (shape, data.into_iter().map(C64::from).collect());
    }
    load::<C64>(&y)
}

fn folder() -> TempDir {
    let f = tempfile::tempdir().unwrap();
    c_order(&f, "x.npy", &[3, 4], &A);
    f
}

#[test]
fn fft_computes_what_numpy_does() {
    let f = folder();
    let all = complex(&FFTN);
    // Forward in every element type, in both orders; the precision is that of the file.
    let both = ["--axes", "0,1"];
    let (shape, y) = fft(&f, &both);
    assert_eq!(shape, [3, 4]);
    near(&y, &all, 1e-8);
    assert_eq!(fft(&f, &["--axes", "-2,-1"]).1, y);
    let columns: Vec<f64> = (0..12).map(|i| A[i % 3 * 4 + i / 3]).collect();
    save(&f, "x.npy", npyz::Order::Fortran, &[3, 4], &columns);
    assert_eq!(fft(&f, &both).1, y);
    c_order(&f, "x.npy", &[3, 4], &A.map(C64::from));
    assert_eq!(fft(&f, &both).1, y);
    c_order(&f, "x.npy", &[3, 4], &A.map(|x| C32::from(x as f32)));
    near(&fft(&f, &both).1, &all, 1e-5);
    c_order(&f, "x.npy", &[3, 4], &A.map(f16::from_f64));
    near(&fft(&f, &both).1, &all, 1e-5);
    assert_eq!(load::<C32>(&f.path().join("y.npy")).0, [3, 4]);

    // The inverse, of both axes; of the last alone unless said.
    c_order(&f, "x.npy", &[3, 4], &all);
    near(&fft(&f, &["--axes", "1,0", "--inverse"]).1, &A.map(C64::from), 1e-8);
    c_order(&f, "x.npy", &[3, 4], &A);
    let rows = fft(&f, &["--norm", "ortho"]).1;
    near(&rows[4..8], &complex(&[(3.0, 0.0), (-1.0, 3.0), (7.0, 0.0), (-1.0, -3.0)]), 1e-12);
    let rows = fft(&f, &["--norm", "forward"]).1;
    near(&rows[4..8], &complex(&[(1.5, 0.0), (-0.5, 1.5), (3.5, 0.0), (-0.5, -1.5)]), 1e-12);
}

#[test]
fn fft_of_real_numbers_and_back() {
    let f = folder();
    let half: Vec<C64> = complex(&FFTN).chunks(4).flat_map(|row| row[..3].to_vec()).collect();
    let (shape, y) = fft(&f, &["--real", "--axes", "0,1"]);
    assert_eq!(shape, [3, 3]);
    near(&y, &half, 1e-8);
    std::fs::rename(f.path().join("y.npy"), f.path().join("x.npy")).unwrap();
    let (shape, x) = fft(&f, &["--real", "--inverse", "--axes", "0,1"]);
    assert_eq!(shape, [3, 4]);
    near(&x, &A.map(C64::from), 1e-12);

    c_order(&f, "x.npy", &[4], &narrow(&complex(&HALF)));
    let (shape, x) = fft(&f, &["--real", "--inverse"]);
    assert_eq!(shape, [6]);
    near(&x, &OF_SIX.map(C64::from), 1e-6);
    near(&fft(&f, &["--real", "--inverse", "--n", "7"]).1, &OF_SEVEN.map(C64::from), 1e-6);
    // Cropped to three elements, filled up to six.
    let four = [1.25, 3.25, 0.25, 1.25].map(C64::from);
    near(&fft(&f, &["--real", "--inverse", "--n", "4"]).1, &four, 1e-6);
    let ten = fft(&f, &["--real", "--inverse", "--n", "10"]).1;
    near(&ten[..2], &[0.6, 0.497689202].map(C64::from), 1e-6);
    assert_eq!(ten.len(), 10);
}

#[test]
fn fft_crops_and_fills_up() {
    let f = folder();
    c_order(&f, "x.npy", &[4], &A[..4]);
    let root = 0.75_f64.sqrt();
    let three = complex(&[(6.0, 0.0), (-1.5, root), (-1.5, -root)]);
    near(&fft(&f, &["--n", "3"]).1, &three, 1e-12);
    let half = complex(&[(6.0, 0.0), (0.5, -5.0 * root), (-1.5, root), (2.0, 0.0)]);
    near(&fft(&f, &["--n", "6", "--real"]).1, &half, 1e-12);
    // One axis longer, the other shorter, is the same as an array of that shape.
    c_order(&f, "x.npy", &[3, 4], &A);
    let y = fft(&f, &["--n", "4,2"]);
    let fitted = [1.0, 2.0, 4.0, -5.0, 0.0, 2.0, 0.0, 0.0];
    c_order(&f, "x.npy", &[4, 2], &fitted);
    assert_eq!(fft(&f, &["--axes", "0,1"]), y);
    // Nothing at all is filled up too; an axis without elements that is not transformed stays so.
    c_order::<f32>(&f, "x.npy", &[0], &[]);
    assert_eq!(fft(&f, &["--n", "2"]).1, [C64::ZERO; 2]);
    c_order::<f32>(&f, "x.npy", &[0, 3], &[]);
    assert_eq!(fft(&f, &[]), (vec![0, 3], vec![]));
}

#[test]
fn fft_says_what_it_did() {
    let f = folder();
    let output = on_cpu(&f, &["fft", "x.npy", "-o", "y.npy", "--real", "--json", "--n", "8"]);
    succeeded(&output);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["shape"], serde_json::json!([3, 5]));
    assert_eq!((&report["dtype"], &report["norm"]), (&"complex128".into(), &"backward".into()));
    assert_eq!((&report["axes"], &report["n"]), (&vec![1].into(), &vec![8].into()));
    assert_eq!(report["path"], "cpu");
    let output = on_cpu(&f, &["fft", "x.npy", "-o", "y.npy"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("y.npy: 3x4 complex128, cpu on "), "{text}");
}

#[test]
fn fft_names_what_is_no_use() {
    let f = folder();
    c_order(&f, "c.npy", &[4], &[C32::ONE; 4]);
    c_order(&f, "one.npy", &[2, 1], &[C32::ONE; 2]);
    c_order(&f, "point.npy", &[], &[1.0_f32]);
    c_order::<f32>(&f, "empty.npy", &[3, 0], &[]);
    let whole = std::fs::read(f.path().join("c.npy")).unwrap();
    std::fs::write(f.path().join("cut.npy"), &whole[..whole.len() - 3]).unwrap();
    let of = |descr: &str| [header_of(descr, "(2, 2)"), vec![0; 64]].concat();
    std::fs::write(f.path().join("big.npy"), of(">c8")).unwrap();
    std::fs::write(f.path().join("long.npy"), of("<c32")).unwrap();
    std::fs::write(f.path().join("integer.npy"), of("<i4")).unwrap();
    let cases: [(&[&str], &[&str]); 15] = [
        (&["missing.npy"], &["missing.npy", "No such file"]),
        (&["cut.npy"], &["cut.npy", "expected 32 bytes", "found 29"]),
        (&["big.npy"], &["big.npy", "complex64", ">c8"]),
        (&["long.npy"], &["long.npy", "complex128"]),
        (&["integer.npy"], &["integer.npy", "<i4"]),
        (&["point.npy"], &["point.npy", "at least 1 axes", "()"]),
        (&["c.npy", "--n", "2,2"], &["c.npy", "at least 2 axes", "shape 4"]),
        (&["x.npy", "--axes", "2"], &["--axes", "x.npy", "3x4", "found 2"]),
        (&["x.npy", "--axes", "0,-3"], &["--axes", "x.npy", "3x4", "found -3"]),
        (&["x.npy", "--axes", "1,-1"], &["--axes", "each axis once", "axis 1 again"]),
        (&["x.npy", "--axes", "1", "--n", "2,2"], &["--n", "expected 1", "found 2"]),
        (&["empty.npy"], &["empty.npy", "axis 1", "--n", "3x0"]),
        (&["one.npy", "--real", "--inverse"], &["one.npy", "at least 2", "axis 1", "2x1"]),
        (&["c.npy", "--real"], &["c.npy", "--real", "f64", "complex64"]),
        (&["x.npy", "--n", "999999999999999999"], &["999999999999999999"]),
    ];
    for (arguments, words) in cases {
        failed(&on_cpu(&f, &[&["fft", "-o", "y.npy"], arguments].concat()), words);
        assert!(!f.path().join("y.npy").exists(), "{arguments:?} left an output");
    }
    failed(&on_cpu(&f, &["fft", "x.npy", "-o", "no/y.npy"]), &["no/y.npy", "cannot write"]);
    // A product has no complex operands.
    let gemm = ["gemm", "c.npy", "c.npy", "-o", "y.npy"];
    failed(&on_cpu(&f, &gemm), &["c.npy", "f16, f32 or f64", "<c8"]);
    for arguments in [
        &["fft", "x.npy"][..],
        &["fft", "x.npy", "-o", "y.npy", "--n", "0"],
        &["fft", "x.npy", "-o", "y.npy", "--axes", "last"],
        &["fft", "x.npy", "-o", "y.npy", "--norm", "sideways"],
        &["bench", "fft", "--length", "0"],
        &["bench", "fft", "--length", "1x2x3x4"],
        &["spectrogram", "x.wav", "-o", "x.png", "--size", "1"],
        &["spectrogram", "x.wav", "-o", "x.png", "--hop", "0"],
        &["spectrogram", "x.wav", "-o", "x.png", "--floor", "3"],
        &["spectrogram", "x.wav", "-o", "x.png", "--window", "kaiser"],
    ] {
        assert_eq!(on_cpu(&f, arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn gpu_fft_of_files_agrees_with_the_cpu() {
    let Some(gpu) = crate::adapter::gpu() else { return };
    let f = folder();
    let on_gpu = |arguments: &[&str]| {
        let all = [&["fft", "x.npy", "-o", "y.npy", "--backend", "gpu"], arguments].concat();
        gvpie(&all).current_dir(&f).output().unwrap()
    };
    let doubles = on_gpu(&[]);
    if gpu.device().gpu().unwrap().has_f64() {
        succeeded(&doubles);
    } else {
        failed(&doubles, &["f64", "not supported"]);
        assert!(!f.path().join("y.npy").exists());
    }
    c_order(&f, "x.npy", &[3, 4], &A.map(|x| x as f32));
    for arguments in [
        &["--axes", "0,1"][..],
        &["--real", "--axes", "1,0"],
        &["--n", "7,3", "--norm", "ortho"],
        &["--real", "--inverse", "--n", "9"],
    ] {
        let (shape, expected) = fft(&f, arguments);
        succeeded(&on_gpu(arguments));
        let y = f.path().join("y.npy");
        if arguments.contains(&"--inverse") {
            let (found, data) = load::<f32>(&y);
            assert_eq!(found, shape);
            let data: Vec<C64> = data.into_iter().map(|x| C64::from(f64::from(x))).collect();
            near(&data, &expected, 1e-5);
        } else {
            let (found, data) = load::<C32>(&y);
            assert_eq!(found, shape);
            let wide = |z: &C32| C64::new(z.re.into(), z.im.into());
            near(&data.iter().map(wide).collect::<Vec<_>>(), &expected, 1e-5);
        }
    }
}

const RATE: u32 = 8000;

/// A chirp from 500 to 3500 Hz in two seconds, of half of full scale.
fn chirp() -> Vec<f64> {
    let sample = |i: usize| {
        let t = i as f64 / f64::from(RATE);
        0.5 * (TAU * (500.0 * t + 0.5 * 1500.0 * t * t)).sin()
    };
    (0..2 * RATE as usize).map(sample).collect()
}

/// Writes a sound, each sample once a channel.
fn wav<S: hound::Sample + Copy>(
    f: &TempDir,
    name: &str,
    (channels, bits_per_sample, sample_format): (u16, u16, hound::SampleFormat),
    sound: &[S],
) {
    let spec = hound::WavSpec { channels, sample_rate: RATE, bits_per_sample, sample_format };
    let mut writer = hound::WavWriter::create(f.path().join(name), spec).unwrap();
    for &sample in sound {
        (0..channels).for_each(|_| writer.write_sample(sample).unwrap());
    }
    writer.finalize().unwrap();
}

fn spectrogram(f: &TempDir, arguments: &[&str]) -> (serde_json::Value, String) {
    let all = [&["spectrogram", "-o", "o.png", "--json"], arguments].concat();
    let output = on_cpu(f, &all);
    succeeded(&output);
    (serde_json::from_slice(&output.stdout).unwrap(), said(&output))
}

#[test]
fn spectrogram_follows_a_chirp() {
    let f = tempfile::tempdir().unwrap();
    let float = (1, 32, hound::SampleFormat::Float);
    wav(&f, "x.wav", float, &chirp().iter().map(|&x| x as f32).collect::<Vec<_>>());
    let (size, hop) = (512, 128);
    for window in ["hann", "hamming", "blackman", "rect"] {
        let (report, words) =
            spectrogram(&f, &["x.wav", "--size", "512", "--hop", "128", "--window", window]);
        assert_eq!(words, "");
        assert_eq!((&report["channels"], &report["rate"]), (&1.into(), &RATE.into()));
        let (width, height, pixels) = picture(&f.path().join("o.png"));
        assert_eq!((width, height), (122, 257));
        for frame in 0..121_u32 {
            // The frequency in the middle of the frame, low ones at the bottom.
            let t = f64::from(frame * hop + size / 2) / f64::from(RATE);
            let expected = (500.0 + 1500.0 * t) * f64::from(size) / f64::from(RATE);
            let light = |row: &u32| {
                let pixel = &pixels[(row * width + frame) as usize * 4..][..3];
                pixel.iter().map(|&part| u32::from(part)).sum::<u32>()
            };
            let ridge = f64::from(height - 1 - (0..height).max_by_key(light).unwrap());
            assert!((ridge - expected).abs() <= 3.0, "{window} {frame}: {ridge}, {expected}");
        }
    }
    // A tone in the middle of a bin has its own level: half of full scale is -6.02 dB.
    let tone: Vec<f32> = (0..4096).map(|i| 0.5 * (PI * i as f64 / 8.0).sin() as f32).collect();
    wav(&f, "x.wav", float, &tone);
    let (report, _) = spectrogram(&f, &["x.wav"]);
    let loudest = |name: &str| report["loudest"][name].as_f64().unwrap();
    assert!((loudest("db") + 6.0206).abs() < 1e-3, "{report}");
    assert!((loudest("hertz") - 500.0).abs() < 1e-9, "{report}");
}

#[test]
fn spectrogram_reads_every_kind_of_sample() {
    let f = tempfile::tempdir().unwrap();
    let chirp = chirp();
    let int = hound::SampleFormat::Int;
    let whole = |scale: f64| chirp.iter().map(|x| (x * scale) as i32).collect::<Vec<_>>();
    wav(&f, "16.wav", (1, 16, int), &whole(32_767.0));
    wav(&f, "24.wav", (1, 24, int), &whole(8_388_607.0));
    wav(&f, "32.wav", (1, 32, int), &whole(2_147_483_647.0));
    wav(&f, "8.wav", (1, 8, int), &whole(127.0));
    wav(&f, "stereo.wav", (2, 16, int), &whole(32_767.0));
    let level = |name: &str| {
        let (report, words) = spectrogram(&f, &[name]);
        (report["loudest"]["db"].as_f64().unwrap(), words)
    };
    let (expected, _) = level("32.wav");
    for (name, tolerance) in [("24.wav", 1e-3), ("16.wav", 1e-2), ("8.wav", 0.2)] {
        let (found, words) = level(name);
        assert!((found - expected).abs() < tolerance, "{name}: {found}, {expected}");
        assert_eq!(words, "");
    }
    let (found, words) = level("stereo.wav");
    assert!((found - expected).abs() < 1e-2);
    assert_eq!(words, "gvpie: 2 channels are averaged\n");

    // Silence, and less of it than a frame.
    wav(&f, "silence.wav", (1, 16, int), &[0_i16; 100]);
    let (report, _) = spectrogram(&f, &["silence.wav"]);
    assert_eq!((&report["width"], &report["loudest"]), (&1.into(), &serde_json::Value::Null));
    let text = on_cpu(&f, &["spectrogram", "silence.wav", "-o", "o.png"]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("1x1025 pixels") && text.contains("silence"), "{text}");
}

#[test]
fn spectrogram_names_what_is_no_sound() {
    let f = tempfile::tempdir().unwrap();
    let (int, float) = (hound::SampleFormat::Int, hound::SampleFormat::Float);
    wav(&f, "long.wav", (1, 16, int), &vec![1_i16; 70_000]);
    wav(&f, "empty.wav", (1, 16, int), &[0_i16; 0]);
    wav(&f, "nan.wav", (1, 32, float), &[0.0_f32, f32::NAN]);
    let whole = std::fs::read(f.path().join("long.wav")).unwrap();
    std::fs::write(f.path().join("cut.wav"), &whole[..1045]).unwrap();
    std::fs::write(f.path().join("head.wav"), &whole[..30]).unwrap();
    std::fs::write(f.path().join("text.wav"), "no sound at all").unwrap();
    let mut law = whole.clone();
    law[20] = 7; // the format: mu-law
    std::fs::write(f.path().join("law.wav"), law).unwrap();
    let hop = ["long.wav", "--hop", "1", "--size", "16"];
    let cases: [(&[&str], &[&str]); 9] = [
        (&["missing.wav"], &["missing.wav", "No such file"]),
        (&["."], &["directory"]),
        (&["cut.wav"], &["cut.wav", "cut short", "expected 70000", "found 500"]),
        (&["head.wav"], &["head.wav", "header is cut short"]),
        (&["text.wav"], &["text.wav", "no RIFF tag"]),
        (&["law.wav"], &["law.wav", "not a WAV file that can be read"]),
        (&["empty.wav"], &["empty.wav", "no samples"]),
        (&["nan.wav"], &["nan.wav", "sample 1 is NaN"]),
        (&hop, &["long.wav", "69985x9 pixels", "--hop of at least 2"]),
    ];
    for (arguments, words) in cases {
        failed(&on_cpu(&f, &[&["spectrogram", "-o", "o.png"], arguments].concat()), words);
        assert!(!f.path().join("o.png").exists(), "{arguments:?} left an output");
    }
    let nowhere = ["spectrogram", "long.wav", "-o", "no/o.png"];
    failed(&on_cpu(&f, &nowhere), &["no/o.png", "cannot write"]);
}

#[test]
fn bench_fft_has_checked_rows() {
    let f = tempfile::tempdir().unwrap();
    let lengths = ["--length", "1013", "--length", "16x32x8"];
    let csv = on_cpu(&f, &[&["bench", "fft", "--csv"], &lengths[..]].concat());
    succeeded(&csv);
    let text = String::from_utf8(csv.stdout).unwrap();
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert!(lines[1].starts_with("fft,f32,c2c,1013,2070,cpu,"), "{text}");
    assert!(lines[2].starts_with("fft,f32,c2c,16x32x8,512,cpu,"), "{text}");
    assert_eq!(lines.len(), 4, "{text}");
    let double = ["bench", "fft", "--json", "--length", "4096", "--real", "--dtype", "f64"];
    let json = on_cpu(&f, &double);
    succeeded(&json);
    let rows: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let row = &rows[0];
    assert_eq!((&row["dtype"], &row["accuracy"]), (&"f64".into(), &"r2c".into()));
    assert_eq!((&row["batch"], &row["unit"]), (&512.into(), &"GB/s".into()));
    let bytes = 512.0 * (4096.0 * 8.0 + 2049.0 * 16.0);
    let rate = bytes / row["ms_median"].as_f64().unwrap() / 1e6;
    assert!((row["rate"].as_f64().unwrap() / rate - 1.0).abs() < 1e-9, "{row}");
    let half = ["bench", "fft", "--dtype", "f16", "--length", "8"];
    failed(&on_cpu(&f, &half), &["fft", "f32 or f64", "f16"]);
}

#[test]
fn help_tells_of_transforms() {
    for (arguments, words) in [
        (&["help"][..], &["gvpie fft", "gvpie spectrogram", "gvpie bench fft"][..]),
        (&["help", "fft"], &["irfftn", "--axes", "--norm", "--inverse", "2(m - 1)"]),
        (&["help", "spectrogram"], &["--window", "--size", "--hop", "--floor", "averaged"]),
        (&["help", "bench"], &["--length", "--real", "256 MB"]),
    ] {
        let text = String::from_utf8(gvpie(arguments).output().unwrap().stdout).unwrap();
        for word in words {
            assert!(text.contains(word), "'{word}' is not in {arguments:?}: {text}");
        }
    }
}
