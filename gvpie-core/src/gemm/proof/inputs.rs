//! Operands on which a product is hard to compute accurately, above all one that splits or rounds
//! its operands: what is lost then depends on their magnitudes, not on the problem.

use super::{Dense, Outcome, oracle};
use crate::context::Context;
use crate::element::DType;
use crate::error::Result;
use crate::gemm::{Accuracy, Algorithm, Gemm, GemmPlan};

/// What A and B hold; numbers of −1 to 1, evenly distributed, where nothing else is said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Entries {
    /// Nothing else.
    Random,
    /// Each row of A and each column of B times its own power of two, of 2⁻³⁰ to 2³⁰.
    Scaled,
    /// Each column of A times its own such power, and that row of B divided by it: the product is
    /// that of `Random`, to the bit.
    ScaledWithin,
    /// Signs of A that alternate along k, before a positive B.
    Alternating,
    /// Neighbours along k that cancel to 2⁻¹² of themselves.
    Cancelling,
    /// 1 / (i + j + 1), the matrix of Hilbert: every product positive.
    Hilbert,
    /// One of 10²⁰ in A.
    Huge,
    /// Zero with this probability.
    Sparse(f64),
    /// A row of zeros in A.
    ZeroRow,
    /// Every fourth column of A, a row of A and a column of B times 2⁻¹³⁰.
    Subnormal,
    /// Infinity in a row of A, NaN in another, −infinity in a column of B.
    NonFinite,
    /// A row of A of up to 10³⁰ and a column of B of up to 10²⁰, all positive: one sum is past f32.
    Overflowing,
}

/// A product of f32 matrices on such operands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Input {
    /// Rows of C, columns of C, and the length of the sums.
    pub extents: [usize; 3],
    /// What A and B hold.
    pub entries: Entries,
}

impl Input {
    /// A and B, dense and row-major.
    pub fn operands(&self) -> (Vec<f32>, Vec<f32>) {
        let [m, n, k] = self.extents;
        let mut random = fastrand::Rng::with_seed(5);
        let mut draw =
            |count: usize| -> Vec<f32> { (0..count).map(|_| random.f32() * 2.0 - 1.0).collect() };
        let (mut a, mut b) = (draw(m * k), draw(k * n));
        let mut power = |_| 2.0_f32.powi(random.i32(-30..=30));
        // Calls with row, column and element.
        fn each(x: &mut [f32], columns: usize, mut visit: impl FnMut(usize, usize, &mut f32)) {
            x.iter_mut().enumerate().for_each(|(at, x)| visit(at / columns, at % columns, x));
        }
        match self.entries {
            Entries::Random => {}
            Entries::Scaled => {
                let rows: Vec<f32> = (0..m).map(&mut power).collect();
                let columns: Vec<f32> = (0..n).map(&mut power).collect();
                each(&mut a, k, |i, _, x| *x *= rows[i]);
                each(&mut b, n, |_, j, x| *x *= columns[j]);
            }
            Entries::ScaledWithin => {
                let powers: Vec<f32> = (0..k).map(&mut power).collect();
                each(&mut a, k, |_, l, x| *x *= powers[l]);
                each(&mut b, n, |l, _, x| *x /= powers[l]);
            }
            Entries::Alternating => {
                each(&mut a, k, |_, l, x| *x = if l % 2 == 0 { x.abs() } else { -x.abs() });
                each(&mut b, n, |_, _, x| *x = x.abs());
            }
            Entries::Cancelling => {
                for i in 0..m * k / 2 {
                    // k is even.
                    a[2 * i + 1] = -a[2 * i] * (1.0 + 2.0_f32.powi(-12));
                }
                for l in (1..k).step_by(2) {
                    b.copy_within((l - 1) * n..l * n, l * n);
                }
            }
            Entries::Hilbert => {
                each(&mut a, k, |i, l, x| *x = 1.0 / (i + l + 1) as f32);
                each(&mut b, n, |l, j, x| *x = 1.0 / (l + j + 1) as f32);
            }
            Entries::Huge => a[m / 2 * k + k / 3] = 1e20,
            Entries::Sparse(zeros) => {
                let mut dice = fastrand::Rng::with_seed(6);
                for x in a.iter_mut().chain(&mut b) {
                    *x *= f32::from(u8::from(dice.f64() >= zeros));
                }
            }
            Entries::ZeroRow => a[m / 2 * k..][..k].fill(0.0),
            Entries::Subnormal => {
                let smaller = |x: f32| x * 2.0_f32.powi(-65) * 2.0_f32.powi(-65);
                each(&mut a, k, |i, l, x| {
                    if i == m / 2 || l % 4 == 0 {
                        *x = smaller(*x);
                    }
                });
                b.iter_mut().skip(n / 2).step_by(n).for_each(|x| *x = smaller(*x));
            }
            Entries::NonFinite => {
                a[m / 4 * k + k / 2] = f32::NAN;
                a[m / 2 * k + k / 3] = f32::INFINITY;
                b[k / 4 * n + n / 2] = f32::NEG_INFINITY;
            }
            Entries::Overflowing => {
                a[m / 2 * k..][..k].iter_mut().for_each(|x| *x = x.abs() * 1e30);
                b.iter_mut().skip(n / 2).step_by(n).for_each(|x| *x = x.abs() * 1e20);
            }
        }
        (a, b)
    }

    /// Whether sums are so small a part of the magnitudes they are made of that their relative
    /// error, by whatever path, tells nothing: then only the bound of each element judges.
    pub fn cancels(&self) -> bool {
        self.entries == Entries::Cancelling
    }

    /// The most that the relative error of accuracy `F32` may be in norm where plain f32's is `plain`:
    /// twice that, and a quarter of u, by which two results that are as good are not told apart. Where
    /// nearly all products are zero, hardly anything is summed, and the rounding of single products,
    /// to 2⁻²² of a split operand each, adds u.
    pub fn allowed(&self, plain: f64) -> f64 {
        let u = DType::F32.unit_roundoff();
        let single = matches!(self.entries, Entries::Sparse(zeros) if zeros > 0.9);
        2.0 * plain + if single { u } else { u / 4.0 }
    }

    /// Multiplies in this accuracy, and holds the result against the oracle: it is right where
    /// [`Outcome::worst`] is at most 1. The Frobenius norms are those of the finite elements.
    ///
    /// # Errors
    /// Whatever the plan and the run return.
    pub fn measure(&self, ctx: &Context, accuracy: Accuracy) -> Result<Outcome> {
        let [m, n, k] = self.extents;
        let plan = Gemm::new(m, n, k).accuracy(accuracy).plan(ctx)?;
        self.measure_plan(&plan, ctx)
    }

    /// The same by this plan, whose problem must be of these extents.
    ///
    /// # Errors
    /// Whatever the run returns.
    pub fn measure_plan(&self, plan: &GemmPlan, ctx: &Context) -> Result<Outcome> {
        let [m, n, k] = self.extents;
        let (a, b) = self.operands();
        let mut c = ctx.upload([m, n], &vec![f32::NAN; m * n])?; // shows what is not written
        plan.run(&ctx.upload([m, k], &a)?, &ctx.upload([k, n], &b)?, &mut c)?;
        Ok(self.judge(plan.problem().accuracy, plan.algorithm(), c.download()?))
    }

    /// Holds a result against the oracle.
    pub(in crate::gemm) fn judge(
        &self,
        accuracy: Accuracy,
        algorithm: Algorithm,
        found: Vec<f32>,
    ) -> Outcome {
        let [m, n, k] = self.extents;
        let (a, b) = self.operands();
        let wide = |x: Vec<f32>| -> Vec<f64> { x.into_iter().map(f64::from).collect() };
        let dense = |x, columns| Dense { data: wide(x), columns, each: 0 };
        let problem = Gemm::new(m, n, k).accuracy(accuracy);
        let expected = oracle(&problem, &dense(a, k), &dense(b, n), &dense(Vec::new(), n), None);
        Outcome::of(algorithm, wide(found), &expected)
    }
}

/// The table: every kind of [`Entries`] with sums short and long, of whole vectors and not, every
/// length to 64, where a split costs more accuracy than it saves time, and one long sum.
pub fn hard_inputs() -> Vec<Input> {
    use Entries::*;
    let kinds = [
        Random,
        Scaled,
        ScaledWithin,
        Alternating,
        Cancelling,
        Hilbert,
        Huge,
        Sparse(0.5),
        Sparse(0.99),
        ZeroRow,
        Subnormal,
        NonFinite,
        Overflowing,
    ];
    let lengths = [64, 96, 257, 1024];
    let all = kinds.into_iter().flat_map(|entries| lengths.map(|k| (entries, k)));
    let all = all.filter(|&(entries, k)| entries != Cancelling || k % 2 == 0);
    let every = all.map(|(entries, k)| Input { extents: [192, 160, k], entries });
    let short = (1..=64).map(|k| Input { extents: [96, 80, k], entries: Random });
    let long = Input { extents: [300, 300, 2048], entries: Random };
    every.chain(short).chain([long]).collect()
}
