//! The house keeps its own rules.

use cargo_metadata::{DependencyKind, MetadataCommand};

const SERVICES: [&str; 6] = [
    "carrel-billing",
    "carrel-budgeting",
    "carrel-catalog",
    "carrel-circulation",
    "carrel-patrons",
    "carrel-sis-simulator",
];

#[test]
fn a_service_never_depends_on_another_service() {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    let mut seen = 0;
    for package in &metadata.packages {
        // The program embeds them all.
        if package.name.as_str() == "carrel" {
            continue;
        }
        seen += usize::from(SERVICES.contains(&package.name.as_str()));
        for dependency in &package.dependencies {
            let for_tests = dependency.kind == DependencyKind::Development;
            // Billing is tested against the real student-account simulator.
            let simulator = dependency.name == "carrel-sis-simulator" && for_tests;
            assert!(
                !SERVICES.contains(&dependency.name.as_str()) || simulator,
                "{} depends on {}: services speak by their contract only",
                package.name,
                dependency.name
            );
        }
    }
    assert_eq!(seen, SERVICES.len());
}
