//! The table of hard cases.

use super::{Case, Storage};
use crate::element::DType;
use crate::gemm::{Activation, Gemm};

/// The table: sizes 0 and 1, tile edges, primes, strides, broadcasts, factors, element types, and
/// grids past the limits of one dispatch.
pub fn hard_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |case: Case| cases.push(case);
    for (m, n, k) in [(0, 5, 3), (5, 0, 3), (0, 0, 0)] {
        add(Case::dense("an empty C", Gemm::new(m, n, k)));
    }
    add(Case::dense("an empty batch", Gemm::new(3, 3, 3).batch(0)));
    add(Case::dense("nothing to sum", Gemm::new(5, 7, 0)));
    add(Case::dense("nothing to sum, but C to keep", Gemm::new(5, 7, 0).beta(0.5)));
    add(Case::dense("alpha is zero", Gemm::new(9, 5, 11).alpha(0.0).beta(-2.0)));
    add(Case::dense("alpha and beta are zero", Gemm::new(9, 5, 11).alpha(0.0)));
    for edge in [32, 64, 128] {
        for (m, n, k) in [
            (edge - 1, edge + 1, 16),
            (edge, edge, 15),
            (edge + 1, edge - 1, 17),
            (edge, edge + 4, 32),
        ] {
            add(Case::dense("the edge of a tile", Gemm::new(m, n, k).beta(1.5)));
        }
    }
    for (m, n, k) in [(1, 1, 1), (1, 1, 301), (1, 257, 64), (257, 1, 64), (2, 3, 5), (8, 8, 8)] {
        add(Case::dense("small or thin", Gemm::new(m, n, k)));
    }
    for (m, n, k) in [(127, 131, 137), (61, 193, 67), (251, 13, 509)] {
        add(Case::dense("primes", Gemm::new(m, n, k).alpha(0.7).beta(0.3)));
        add(Case::dense("primes, A turned", Gemm::new(m, n, k).transpose_a()));
        add(Case::dense("primes, B turned", Gemm::new(m, n, k).transpose_b().beta(1.0)));
        add(Case::dense("primes, both turned", Gemm::new(m, n, k).transpose_a().transpose_b()));
    }
    for turned in 0..4 {
        let mut p = Gemm::new(132, 260, 68).alpha(-1.0).beta(2.0);
        p.transpose_a = turned & 1 == 1;
        p.transpose_b = turned & 2 == 2;
        add(Case::dense("whole vectors, every turn", p.clone()));
        add(Case::dense("large enough for large tiles", Gemm { m: 1156, n: 1412, k: 20, ..p }));
    }
    let layouts = [
        ("padded rows", Storage { pad: 3, ..Storage::default() }),
        ("padded by whole vectors", Storage { pad: 4, offset: 8, ..Storage::default() }),
        ("an odd offset", Storage { offset: 3, ..Storage::default() }),
        ("column-major", Storage { column_major: true, ..Storage::default() }),
        ("column-major, padded", Storage { column_major: true, pad: 5, ..Storage::default() }),
        ("every third element", Storage { spread: 2, pad: 1, ..Storage::default() }),
    ];
    for (why, layout) in layouts {
        let p = Gemm::new(68, 36, 44).beta(1.0);
        add(Case::dense(why, p.clone()).a(layout));
        add(Case::dense(why, p.clone()).b(layout));
        add(Case::dense(why, p.clone()).c(layout));
        add(Case::dense(why, p.clone().transpose_a().transpose_b()).all(layout));
        add(Case::dense(why, Gemm { batch: 3, m: 33, ..p }).all(layout));
    }
    let one = Storage { broadcast: true, ..Storage::default() };
    add(Case::dense("a batch", Gemm::new(17, 19, 23).batch(7).beta(1.0)));
    add(Case::dense("one A for the batch", Gemm::new(40, 24, 16).batch(5)).a(one));
    add(Case::dense("one B for the batch", Gemm::new(24, 40, 16).batch(5).transpose_b()).b(one));
    add(Case::dense("one A and B for the batch", Gemm::new(4, 4, 4).batch(3)).a(one).b(one));
    add(Case::dense("a batch past a grid's limit", Gemm::new(1, 2, 1).batch(65_537)));
    add(Case::dense("tiles past a grid's limit", Gemm::new(65_535 * 64 + 1, 1, 1)));
    use DType::{F16, F32, F64};
    for (a, b, c) in [
        (F16, F16, F16),
        (F16, F16, F32),
        (F16, F32, F32),
        (F32, F32, F16),
        (F64, F64, F64),
        (F32, F64, F64),
        (F64, F64, F32),
    ] {
        let p = Gemm::new(67, 36, 45).elements(a, b, c).beta(1.0);
        let vectors = Gemm { m: 68, k: 44, ..p.clone() };
        add(Case::dense("element types", p.clone())
            .all(Storage { offset: 1, ..Storage::default() }));
        add(Case::dense("element types, turned", p.transpose_a().transpose_b()));
        add(Case::dense("element types in whole vectors", vectors.clone()));
        add(Case::dense(
            "element types in whole vectors, turned",
            vectors.transpose_a().transpose_b(),
        ));
    }
    let doubles = |m, n, k| Gemm::new(m, n, k).elements(F64, F64, F64);
    add(Case::dense("element types, nothing to sum", doubles(8, 4, 0).beta(-1.0 / 3.0)));
    for (alpha, beta) in [(1.0 / 3.0, 0.0), (1e-300 / 3.0, 0.0), (0.0, -1e300 / 3.0), (-0.1, 0.7)] {
        let p = doubles(9, 7, 5).alpha(alpha).beta(beta);
        add(Case::dense("element types, factors that f32 does not hold", p));
    }
    thin(&mut add);
    epilogues(&mut add);
    cases
}

/// Few rows, few columns, or few tiles and much to sum: the kernels of vectors, and k in parts.
fn thin(add: &mut impl FnMut(Case)) {
    use DType::{F16, F32, F64};
    let turned = Storage { column_major: true, ..Storage::default() };
    let padded = Storage { pad: 3, offset: 1, ..Storage::default() };
    let spread = Storage { spread: 1, offset: 2, ..Storage::default() };
    let one = Storage { broadcast: true, ..Storage::default() };
    let every_turn = |p: Gemm| {
        [p.clone(), p.clone().transpose_a(), p.clone().transpose_b(), p.transpose_a().transpose_b()]
    };
    for vectors in 1..=9 {
        add(Case::dense("thin: vectors", Gemm::new(vectors, 132, 300).beta(0.5)));
        add(Case::dense("thin: vectors, turned", Gemm::new(131, vectors, 67).transpose_a()));
    }
    for (n, k) in [(260, 1100), (131, 1023)] {
        for p in every_turn(Gemm::new(1, n, k).alpha(0.7)) {
            add(Case::dense("thin: one row", p));
        }
        for p in every_turn(Gemm::new(n, 3, k).beta(-1.0)) {
            add(Case::dense("thin: three columns", p.clone()));
            add(Case::dense("thin: three columns, column-major C", p).c(turned));
        }
    }
    // At the edges of parts, of what a workgroup reads at a time, and of its columns.
    for k in [255, 256, 257, 1024, 2047, 2048, 2049, 2052, 5000] {
        add(Case::dense("thin: edges of k", Gemm::new(2, 5, k).transpose_b()));
        add(Case::dense("thin: edges of k, by columns", Gemm::new(2, 127, k)));
    }
    for k in [63, 64, 65, 127, 128, 129] {
        add(Case::dense("thin: edges of k, by columns", Gemm::new(2, 127, k)));
    }
    for n in [4, 124, 128, 129] {
        add(Case::dense("thin: edges of columns", Gemm::new(1, n, 516)));
    }
    add(Case::dense("thin: both sides", Gemm::new(5, 7, 3001)));
    add(Case::dense("thin: both sides, turned", Gemm::new(7, 5, 3001).transpose_a()));
    let several = Gemm::new(2, 36, 1300).batch(3).beta(1.0);
    add(Case::dense("thin: a batch", several.clone()));
    add(Case::dense("thin: a batch, padded", several.clone()).all(padded));
    add(Case::dense("thin: a batch, spread", several.clone().transpose_b()).all(spread));
    add(Case::dense("thin: a batch of one matrix", several.clone()).b(one));
    add(Case::dense("thin: a batch of one vector", several.transpose_b()).a(one));
    add(Case::dense("thin: more products than z has places", Gemm::new(1, 2, 128).batch(65_537)));
    let layer = Gemm::new(2, 68, 1100).bias().activation(Activation::Relu);
    add(Case::dense("thin: a bias and relu", layer.clone()).bias(one));
    add(Case::dense("thin: a bias, column-major C", layer).c(turned).bias(padded));

    // Few tiles: k in parts, whose last one is shorter, or ends within a step.
    for (m, n, k) in [(64, 64, 1024), (65, 60, 1025), (30, 33, 2047), (33, 130, 1500)] {
        add(Case::dense("thin: few tiles", Gemm::new(m, n, k).alpha(-0.5).beta(0.25)));
    }
    let few = Gemm::new(36, 44, 1100).beta(1.0);
    add(Case::dense("thin: few tiles, column-major C", few.clone()).c(turned));
    add(Case::dense("thin: few tiles, every third element", few.clone()).all(spread));
    add(Case::dense("thin: few tiles, a batch", few.clone().batch(3)).a(one));
    let layer = Gemm::new(37, 41, 1200).batch(2).bias().activation(Activation::Gelu);
    add(Case::dense("thin: few tiles, a bias and gelu", layer.clone()).bias(padded));
    add(Case::dense("thin: few tiles, turned, a bias and gelu", layer).c(turned).bias(one));
    for (a, b, c) in [(F16, F16, F16), (F16, F32, F32), (F32, F32, F16), (F64, F64, F64)] {
        for p in [Gemm::new(3, 68, 1100), Gemm::new(67, 2, 1027).transpose_a()] {
            add(Case::dense("thin: element types", p.elements(a, b, c).beta(1.0)));
        }
        let few = Gemm::new(33, 36, 1100).elements(a, b, c);
        add(Case::dense("thin: element types of few tiles", few));
    }
}

/// Biases and activations: each with every way of storing C, whose rendering alone they are part of.
fn epilogues(add: &mut impl FnMut(Case)) {
    use Activation::{Gelu, Relu};
    use DType::{F16, F32, F64};
    let turned = Storage { column_major: true, ..Storage::default() };
    let one = Storage { broadcast: true, ..Storage::default() };
    let strided = Storage { spread: 2, offset: 3, ..one };
    let odd = Gemm::new(37, 41, 19);
    let vectors = Gemm::new(36, 44, 20);
    for p in [odd.clone(), vectors.clone()] {
        add(Case::dense("epilogue: a bias", p.clone().bias()).bias(one));
        add(Case::dense("epilogue: a bias after beta", p.clone().bias().beta(-0.5)).bias(strided));
        add(Case::dense("epilogue: relu", p.clone().activation(Relu)));
        add(Case::dense("epilogue: gelu", p.clone().activation(Gelu).beta(2.0)));
        let both = p.bias().activation(Gelu).alpha(0.7);
        add(Case::dense("epilogue: a bias, gelu", both.clone()).bias(one));
        // The transposed problem is computed: the bias runs along the rows of that.
        add(Case::dense("epilogue: a bias, column-major C", both).c(turned).bias(strided));
    }
    let batch = vectors.clone().batch(3).bias().beta(1.0);
    let padded = Storage { pad: 3, offset: 1, ..Storage::default() };
    add(Case::dense("epilogue: a bias for the batch", batch.clone()).bias(one));
    add(Case::dense("epilogue: a bias for each product", batch.clone()).bias(padded));
    let relu = batch.activation(Relu);
    add(Case::dense("epilogue: each with relu, column-major C", relu).c(turned).bias(padded));
    let nothing = Gemm::new(5, 7, 0).bias().activation(Relu);
    add(Case::dense("epilogue: nothing to sum", nothing).bias(strided));
    add(Case::dense("epilogue: one column", Gemm::new(70, 1, 9).bias().activation(Gelu)));
    add(Case::dense("epilogue: one row", Gemm::new(1, 70, 9).bias().activation(Gelu)));
    // Arguments to -60: exponentials that overflow.
    add(Case::dense("epilogue: far from zero", odd.clone().alpha(9.0).activation(Gelu)));
    for (a, b, c) in [(F16, F16, F16), (F32, F32, F16), (F64, F64, F64), (F64, F64, F32)] {
        for p in [odd.clone(), vectors.clone()] {
            let p = p.elements(a, b, c).bias().beta(1.0);
            let gelu = p.clone().activation(Gelu);
            add(Case::dense("epilogue: element types", p.activation(Relu)).bias(strided));
            add(Case::dense("epilogue: element types, gelu", gelu).bias(one));
        }
    }
}
