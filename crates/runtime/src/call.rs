//! One call: who makes it, which RPC it is, and which request.

use carrel_database::RequestKey;
use prost::Message;
use tonic::{Code, Request, Status};

use crate::barcode::BarcodeKey;
use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::wire;

/// A call whose token and permission were checked.
#[derive(Debug, Clone)]
pub struct Call {
    /// Who calls.
    pub caller: Caller,
    /// The RPC's path, such as "/carrel.circulation.v1.LoanService/CheckOut".
    pub rpc: &'static str,
    /// The permission that the RPC needs.
    pub permission: &'static str,
    /// The W3C trace parent that came with the call.
    pub trace_parent: Option<String>,
    pub(crate) key: BarcodeKey,
}

impl Call {
    /// The call that a request belongs to. The access layer put it there.
    ///
    /// # Errors
    /// An internal error where a service is run without the access layer.
    pub fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        request.extensions().get::<Self>().cloned().ok_or_else(|| {
            tracing::error!("a service was run without the access layer");
            Status::internal("the service is not set up to check who calls")
        })
    }

    /// The key under which a changing request is done once.
    ///
    /// # Errors
    /// REQUEST_ID_MISSING, ID_MALFORMED.
    pub fn request_key(
        &self,
        request_id: &str,
        request: &impl Message,
    ) -> Result<RequestKey, Refusal> {
        if request_id.is_empty() {
            return Err(Refusal::field(
                "request_id",
                "REQUEST_ID_MISSING",
                "is needed: a new UUID for each change, the same one when a change is repeated",
            ));
        }
        Ok(RequestKey {
            caller: self.caller.subject().to_owned(),
            rpc: self.rpc,
            request_id: wire::id("request_id", request_id)?,
            fingerprint: self.key.fingerprint(&request.encode_to_vec()),
        })
    }

    /// Checks the RPC's permission in the library where the change happens.
    ///
    /// # Errors
    /// PERMISSION_DENIED.
    pub fn permit_at(&self, institution_code: &str, library_code: &str) -> Result<(), Refusal> {
        if self
            .caller
            .may_at(self.permission, institution_code, library_code)
        {
            Ok(())
        } else {
            Err(permission_denied())
        }
    }
}

/// The one answer to a caller without the permission; it reveals nothing.
#[must_use]
pub fn permission_denied() -> Refusal {
    Refusal::new(
        Code::PermissionDenied,
        "PERMISSION_DENIED",
        "your token does not allow this call",
    )
}
