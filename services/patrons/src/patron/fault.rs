//! What can be wrong with a value, for the desk and for rosters alike.

use std::fmt;

/// What is wrong with a value. The value is never repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It holds what looks like a social-security number.
    SocialSecurityNumber,
    /// It is needed.
    Missing,
    /// It is too long or too short, in characters.
    Length(usize, usize),
    /// It has control characters, or white space around it or where none may be.
    Text,
    /// It is not a code.
    Code,
    /// It is not a group's code.
    GroupCode,
    /// It is not a barcode.
    Barcode,
    /// It is not the HMAC of a barcode.
    BarcodeHmac,
    /// It is not a date.
    Date,
    /// It is neither true nor false.
    Flag,
    /// One of two that belong together is missing.
    Pair,
    /// It is too short to search for.
    Prefix,
    /// It is no field that can be changed.
    Mask,
    /// It is below zero.
    Negative,
}

impl Fault {
    /// The stable reason.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::SocialSecurityNumber => "SOCIAL_SECURITY_NUMBER_REFUSED",
            Self::Missing => "FIELD_MISSING",
            Self::Length(..) => "TEXT_LENGTH",
            Self::Text => "TEXT_MALFORMED",
            Self::Code => "CODE_MALFORMED",
            Self::GroupCode => "PATRON_GROUP_CODE_MALFORMED",
            Self::Barcode => "BARCODE_MALFORMED",
            Self::BarcodeHmac => "BARCODE_HMAC_MALFORMED",
            Self::Date => "DATE_MALFORMED",
            Self::Flag => "FLAG_MALFORMED",
            Self::Pair => "EXTERNAL_ID_INCOMPLETE",
            Self::Prefix => "NAME_PREFIX_TOO_SHORT",
            Self::Mask => "UPDATE_MASK_INVALID",
            Self::Negative => "NUMBER_NEGATIVE",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SocialSecurityNumber => {
                f.write_str("looks like a social-security number; Carrel never takes them")
            }
            Self::Missing => f.write_str("is needed"),
            Self::Length(least, most) => write!(f, "must have {least} to {most} characters"),
            Self::Text => f.write_str(
                "must not hold control characters, nor white space around it or within a name to sign in with or an id",
            ),
            Self::Code => f.write_str("must be 1 to 40 letters, digits, '_', '-' or '.'"),
            Self::GroupCode => f.write_str("must be 1 to 40 of a-z, 0-9 and '-'"),
            Self::Barcode => {
                f.write_str("must be 1 to 40 printable ASCII characters without spaces")
            }
            Self::BarcodeHmac => f.write_str("must be the 32 bytes of an HMAC-SHA-256"),
            Self::Date => f.write_str("is not a date; in a roster it is written 2026-08-24"),
            Self::Flag => f.write_str("must be true or false"),
            Self::Pair => f.write_str("a source and the id in it are given together or not at all"),
            Self::Prefix => f.write_str("needs at least 2 letters or digits to search for"),
            Self::Mask => f.write_str(
                "must name fields of the patron that can be changed: any but id, source, external_id, revision, etag",
            ),
            Self::Negative => f.write_str("must be 0 or more"),
        }
    }
}
