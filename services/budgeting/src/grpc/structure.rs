//! Fiscal years, ledgers and funds, from the wire and onto it.

use carrel_money::{Currency, MoneyError};
use carrel_proto::budgeting::v1 as pb;
use carrel_runtime::{Refusal, wire};

use crate::fiscal_year::FiscalYear;
use crate::fund::Fund;
use crate::ledger::Ledger;

pub(super) fn new_fiscal_year(year: &Option<pb::FiscalYear>) -> Result<FiscalYear, Refusal> {
    let year = wire::required("fiscal_year", year)?;
    let date = |field: &str, value| wire::date(field, wire::required(field, value)?);
    let currency: Currency = year.currency_code.parse().map_err(|error: MoneyError| {
        Refusal::field(
            "fiscal_year.currency_code",
            "CURRENCY_UNKNOWN",
            error.to_string(),
        )
    })?;
    Ok(FiscalYear {
        id: carrel_ids::new_id(),
        code: wire::code("fiscal_year.code", &year.code)?.to_owned(),
        first_date: date("fiscal_year.first_date", &year.first_date)?,
        last_date: date("fiscal_year.last_date", &year.last_date)?,
        currency,
    })
}

pub(super) fn fiscal_year(year: FiscalYear) -> pb::FiscalYear {
    pb::FiscalYear {
        id: year.id.to_string(),
        code: year.code,
        first_date: Some(wire::to_date(year.first_date)),
        last_date: Some(wire::to_date(year.last_date)),
        currency_code: year.currency.code().to_owned(),
    }
}

pub(super) fn new_ledger(ledger: &Option<pb::Ledger>) -> Result<Ledger, Refusal> {
    let ledger = wire::required("ledger", ledger)?;
    Ok(Ledger {
        id: carrel_ids::new_id(),
        code: wire::code("ledger.code", &ledger.code)?.to_owned(),
        name: wire::text("ledger.name", &ledger.name, 1, 200)?.to_owned(),
    })
}

pub(super) fn ledger(ledger: Ledger) -> pb::Ledger {
    pb::Ledger {
        id: ledger.id.to_string(),
        code: ledger.code,
        name: ledger.name,
    }
}

pub(super) fn new_fund(fund: &Option<pb::Fund>) -> Result<Fund, Refusal> {
    let fund = wire::required("fund", fund)?;
    let external = &fund.external_account_number;
    Ok(Fund {
        id: carrel_ids::new_id(),
        ledger_id: wire::id("fund.ledger_id", &fund.ledger_id)?,
        code: wire::code("fund.code", &fund.code)?.to_owned(),
        name: wire::text("fund.name", &fund.name, 1, 200)?.to_owned(),
        external_account_number: wire::text("fund.external_account_number", external, 0, 100)?
            .to_owned(),
    })
}

pub(super) fn fund(fund: Fund) -> pb::Fund {
    pb::Fund {
        id: fund.id.to_string(),
        ledger_id: fund.ledger_id.to_string(),
        code: fund.code,
        name: fund.name,
        external_account_number: fund.external_account_number,
    }
}
