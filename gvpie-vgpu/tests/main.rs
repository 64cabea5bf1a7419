//! Proofs of the software device, from outside: sources that are hostile.

mod hostile;
