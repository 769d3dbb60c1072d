//! Instants on the wire.

use jiff::Timestamp;

/// As `google.protobuf.Timestamp`.
pub(crate) fn timestamp(time: Timestamp) -> prost_types::Timestamp {
    let nanoseconds = time.as_nanosecond();
    prost_types::Timestamp {
        seconds: nanoseconds.div_euclid(1_000_000_000) as i64,
        nanos: nanoseconds.rem_euclid(1_000_000_000) as i32,
    }
}
