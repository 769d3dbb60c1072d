//! The sample district: setting it up in a running suite, and loading its
//! records and patrons.

mod district;
mod seed;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use crate::access::SuiteAccess;
use crate::clients::Clients;
use crate::connect::Suite;
use crate::import::{MarcFile, Progress, RosterFile, load_marc, load_roster};

pub use district::{District, district};
pub use seed::{Seeded, seed};

/// Which running suite.
#[derive(Debug, Args)]
pub struct SeedArguments {
    #[command(flatten)]
    suite: SuiteAccess,
}

/// `carrel seed`: sets the sample district up in a new suite.
pub async fn seed_suite(arguments: SeedArguments) -> anyhow::Result<ExitCode> {
    let suite = arguments.suite.connect()?;
    let mut clients = Clients::new(&suite)?;
    let district = district();
    seed(&mut clients, &district, &district::policies())
        .await
        .context("the sample district can't be set up; is the suite new?")?;
    println!("{} is set up.", district.district.name);
    for line in load(&suite, &clients, &mut Progress::on_terminal()).await? {
        println!("  {line}");
    }
    println!("Try: patron 20417000000010 borrows item 30417000064014.");
    Ok(ExitCode::SUCCESS)
}

/// Sets the sample district up.
pub async fn set_up(clients: &mut Clients) -> anyhow::Result<(District, Seeded)> {
    let district = district();
    let seeded = seed(clients, &district, &district::policies()).await?;
    Ok((district, seeded))
}

/// Loads the sample records and patrons, and tells the student-account system
/// who its students are; returns a line for each file.
pub async fn load(
    suite: &Suite,
    clients: &Clients,
    progress: &mut Progress,
) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for (name, content) in [
        ("catalog.mrc", district::RECORDS),
        ("catalog.xml", district::RECORDS_XML),
        ("catalog-damaged.mrc", district::RECORDS_DAMAGED),
    ] {
        let file = MarcFile {
            name: name.into(),
            content: content.into(),
            profile: "auto".into(),
        };
        let outcome = load_marc(suite, &file, progress).await?;
        lines.push(format!(
            "{name}: {} records, {} items; {} unreadable, kept with their bytes",
            outcome.read, outcome.items, outcome.quarantined
        ));
    }
    for (name, content) in [
        ("patrons.csv", district::PATRONS),
        ("patrons-with-errors.csv", district::PATRONS_WITH_ERRORS),
    ] {
        let file = RosterFile {
            name: name.into(),
            content: content.to_vec(),
            dry_run: false,
            max_deactivations: 10,
        };
        let outcome = load_roster(suite, &file, progress).await?;
        lines.push(format!(
            "{name}: {} patrons new, {} changed, {} rows refused with line and reason",
            outcome.created, outcome.updated, outcome.failed
        ));
    }
    enrol_students(clients).await?;
    Ok(lines)
}

/// Tells the student-account system who its students are.
async fn enrol_students(clients: &Clients) -> anyhow::Result<()> {
    let persons: Vec<_> = students()?
        .into_iter()
        .map(|student| json!({"id": student.student_id, "number": student.external_id}))
        .collect();
    clients.sis.put("/admin/persons", &json!(persons)).await
}

/// A row of the sample roster that has a student account.
pub struct Student {
    pub barcode: String,
    pub external_id: String,
    pub student_id: String,
}

/// The students of the sample roster.
pub fn students() -> anyhow::Result<Vec<Student>> {
    let mut roster = csv::Reader::from_reader(district::PATRONS);
    let headers = roster.headers()?.clone();
    let column = |name: &str| {
        let place = headers.iter().position(|header| header == name);
        place.with_context(|| format!("the roster has no column {name}"))
    };
    let (barcode, number, student) = (
        column("barcode")?,
        column("external_id")?,
        column("student_id")?,
    );
    let mut students = Vec::new();
    for row in roster.records() {
        let row = row?;
        if !row[student].is_empty() {
            students.push(Student {
                barcode: row[barcode].to_owned(),
                external_id: row[number].to_owned(),
                student_id: row[student].to_owned(),
            });
        }
    }
    Ok(students)
}
