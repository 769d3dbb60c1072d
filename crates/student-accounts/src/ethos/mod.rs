//! Ellucian Ethos over HTTP: `student-charges` and `student-payments`, version 16.
//!
//! Ethos has no idempotency key, so a create is sent once and whatever is not certain comes back as unknown. The one
//! exception is an answer 401, which proves that nothing was taken: the token is renewed and the request sent again.

mod channel;
mod gate;
mod token;
mod verdict;
mod wire;

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use jiff::civil::Date;
use reqwest::Url;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::error::Error;
use crate::matching;
use crate::outcome::{FindOutcome, PostOutcome, SisCharge, SisError, SisPayment};
use crate::posting::{AccountFilter, Posting, PostingLookup};

use channel::Channel;

const CHARGES: &str = "student-charges";
const PAYMENTS: &str = "student-payments";
/// Ethos: the most that one page holds.
const PAGE: usize = 100;
/// A student account with a hundred thousand lines is a mistake, not an account.
const MOST_PAGES: usize = 1000;

/// How a site's Ethos is reached and what it does differently from others.
#[derive(Clone)]
pub struct EthosSettings {
    /// Such as `https://integrate.elluciancloud.com`; `/auth` and `/api` follow it.
    pub base_url: String,
    /// The application's API key. Never logged.
    pub api_key: String,
    /// Plain http beyond loopback, for a private network such as a compose file's.
    pub allow_plain_http: bool,
    /// A PEM file with CA certificates beside the machine's own.
    pub ca_certificates: Option<PathBuf>,
    /// How long a token is valid; it is renewed when four fifths have passed.
    pub token_lifetime: Duration,
    /// How long a connection may take.
    pub connect_deadline: Duration,
    /// How long a request may take altogether. A create beyond it is unknown.
    pub deadline: Duration,
    /// Which criteria the site's queries take.
    pub filters: QueryFilters,
    /// Whether the site takes a negative amount as a credit.
    pub negative_amounts: bool,
    /// How many requests the site takes in a second; `None`: as many as come.
    pub requests_per_second: Option<u32>,
}

/// The criteria that a site's queries take. What the site does not filter is filtered here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryFilters {
    /// Student, academic period and funding destination.
    All,
    /// Only the student.
    Student,
}

impl EthosSettings {
    /// The settings of a site where everything is as Ellucian documents it.
    pub fn new(base_url: impl Into<String>, api_key: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            api_key: api_key.into(),
            allow_plain_http: false,
            ca_certificates: None,
            token_lifetime: Duration::from_secs(5 * 60),
            connect_deadline: Duration::from_secs(5),
            deadline: Duration::from_secs(20),
            filters: QueryFilters::All,
            negative_amounts: true,
            requests_per_second: None,
        }
    }
}

/// The adapter for one site. Meant to be made once: it keeps connections and the token.
pub struct Ethos {
    channel: Channel,
    filters: QueryFilters,
    negative_amounts: bool,
}

impl Ethos {
    /// Checks the settings; nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::BadAddress`], [`Error::PlainHttp`], [`Error::CaCertificates`], [`Error::NoTls`].
    pub fn new(settings: EthosSettings) -> Result<Self, Error> {
        Ok(Self {
            filters: settings.filters,
            negative_amounts: settings.negative_amounts,
            channel: Channel::new(settings)?,
        })
    }

    /// Sends the create, once.
    pub async fn post(&self, posting: &Posting) -> PostOutcome {
        let inexpressible = self.inexpressible(posting);
        if !inexpressible.is_empty() {
            return PostOutcome::Rejected {
                errors: inexpressible,
            };
        }
        let sent = self.channel.create(CHARGES, wire::create(posting)).await;
        let outcome = verdict::of_create(sent);
        tracing::debug!(posting.id = %posting.posting_id, outcome = outcome.name(), "handed a posting to the SIS");
        outcome
    }

    /// What the site would refuse, or worse, take for something else.
    fn inexpressible(&self, posting: &Posting) -> Vec<SisError> {
        let refuse = |code: &str, description: &str| SisError {
            code: code.to_owned(),
            title: "Not sent".to_owned(),
            description: description.to_owned(),
        };
        let mut errors = Vec::new();
        if posting.amount.is_zero() {
            errors.push(refuse(
                "carrel.ZeroAmount",
                "a posting of nothing is not sent",
            ));
        }
        if posting.amount.is_negative() && !self.negative_amounts {
            errors.push(refuse(
                "carrel.NegativeAmount",
                "this site takes no negative amounts; enter the credit there",
            ));
        }
        if posting.reversal_of.is_some() && posting.amount.is_positive() {
            errors.push(refuse(
                "carrel.ReversalNotNegative",
                "a reversal lowers what is owed",
            ));
        }
        errors
    }

    /// Looks for a posting among the charges of its student, period and destination; what bears its id is it, even
    /// where somebody has moved it since.
    ///
    /// # Errors
    /// As [`Ethos::list_charges`].
    pub async fn find(&self, lookup: &PostingLookup) -> Result<FindOutcome, Error> {
        let filter = AccountFilter {
            student_id: Some(lookup.student_id.clone()),
            academic_period_id: Some(lookup.academic_period_id.clone()),
            funding_destination_id: Some(lookup.funding_destination_id.clone()),
        };
        let mut charges = self.query_charges(&filter).await?;
        charges.retain(|charge| may_be(lookup, &filter, charge));
        Ok(matching::find(lookup, charges))
    }

    /// The charge with this id, where there is one.
    ///
    /// # Errors
    /// The SIS could not be asked, or its answer not be read.
    pub async fn find_charge(&self, sis_id: &str) -> Result<Option<SisCharge>, Error> {
        let answer = self.channel.get(&[CHARGES, sis_id], &[]).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        let charge: wire::Charge = read(&verdict::of_query(answer)?.body)?;
        Ok(Some(charge.into()))
    }

    /// All charges that fit, from all pages.
    ///
    /// # Errors
    /// The SIS could not be asked, or its answer not be read whole; a part is never returned.
    pub async fn list_charges(&self, filter: &AccountFilter) -> Result<Vec<SisCharge>, Error> {
        let mut charges = self.query_charges(filter).await?;
        charges.retain(|charge| is_among(filter, charge));
        Ok(charges)
    }

    /// All charges that the site returns for a filter, whether they fit or not.
    async fn query_charges(&self, filter: &AccountFilter) -> Result<Vec<SisCharge>, Error> {
        let charges: Vec<wire::Charge> = self
            .all_pages(CHARGES, filter, |charge: &wire::Charge| &charge.id)
            .await?;
        Ok(charges.into_iter().map(SisCharge::from).collect())
    }

    /// All payments that fit, from all pages.
    ///
    /// # Errors
    /// As [`Ethos::list_charges`].
    pub async fn list_payments(
        &self,
        filter: &AccountFilter,
        paid_since: Option<Date>,
    ) -> Result<Vec<SisPayment>, Error> {
        let payments: Vec<wire::Payment> = self
            .all_pages(PAYMENTS, filter, |payment: &wire::Payment| &payment.id)
            .await?;
        let mut payments = payments
            .into_iter()
            .map(SisPayment::from)
            .collect::<Vec<_>>();
        payments.retain(|payment| {
            fits(&filter.student_id, &payment.student_id)
                && fits(&filter.academic_period_id, &payment.academic_period_id)
                && fits(
                    &filter.funding_destination_id,
                    &payment.funding_destination_id,
                )
                && paid_since
                    .is_none_or(|since| payment.paid_on.is_none_or(|paid_on| paid_on >= since))
        });
        Ok(payments)
    }

    fn criteria(&self, filter: &AccountFilter) -> Option<String> {
        let mut criteria = serde_json::Map::new();
        let mut ask = |name: &str, id: &Option<String>| {
            if let Some(id) = id {
                criteria.insert(name.to_owned(), json!({ "id": id }));
            }
        };
        ask("student", &filter.student_id);
        if self.filters == QueryFilters::All {
            ask("academicPeriod", &filter.academic_period_id);
            ask("fundingDestination", &filter.funding_destination_id);
        }
        (!criteria.is_empty()).then(|| serde_json::Value::Object(criteria).to_string())
    }

    async fn all_pages<T: DeserializeOwned>(
        &self,
        resource: &str,
        filter: &AccountFilter,
        id: fn(&T) -> &str,
    ) -> Result<Vec<T>, Error> {
        let criteria = self.criteria(filter);
        let mut seen = HashSet::new();
        let mut all = Vec::new();
        let mut offset = 0;
        let mut total = None;
        for _ in 0..MOST_PAGES {
            let (offset_text, limit_text) = (offset.to_string(), PAGE.to_string());
            let mut query = vec![
                ("offset", offset_text.as_str()),
                ("limit", limit_text.as_str()),
            ];
            query.extend(criteria.as_deref().map(|criteria| ("criteria", criteria)));
            let answer = verdict::of_query(self.channel.get(&[resource], &query).await?)?;
            let page: Vec<T> = read(&answer.body)?;
            total = answer.total.or(total);
            // A site may send fewer than asked for, so the next page begins where this one ended.
            offset += page.len();
            let ended = page.is_empty() || total.is_some_and(|total| offset >= total);
            // A resource can turn up on two pages when others are added meanwhile.
            all.extend(
                page.into_iter()
                    .filter(|resource| seen.insert(id(resource).to_owned())),
            );
            if ended {
                return match total {
                    Some(total) if all.len() < total => Err(Error::Incomplete {
                        seen: all.len(),
                        total,
                    }),
                    Some(_) | None => Ok(all),
                };
            }
        }
        Err(Error::Incomplete {
            seen: all.len(),
            total: total.unwrap_or(usize::MAX),
        })
    }
}

/// A charge in the right place, or one that bears our mark wherever it is: somebody at the SIS has moved it.
fn may_be(lookup: &PostingLookup, filter: &AccountFilter, charge: &SisCharge) -> bool {
    is_among(filter, charge) || matching::bears_mark(lookup.posting_id, charge)
}

fn is_among(filter: &AccountFilter, charge: &SisCharge) -> bool {
    fits(&filter.student_id, &charge.student_id)
        && fits(&filter.academic_period_id, &charge.academic_period_id)
        && fits(
            &filter.funding_destination_id,
            &charge.funding_destination_id,
        )
}

/// What a resource does not show may be what was asked for, as a site's own filter has let it through. GUIDs mean the
/// same in either case (RFC 9562).
fn fits(wanted: &Option<String>, shown: &Option<String>) -> bool {
    match (wanted, shown) {
        (Some(wanted), Some(shown)) => wanted.eq_ignore_ascii_case(shown),
        (None, _) | (_, None) => true,
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::Unreadable(error.to_string()))
}

/// The base URL without a slash at its end, where it may be used.
fn checked_base(settings: &EthosSettings) -> Result<Url, Error> {
    let url = Url::parse(settings.base_url.trim_end_matches('/'))
        .map_err(|error| Error::BadAddress(error.to_string()))?;
    match url.scheme() {
        "https" => Ok(url),
        "http" if settings.allow_plain_http || is_loopback(&url) => Ok(url),
        "http" => Err(Error::PlainHttp),
        other => Err(Error::BadAddress(format!(
            "{other} is neither http nor https"
        ))),
    }
}

fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let address = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(base_url: &str) -> Result<Ethos, Error> {
        Ethos::new(EthosSettings::new(base_url, "key"))
    }

    #[test]
    fn the_key_never_crosses_a_network_in_the_clear_unasked() {
        for loopback in [
            "http://127.0.0.1:8090",
            "http://localhost:8090/",
            "http://[::1]:8090",
        ] {
            assert!(made(loopback).is_ok(), "{loopback}");
        }
        assert!(matches!(
            made("http://sis.example.edu").err(),
            Some(Error::PlainHttp)
        ));
        let private = EthosSettings {
            allow_plain_http: true,
            ..EthosSettings::new("http://sis:8090", "key")
        };
        assert!(Ethos::new(private).is_ok());
        for wrong in ["sis.example.edu", "ftp://sis.example.edu", ""] {
            assert!(
                matches!(made(wrong).err(), Some(Error::BadAddress(_))),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_guid_in_capitals_is_the_same_guid() {
        let id = |text: &str| Some(text.to_owned());
        assert!(fits(&id("0e2c3a5b-7d"), &id("0E2C3A5B-7D")));
        assert!(!fits(&id("0e2c3a5b-7d"), &id("0e2c3a5b-7e")));
    }

    #[test]
    fn what_bears_our_mark_is_found_where_somebody_has_moved_it() {
        let posting_id = carrel_ids::new_id();
        let lookup = PostingLookup {
            posting_id,
            reference: carrel_ids::Reference::of(posting_id),
            student_id: "student".to_owned(),
            academic_period_id: "spring".to_owned(),
            funding_destination_id: "library".to_owned(),
            amount: carrel_money::Money::from_minor(1735, carrel_money::Currency::USD).unwrap(),
            chargeable_on: None,
        };
        let filter = AccountFilter {
            academic_period_id: Some("spring".to_owned()),
            ..AccountFilter::default()
        };
        let mut charge = SisCharge {
            sis_id: "sis".to_owned(),
            student_id: Some("student".to_owned()),
            academic_period_id: Some("summer".to_owned()),
            funding_destination_id: Some("library".to_owned()),
            amount: Some(lookup.amount),
            chargeable_on: None,
            description: None,
            comments: vec![],
        };
        assert!(!may_be(&lookup, &filter, &charge));
        charge.comments = vec![matching::mark(posting_id)];
        assert!(may_be(&lookup, &filter, &charge));
    }

    /// Runs below, in a process that finds no CA certificates.
    #[test]
    #[ignore = "run by the next test"]
    fn without_ca_certificates() {
        assert!(made("http://127.0.0.1:8090").is_ok());
        let refused = made("https://sis.example.edu")
            .err()
            .expect("https needs CA certificates");
        assert!(refused.to_string().contains("ca-certificates"), "{refused}");
    }

    #[test]
    fn a_machine_without_ca_certificates_reaches_a_plain_http_sis_and_says_what_https_needs() {
        let nowhere = "/nonexistent/ca-certificates";
        let run = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "ethos::tests::without_ca_certificates",
                "--ignored",
            ])
            .envs([("SSL_CERT_FILE", nowhere), ("SSL_CERT_DIR", nowhere)])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success() && text.contains("1 passed"), "{text}");
    }
}
