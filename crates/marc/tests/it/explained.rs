//! Real files where other records are counted than INDEX.md counts, and why.
//! The catalog's test of the same files reads this table too.

/// Files where we count other records than INDEX.md does: end of the path, our number, why.
pub const EXPLAINED: [(&str, usize, &str); 14] = [
    (
        "marc_bad/edsu+pymarc/test__bad_indicator.dat",
        1,
        "its second record is blanks up to the end of the file",
    ),
    (
        "indexdata+yaz/test__marc-files__marc4.marc",
        2,
        "five digits of junk before the leader are quarantined alone",
    ),
    (
        "test__resources__invalidUChicago_SampleBibs.xml",
        1,
        "one record that breaks off, quarantined; INDEX.md counts none",
    ),
    (
        "marcli/pkg__marc__testdata__test_bad.xml",
        1,
        "ISO 2709 with the name of an XML file; INDEX.md reads it as XML",
    ),
    (
        "alma__comparison__voyager_scsb_32101089814220.xml",
        1,
        "a bare ampersand; INDEX.md gives the whole file up",
    ),
    (
        "marc_files__integrating_resources.xml",
        1,
        "a bare ampersand; INDEX.md gives the whole file up",
    ),
    (
        "marc_to_solr__SCSB-9879349.mrx",
        1,
        "the end of the collection is missing; INDEX.md gives the whole file up",
    ),
    (
        "alma__sru__99121886293506421.xml",
        1,
        "INDEX.md counts the record of SRU around the one of MARC",
    ),
    (
        "alma__sru__991227850000541.xml",
        1,
        "INDEX.md counts the record of SRU around the one of MARC",
    ),
    (
        "alma__sru__99126768656906421.xml",
        1,
        "INDEX.md counts the record of SRU around the one of MARC",
    ),
    (
        "alma__sru__9958708973506421.xml",
        1,
        "INDEX.md counts the record of SRU around the one of MARC",
    ),
    (
        "alma__sru__9972625743506421.xml",
        1,
        "INDEX.md counts the record of SRU around the one of MARC",
    ),
    (
        "alma__sru__constituents.xml",
        2,
        "INDEX.md counts the two records of SRU around those of MARC",
    ),
    (
        "error_fixtures__e402_malformed_marcjson.json",
        1,
        "not MARC at all; the whole file is quarantined",
    ),
];
