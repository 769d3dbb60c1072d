//! Which permission each RPC and event type needs: read once from the
//! contract's options.

use std::collections::HashMap;
use std::sync::LazyLock;

use carrel_proto::DESCRIPTORS;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor};
use tonic::{Code, Status};

use crate::call::Call;
use crate::refusal::Refusal;

/// What an RPC needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RpcAccess {
    /// The RPC's path, such as "/carrel.circulation.v1.LoanService/CheckOut".
    pub rpc: &'static str,
    /// The permission.
    pub permission: &'static str,
    /// Whether a grant for the whole district is needed. Where not, the
    /// service finds the library from a field of the request and checks it.
    pub district_wide: bool,
}

/// Every RPC of the contract that has its option, and the event types'
/// permissions.
#[derive(Debug)]
pub struct AccessTable {
    rpcs: HashMap<&'static str, RpcAccess>,
    events: HashMap<String, String>,
}

/// The contract's table.
pub static ACCESS: LazyLock<AccessTable> = LazyLock::new(AccessTable::read);

impl AccessTable {
    fn read() -> Self {
        let pool =
            DescriptorPool::decode(DESCRIPTORS).expect("the committed descriptors are sound");
        let rpcs = pool
            .services()
            .flat_map(|service| service.methods().collect::<Vec<_>>())
            .filter_map(|method| rpc_access(&pool, &method))
            .map(|access| (access.rpc, access))
            .collect();
        let events = pool
            .all_messages()
            .filter_map(|message| {
                let permission = event_permission(&pool, &message)?;
                Some((message.full_name().to_owned(), permission))
            })
            .collect();
        Self { rpcs, events }
    }

    /// What an RPC needs; `None` where it has no option, and so is refused.
    #[must_use]
    pub fn rpc(&self, path: &str) -> Option<RpcAccess> {
        self.rpcs.get(path).copied()
    }

    /// The permission to read events of a type; `None` where there is no such
    /// event type.
    #[must_use]
    pub fn event(&self, event_type: &str) -> Option<&str> {
        self.events.get(event_type).map(String::as_str)
    }
}

fn rpc_access(pool: &DescriptorPool, method: &MethodDescriptor) -> Option<RpcAccess> {
    let extension = pool.get_extension_by_name("carrel.access.v1.access")?;
    let options: DynamicMessage = method.options();
    if !options.has_extension(&extension) {
        return None;
    }
    let value = options.get_extension(&extension);
    let access = value.as_message()?;
    let text = |field: &str| {
        access
            .get_field_by_name(field)
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_default()
    };
    let permission = text("permission");
    if permission.is_empty() {
        return None;
    }
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    Some(RpcAccess {
        // A few kilobytes, once in a process's life.
        rpc: path.leak(),
        permission: permission.leak(),
        district_wide: text("scope_field").is_empty(),
    })
}

fn event_permission(pool: &DescriptorPool, message: &MessageDescriptor) -> Option<String> {
    let extension = pool.get_extension_by_name("carrel.access.v1.event_permission")?;
    let options: DynamicMessage = message.options();
    if !options.has_extension(&extension) {
        return None;
    }
    options
        .get_extension(&extension)
        .as_str()
        .map(str::to_owned)
}

/// Lets a caller read events whose type's permission the caller holds.
#[derive(Debug)]
pub(crate) struct EventGate;

impl carrel_outbox::EventAccess for EventGate {
    fn may_read(&self, extensions: &tonic::Extensions, event_type: &str) -> Result<(), Status> {
        let permitted = extensions.get::<Call>().is_some_and(|call| {
            ACCESS
                .event(event_type)
                .is_some_and(|permission| call.caller.may_everywhere(permission))
        });
        if permitted {
            return Ok(());
        }
        Err(Refusal::new(
            Code::PermissionDenied,
            "EVENT_TYPE_DENIED",
            "your token does not allow reading one of these event types, or there is no such type",
        )
        .into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rpc_of_the_contract_names_its_permission() {
        let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
        let mut count = 0;
        for service in pool.services() {
            for method in service.methods() {
                let path = format!("/{}/{}", service.full_name(), method.name());
                let access = ACCESS
                    .rpc(&path)
                    .unwrap_or_else(|| panic!("{path} has no permission"));
                count += 1;
                if !access.district_wide {
                    let options = method.options();
                    let extension = pool
                        .get_extension_by_name("carrel.access.v1.access")
                        .unwrap();
                    let value = options.get_extension(&extension).into_owned();
                    let field = value
                        .as_message()
                        .unwrap()
                        .get_field_by_name("scope_field")
                        .unwrap();
                    let field = field.as_str().unwrap();
                    assert!(
                        method.input().get_field_by_name(field).is_some(),
                        "{path}: its request has no field {field}"
                    );
                }
            }
        }
        assert!(count > 50, "only {count} RPCs");
        assert_eq!(
            ACCESS.event("carrel.catalog.v1.ItemChanged"),
            Some("catalog.items.read")
        );
        assert_eq!(ACCESS.event("carrel.catalog.v1.Item"), None);
    }

    #[test]
    fn every_changing_rpc_has_a_request_id() {
        let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
        let reading = [
            "Get",
            "List",
            "Search",
            "Check",
            "Compare",
            "Count",
            "Explain",
            "Preview",
            "Try",
            "Validate",
            "Verify",
            "Reconcile",
            "Subscribe",
        ];
        for method in pool
            .services()
            .flat_map(|service| service.methods().collect::<Vec<_>>())
        {
            let name = method.name();
            let reads = reading.iter().any(|verb| name.starts_with(verb))
                && !name.starts_with("CheckOut")
                && !name.starts_with("CheckIn");
            // Streams carry theirs in the header, the first message.
            if reads || method.is_client_streaming() {
                continue;
            }
            assert!(
                method.input().get_field_by_name("request_id").is_some(),
                "{} changes something and has no request id",
                method.full_name()
            );
        }
    }

    #[test]
    fn every_list_is_read_in_pages() {
        let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
        for method in pool
            .services()
            .flat_map(|service| service.methods().collect::<Vec<_>>())
        {
            // A service follows a handful of feeds, known when it is built.
            let bounded = method.name() == "ListFeedConsumers";
            if bounded
                || !(method.name().starts_with("List") || method.name().starts_with("Search"))
            {
                continue;
            }
            for field in ["page_size", "page_token"] {
                assert!(
                    method.input().get_field_by_name(field).is_some(),
                    "{} has no {field}",
                    method.full_name()
                );
            }
            assert!(
                method
                    .output()
                    .get_field_by_name("next_page_token")
                    .is_some(),
                "{} has no next_page_token",
                method.full_name()
            );
        }
    }
}
