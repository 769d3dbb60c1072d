//! A library made up for a benchmark: the sample district with its rules,
//! policies, limits and hours, and in its stacks as many copies and readers as
//! the benchmark needs. They come in by the same loads as real ones.

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::{Context as _, ensure};

use super::Bench;
use crate::clients::Clients;
use crate::import::{MarcFile, Progress, RosterFile, load_marc, load_roster};
use crate::sample;

/// Copies of one title.
const COPIES: u32 = 20;
/// Loans of one reader at most: below the limits of the group and the policy.
const LOANS: u32 = 8;
/// A year until whose end readers may borrow, and that call numbers name: far
/// enough away.
const FIRST_YEAR: u32 = 2100;
/// The desk where everything happens.
const SERVICE_POINT: &str = "ALDM-CIRC";

/// What a benchmark works with.
#[derive(Debug, Clone)]
pub struct Library {
    /// Copies, numbered from 0.
    pub items: u32,
    /// Readers, numbered from 0.
    pub patrons: u32,
    /// The desk.
    pub service_point_id: String,
}

impl Library {
    /// Sets one up, and waits until every service knows it.
    pub async fn load(bench: &Bench, items: u32) -> anyhow::Result<Self> {
        let mut clients = Clients::new(&bench.suite)?;
        let (_, seeded) = sample::set_up(&mut clients).await?;
        let library = Self {
            items: items.next_multiple_of(COPIES),
            patrons: items.div_ceil(LOANS),
            service_point_id: seeded
                .service_points
                .get(SERVICE_POINT)
                .with_context(|| format!("the district has no service point {SERVICE_POINT}"))?
                .clone(),
        };
        library.bring_in(bench, FIRST_YEAR).await?;
        bench.level().await?;
        bench.analyze().await?;
        Ok(library)
    }

    /// Changes every copy and every reader, as a yearly load does: copies get
    /// another call number, readers another last day. Each time a later year.
    pub async fn change(&self, bench: &Bench, year: u32) -> anyhow::Result<()> {
        self.bring_in(bench, FIRST_YEAR + year).await
    }

    async fn bring_in(&self, bench: &Bench, year: u32) -> anyhow::Result<()> {
        let roster = RosterFile {
            name: "readers".into(),
            content: self.roster(year).into_bytes(),
            dry_run: false,
            max_deactivations: 0,
        };
        let loaded = load_roster(&bench.suite, &roster, &mut Progress::new(false)).await?;
        ensure!(
            loaded.created + loaded.updated == i64::from(self.patrons),
            "readers were refused: {loaded}"
        );
        let records = MarcFile {
            name: "records".into(),
            content: Arc::from(self.records(year).into_bytes()),
            profile: "marc-852".into(),
        };
        let loaded = load_marc(&bench.suite, &records, &mut Progress::new(false)).await?;
        ensure!(
            loaded.items == i64::from(self.items),
            "copies were refused: {loaded}"
        );
        Ok(())
    }

    /// A copy's barcode.
    pub fn item_barcode(&self, number: u32) -> String {
        format!("3{number:013}")
    }

    /// The barcode of the reader who takes a copy. Copies that go out at about
    /// the same time go to different readers.
    pub fn reader_of(&self, item: u32) -> String {
        patron_barcode(item % self.patrons)
    }

    fn roster(&self, year: u32) -> String {
        let mut text =
            "source,external_id,barcode,username,patron_group,last_name,first_name,expiration_date,active\n"
                .to_owned();
        for number in 0..self.patrons {
            let barcode = patron_barcode(number);
            // Writing to a String can't fail.
            let _ = writeln!(
                text,
                "bench,R{number},{barcode},reader{number},undergraduate,Reader,Number {number},{year}-12-31,true"
            );
        }
        text
    }

    /// MARCXML: titles with their copies.
    fn records(&self, year: u32) -> String {
        let mut text = String::from(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<collection xmlns=\"http://www.loc.gov/MARC21/slim\">\n",
        );
        for title in 0..self.items / COPIES {
            let _ = write!(
                text,
                "<record><leader>00000nam a2200000 i 4500</leader>\
                 <controlfield tag=\"001\">BENCH{title}</controlfield>\
                 <controlfield tag=\"003\">AVCCD</controlfield>\
                 <controlfield tag=\"008\">250818s2025    xxu           000 0 eng d</controlfield>\
                 <datafield tag=\"245\" ind1=\"0\" ind2=\"0\"><subfield code=\"a\">Title {title}</subfield></datafield>"
            );
            for copy in 0..COPIES {
                let barcode = self.item_barcode(title * COPIES + copy);
                let _ = write!(
                    text,
                    "<datafield tag=\"852\" ind1=\"0\" ind2=\" \"><subfield code=\"b\">ALDM</subfield>\
                     <subfield code=\"c\">ALDM-STK</subfield><subfield code=\"h\">QA{title} {year}</subfield>\
                     <subfield code=\"t\">{copy}</subfield><subfield code=\"p\">{barcode}</subfield></datafield>"
                );
            }
            text.push_str("</record>\n");
        }
        text.push_str("</collection>\n");
        text
    }
}

fn patron_barcode(number: u32) -> String {
    format!("2{number:013}")
}
