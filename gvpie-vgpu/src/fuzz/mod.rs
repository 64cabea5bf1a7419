//! What must hold of any bytes, taken for WGSL or for a kernel: the bodies of the fuzz targets.

mod kernels;
mod operations;
mod sources;

/// What bytes are taken for, each with what must hold of all of them.
///
/// ```
/// use gvpie_vgpu::fuzz::Target;
/// assert_eq!(Target::Wgsl.check(b"@compute @workgroup_size(1) fn main() { loop {} }"), Ok(()));
/// assert_eq!(Target::Ir.check(&[7; 90]), Ok(()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// WGSL: refused with a reason, or its kernels are sound, and run within their budget or are stopped.
    Wgsl,
    /// A kernel: refused by the verifier, or it runs to its end or is stopped, and machine code leaves the
    /// same bits as the interpreter where no order of lanes shows.
    Ir,
}

impl Target {
    /// All of them.
    pub const ALL: [Target; 2] = [Target::Wgsl, Target::Ir];

    /// Tries these bytes.
    ///
    /// # Errors
    /// What does not hold. A panic is a finding, too.
    pub fn check(self, bytes: &[u8]) -> Result<(), String> {
        match self {
            Target::Wgsl => sources::check(&String::from_utf8_lossy(bytes)),
            Target::Ir => kernels::check(bytes),
        }
    }
}

impl std::fmt::Display for Target {
    /// Its name, that of its folder in `fuzz/corpus`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Target::Wgsl => "wgsl",
            Target::Ir => "ir",
        })
    }
}
