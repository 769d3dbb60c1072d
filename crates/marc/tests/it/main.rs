//! Whole files: split, decode, write again.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod data;
mod explained;
mod properties;
mod real_files;
mod stories;
