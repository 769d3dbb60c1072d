//! The benchmarks, in small: what they print, never how fast it was.

use serde_json::Value;

use crate::program::printed;

#[test]
fn the_check_out_benchmark_tells_service_and_floor_apart() {
    let text = printed(&[
        "bench",
        "checkout",
        "--json",
        "--clients=4",
        "--seconds=1",
        "--rounds=1",
        "--items=2000",
    ]);
    let outcome: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(outcome["name"], "checkout");
    assert_eq!(outcome["clients"], 4);
    assert_eq!(outcome["refused"], 0, "{text}");
    assert!(outcome["ratio"].as_f64().unwrap() > 0.0);
    for side in ["service", "floor"] {
        let figures = &outcome[side];
        assert!(figures["per_second"].as_f64().unwrap() > 0.0, "{text}");
        let within = |name: &str| figures[name].as_f64().unwrap();
        assert!(within("p50_ms") > 0.0, "{text}");
        assert!(within("p50_ms") <= within("p95_ms"), "{text}");
        assert!(within("p95_ms") <= within("p99_ms"), "{text}");
    }
}

#[test]
fn what_queued_up_while_circulation_was_stopped_reaches_it() {
    let text = printed(&[
        "bench",
        "catch-up",
        "--json",
        "--events=500",
        "--rounds=1",
        "--seconds=1",
    ]);
    let outcome: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(outcome["name"], "catch-up");
    // Each copy changed, and each of the readers.
    assert!(outcome["events"].as_i64().unwrap() > 500, "{text}");
    assert!(outcome["per_second"].as_f64().unwrap() > 0.0, "{text}");
    assert!(outcome["lag"]["followed"].as_i64().unwrap() > 0, "{text}");
    assert!(outcome["lag"]["p99_ms"].as_f64().unwrap() > 0.0, "{text}");
}
