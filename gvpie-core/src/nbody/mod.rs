//! The motion of many bodies under their own gravity.
//!
//! ẍ_i = ∇φ_i = Σⱼ m_j (x_j − x_i) / (|x_j − x_i|² + ε²)^{3/2}, with G = 1,
//!
//! by the leapfrog, a step of length h being a kick, a drift and a kick:
//!
//! v ← v + ½h ∇φ(x); x ← x + h v; v ← v + ½h ∇φ(x)
//!
//! which is of second order, symplectic and symmetric in time. ∇φ is that of [`Fmm`],
//! computed once a step.
//!
//! | tensor | rows | unit |
//! |---|---|---|
//! | positions | x, y, z, m | length, and mass; m is not changed |
//! | velocities | vx, vy, vz, 0 | length over time; the last is neither read nor changed |
//! | field | φ, ∂φ/∂x, ∂φ/∂y, ∂φ/∂z | at the positions, as [`Fmm`] has it |
//!
//! All three stay on the device, and nothing waits for them but a caller who downloads them. Of
//! [`Integrals`] only sums come back; of an adaptive step one number for every 128 bodies or more.
//!
//! ## Adaptive steps
//!
//! With [`NBody::adaptive`], a step h is divided, for all bodies together, into parts of h/2ᵏ, where
//! k is the least with h/2ᵏ ≤ min √(2ηε/|∇φ_i|), looked at anew before each part. A part of h/2ᵏ
//! begins only at a multiple of its length, so that parts end where the step does, and equal states
//! are divided alike. A length that follows the state breaks the symmetry in time, and with it
//! what keeps the energy from drifting: a fixed step as short as the shortest part is better in the
//! long run, and slower.
//!
//! ## Accuracy
//!
//! The energy of a fixed step oscillates within O(h²) and does not drift, until rounding does: in
//! f32 each step rounds a position to 6·10⁻⁸ of its magnitude. The field's own error adds a random
//! walk in proportion to the tolerance. Kicks by the field of a fast multipole method are not
//! exactly equal and opposite: momentum is kept to the tolerance, by a direct sum to rounding.
//!
//! ## Sources
//!
//! * Verlet, *Computer "experiments" on classical fluids*, 1967; Quinn, Katz, Stadel & Lake, *Time
//!   stepping N-body simulations*, 1997: kicks, drifts, and what adaptive steps break.
//! * Springel, *The cosmological simulation code GADGET-2*, 2005, eq. 34: the length of a step.
//! * Dehnen & Read, *N-body simulations of gravitational dynamics*, 2011.

mod cpu;
mod gpu;
pub mod models;
mod plan;
#[cfg(test)]
mod tests;

pub use gpu::kernels;
pub use plan::{Checkpoint, NBodyPlan, State};

use crate::context::Context;
use crate::element::DType;
use crate::error::Result;
use crate::fmm::{Accuracy, Fmm, Method};

/// The motion of bodies as plain data; see the [module](self) for the formula.
#[derive(Debug, Clone, PartialEq)]
pub struct NBody {
    pub(super) bodies: usize,
    pub(super) step: f64,
    pub(super) adaptive: Option<f64>,
    pub(super) softening: f64,
    pub(super) accuracy: Accuracy,
    pub(super) method: Method,
    pub(super) precision: DType,
}

impl NBody {
    /// Of this many bodies, of f32, in steps of 0.01, unsoftened, with a field to a tolerance of
    /// 10⁻⁵.
    pub fn new(bodies: usize) -> Self {
        NBody {
            bodies,
            step: 0.01,
            adaptive: None,
            softening: 0.0,
            accuracy: Accuracy::Tolerance(1e-5),
            method: Method::Auto,
            precision: DType::F32,
        }
    }

    /// In steps of this length of time.
    pub fn step(self, step: f64) -> Self {
        NBody { step, ..self }
    }

    /// With each step divided as far as η asks; 0.025 is usual. Needs a softening.
    pub fn adaptive(self, eta: f64) -> Self {
        NBody { adaptive: Some(eta), ..self }
    }

    /// With this softening length ε.
    pub fn softening(self, softening: f64) -> Self {
        NBody { softening, ..self }
    }

    /// With a relative error of the field of at most this.
    pub fn tolerance(self, tolerance: f64) -> Self {
        NBody { accuracy: Accuracy::Tolerance(tolerance), ..self }
    }

    /// With expansions of the field to this degree, whatever the error.
    pub fn order(self, order: usize) -> Self {
        NBody { accuracy: Accuracy::Order(order), ..self }
    }

    /// With the field by this method.
    pub fn method(self, method: Method) -> Self {
        NBody { method, ..self }
    }

    /// Of f32, or of f64, which the host computes in.
    pub fn precision(self, precision: DType) -> Self {
        NBody { precision, ..self }
    }

    /// The sum that gives its field.
    pub(super) fn field(&self) -> Fmm {
        let fmm = Fmm::new(self.bodies).precision(self.precision);
        let fmm = fmm.softening(self.softening).method(self.method);
        match self.accuracy {
            Accuracy::Tolerance(tolerance) => fmm.tolerance(tolerance),
            Accuracy::Order(order) => fmm.order(order),
        }
    }

    /// Checks the problem and chooses how to compute it.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) naming what makes no sense; what
    /// [`Fmm::plan`] returns; errors of the device.
    pub fn plan(&self, ctx: &Context) -> Result<NBodyPlan> {
        NBodyPlan::new(self.clone(), ctx)
    }
}

/// What a motion does not change, and what it is made of.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Integrals {
    /// ½ Σ m v².
    pub kinetic: f64,
    /// −½ Σ m φ, without what a softened body contributes to its own φ.
    pub potential: f64,
    /// Σ m.
    pub mass: f64,
    /// Σ m v.
    pub momentum: [f64; 3],
    /// Σ m x × v.
    pub angular_momentum: [f64; 3],
    /// Σ m x / Σ m; where there is no mass, 0.
    pub centre: [f64; 3],
}

impl Integrals {
    /// The energy: kinetic and potential.
    pub fn energy(&self) -> f64 {
        self.kinetic + self.potential
    }
}
