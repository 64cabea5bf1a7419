//! Proofs of the software device, from outside: generated kernels, hostile sources, and sources of others.

#[path = "../../tests/effort.rs"]
mod effort;
mod executors;
mod fuzzing;
mod generate;
mod generated;
mod hostile;
mod inputs;
mod regressions;
