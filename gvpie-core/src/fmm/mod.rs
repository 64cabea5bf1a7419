//! Sums of 1/r over many bodies, by the fast multipole method.
//!
//! For sources y_j with charges (or masses) q_j, at targets x_i:
//!
//! φ_i = Σⱼ q_j / r_ij, ∇φ_i = Σⱼ q_j (y_j − x_i) / r_ij³, r_ij = √(|y_j − x_i|² + ε²)
//!
//! with a softening ε ≥ 0; where ε is 0, a pair at distance 0 contributes nothing. Where ε is not, a
//! body counts in its own potential (q/ε) as every other does. Targets are the sources themselves or
//! other points; space is free, or filled with copies of a cube. Units are the caller's: a force on a
//! charge q_i that repels its like is −q_i ∇φ_i, gravity on a mass m_i is +G m_i ∇φ_i.
//!
//! Points are rows x, y, z, q of a tensor \[N, 4\], results rows φ, ∂φ/∂x, ∂φ/∂y, ∂φ/∂z of one of that
//! shape. Of targets that are not sources, q is not read.
//!
//! ## Sources
//!
//! * Greengard & Rokhlin, *A fast algorithm for particle simulations*, 1987; Cheng, Greengard &
//!   Rokhlin, *A fast adaptive multipole algorithm in three dimensions*, 1999.
//! * Dehnen, *A fast multipole method for stellar dynamics*, 2014: solid harmonics and errors.
//! * Berman & Greengard, *A renormalization method for the evaluation of lattice sums*, 1994; de
//!   Leeuw, Perram & Smith, *Simulation of electrostatic systems in periodic boundary conditions I*,
//!   1980: the periodic cube.

mod cpu;
mod gpu;
mod harmonics;
mod operators;
mod pairs;
mod periodic;
mod plan;
pub mod proof;
mod rendering;
mod resident;
#[cfg(test)]
mod tests;
mod translation;
mod tree;

pub use gpu::kernels;
pub use plan::{Algorithm, FmmPlan, Report};

use crate::context::Context;
use crate::element::{DType, Element};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// How exact a sum is to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Accuracy {
    /// Relative error in L2 of the potentials, and of the gradients, at most this.
    Tolerance(f64),
    /// Multipole expansions to this degree.
    Order(usize),
}

/// The space around the points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Boundary {
    /// Nothing.
    Free,
    /// Copies of the cube \[0, side)³ in every direction, summed as Ewald does with a conductor
    /// around all; points outside the cube count at their places in it.
    Periodic {
        /// Length of the cube's edge; on a GPU it is rounded to f32.
        side: f64,
        /// Whether a net charge is spread evenly with the opposite sign; else one of more than 32
        /// units of roundoff (f32: 2⁻²⁴) of Σ |q| is an error.
        background: bool,
    },
}

/// How the sum is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Method {
    /// Whichever takes less time.
    #[default]
    Auto,
    /// The fast multipole method, whose time grows with N.
    Fmm,
    /// Every pair, whose time grows with N².
    Direct,
}

/// A sum over many bodies as plain data; see the [module](self) for the formula.
#[derive(Debug, Clone, PartialEq)]
pub struct Fmm {
    pub(super) sources: usize,
    /// `None`: the sources themselves.
    pub(super) targets: Option<usize>,
    pub(super) precision: DType,
    pub(super) accuracy: Accuracy,
    pub(super) softening: f64,
    pub(super) boundary: Boundary,
    pub(super) method: Method,
    /// Points of a leaf at most; `None` lets the plan choose.
    pub(super) leaf: Option<usize>,
}

impl Fmm {
    /// Of this many bodies on each other, of f32, in free space, unsoftened, to a tolerance of 10⁻⁵.
    pub fn new(sources: usize) -> Self {
        Fmm {
            sources,
            targets: None,
            precision: DType::F32,
            accuracy: Accuracy::Tolerance(1e-5),
            softening: 0.0,
            boundary: Boundary::Free,
            method: Method::Auto,
            leaf: None,
        }
    }

    /// At this many other points instead.
    pub fn targets(self, targets: usize) -> Self {
        Fmm { targets: Some(targets), ..self }
    }

    /// Of f32 or f64.
    pub fn precision(self, precision: DType) -> Self {
        Fmm { precision, ..self }
    }

    /// With a relative error of at most this.
    pub fn tolerance(self, tolerance: f64) -> Self {
        Fmm { accuracy: Accuracy::Tolerance(tolerance), ..self }
    }

    /// With expansions to this degree, whatever the error.
    pub fn order(self, order: usize) -> Self {
        Fmm { accuracy: Accuracy::Order(order), ..self }
    }

    /// With this softening length ε.
    pub fn softening(self, softening: f64) -> Self {
        Fmm { softening, ..self }
    }

    /// In a cube of this edge that repeats itself.
    pub fn periodic(self, side: f64) -> Self {
        Fmm { boundary: Boundary::Periodic { side, background: false }, ..self }
    }

    /// With a net charge of the repeated cube neutralised by an even background.
    pub fn background(self) -> Self {
        let boundary = match self.boundary {
            Boundary::Periodic { side, .. } => Boundary::Periodic { side, background: true },
            Boundary::Free => Boundary::Free,
        };
        Fmm { boundary, ..self }
    }

    /// By this method.
    pub fn method(self, method: Method) -> Self {
        Fmm { method, ..self }
    }

    /// With leaves of at most so many points, where cells can still be divided.
    pub fn leaf(self, leaf: usize) -> Self {
        Fmm { leaf: Some(leaf), ..self }
    }

    /// Checks the problem and chooses how to compute it.
    ///
    /// # Errors
    /// [`Error::Setting`] naming what makes no sense, or the tolerance that can be had;
    /// [`Error::Unsupported`]; errors of the device.
    pub fn plan(&self, ctx: &Context) -> Result<FmmPlan> {
        FmmPlan::new(self.clone(), ctx)
    }
}

impl Context {
    /// Potential and gradient of bodies on each other: rows φ, ∇φ for rows x, y, z, q; to a
    /// tolerance of 10⁻⁵ (of f64, 10⁻⁸).
    ///
    /// # Errors
    /// [`Error::Shape`] unless the points are \[N, 4\]; [`Error::Value`] naming a point that is not
    /// finite; errors of the device.
    pub fn fmm<T: Element>(&self, points: &Tensor<T>) -> Result<Tensor<T>> {
        let &[count, 4] = points.shape().dims() else {
            let found = format!("shape {}", points.shape());
            return Err(Error::shape("points", "shape Nx4", found));
        };
        let tolerance = if T::DTYPE == DType::F64 { 1e-8 } else { 1e-5 };
        let plan = Fmm::new(count).precision(T::DTYPE).tolerance(tolerance).plan(self)?;
        let mut result = self.zeros([count, 4])?;
        plan.run(points, &mut result)?;
        Ok(result)
    }
}
