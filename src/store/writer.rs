//! The one writer thread.
