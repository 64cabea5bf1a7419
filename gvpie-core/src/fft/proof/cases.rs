//! The table of hard cases.

use super::{Case, Storage};
use crate::element::DType;
use crate::fft::{Fft, Norm};

/// Lengths that are treated apart somewhere: smallest ones, primes, powers, products of many factors,
/// the longest that one pass does and longer ones.
const LENGTHS: [usize; 40] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 16, 17, 19, 31, 32, 60, 64, 97, 101, 121, 128, 169, 243,
    256, 343, 512, 625, 1000, 1013, 1024, 1155, 2048, 2187, 4096, 8192, 10007, 16384, 32768, 65536,
];

/// Primes of which each less one is a product of 2, 3, 5, 7, 11 and 13, so that they may be cyclic
/// convolutions of that many points: the smallest, neighbours of powers, all factors, and longest ones.
const PRIMES: [usize; 21] = [
    17, 19, 23, 29, 31, 37, 41, 43, 53, 67, 79, 97, 127, 211, 257, 769, 1009, 1153, 2017, 3457,
    7681,
];

/// The table: lengths, axes of two and three dimensions, strides and offsets of both operands,
/// batches past the limit of one dispatch, primes by either convolution, halves of even and odd
/// lengths, norms, hooks, f64, and results in their input's place.
pub fn hard_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |case: Case| cases.push(case);
    for n in LENGTHS {
        let batch = (512 / n).max(if n <= 4096 { 3 } else { 1 });
        add(Case::dense("a length", Fft::new([batch, n])));
        add(Case::dense("a length, inverse", Fft::new([batch, n]).inverse()));
        add(Case::dense("a length, real", Fft::real([batch, n])));
        add(Case::dense("a length, real inverse", Fft::real([batch, n]).inverse()));
        if n <= 4096 {
            let problem = Fft::new([batch, n]).precision(DType::F64);
            add(Case::dense("a length, f64", problem.clone()));
            add(Case::dense("a length, f64 inverse", problem.inverse()));
        }
    }
    for n in PRIMES {
        let batch = (512 / n).max(3);
        add(Case::dense("a prime length", Fft::new([batch, n])));
        add(Case::dense("a prime length, inverse", Fft::new([batch, n]).inverse()));
        add(Case::dense("a prime length, real", Fft::real([batch, n])));
        add(Case::dense("a prime length, real inverse", Fft::real([batch, n]).inverse()));
        let across = Fft::new([n, batch]).axes([0]);
        add(Case { in_place: true, ..Case::dense("a prime length, across, in place", across) });
        let hooked = Fft::new([batch, n]).window().pad(n - 2).spectrum().scale(0.3);
        add(Case::dense("a prime length, hooks", hooked.inverse()));
        if n <= 1153 {
            let problem = Fft::new([batch, n]).precision(DType::F64);
            add(Case::dense("a prime length, f64", problem));
        }
    }
    for n in [8192, 12_000, 1 << 14] {
        let problem = Fft::new([3, n]);
        add(Case::dense("longer than workgroup memory", problem.clone()));
        let inverse = Case::dense("longer than workgroup memory, inverse", problem.inverse());
        add(Case { in_place: true, ..inverse });
        let padded = Fft::new([3, n]).pad(n - 1000).window().spectrum();
        add(Case::dense("longer than workgroup memory, hooked", padded));
    }
    for n in [243 * 243, 1 << 17, 65_537, 1 << 18] {
        add(Case::dense("longer than a pass", Fft::new([n])));
        add(Case::dense("longer than a pass, inverse", Fft::new([2, n]).inverse()));
        add(Case::dense("longer than a pass, real", Fft::real([n])));
        add(Case::dense("longer than a pass, real inverse", Fft::real([n]).inverse()));
        add(Case::dense("longer than a pass, across", Fft::new([n, 3]).axes([0])));
    }
    for case in mirrored() {
        add(case);
    }
    for n in [9375, 19_683, 2 * 19_683] {
        let planes = Fft::real([4, n]).all_axes().norm(crate::fft::Norm::Forward).inverse();
        add(Case::dense("longer than a pass, real inverse of planes", planes));
    }
    add(Case::dense("a batch past 65535 workgroups", Fft::new([70_000, 4])));
    add(Case::dense("a batch past 65535 workgroups, across", Fft::new([4, 70_000]).axes([0])));
    add(Case::dense("a batch past 65535 workgroups, real", Fft::real([70_000, 4])));
    add(Case::dense("an empty batch", Fft::new([0, 4])));

    let planes: [&[usize]; 3] = [&[0], &[1, 0], &[0, 1]];
    let solids: [&[usize]; 9] =
        [&[0], &[1], &[2], &[0, 1], &[0, 2], &[1, 2], &[2, 0], &[0, 1, 2], &[2, 1, 0]];
    let shapes: [(&[usize], &[&[usize]]); 6] = [
        (&[12, 20], &planes),
        (&[17, 64], &planes),
        (&[256, 128], &planes),
        (&[6, 5, 8], &solids),
        (&[4, 31, 9], &solids),
        (&[16, 32, 64], &solids),
    ];
    for (shape, subsets) in shapes {
        for &axes in subsets {
            let problem = Fft::new(shape).axes(axes);
            let real = Fft::real(shape).axes(axes);
            add(Case::dense("axes", problem.clone()));
            add(Case::dense("axes, inverse", problem.inverse()));
            add(Case::dense("axes, real", real.clone()));
            add(Case::dense("axes, real inverse", real.inverse()));
        }
    }
    for (why, layout) in layouts() {
        let axes = [vec![2], vec![1], vec![0], vec![0, 2], vec![0, 1, 2]];
        let smooth = axes.iter().map(|axes| ([6, 10, 16], axes));
        let primes = axes[..3].iter().map(|axes| ([17, 7, 31], axes));
        for (shape, axes) in smooth.chain(primes) {
            let problem = Fft::new(shape).axes(axes.clone());
            let from = |problem| Case { input: layout, ..Case::dense(why, problem) };
            let to = |problem| Case { output: layout, ..Case::dense(why, problem) };
            add(from(problem.clone()));
            add(to(problem.clone().inverse()));
            add(Case { output: layout, ..from(Fft::real(shape).axes(axes.clone())) });
            add(Case { output: layout, ..from(Fft::real(shape).axes(axes.clone()).inverse()) });
            let both = Case { output: layout, ..from(problem) };
            add(Case { in_place: true, ..both });
        }
    }
    for n in [1, 4, 17, 1000, 4096, 16384, 1 << 17] {
        let case = Case::dense("in place", Fft::new([3, n]));
        add(Case { in_place: true, ..case });
    }
    for norm in [Norm::Backward, Norm::Ortho, Norm::Forward] {
        for problem in [Fft::new([5, 24]), Fft::real([6, 15]), Fft::new([8, 9]).all_axes()] {
            add(Case::dense("norms", problem.clone().norm(norm)));
            add(Case::dense("norms, inverse", problem.norm(norm).inverse()));
        }
    }
    for case in hooked() {
        add(case);
    }
    for problem in [Fft::new([6, 10, 16]), Fft::real([6, 10, 15]), Fft::real([6, 10, 16])] {
        let problem = problem.all_axes().precision(DType::F64);
        add(Case::dense("f64", problem.clone()));
        add(Case::dense("f64, inverse", problem.inverse()));
    }
    cases
}

/// Layouts that are not dense.
fn layouts() -> [(&'static str, Storage); 6] {
    let dense = Storage::default();
    [
        ("padded lines", Storage { pad: 3, ..dense }),
        ("an odd offset", Storage { offset: 3, ..dense }),
        ("every third element", Storage { spread: 2, pad: 1, ..dense }),
        ("axes turned", Storage { turn: 1, ..dense }),
        ("axes turned twice", Storage { turn: 2, offset: 1, ..dense }),
        ("axes turned, padded and spread", Storage { turn: 1, pad: 5, spread: 1, offset: 7 }),
    ]
}

/// Real lines whose pairs take two passes: products of two even lengths, of two odd ones and of one of
/// each, batches that fill workgroups and that do not, and what may be done to them on the way.
fn mirrored() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |case: Case| cases.push(case);
    // Without a factor, whose own rounding would hide that of the passes.
    let back = |problem: Fft| problem.norm(Norm::Forward).inverse();
    let lengths = [100_000, 3 << 16, 39_366, 156_250, 32_032, 39_546, 22_050];
    for (i, n) in lengths.into_iter().enumerate() {
        let problem = Fft::real([[1, 2, 3, 5][i % 4], n]);
        add(Case::dense("longer than a pass, pairs", problem.clone()));
        add(Case::dense("longer than a pass, pairs, inverse", back(problem)));
    }
    let double = Fft::real([2, 22_050]).precision(DType::F64);
    add(Case::dense("longer than a pass, pairs, f64", double.clone()));
    add(Case::dense("longer than a pass, pairs, f64, inverse", double.inverse()));
    for n in [1 << 14, 30_030, 39_366] {
        let problem = Fft::real([3, n]);
        let mut hooked = |why, problem| add(Case::dense(why, problem));
        hooked("longer than a pass, a spectrum", problem.clone().spectrum().scale(-0.3));
        hooked("longer than a pass, a window", problem.clone().inverse().window().scale(2.0));
        hooked("longer than a pass, padding", problem.clone().window().pad(n / 2 + 1));
        let axes = Fft::real([2, 6, n]).axes([1, 2]);
        hooked("longer than a pass, two axes", axes.clone());
        hooked("longer than a pass, two axes, inverse", back(axes));
        let layouts = [
            Storage { pad: 6, offset: 2, ..Storage::default() },
            Storage { pad: 1, offset: 3, ..Storage::default() },
            Storage { spread: 1, ..Storage::default() },
            Storage { turn: 1, ..Storage::default() },
        ];
        for (i, layout) in layouts.into_iter().enumerate() {
            let other = layouts[(i + 1) % layouts.len()];
            let why = "longer than a pass, pairs in strides";
            let case = |problem| Case { input: layout, ..Case::dense(why, problem) };
            add(Case { output: other, ..case(problem.clone()) });
            add(Case { output: other, ..case(back(problem.clone())) });
        }
    }
    cases
}

/// Every hook, alone and together, along a last axis that is innermost and along one that is not.
fn hooked() -> Vec<Case> {
    let mut cases = Vec::new();
    let shapes: [(Vec<usize>, Vec<usize>); 7] = [
        (vec![5, 32], vec![1]),
        (vec![32, 5], vec![0]),
        (vec![4, 6, 17], vec![0, 2]),
        (vec![31, 5], vec![0]),
        (vec![4, 30, 6], vec![2, 1]),
        (vec![3, 4096], vec![1]),
        (vec![1 << 16], vec![0]),
    ];
    for (shape, axes) in shapes {
        let last = shape[axes[axes.len() - 1]];
        for real in [false, true] {
            let problem = if real { Fft::real(shape.clone()) } else { Fft::new(shape.clone()) };
            let problem = problem.axes(axes.clone());
            let mut add = |why, problem: Fft| cases.push(Case::dense(why, problem));
            add("a window", problem.clone().window());
            add("padding", problem.clone().pad(last / 2));
            add("padding of all but one", problem.clone().pad(1));
            add("a spectrum", problem.clone().spectrum());
            add("a scale", problem.clone().scale(-0.3));
            let all = problem.clone().window().pad(last / 2 + 1).spectrum().scale(0.7);
            add("all hooks", all.clone().norm(Norm::Ortho));
            add("a window, inverse", problem.clone().inverse().window().scale(2.0));
            if !real {
                add("all hooks, inverse", all.inverse());
            }
        }
    }
    cases
}
