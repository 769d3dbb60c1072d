//! Reading a JSON body member by member, with every fault noted on the way.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use rust_decimal::Decimal;
use serde_json::{Map, Value};

use crate::amount;
use crate::clock::Clock;
use crate::validation::EthosError;

/// An amount in one of the two forms that Ethos takes.
pub(crate) struct ChargedAmount {
    pub(crate) amount: Decimal,
    pub(crate) currency: String,
    /// Quantity and cost of one.
    pub(crate) unit_cost: Option<(Decimal, Decimal)>,
}

/// A body that is a JSON object.
pub(crate) fn object(body: &[u8]) -> Result<Map<String, Value>, Vec<EthosError>> {
    serde_json::from_slice(body).map_err(|error| {
        let text = format!("the body is not a JSON object: {error}");
        vec![EthosError::new(
            "Global.SchemaValidation.Error",
            "Schema validation error",
            text,
        )]
    })
}

/// A body while it is read, with the faults found so far.
pub(crate) struct Form<'a> {
    pub(crate) body: &'a Map<String, Value>,
    errors: Vec<EthosError>,
}

impl<'a> Form<'a> {
    pub(crate) fn new(body: &'a Map<String, Value>) -> Self {
        Self {
            body,
            errors: Vec::new(),
        }
    }

    /// Notes that a rule of the resource is broken.
    pub(crate) fn refuse(&mut self, description: impl Into<String>) {
        self.errors.push(EthosError::new(
            "Validation.Exception",
            "Validation error",
            description,
        ));
    }

    /// Notes that the body does not fit the schema.
    pub(crate) fn malformed(&mut self, description: impl Into<String>) {
        let code = "Global.SchemaValidation.Error";
        self.errors.push(EthosError::new(
            code,
            "Schema validation error",
            description,
        ));
    }

    pub(crate) fn finish<T>(self, build: impl FnOnce() -> Option<T>) -> Result<T, Vec<EthosError>> {
        if self.errors.is_empty() {
            // Every member that is missing has left an error, so this one is never seen.
            build().ok_or_else(|| {
                vec![EthosError::new(
                    "Validation.Exception",
                    "Validation error",
                    "incomplete",
                )]
            })
        } else {
            Err(self.errors)
        }
    }

    pub(crate) fn known_members(&mut self, known: &[&str]) {
        self.known_in("", self.body, known);
    }

    fn known_in(&mut self, path: &str, object: &Map<String, Value>, known: &[&str]) {
        for name in object.keys().filter(|name| !known.contains(&name.as_str())) {
            self.malformed(format!("{path}{name} is not a member of this resource"));
        }
    }

    pub(crate) fn member(&mut self, name: &str) -> Option<&'a Value> {
        let member = self.body.get(name);
        if member.is_none() {
            self.malformed(format!("{name} is required"));
        }
        member
    }

    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        let member = self.member(name)?;
        self.as_text(name, member)
    }

    pub(crate) fn optional_text(&mut self, name: &str) -> Option<String> {
        let member = self.body.get(name)?;
        self.as_text(name, member)
    }

    fn as_text(&mut self, path: &str, value: &Value) -> Option<String> {
        let text = value.as_str();
        if text.is_none() {
            self.malformed(format!("{path} must be a string"));
        }
        text.map(str::to_owned)
    }

    pub(crate) fn texts(&mut self, name: &str) -> Vec<String> {
        match self.body.get(name) {
            None => Vec::new(),
            Some(Value::Array(values)) => values
                .iter()
                .filter_map(|value| self.as_text(name, value))
                .collect(),
            Some(_) => {
                self.malformed(format!("{name} must be an array of strings"));
                Vec::new()
            }
        }
    }

    fn as_object(&mut self, path: &str, value: &'a Value) -> Option<&'a Map<String, Value>> {
        let object = value.as_object();
        if object.is_none() {
            self.malformed(format!("{path} must be an object"));
        }
        object
    }

    /// The GUID in a member of the form `{"id": …}`.
    pub(crate) fn reference(&mut self, name: &str) -> Option<String> {
        let member = self.member(name)?;
        let object = self.as_object(name, member)?;
        self.known_in(&format!("{name}."), object, &["id"]);
        let Some(id) = object.get("id") else {
            self.malformed(format!("{name}.id is required"));
            return None;
        };
        let id = self.as_text(&format!("{name}.id"), id)?;
        if is_guid(&id) {
            Some(id)
        } else {
            self.malformed(format!("{name}.id is not a lower-case GUID"));
            None
        }
    }

    pub(crate) fn date_time(&mut self, name: &str, clock: &Clock) -> Option<(String, Date)> {
        let text = self.text(name)?;
        let date = self.as_date_time(name, &text, clock)?;
        Some((text, date))
    }

    fn as_date_time(&mut self, path: &str, text: &str, clock: &Clock) -> Option<Date> {
        let date = civil_date(text, clock);
        if date.is_none() {
            self.malformed(format!("{path} is not a date and time"));
        }
        date
    }

    pub(crate) fn charged_amount(&mut self) -> Option<ChargedAmount> {
        let charged = self.member("chargedAmount")?;
        let charged = self.as_object("chargedAmount", charged)?;
        self.known_in("chargedAmount.", charged, &["amount", "unitCost"]);
        match (charged.get("amount"), charged.get("unitCost")) {
            (Some(amount), None) => {
                let (amount, currency) = self.money("chargedAmount.amount", amount)?;
                Some(ChargedAmount {
                    amount,
                    currency,
                    unit_cost: None,
                })
            }
            (None, Some(unit_cost)) => self.unit_cost(unit_cost),
            (None, None) | (Some(_), Some(_)) => {
                self.malformed("chargedAmount must have exactly one of amount and unitCost");
                None
            }
        }
    }

    fn unit_cost(&mut self, value: &'a Value) -> Option<ChargedAmount> {
        let path = "chargedAmount.unitCost";
        let object = self.as_object(path, value)?;
        self.known_in("chargedAmount.unitCost.", object, &["quantity", "cost"]);
        let quantity = object
            .get("quantity")
            .and_then(Value::as_number)
            .map(amount::from_json);
        let Some(Ok(quantity)) = quantity else {
            self.malformed(format!(
                "{path}.quantity must be a number with at most two decimals"
            ));
            return None;
        };
        let Some(cost) = object.get("cost") else {
            self.malformed(format!("{path}.cost is required"));
            return None;
        };
        let (cost, currency) = self.money("chargedAmount.unitCost.cost", cost)?;
        match amount::in_cents(quantity * cost) {
            Ok(amount) => Some(ChargedAmount {
                amount,
                currency,
                unit_cost: Some((quantity, cost)),
            }),
            Err(fault) => {
                self.refuse(format!("the product of {path} {fault}"));
                None
            }
        }
    }

    pub(crate) fn money(&mut self, path: &str, value: &'a Value) -> Option<(Decimal, String)> {
        let object = self.as_object(path, value)?;
        self.known_in(&format!("{path}."), object, &["value", "currency"]);
        let amount = match object.get("value") {
            Some(Value::Number(number)) => amount::from_json(number),
            Some(_) | None => Err("must be a number"),
        };
        if let Err(fault) = amount {
            self.malformed(format!("{path}.value {fault}"));
        }
        let currency = object
            .get("currency")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !amount::CURRENCIES.contains(&currency) {
            self.refuse(format!("{path}.currency must be USD or CAD"));
            return None;
        }
        Some((amount.ok()?, currency.to_owned()))
    }

    pub(crate) fn reporting_detail(&mut self, clock: &Clock) -> Option<Value> {
        let value = self.body.get("reportingDetail")?;
        let object = self.as_object("reportingDetail", value)?;
        if object.is_empty() {
            return None;
        }
        self.known_in(
            "reportingDetail.",
            object,
            &["usage", "originatedOn", "activityDates"],
        );
        if object.get("usage").and_then(Value::as_str) != Some("taxReportingOnly") {
            self.malformed("reportingDetail.usage must be taxReportingOnly");
        }
        let originated_on = object
            .get("originatedOn")
            .and_then(Value::as_str)
            .unwrap_or_default();
        self.as_date_time("reportingDetail.originatedOn", originated_on, clock);
        if let Some(dates) = object.get("activityDates") {
            self.activity_dates(dates);
        }
        Some(value.clone())
    }

    fn activity_dates(&mut self, value: &'a Value) {
        let path = "reportingDetail.activityDates";
        let Some(dates) = self.as_object(path, value) else {
            return;
        };
        self.known_in(&format!("{path}."), dates, &["startOn", "endOn"]);
        let is_date = |name| {
            let text = dates.get(name).and_then(Value::as_str);
            text.is_some_and(|text| text.parse::<Date>().is_ok())
        };
        let is_complete = is_date("startOn") && is_date("endOn");
        if !dates.is_empty() && !is_complete {
            self.malformed(format!("{path} must have the dates startOn and endOn"));
        }
    }
}

/// Lower-case hexadecimal digits in groups of 8, 4, 4, 4 and 12.
pub(crate) fn is_guid(text: &str) -> bool {
    let groups = text.split('-').collect::<Vec<_>>();
    let is_hex = |group: &str| {
        group
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| is_hex(group))
}

/// The site's civil date of a date and time; one without an offset is local time.
pub(crate) fn civil_date(text: &str, clock: &Clock) -> Option<Date> {
    // jiff also takes a bare date or a blank between date and time; the schema does not.
    if text.as_bytes().get(10) != Some(&b'T') {
        return None;
    }
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(clock.date_of(instant));
    }
    text.parse::<DateTime>().ok().map(DateTime::date)
}
