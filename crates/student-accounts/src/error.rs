//! Why an adapter cannot be set up, a text may not leave, or a question to the SIS has no answer.

use std::path::PathBuf;

use crate::outcome::SisError;

/// The rules of this crate and what stands in the way of an answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The base URL is not an absolute `http` or `https` one.
    #[error("the address of the student-information system is not a URL: {0}")]
    BadAddress(String),
    /// Student data and the API key would cross a network in the clear.
    #[error("plain http is for loopback; use https, or allow plain http on a private network")]
    PlainHttp,
    /// The site's own CA certificates cannot be read.
    #[error("the CA certificates in {path} cannot be read: {reason}")]
    CaCertificates {
        /// The PEM file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The HTTPS client cannot be made, usually since this machine has no CA certificates.
    #[error(
        "no HTTPS client ({0}); install the package ca-certificates, or name the site's own CA file"
    )]
    NoTls(String),
    /// A description might tell more than a neutral text.
    #[error("the description is not neutral: {0}")]
    NotNeutral(&'static str),
    /// The layout file of a batch destination cannot be used.
    #[error("the batch layout: {0}")]
    BadLayout(String),
    /// A value does not fit its field, or a batch its limits. The value is not repeated.
    #[error("it cannot be written into a batch file: {0}")]
    NotWritable(String),
    /// A file is not as its layout says, and nothing of it is taken.
    #[error("the file is refused: {0}")]
    BadFile(String),
    /// The SIS was not reached, took too long or failed. Asking again may help.
    #[error("the student-information system is not available: {0}")]
    Unavailable(String),
    /// Neither the token nor a new one was accepted.
    #[error("the student-information system does not accept our credentials (status {status})")]
    NotAuthorised {
        /// The HTTP status.
        status: u16,
    },
    /// The SIS does not answer this question.
    #[error(
        "the student-information system refuses the query with status {status}: {}",
        SisError::join(errors)
    )]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it says.
        errors: Vec<SisError>,
    },
    /// The answer is not what the SIS documents.
    #[error("the answer of the student-information system cannot be read: {0}")]
    Unreadable(String),
    /// Fewer resources came than the SIS says there are.
    #[error("the student-information system sent {seen} of {total}")]
    Incomplete {
        /// How many came.
        seen: usize,
        /// How many there are.
        total: usize,
    },
}
