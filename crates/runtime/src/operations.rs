//! What operators do to a running service: the clock.

use std::sync::{Mutex, PoisonError};

use carrel_database::RequestKey;
use carrel_proto::operations::v1::clock_service_server::ClockService;
use carrel_proto::operations::v1::{
    GetClockRequest, GetClockResponse, SetClockRequest, SetClockResponse,
};
use jiff::Timestamp;
use tonic::{Code, Request, Response, Status};

use crate::call::Call;
use crate::clock::{Clock, ClockError};
use crate::refusal::Refusal;
use crate::wire;

/// Serves `carrel.operations.v1.ClockService`.
#[derive(Debug)]
pub(crate) struct ClockRpcs {
    clock: Clock,
    /// The last request that moved it. A clock is no row, so this is no row
    /// either: it goes with the process, as the clock does.
    last_request: Mutex<Option<RequestKey>>,
}

impl ClockRpcs {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            last_request: Mutex::default(),
        }
    }

    fn set(&self, key: RequestKey, now: Timestamp) -> Result<Timestamp, ClockError> {
        let mut last = self
            .last_request
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if last.as_ref() == Some(&key) {
            return Ok(self.clock.now());
        }
        let now = self.clock.set(now)?;
        *last = Some(key);
        Ok(now)
    }
}

#[tonic::async_trait]
impl ClockService for ClockRpcs {
    async fn get_clock(
        &self,
        _request: Request<GetClockRequest>,
    ) -> Result<Response<GetClockResponse>, Status> {
        Ok(Response::new(GetClockResponse {
            now: Some(wire::to_timestamp(self.clock.now())),
            movable: self.clock.is_movable(),
        }))
    }

    async fn set_clock(
        &self,
        request: Request<SetClockRequest>,
    ) -> Result<Response<SetClockResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let now = wire::timestamp("now", wire::required("now", &request.now)?)?;
        let now = self.set(key, now).map_err(|error| match error {
            ClockError::Fixed => {
                Refusal::new(Code::FailedPrecondition, "CLOCK_FIXED", error.to_string())
            }
            ClockError::Backwards => Refusal::field("now", "CLOCK_BACKWARDS", error.to_string()),
        })?;
        tracing::warn!(%now, "the clock was moved");
        Ok(Response::new(SetClockResponse {
            now: Some(wire::to_timestamp(now)),
        }))
    }
}
