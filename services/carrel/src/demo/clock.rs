//! The demonstration's clock: every service's and the student-account
//! system's, moved on together.

use carrel_proto::operations::v1::clock_service_client::ClockServiceClient;
use carrel_proto::operations::v1::{GetClockRequest, SetClockRequest};
use carrel_runtime::wire::{timestamp, to_timestamp};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, civil};
use serde_json::json;

use crate::clients::{Clients, request_id};
use crate::connect::{Suite, explain};
use crate::sample;
use crate::suite::SERVICES;

/// The clock.
pub struct DemoClock {
    time_zone: TimeZone,
}

impl DemoClock {
    /// The clock of the sample district.
    pub fn district() -> anyhow::Result<Self> {
        let time_zone = TimeZone::get(&sample::district().district.time_zone)?;
        Ok(Self { time_zone })
    }

    /// The instant of a local time.
    pub fn instant(&self, local: civil::DateTime) -> anyhow::Result<Timestamp> {
        Ok(self.time_zone.to_timestamp(local)?)
    }

    /// Sets the student-account system's clock.
    pub async fn set_sis(&self, clients: &Clients, local: civil::DateTime) -> anyhow::Result<()> {
        let now = self.instant(local)?;
        clients.sis.put("/admin/clock", &json!({"now": now})).await
    }

    /// Moves every clock on to a local time, the student-account system's
    /// first: it must never be behind.
    pub async fn set(
        &self,
        suite: &Suite,
        clients: &Clients,
        local: civil::DateTime,
    ) -> anyhow::Result<()> {
        self.set_sis(clients, local).await?;
        let now = Some(to_timestamp(self.instant(local)?));
        for service in SERVICES {
            let mut clock = ClockServiceClient::new(suite.channel(service.name)?);
            let request = SetClockRequest {
                now,
                request_id: request_id(),
            };
            clock
                .set_clock(request)
                .await
                .map_err(|status| explain(&status))?;
        }
        Ok(())
    }

    /// The local time of an instant, for people.
    pub fn local(&self, instant: Timestamp) -> String {
        instant
            .to_zoned(self.time_zone.clone())
            .strftime("%a %-d %b %Y %H:%M")
            .to_string()
    }

    /// The local time of an instant from the wire, for people.
    pub fn local_wire(&self, instant: Option<&prost_types::Timestamp>) -> String {
        match instant.map(|instant| timestamp("instant", instant)) {
            Some(Ok(instant)) => self.local(instant),
            _ => "-".into(),
        }
    }
}

/// How far a service's clock is from the machine's.
pub async fn offset(suite: &Suite, service: &str) -> anyhow::Result<(Timestamp, SignedDuration)> {
    let mut clock = ClockServiceClient::new(suite.channel(service)?);
    let answer = clock
        .get_clock(GetClockRequest {})
        .await
        .map_err(|status| explain(&status))?
        .into_inner();
    let now = timestamp("now", &answer.now.unwrap_or_default())
        .map_err(|refusal| anyhow::anyhow!("{}", refusal.reason()))?;
    Ok((now, now.duration_since(Timestamp::now())))
}
