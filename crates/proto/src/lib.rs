//! The contract as Rust: code generated from `proto/` (committed, and held
//! against the contract by a test), and the descriptors that reflection and
//! the permission check read.
//!
//! After a change in `proto/`: `cargo run -p carrel-proto-generator`.
#![allow(
    clippy::large_enum_variant,
    reason = "the generator keeps the members of a oneof as they are"
)]

/// The encoded descriptor set of the whole contract, options included.
///
/// These bytes, not a decoded copy, are registered for reflection: decoding
/// into `prost-types` loses the options.
pub const DESCRIPTORS: &[u8] = include_bytes!("generated/descriptors.bin");

/// Values shared by every service: money, dates, times of day.
pub mod r#type {
    /// Version 1.
    pub mod v1 {
        include!("generated/carrel.r#type.v1.rs");
    }
}
/// The permission options.
pub mod access {
    /// Version 1.
    pub mod v1 {
        include!("generated/carrel.access.v1.rs");
    }
}
/// The event feed.
pub mod events {
    /// Version 1.
    pub mod v1 {
        include!("generated/carrel.events.v1.rs");
    }
}
/// What operators do to a running service.
pub mod operations {
    /// Version 1.
    pub mod v1 {
        include!("generated/carrel.operations.v1.rs");
    }
}
/// The catalog.
pub mod catalog {
    /// Version 1.
    pub mod v1 {
        include!("generated/carrel.catalog.v1.rs");
    }
}
/// Patrons.
pub mod patrons {
    /// Version 1.
    pub mod v1 {
        include!("generated/carrel.patrons.v1.rs");
    }
}
/// Circulation.
pub mod circulation {
    /// Version 1.
    pub mod v1 {
        include!("generated/carrel.circulation.v1.rs");
    }
}
/// Billing.
pub mod billing {
    /// Version 1.
    pub mod v1 {
        include!("generated/carrel.billing.v1.rs");
    }
}
/// Budgeting.
pub mod budgeting {
    /// Version 1.
    pub mod v1 {
        include!("generated/carrel.budgeting.v1.rs");
    }
}
