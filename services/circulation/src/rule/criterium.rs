//! What a line of the rules looks at, and which values it allows. Pure.

/// What a rule looks at, by the letter that names it in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Criterium {
    /// `t`.
    LoanType,
    /// `s`.
    Location,
    /// `c`.
    Library,
    /// `b`.
    Campus,
    /// `a`.
    Institution,
    /// `m`.
    MaterialType,
    /// `g`.
    PatronGroup,
}

impl Criterium {
    /// All seven, in the order of the documentation.
    pub const ALL: [Self; 7] = [
        Self::LoanType,
        Self::Location,
        Self::Library,
        Self::Campus,
        Self::Institution,
        Self::MaterialType,
        Self::PatronGroup,
    ];

    /// The letter.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::LoanType => 't',
            Self::Location => 's',
            Self::Library => 'c',
            Self::Campus => 'b',
            Self::Institution => 'a',
            Self::MaterialType => 'm',
            Self::PatronGroup => 'g',
        }
    }

    /// The criterium of a letter.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|criterium| text.chars().eq([criterium.letter()]))
    }

    /// What has values of it, for people.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::LoanType => "loan type",
            Self::Location => "location",
            Self::Library => "library",
            Self::Campus => "campus",
            Self::Institution => "institution",
            Self::MaterialType => "material type",
            Self::PatronGroup => "patron group",
        }
    }

    /// Its place in [`Criterium::ALL`].
    pub(super) fn place(self) -> usize {
        self as usize
    }
}

/// Which criteria a line looks at, those of the lines above it included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CriteriaSet(u8);

impl CriteriaSet {
    /// Institution, campus, library and location are one place.
    const PLACES: u8 = 1 << Criterium::Location as u8
        | 1 << Criterium::Library as u8
        | 1 << Criterium::Campus as u8
        | 1 << Criterium::Institution as u8;

    fn with(self, criterium: Criterium) -> Self {
        Self(self.0 | 1 << criterium as u8)
    }

    fn has(self, criterium: Criterium) -> bool {
        self.0 & 1 << criterium as u8 != 0
    }

    /// How many; the four letters of places count once, however many of them
    /// there are.
    #[must_use]
    pub fn count(self) -> u32 {
        (self.0 & !Self::PLACES).count_ones() + u32::from(self.0 & Self::PLACES != 0)
    }

    /// The place of the foremost one in an order.
    #[must_use]
    pub fn foremost(self, order: &[Criterium; 7]) -> usize {
        order
            .iter()
            .position(|criterium| self.has(*criterium))
            .unwrap_or(order.len())
    }
}

/// What rules look at, for one loan. `None`: not known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Combination<'a> {
    /// `g`.
    pub patron_group: Option<&'a str>,
    /// `m`.
    pub material_type: Option<&'a str>,
    /// `t`.
    pub loan_type: Option<&'a str>,
    /// `s`.
    pub location: Option<&'a str>,
    /// `c`.
    pub library: Option<&'a str>,
    /// `b`.
    pub campus: Option<&'a str>,
    /// `a`.
    pub institution: Option<&'a str>,
}

impl<'a> Combination<'a> {
    /// The value of a criterium.
    #[must_use]
    pub fn value(&self, criterium: Criterium) -> Option<&'a str> {
        match criterium {
            Criterium::LoanType => self.loan_type,
            Criterium::Location => self.location,
            Criterium::Library => self.library,
            Criterium::Campus => self.campus,
            Criterium::Institution => self.institution,
            Criterium::MaterialType => self.material_type,
            Criterium::PatronGroup => self.patron_group,
        }
    }
}

/// Codes, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Codes(Box<[Box<str>]>);

impl Codes {
    fn hold(&self, value: &str) -> bool {
        self.0
            .binary_search_by(|code| code.as_ref().cmp(value))
            .is_ok()
    }

    /// Each of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }
}

impl<'a> FromIterator<&'a str> for Codes {
    fn from_iter<I: IntoIterator<Item = &'a str>>(codes: I) -> Self {
        let mut codes: Vec<Box<str>> = codes.into_iter().map(Box::from).collect();
        codes.sort_unstable();
        codes.dedup();
        Self(codes.into())
    }
}

/// Which values are allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Any, also one that is not known (`all`).
    All,
    /// One of these.
    AnyOf(Codes),
    /// Any but these (`!`), also one that is not known.
    NoneOf(Codes),
}

/// What one criterium allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The criterium.
    pub criterium: Criterium,
    /// What it allows.
    pub selection: Selection,
}

impl Condition {
    fn allows(&self, combination: &Combination<'_>) -> bool {
        let value = combination.value(self.criterium);
        match &self.selection {
            Selection::All => true,
            Selection::AnyOf(codes) => value.is_some_and(|value| codes.hold(value)),
            Selection::NoneOf(codes) => value.is_none_or(|value| !codes.hold(value)),
        }
    }
}

/// The conditions of one line, and the line that it stands under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Branch {
    /// Its place among the branches; smaller than its own.
    pub above: Option<usize>,
    pub conditions: Vec<Condition>,
    /// Its own criteria and those above.
    pub criteria: CriteriaSet,
}

/// All lines with conditions, each kept once however many stand under it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Branches(Vec<Branch>);

impl Branches {
    /// Adds a line under another one; returns its place.
    pub(super) fn add(&mut self, above: Option<usize>, mut conditions: Vec<Condition>) -> usize {
        let criteria = above.map(|above| self.0[above].criteria);
        let criteria = conditions
            .iter()
            .fold(criteria.unwrap_or_default(), |criteria, condition| {
                criteria.with(condition.criterium)
            });
        // It counts as a criterium, and that is all it does.
        conditions.retain(|condition| condition.selection != Selection::All);
        self.0.push(Branch {
            above,
            conditions,
            criteria,
        });
        self.0.len() - 1
    }

    /// The criteria of a line and of those above it.
    pub(super) fn criteria(&self, place: usize) -> CriteriaSet {
        self.0[place].criteria
    }

    /// Every line, those above before those below.
    pub(super) fn all(&self) -> &[Branch] {
        &self.0
    }

    /// Whether a line and all above it allow a combination.
    pub(super) fn allow(&self, place: usize, combination: &Combination<'_>) -> bool {
        let mut next = Some(place);
        while let Some(place) = next {
            let branch = &self.0[place];
            if !branch
                .conditions
                .iter()
                .all(|condition| condition.allows(combination))
            {
                return false;
            }
            next = branch.above;
        }
        true
    }
}
