//! Makes the committed code anew: `cargo run -p carrel-proto-generator`.

fn main() {
    let out = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/src/generated");
    if out.exists() {
        std::fs::remove_dir_all(&out).expect("the old code can be removed");
    }
    std::fs::create_dir_all(&out).expect("the folder can be made");
    carrel_proto_generator::generate(&out);
    println!("wrote {}", out.display());
}
