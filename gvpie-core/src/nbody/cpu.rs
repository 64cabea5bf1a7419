//! The leapfrog on the host, with the names of the shader's entry points.

use rayon::prelude::*;

/// A number the host computes with; products and sums are taken in f64 and rounded once.
pub(super) trait Real: bytemuck::Pod + Send + Sync {
    fn narrow(value: f64) -> Self;
    fn wide(self) -> f64;
}

impl Real for f32 {
    fn narrow(value: f64) -> Self {
        value as f32
    }

    fn wide(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    fn narrow(value: f64) -> Self {
        value
    }

    fn wide(self) -> f64 {
        self
    }
}

/// Bodies that one thread takes at a time; sums are of so many, whatever the threads.
const PART: usize = 4096;

/// `v ← v + h a`.
pub(super) fn kick<T: Real>(h: f64, field: &[T], velocities: &mut [T]) {
    let parts = velocities.par_chunks_mut(4 * PART).zip(field.par_chunks(4 * PART));
    parts.for_each(|(velocities, field)| {
        for (v, a) in velocities.chunks_exact_mut(4).zip(field.chunks_exact(4)) {
            for axis in 0..3 {
                v[axis] = T::narrow(v[axis].wide() + h * a[axis + 1].wide());
            }
        }
    });
}

/// `x ← x + h v`.
pub(super) fn drift<T: Real>(h: f64, velocities: &[T], positions: &mut [T]) {
    let parts = positions.par_chunks_mut(4 * PART).zip(velocities.par_chunks(4 * PART));
    parts.for_each(|(positions, velocities)| {
        for (x, v) in positions.chunks_exact_mut(4).zip(velocities.chunks_exact(4)) {
            for axis in 0..3 {
                x[axis] = T::narrow(x[axis].wide() + h * v[axis].wide());
            }
        }
    });
}

/// The largest |a|²; NaN if there is one.
pub(super) fn steepest<T: Real>(field: &[T]) -> f64 {
    let square = |row: &[T]| row[1..].iter().map(|a| a.wide() * a.wide()).sum::<f64>();
    let larger = |a: f64, b: f64| if b > a || b.is_nan() { b } else { a };
    let part = |rows: &[T]| rows.chunks_exact(4).map(square).fold(0.0, larger);
    let parts: Vec<f64> = field.par_chunks(4 * PART).map(part).collect();
    parts.into_iter().fold(0.0, larger)
}

/// Σ m v, Σ m, Σ m x, ½ Σ m v², Σ m x × v, ½ Σ m (φ − m·own): twelve numbers.
pub(super) fn measure<T: Real>(
    own: f64,
    positions: &[T],
    velocities: &[T],
    field: &[T],
) -> [f64; 12] {
    let part = |((positions, velocities), field): ((&[T], &[T]), &[T])| {
        let mut total = [0.0; 12];
        let rows = positions.chunks_exact(4).zip(velocities.chunks_exact(4));
        for ((x, v), field) in rows.zip(field.chunks_exact(4)) {
            let m = x[3].wide();
            let x = [0, 1, 2].map(|axis| x[axis].wide());
            let v = [0, 1, 2].map(|axis| v[axis].wide());
            let square: f64 = v.iter().map(|v| v * v).sum();
            let turn = |a: usize, b: usize| m * (x[a] * v[b] - x[b] * v[a]);
            let terms = [
                [m * v[0], m * v[1], m * v[2], m],
                [m * x[0], m * x[1], m * x[2], 0.5 * m * square],
                [turn(1, 2), turn(2, 0), turn(0, 1), 0.5 * m * (field[0].wide() - m * own)],
            ];
            total.iter_mut().zip(terms.as_flattened()).for_each(|(sum, term)| *sum += term);
        }
        total
    };
    let rows = positions.par_chunks(4 * PART).zip(velocities.par_chunks(4 * PART));
    let parts: Vec<[f64; 12]> = rows.zip(field.par_chunks(4 * PART)).map(part).collect();
    let mut total = [0.0; 12];
    for part in parts {
        total.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
    total
}
