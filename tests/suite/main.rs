//! End to end, on the built program: the whole suite in one process, services
//! as processes of their own, a client in another language.

// A test that can't go on fails; the message of unwrap is as good as any.
#![allow(clippy::unwrap_used)]

mod an_hour_alone;
mod apart;
mod bad_input;
mod bench;
mod demo;
mod house;
mod known_suite;
mod program;
mod real_files;
mod up;
mod without_the_others;
