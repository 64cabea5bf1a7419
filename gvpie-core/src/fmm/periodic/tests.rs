//! The lattice operator against lattice sums of many digits, translations of single images, Madelung
//! constants and Ewald's sum.

use super::*;
use crate::fmm::proof::ewald::ewald;

/// Harmonics of the real form, degree by degree, −m the sines.
fn real(harmonics: &[Complex<f64>], order: usize, scale: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    let mut found = vec![0.0; (order + 1) * (order + 1)];
    for l in 0..=order {
        for m in 0..=l {
            let value = harmonics[place(l, m)] * scale(l, m);
            let value = if m > 0 { value * SQRT_2 } else { value };
            found[l * l + l - m] = value.im;
            found[l * l + l + m] = value.re;
        }
    }
    found
}

/// R of the real form.
fn regular_real(u: [f64; 3], order: usize) -> Vec<f64> {
    real(&regular(u, order), order, |l, m| normal(l, m).recip())
}

/// ∇R of the real form, by axis.
fn slopes(u: [f64; 3], order: usize) -> [Vec<f64>; 3] {
    let known = regular(u, order);
    let at = |l: usize, m: isize| match m.unsigned_abs() {
        n if n > l => 0.0.into(),
        n if m >= 0 => known[place(l, n)],
        n if n % 2 == 0 => known[place(l, n)].conj(),
        n => -known[place(l, n)].conj(),
    };
    let mut found = [0, 1, 2].map(|_| vec![Complex::default(); place(order + 1, 0)]);
    for l in 1..=order {
        for m in 0..=l {
            let (low, high) = (at(l - 1, m as isize - 1), at(l - 1, m as isize + 1));
            found[0][place(l, m)] = (low - high) * 0.5;
            found[1][place(l, m)] = (low + high) * Complex::new(0.0, 0.5);
            found[2][place(l, m)] = at(l - 1, m as isize);
        }
    }
    found.map(|found| real(&found, order, |l, m| normal(l, m).recip()))
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Potential and gradient by the 27 nearest images and the operator, of a cube with this low corner.
fn by_operator(points: &[f64], low: [f64; 3], side: f64, order: usize) -> Vec<f64> {
    let count = (order + 1) * (order + 1);
    let unit = |x: &[f64]| [0, 1, 2].map(|axis| (x[axis] - low[axis]) / side - 0.5);
    let mut root = vec![0.0; count];
    for y in points.chunks_exact(4) {
        let harmonics = regular_real(unit(y), order);
        root.iter_mut().zip(harmonics).for_each(|(root, r)| *root += y[3] * r);
    }
    let surface = points
        .chunks_exact(4)
        .map(|y| Surface::of(unit(y), y[3]))
        .fold(Surface::default(), Add::add);
    let local: Vec<f64> = lattice(order).chunks_exact(count).map(|row| dot(row, &root)).collect();
    let row = |x: &[f64]| {
        let u = unit(x);
        let slopes = slopes(u, order);
        let mut out = [0.0; 4];
        out[0] = dot(&local, &regular_real(u, order)) / side;
        for axis in 0..3 {
            out[axis + 1] = dot(&local, &slopes[axis]) / (side * side);
        }
        surface.add_to(&mut out, u, side);
        for y in points.chunks_exact(4) {
            for n in block(-1..2) {
                let d = [0, 1, 2].map(|axis| y[axis] - x[axis] + side * f64::from(n[axis]));
                let square = dot(&d, &d);
                if square > 0.0 {
                    let potential = y[3] / square.sqrt();
                    out[0] += potential;
                    for axis in 0..3 {
                        out[axis + 1] += potential / square * d[axis];
                    }
                }
            }
        }
        out
    };
    points.chunks_exact(4).flat_map(row).collect()
}

/// Relative errors in L2 of potential and gradient.
fn errors(found: &[f64], expected: &[f64]) -> [f64; 2] {
    let norm = |columns: Range<usize>, of: &dyn Fn(usize) -> f64| {
        let kept = (0..found.len()).filter(|i| columns.contains(&(i % 4)));
        kept.map(|i| of(i).powi(2)).sum::<f64>().sqrt()
    };
    [0..1, 1..4].map(|columns| {
        let apart = norm(columns.clone(), &|i| found[i] - expected[i]);
        apart / norm(columns, &|i| expected[i])
    })
}

/// Points in [0, side)³ with charges between −1 and 1 whose sum is the one given.
fn random(count: usize, side: f64, charge: f64, seed: u64) -> Vec<f64> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut points: Vec<f64> = (0..count)
        .flat_map(|_| {
            let [x, y, z] = [(); 3].map(|()| side * rng.f64());
            [x, y, z, 2.0 * rng.f64() - 1.0]
        })
        .collect();
    let excess = points.iter().skip(3).step_by(4).sum::<f64>() - charge;
    points.iter_mut().skip(3).step_by(4).for_each(|q| *q -= excess / count as f64);
    points
}

/// The cubic cells of salts of edge 1: ions, their first one's Madelung constant, the distance to the
/// nearest of opposite sign that it goes with.
fn salts() -> [(&'static str, Vec<f64>, f64, f64); 3] {
    let faces = [[0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]];
    let cell = |sites: &[[f64; 3]], shift: [f64; 3]| -> Vec<f64> {
        let ion = |site: &[f64; 3], by: [f64; 3], q: f64| {
            let [x, y, z] = [0, 1, 2].map(|axis| (site[axis] + by[axis]) % 1.0);
            [x, y, z, q]
        };
        let cations = sites.iter().flat_map(|site| ion(site, [0.0; 3], 1.0));
        cations.chain(sites.iter().flat_map(|site| ion(site, shift, -1.0))).collect()
    };
    let near = 3.0_f64.sqrt();
    [
        ("NaCl", cell(&faces, [0.5, 0.0, 0.0]), 1.747_564_594_633_182, 0.5),
        ("CsCl", cell(&faces[..1], [0.5; 3]), 1.762_674_773_070_988, near / 2.0),
        ("ZnS", cell(&faces, [0.25; 3]), 1.638_055_053_388_789, near / 4.0),
    ]
}

#[test]
fn harmonics_are_normalised_as_the_module_says() {
    let [x, y, z] = [0.3_f64, -0.7, 0.4];
    let (root, square) = (3.0_f64.sqrt(), x * x + y * y + z * z);
    let plane = x * x - y * y;
    let expected = [
        [1.0, y, z, x].as_slice(),
        &[root * x * y, root * y * z, 1.5 * z * z - square / 2.0, root * x * z, root * plane / 2.0],
    ]
    .concat();
    let irregular = real(&irregular([x, y, z], 2), 2, normal);
    for (i, (r, expected)) in regular_real([x, y, z], 2).iter().zip(expected).enumerate() {
        let degree = i.isqrt();
        let s = irregular[i] * square.powf(degree as f64 + 0.5);
        assert!((r - expected).abs() < 1e-15 && (s - expected).abs() < 1e-15, "{i}: {r} {s}");
    }
}

#[test]
fn lattice_sums_agree_with_sixty_digits() {
    // By the split with incomplete gamma functions, the nearest 27 taken away, in 60 digits.
    let known = [
        (0, 0, -21.941_381_007_236_196),
        (4, 0, 2.811_930_487_188_867),
        (4, 4, 14.059_652_435_944_334),
        (6, 0, 0.547_959_087_393_216_4),
        (6, 4, -3.835_713_611_752_515),
        (8, 0, 121.561_573_020_978_95),
        (8, 8, 7_901.502_246_363_475),
        (12, 4, 203_758.582_641_402_65),
        (24, 8, 4.711_908_487_127_866e16),
        (36, 20, 4.999_818_803_265_291e32),
        (48, 0, 5.409_159_062_562_846e46),
        (48, 48, 2.000_195_743_642_981e60),
    ];
    let sums = sums(48);
    for (l, m, known) in known {
        let found = sums[place(l, m)];
        let error = (found / known - 1.0).abs();
        assert!(error < 1e-13, "l = {l}, m = {m}: {found:e} for {known:e}");
    }
}

#[test]
fn the_operator_is_the_sum_of_translations_of_images() {
    let order = 8;
    let count = (order + 1) * (order + 1);
    let matrix = lattice(order);
    for l in 0..=order {
        for k in 0..=order {
            for i in l * l..(l + 1) * (l + 1) {
                for j in k * k..(k + 1) * (k + 1) {
                    let value = matrix[i * count + j];
                    assert_eq!(value, matrix[j * count + i], "symmetric");
                    let degree = l + k;
                    if degree % 2 == 1 || degree == 2 {
                        assert_eq!(value, 0.0, "degrees {l} and {k}");
                    }
                }
            }
        }
    }
    // The images of a charge at v give the harmonics of u the coefficients S(n + v). Those beyond a
    // block of 41³ hold less than 10⁻⁷ of degree 6, 10⁻¹⁰ of the next.
    let v = [0.03, -0.02, 0.05];
    let mut direct = vec![0.0; count];
    for n in block(-20..21).filter(|n| n.iter().any(|n| n.abs() > 1)) {
        let away = [0, 1, 2].map(|axis| v[axis] + f64::from(n[axis]));
        let harmonics = real(&irregular(away, order), order, normal);
        direct.iter_mut().zip(harmonics).for_each(|(sum, s)| *sum += s);
    }
    let moments = regular_real(v, order);
    for i in 36..count {
        let found = dot(&matrix[i * count..(i + 1) * count], &moments);
        let allowed = if i < 49 { 1e-7 } else { 1e-10 };
        assert!((found - direct[i]).abs() < allowed, "{i}: {found} for {}", direct[i]);
    }
}

#[test]
fn ewald_gives_madelung_constants() {
    for (name, cell, constant, distance) in salts() {
        let result = ewald(&cell, &cell, 1.0);
        for (ion, row) in cell.chunks(4).zip(result.chunks(4)) {
            let found = -ion[3] * row[0] * distance;
            assert!((found - constant).abs() < 1e-13, "{name}: {found} for {constant}");
            assert!(row[1..].iter().all(|slope| slope.abs() < 1e-12), "{name}: {row:?}");
        }
    }
}

#[test]
fn the_operator_gives_madelung_constants() {
    for (name, cell, constant, distance) in salts() {
        // As near to the centre as the cell's ions can lie.
        let low = if name == "ZnS" { [-0.125; 3] } else { [-0.25; 3] };
        let mut last = f64::INFINITY;
        for order in [4, 8, 12, 16, 20, 24] {
            let result = by_operator(&cell, low, 1.0, order);
            let potential =
                |(ion, row): (&[f64], &[f64])| (-ion[3] * row[0] * distance - constant).abs();
            let worst = cell.chunks(4).zip(result.chunks(4)).map(potential).fold(0.0, f64::max);
            assert!(worst < last.max(1e-13), "{name}: {worst:e} at order {order}, {last:e} before");
            last = worst;
        }
        assert!(last < 1e-9, "{name}: {last:e}");
    }
}

#[test]
fn a_charge_in_its_own_lattice_has_the_known_potential() {
    let lone = [0.7, 1.9, 0.2, 1.5];
    let expected = OWN_LATTICE * 1.5 / 2.5;
    let at_centre = by_operator(&lone, [-0.55, 0.65, -1.05], 2.5, 24);
    for row in [ewald(&lone, &lone, 2.5), at_centre] {
        assert!((row[0] / expected - 1.0).abs() < 1e-14, "{row:?} for {expected}");
        assert!(row[1..].iter().all(|slope| slope.abs() < 1e-14), "{row:?}");
    }
    // Off the centre, where the quadratic term weighs.
    let row = by_operator(&lone, [0.0; 3], 2.5, 24);
    assert!((row[0] / expected - 1.0).abs() < 1e-9, "{row:?} for {expected}");
}

#[test]
fn random_points_agree_with_ewald_the_better_the_higher_the_degree() {
    for (charge, seed) in [(0.0, 1), (3.0, 2)] {
        let points = random(60, 2.5, charge, seed);
        let expected = ewald(&points, &points, 2.5);
        let mut last = [f64::INFINITY; 2];
        for order in [2, 4, 6, 8, 12, 16, 24] {
            let found = errors(&by_operator(&points, [0.0; 3], 2.5, order), &expected);
            assert!(found[0] < last[0] && found[1] < last[1], "{found:?} at order {order}");
            last = found;
        }
        assert!(last[0] < 1e-9 && last[1] < 2e-9, "{last:?}");
    }
}

#[test]
fn a_shift_through_the_faces_changes_nothing() {
    for charge in [0.0, 2.0] {
        let points = random(40, 1.0, charge, 3);
        let mut shifted = points.clone();
        for point in shifted.chunks_exact_mut(4) {
            for (x, by) in point.iter_mut().zip([0.37, 0.81, 0.55]) {
                *x = (*x + by) % 1.0;
            }
        }
        let exact = [&points, &shifted].map(|points| ewald(points, points, 1.0));
        assert!(errors(&exact[1], &exact[0]).iter().all(|error| *error < 1e-13));
        let found = [&points, &shifted].map(|points| by_operator(points, [0.0; 3], 1.0, 24));
        let errors = errors(&found[1], &found[0]);
        assert!(errors[0] < 1e-9 && errors[1] < 1e-8, "{errors:?}");
    }
}

#[test]
fn ewald_gives_its_own_slopes_and_leaves_out_what_lies_at_one_place() {
    let points = random(30, 3.0, 1.0, 5);
    let at = |x: [f64; 3]| ewald(&points, &[x[0], x[1], x[2], 0.0], 3.0);
    let (centre, step) = ([1.1, 0.4, 2.9], 1e-4);
    let row = at(centre);
    for axis in 0..3 {
        let moved = |by: f64| {
            let mut x = centre;
            x[axis] += by;
            at(x)[0]
        };
        let slope = (moved(step) - moved(-step)) / (2.0 * step);
        assert!((slope - row[axis + 1]).abs() < 1e-5 * slope.abs().max(1.0), "{slope} {row:?}");
    }
    // Two charges at one place, one of them across a face: neither sees the other but by its images.
    let pair = [0.0, 0.5, 0.5, 1.0, 1.0, 0.5, 0.5, -1.0];
    assert!(ewald(&pair, &pair, 1.0).iter().all(|value| value.abs() < 1e-14));
}
