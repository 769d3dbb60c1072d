//! Makes the Rust code and the descriptor set from `proto/`, without protoc. A crate of its own,
//! so that it runs also when the generated code does not compile.

use std::path::{Path, PathBuf};

/// The folder of the contract.
pub fn proto_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto")
}

/// Every `.proto` file below `proto/`, sorted, as paths relative to it.
fn proto_files() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("proto/ is readable") {
            let path = entry.expect("proto/ is readable").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "proto") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&proto_root(), &mut found);
    found.sort();
    found
}

/// Writes one `.rs` file per package and `descriptors.bin` into `out`.
pub fn generate(out: &Path) {
    let mut compiler =
        protox::Compiler::new([proto_root()]).expect("proto/ can be used as an include path");
    compiler.include_imports(true).include_source_info(true);
    compiler
        .open_files(proto_files())
        .unwrap_or_else(|error| panic!("{error:?}"));
    let descriptors = compiler.file_descriptor_set();

    // An event's type is its message's full name.
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    tonic_prost_build::configure()
        .out_dir(out)
        .build_transport(true)
        .bytes(".carrel.events.v1.Event.payload")
        .compile_fds_with_config(descriptors, config)
        .expect("the descriptors make code");

    // Without comments for the program: reflection doesn't need them. The
    // encoded form keeps the options that decoding into prost-types loses.
    let mut plain = protox::Compiler::new([proto_root()]).expect("as above");
    plain.include_imports(true).include_source_info(false);
    plain.open_files(proto_files()).expect("as above");
    std::fs::write(
        out.join("descriptors.bin"),
        plain.encode_file_descriptor_set(),
    )
    .expect("the descriptors can be written");
}
