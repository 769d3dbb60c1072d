//! The committed code is what `proto/` makes.

use std::collections::BTreeMap;
use std::path::Path;

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect()
}

#[test]
fn the_generated_code_has_not_drifted_from_the_contract() {
    let fresh = tempfile::tempdir().unwrap();
    carrel_proto_generator::generate(fresh.path());
    let committed = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/generated"));
    let fresh = files(fresh.path());

    assert_eq!(
        committed.keys().collect::<Vec<_>>(),
        fresh.keys().collect::<Vec<_>>(),
        "run: cargo run -p carrel-proto-generator"
    );
    for (name, bytes) in &fresh {
        assert!(
            committed[name] == *bytes,
            "{name} drifted; run: cargo run -p carrel-proto-generator"
        );
    }
}
