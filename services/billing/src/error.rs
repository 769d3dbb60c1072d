//! What billing refuses, and how that reads on the wire.

use carrel_database::RequestReused;
use carrel_money::MoneyError;
use carrel_runtime::Refusal;
use tonic::{Code, Status};

/// Each variant is a rule broken, or what stood in the way.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such account.
    #[error("there is no such account")]
    AccountNotFound,
    /// There is no such owner.
    #[error("there is no such fee/fine owner")]
    OwnerNotFound,
    /// There is no such type.
    #[error("there is no such fee/fine type")]
    TypeNotFound,
    /// A charge by hand needs a manual type.
    #[error("this type is for automatic charges; choose a manual one")]
    TypeAutomatic,
    /// There is no such posting.
    #[error("there is no such posting")]
    PostingNotFound,
    /// Nobody acts on their own account.
    #[error("nobody acts on their own account; ask a colleague")]
    OwnAccount,
    /// Amounts at the desk are more than nothing.
    #[error("the amount must be more than zero")]
    AmountNotPositive,
    /// Neither the call nor the type says how much.
    #[error("the type has no default amount; say how much")]
    AmountMissing,
    /// The district keeps its books in one currency.
    #[error("the books are kept in another currency")]
    CurrencyNotKept,
    /// An amount that can't be kept.
    #[error("the amount cannot be kept: {0}")]
    Money(#[from] MoneyError),
    /// Nothing remains.
    #[error("nothing remains on this account")]
    AccountClosed,
    /// More than what remains.
    #[error("the payment is more than what remains")]
    PaymentExceedsRemaining,
    /// More than what remains.
    #[error("the waiver is more than what remains")]
    WaiverExceedsRemaining,
    /// What is at the student account is paid there.
    #[error("the charge is at the student account, or on its way there; it is paid there")]
    AtStudentAccount,
    /// A card number has no place in our books.
    #[error("that looks like a card number; give the processor's reference instead")]
    CardNumberRefused,
    /// An owner with this code exists.
    #[error("there is an owner with this code already")]
    OwnerCodeTaken,
    /// A library has one owner.
    #[error("one of the libraries has an owner already")]
    OwnerLibraryTaken,
    /// A type with this code exists.
    #[error("there is a type with this code already")]
    TypeCodeTaken,
    /// One type for each automatic kind.
    #[error("there is a type of this kind already")]
    TypeKindTaken,
    /// A text that might tell more than the kind of the charge.
    #[error("the statement text: {0}")]
    StatementTextNotNeutral(carrel_student_accounts::Error),
    /// A route for this college and kind exists.
    #[error("there is a route for this college and kind already")]
    RouteTaken,
    /// A period with this id exists.
    #[error("there is a period with this id already")]
    PeriodTaken,
    /// Periods don't overlap.
    #[error("the period overlaps another one")]
    PeriodOverlaps,
    /// A period that ends before it begins.
    #[error("the period ends before it begins")]
    PeriodEmpty,
    /// Only rejected and unrouted postings wait for a person.
    #[error("the posting does not wait for a person")]
    PostingNotWaiting,
    /// A state that the posting's state does not lead to.
    #[error("a posting that is {from} cannot become {to}")]
    PostingTransition {
        /// Its state.
        from: &'static str,
        /// The state that was tried.
        to: &'static str,
    },
    /// No student-information system was configured.
    #[error("no student-information system is configured; start billing with --sis-url")]
    SisNotConfigured,
    /// The student-information system could not be asked.
    #[error("the student-information system could not be asked: {0}")]
    SisUnavailable(#[source] carrel_student_accounts::Error),
    /// It was changed by somebody else meanwhile.
    #[error("it was changed meanwhile; read it again")]
    EtagMismatch,
    /// Criteria that cannot be kept.
    #[error("the criteria: {0}")]
    CriterionMalformed(&'static str),
    /// A notice bears the date on which it went out.
    #[error("the date of the notice is in the future")]
    NoticeInFuture,
    /// Only what is unknown is resolved by a person.
    #[error("the posting is not unknown")]
    PostingNotUnknown,
    /// Not to find a posting proves nothing yet.
    #[error("the student-information system may still take it; look again in a while")]
    PostingInFlight,
    /// A charge there is one posting here.
    #[error("another posting is that charge of the student-information system")]
    SisChargeTaken,
    /// What is at the student account, or may be, is not the desk's.
    #[error("the posting is at the student account, or may be")]
    PostingNotHere,
    /// A credit is the student account's.
    #[error("the posting is a credit; it goes where its charge is")]
    PostingIsCredit,
    /// The charge was not returned to the library.
    #[error("the charge was not returned to the library")]
    PostingHoldNotFound,
    /// There is no such batch.
    #[error("there is no such batch")]
    BatchNotFound,
    /// A batch could not be written after each of its rows could.
    #[error("the batch: {0}")]
    BatchNotWritable(#[source] carrel_student_accounts::Error),
    /// Another batch has this file name; some go by the second.
    #[error("another batch has this file name")]
    BatchNameTaken,
    /// A folder for batch files cannot be used.
    #[error("a folder for batch files cannot be used: {0}")]
    BatchFolder(String),
    /// Say how it is paid.
    #[error("say how it is paid")]
    TenderMissing,
    /// The credit is more than what is left of the charge.
    #[error("the credit is more than what is left of the charge")]
    CreditExceedsCharge,
    /// The write-off is more than what remains.
    #[error("the write-off is more than what remains")]
    WriteOffExceedsRemaining,
    /// The charge was taken back before.
    #[error("the charge was taken back before")]
    ChargeTakenBack,
    /// There is no such action on this account.
    #[error("there is no such action on this account")]
    ActionNotFound,
    /// Only a payment, a waiver or a write-off is taken back.
    #[error("only a payment, a waiver or a write-off is taken back")]
    ActionNotReversible,
    /// The action was taken back before.
    #[error("the action was taken back before")]
    ActionReversed,
    /// There is no such payment.
    #[error("there is no such payment")]
    PaymentNotFound,
    /// Some of the payment was given back before.
    #[error("some of the payment was given back before; settle it by hand")]
    PaymentSpent,
    /// The bank returned this cheque before.
    #[error("the bank returned this cheque before")]
    PaymentReturned,
    /// The payment was not made by cheque.
    #[error("the payment was not made by cheque")]
    NotACheque,
    /// The refund is more than what is left of the payment.
    #[error("the refund is more than what is left of the payment")]
    RefundExceedsPayment,
    /// One payment pays the charges of one patron.
    #[error("one payment pays the charges of one patron")]
    AccountsOfSeveralPatrons,
    /// An account is named twice.
    #[error("an account is named twice")]
    AccountTwice,
    /// Less was handed over than is paid.
    #[error("less was handed over than is paid")]
    TenderedTooLittle,
    /// Change is given for cash only.
    #[error("change is given for cash only")]
    ChangeOnlyForCash,
    /// The parts of a payment are not the sum that was named.
    #[error("the parts do not add up to the amount")]
    PartsDisagree,
    /// No drawer session with this id is open.
    #[error("no drawer session with this id is open")]
    DrawerSessionNotOpen,
    /// There is no such dispute.
    #[error("there is no such dispute")]
    DisputeNotFound,
    /// A dispute about this account is open.
    #[error("a dispute about this account is open")]
    DisputeOpen,
    /// The dispute is decided.
    #[error("the dispute is decided")]
    DisputeDecided,
    /// Another person has to decide.
    #[error("another person has to decide")]
    DecidedByTheSamePerson,
    /// There is no such write-off.
    #[error("there is no such write-off")]
    WriteOffNotFound,
    /// A write-off of this account waits for another person.
    #[error("a write-off of this account waits for another person")]
    WriteOffWaiting,
    /// The write-off is decided.
    #[error("the write-off is decided")]
    WriteOffDecided,
    /// The amount must not be less than zero.
    #[error("the amount must not be less than zero")]
    AmountNegative,
    /// The month is not over.
    #[error("the month is not over")]
    MonthNotOver,
    /// The month is closed.
    #[error("the month is closed")]
    MonthClosed,
    /// The last day is before the first.
    #[error("the last day is before the first")]
    PeriodOfDaysEmpty,
    /// The request id was used for something else.
    #[error(transparent)]
    RequestReused(#[from] RequestReused),
    /// A reference could not be drawn: five in a row were taken.
    #[error("no free reference was found")]
    NoFreeReference,
    /// The journal and the rows beside it would disagree.
    #[error("the books would not balance: {0}")]
    OutOfBalance(&'static str),
    /// The database's.
    #[error("the database: {0}")]
    Database(#[source] sqlx::Error),
}

impl Error {
    /// The refusal that a caller reads.
    #[must_use]
    pub fn refusal(self) -> Refusal {
        let text = self.to_string();
        let new = |code, reason| Refusal::new(code, reason, text.clone());
        let field = |name, reason| Refusal::field(name, reason, text.clone());
        match &self {
            Self::AccountNotFound => new(Code::NotFound, "ACCOUNT_NOT_FOUND"),
            Self::OwnerNotFound => new(Code::NotFound, "FEE_FINE_OWNER_NOT_FOUND"),
            Self::TypeNotFound => new(Code::NotFound, "FEE_FINE_TYPE_NOT_FOUND"),
            Self::TypeAutomatic => new(Code::FailedPrecondition, "FEE_FINE_TYPE_AUTOMATIC"),
            Self::PostingNotFound => new(Code::NotFound, "POSTING_NOT_FOUND"),
            Self::OwnAccount => new(Code::PermissionDenied, "OWN_ACCOUNT"),
            Self::AmountNotPositive => field("amount", "AMOUNT_NOT_POSITIVE"),
            Self::AmountMissing => field("amount", "AMOUNT_MISSING"),
            Self::CurrencyNotKept => field("amount", "CURRENCY_NOT_KEPT"),
            Self::Money(_) => field("amount", "AMOUNT_MALFORMED"),
            Self::AccountClosed => new(Code::FailedPrecondition, "ACCOUNT_CLOSED"),
            Self::PaymentExceedsRemaining => {
                new(Code::FailedPrecondition, "PAYMENT_EXCEEDS_REMAINING")
            }
            Self::WaiverExceedsRemaining => {
                new(Code::FailedPrecondition, "WAIVER_EXCEEDS_REMAINING")
            }
            Self::AtStudentAccount => new(Code::FailedPrecondition, "ACCOUNT_AT_STUDENT_ACCOUNT"),
            Self::CardNumberRefused => field("tender_reference", "CARD_NUMBER_REFUSED"),
            Self::OwnerCodeTaken => new(Code::AlreadyExists, "FEE_FINE_OWNER_CODE_TAKEN"),
            Self::OwnerLibraryTaken => new(Code::AlreadyExists, "FEE_FINE_OWNER_LIBRARY_TAKEN"),
            Self::TypeCodeTaken => new(Code::AlreadyExists, "FEE_FINE_TYPE_CODE_TAKEN"),
            Self::TypeKindTaken => new(Code::AlreadyExists, "FEE_FINE_TYPE_KIND_TAKEN"),
            Self::StatementTextNotNeutral(_) => {
                field("fee_fine_type.statement_text", "STATEMENT_TEXT_NOT_NEUTRAL")
            }
            Self::RouteTaken => new(Code::AlreadyExists, "POSTING_ROUTE_TAKEN"),
            Self::PeriodTaken => new(Code::AlreadyExists, "ACADEMIC_PERIOD_TAKEN"),
            Self::PeriodOverlaps => new(Code::FailedPrecondition, "ACADEMIC_PERIOD_OVERLAPS"),
            Self::PeriodEmpty => field("academic_period.last_date", "ACADEMIC_PERIOD_EMPTY"),
            Self::PostingNotWaiting => new(Code::FailedPrecondition, "POSTING_NOT_WAITING"),
            Self::SisNotConfigured => new(Code::FailedPrecondition, "SIS_NOT_CONFIGURED"),
            Self::SisUnavailable(cause) => {
                // Its text can repeat what the SIS says, a student's id included.
                tracing::warn!(kind = sis_error_kind(cause), "the SIS could not be asked");
                Refusal::new(
                    Code::Unavailable,
                    "SIS_UNAVAILABLE",
                    "the student-information system could not be asked; try again later",
                )
            }
            Self::EtagMismatch => new(Code::Aborted, "ETAG_MISMATCH"),
            Self::CriterionMalformed(_) => {
                field("posting_policy.criterion", "POSTING_CRITERION_MALFORMED")
            }
            Self::NoticeInFuture => new(Code::FailedPrecondition, "NOTICE_DATE_IN_FUTURE"),
            Self::PostingNotUnknown => new(Code::FailedPrecondition, "POSTING_NOT_UNKNOWN"),
            Self::PostingInFlight => new(Code::FailedPrecondition, "POSTING_STILL_IN_FLIGHT"),
            Self::SisChargeTaken => new(Code::FailedPrecondition, "SIS_CHARGE_TAKEN"),
            Self::PostingNotHere => new(Code::FailedPrecondition, "POSTING_NOT_HERE"),
            Self::PostingIsCredit => new(Code::FailedPrecondition, "POSTING_IS_CREDIT"),
            Self::PostingHoldNotFound => new(Code::NotFound, "POSTING_HOLD_NOT_FOUND"),
            Self::BatchNotFound => new(Code::NotFound, "POSTING_BATCH_NOT_FOUND"),
            Self::BatchFolder(_) => Refusal::new(
                Code::Unavailable,
                "BATCH_FOLDER_UNAVAILABLE",
                "a folder for batch files cannot be used; see the log",
            ),
            Self::TenderMissing => field("tender", "TENDER_MISSING"),
            Self::CreditExceedsCharge => new(Code::FailedPrecondition, "CREDIT_EXCEEDS_CHARGE"),
            Self::WriteOffExceedsRemaining => {
                new(Code::FailedPrecondition, "WRITE_OFF_EXCEEDS_REMAINING")
            }
            Self::ChargeTakenBack => new(Code::FailedPrecondition, "CHARGE_TAKEN_BACK"),
            Self::ActionNotFound => new(Code::NotFound, "ACTION_NOT_FOUND"),
            Self::ActionNotReversible => new(Code::FailedPrecondition, "ACTION_NOT_REVERSIBLE"),
            Self::ActionReversed => new(Code::FailedPrecondition, "ACTION_REVERSED"),
            Self::PaymentNotFound => new(Code::NotFound, "PAYMENT_NOT_FOUND"),
            Self::PaymentSpent => new(Code::FailedPrecondition, "PAYMENT_SPENT"),
            Self::PaymentReturned => new(Code::FailedPrecondition, "PAYMENT_RETURNED"),
            Self::NotACheque => new(Code::FailedPrecondition, "NOT_A_CHEQUE"),
            Self::RefundExceedsPayment => new(Code::FailedPrecondition, "REFUND_EXCEEDS_PAYMENT"),
            Self::AccountsOfSeveralPatrons => {
                new(Code::FailedPrecondition, "ACCOUNTS_OF_SEVERAL_PATRONS")
            }
            Self::AccountTwice => new(Code::FailedPrecondition, "ACCOUNT_TWICE"),
            Self::TenderedTooLittle => new(Code::FailedPrecondition, "TENDERED_TOO_LITTLE"),
            Self::ChangeOnlyForCash => new(Code::FailedPrecondition, "CHANGE_ONLY_FOR_CASH"),
            Self::PartsDisagree => field("amount", "PARTS_DISAGREE"),
            Self::DrawerSessionNotOpen => new(Code::FailedPrecondition, "DRAWER_SESSION_NOT_OPEN"),
            Self::DisputeNotFound => new(Code::NotFound, "DISPUTE_NOT_FOUND"),
            Self::DisputeOpen => new(Code::FailedPrecondition, "DISPUTE_OPEN"),
            Self::DisputeDecided => new(Code::FailedPrecondition, "DISPUTE_DECIDED"),
            Self::DecidedByTheSamePerson => {
                new(Code::FailedPrecondition, "DECIDED_BY_THE_SAME_PERSON")
            }
            Self::WriteOffNotFound => new(Code::NotFound, "WRITE_OFF_NOT_FOUND"),
            Self::WriteOffWaiting => new(Code::FailedPrecondition, "WRITE_OFF_WAITING"),
            Self::WriteOffDecided => new(Code::FailedPrecondition, "WRITE_OFF_DECIDED"),
            Self::AmountNegative => field("billing_rules", "AMOUNT_NEGATIVE"),
            Self::MonthNotOver => new(Code::FailedPrecondition, "MONTH_NOT_OVER"),
            Self::MonthClosed => new(Code::FailedPrecondition, "MONTH_CLOSED"),
            Self::PeriodOfDaysEmpty => field("last_date", "PERIOD_EMPTY"),
            Self::RequestReused(_) => new(Code::FailedPrecondition, "REQUEST_ID_REUSED"),
            Self::Database(error) => Refusal::database(error),
            Self::PostingTransition { .. }
            | Self::NoFreeReference
            | Self::OutOfBalance(_)
            | Self::BatchNotWritable(_)
            | Self::BatchNameTaken => Refusal::internal(&self),
        }
    }
}

/// The name of an adapter's error, without what the SIS said.
#[must_use]
pub(crate) fn sis_error_kind(error: &carrel_student_accounts::Error) -> &'static str {
    use carrel_student_accounts::Error as Sis;
    match error {
        Sis::BadAddress(_) | Sis::PlainHttp | Sis::CaCertificates { .. } | Sis::NoTls(_) => {
            "not set up"
        }
        Sis::BadLayout(_) => "layout not usable",
        Sis::NotNeutral(_) => "text not neutral",
        Sis::NotWritable(_) => "does not fit the file",
        Sis::BadFile(_) => "file not as its layout says",
        Sis::Unavailable(_) => "not available",
        Sis::NotAuthorised { .. } => "credentials not accepted",
        Sis::Refused { .. } => "query refused",
        Sis::Unreadable(_) => "answer cannot be read",
        Sis::Incomplete { .. } => "answer is not whole",
    }
}

/// Whether the student-information system is not there, rather than refusing
/// one question or answering it badly.
#[must_use]
pub(crate) fn is_away(error: &carrel_student_accounts::Error) -> bool {
    use carrel_student_accounts::Error as Sis;
    match error {
        Sis::BadAddress(_)
        | Sis::PlainHttp
        | Sis::CaCertificates { .. }
        | Sis::NoTls(_)
        | Sis::Unavailable(_)
        | Sis::NotAuthorised { .. } => true,
        Sis::BadLayout(_)
        | Sis::NotWritable(_)
        | Sis::BadFile(_)
        | Sis::NotNeutral(_)
        | Sis::Refused { .. }
        | Sis::Unreadable(_)
        | Sis::Incomplete { .. } => false,
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let constraint = error
            .as_database_error()
            .and_then(|error| error.constraint());
        match constraint {
            Some("fee_fine_owner_code_key") => Self::OwnerCodeTaken,
            Some("fee_fine_owner_library_key") => Self::OwnerLibraryTaken,
            Some("fee_fine_type_code_key") => Self::TypeCodeTaken,
            Some("fee_fine_type_kind_key") => Self::TypeKindTaken,
            Some("posting_route_key") => Self::RouteTaken,
            Some("academic_period_pkey") => Self::PeriodTaken,
            Some("academic_period_does_not_overlap") => Self::PeriodOverlaps,
            Some("academic_period_is_not_empty") => Self::PeriodEmpty,
            Some("posting_notice_has_account") => Self::AccountNotFound,
            Some("posting_sis_charge_key") => Self::SisChargeTaken,
            Some("posting_batch_file_name_key") => Self::BatchNameTaken,
            Some("account_has_owner") => Self::OwnerNotFound,
            Some("journal_transaction_is_reversed_once") => Self::ChargeTakenBack,
            Some("account_action_is_reversed_once") => Self::ActionReversed,
            Some("journal_transaction_is_in_open_month" | "closed_month_pkey") => Self::MonthClosed,
            Some("dispute_account_open_key") => Self::DisputeOpen,
            Some("dispute_is_decided_by_another" | "write_off_is_decided_by_another") => {
                Self::DecidedByTheSamePerson
            }
            Some("write_off_account_waiting_key") => Self::WriteOffWaiting,
            Some("account_has_type") => Self::TypeNotFound,
            Some(_) | None => Self::Database(error),
        }
    }
}

impl carrel_database::DatabaseFailure for Error {
    fn database(&self) -> Option<&sqlx::Error> {
        match self {
            Self::Database(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        error.refusal().into()
    }
}
