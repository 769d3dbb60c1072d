//! The gRPC services: decode, call, encode, and nothing else.

mod block;
mod group;
mod patron;
mod proxy;
mod roster;

use carrel_proto::patrons::v1::manual_block_service_server::ManualBlockServiceServer;
use carrel_proto::patrons::v1::patron_group_service_server::PatronGroupServiceServer;
use carrel_proto::patrons::v1::patron_service_server::PatronServiceServer;
use carrel_proto::patrons::v1::proxy_service_server::ProxyServiceServer;
use carrel_proto::patrons::v1::roster_service_server::RosterServiceServer;
use carrel_runtime::Assembly;

use crate::Patrons;

/// Adds this service's gRPC services.
pub(crate) fn serve(assembly: Assembly, patrons: &Patrons) -> Assembly {
    assembly
        .serve(PatronServiceServer::new(patron::PatronRpcs(
            patrons.clone(),
        )))
        .serve(PatronGroupServiceServer::new(group::PatronGroupRpcs(
            patrons.clone(),
        )))
        .serve(ManualBlockServiceServer::new(block::ManualBlockRpcs(
            patrons.clone(),
        )))
        .serve(ProxyServiceServer::new(proxy::ProxyRpcs(patrons.clone())))
        .serve(RosterServiceServer::new(roster::RosterRpcs(
            patrons.clone(),
        )))
}
