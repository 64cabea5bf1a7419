//! Machine code against the interpreter, in every bit.
