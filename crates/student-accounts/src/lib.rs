//! Adapters that put library charges on student accounts.
//!
//! Billing hands over a [`Posting`] and gets a [`PostOutcome`] that keeps four things apart: the SIS has it, the SIS
//! refuses it, nothing was sent, or nobody knows. No adapter repeats a posting by itself; before billing does, it asks
//! [`StudentAccounts::find`].
//!
//! - `posting`: what may leave for the SIS, and nothing else; `outcome`: what comes back.
//! - `matching`: which charge of the SIS is which posting.
//! - `ethos`: Ellucian Ethos over HTTP; [`batch`]: files, by a layout that each site writes down.

pub mod batch;
mod error;
mod ethos;
mod matching;
mod outcome;
mod posting;

pub use crate::error::Error;
pub use crate::ethos::{Ethos, EthosSettings, QueryFilters};
pub use crate::outcome::{
    FindOutcome, NotSentCause, PostOutcome, SisCharge, SisError, SisPayment, UnknownCause,
};
pub use crate::posting::{AccountFilter, Description, Posting, PostingLookup, Reversal};

use jiff::civil::Date;

/// A student-information system, by whichever way the site reaches it.
pub enum StudentAccounts {
    /// Ellucian Ethos over HTTP.
    Ethos(Ethos),
}

impl StudentAccounts {
    /// Hands over one posting, once.
    pub async fn post(&self, posting: &Posting) -> PostOutcome {
        match self {
            Self::Ethos(ethos) => ethos.post(posting).await,
        }
    }

    /// Looks for a posting by what it carried.
    ///
    /// # Errors
    /// Any [`Error`] means that nothing is known, in particular not that the posting is absent.
    pub async fn find(&self, lookup: &PostingLookup) -> Result<FindOutcome, Error> {
        match self {
            Self::Ethos(ethos) => ethos.find(lookup).await,
        }
    }

    /// The charge that the SIS knows by this id, where there is one.
    ///
    /// # Errors
    /// The SIS could not be asked, or its answer not be read.
    pub async fn find_charge(&self, sis_id: &str) -> Result<Option<SisCharge>, Error> {
        match self {
            Self::Ethos(ethos) => ethos.find_charge(sis_id).await,
        }
    }

    /// All charges that fit, whoever made them, for reconciliation.
    ///
    /// # Errors
    /// The SIS could not be asked, or its answer not be read whole.
    pub async fn list_charges(&self, filter: &AccountFilter) -> Result<Vec<SisCharge>, Error> {
        match self {
            Self::Ethos(ethos) => ethos.list_charges(filter).await,
        }
    }

    /// All payments that fit, made on or after a date; those without a readable date are among them.
    ///
    /// # Errors
    /// The SIS could not be asked, or its answer not be read whole.
    pub async fn list_payments(
        &self,
        filter: &AccountFilter,
        paid_since: Option<Date>,
    ) -> Result<Vec<SisPayment>, Error> {
        match self {
            Self::Ethos(ethos) => ethos.list_payments(filter, paid_since).await,
        }
    }
}
