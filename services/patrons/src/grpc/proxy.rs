//! `carrel.patrons.v1.ProxyService`.

use carrel_proto::patrons::v1 as wire;
use carrel_proto::patrons::v1::proxy_service_server::ProxyService;
use carrel_runtime::wire::{date, id, required, to_date, to_timestamp};
use carrel_runtime::{Call, page};
use tonic::{Request, Response, Status};

use crate::Patrons;
use crate::proxy::{self, Proxy};

pub(super) struct ProxyRpcs(pub(super) Patrons);

fn encode(proxy: Proxy) -> wire::Proxy {
    wire::Proxy {
        id: proxy.id.to_string(),
        sponsor_patron_id: proxy.sponsor_patron_id.to_string(),
        proxy_patron_id: proxy.proxy_patron_id.to_string(),
        expiration_date: proxy.expiration_date.map(to_date),
        created_at: Some(to_timestamp(proxy.created_at)),
        created_by: proxy.created_by,
        ended_at: proxy.ended_at.map(to_timestamp),
    }
}

#[tonic::async_trait]
impl ProxyService for ProxyRpcs {
    async fn create_proxy(
        &self,
        request: Request<wire::CreateProxyRequest>,
    ) -> Result<Response<wire::CreateProxyResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let given = required("proxy", &request.proxy)?;
        let sponsor = id("proxy.sponsor_patron_id", &given.sponsor_patron_id)?;
        let proxy = id("proxy.proxy_patron_id", &given.proxy_patron_id)?;
        let last_day = match &given.expiration_date {
            Some(value) => Some(date("proxy.expiration_date", value)?),
            None => None,
        };
        let made = proxy::create(&self.0, &call, &key, sponsor, proxy, last_day).await?;
        Ok(Response::new(wire::CreateProxyResponse {
            proxy: Some(encode(made)),
        }))
    }

    async fn list_proxies(
        &self,
        request: Request<wire::ListProxiesRequest>,
    ) -> Result<Response<wire::ListProxiesResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let patron_id = id("patron_id", &request.patron_id)?;
        let query = wire::ListProxiesRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        };
        let page = page(request.page_size, &request.page_token, &query, 50, 1_000)?;
        let (proxies, next_page_token) =
            proxy::list(&self.0, &call, patron_id, request.include_ended, &page).await?;
        Ok(Response::new(wire::ListProxiesResponse {
            proxies: proxies.into_iter().map(encode).collect(),
            next_page_token,
        }))
    }

    async fn end_proxy(
        &self,
        request: Request<wire::EndProxyRequest>,
    ) -> Result<Response<wire::EndProxyResponse>, Status> {
        let call = Call::of(&request)?;
        let request = request.into_inner();
        let key = call.request_key(&request.request_id, &request)?;
        let ended = proxy::end(&self.0, &call, &key, id("id", &request.id)?).await?;
        Ok(Response::new(wire::EndProxyResponse {
            proxy: Some(encode(ended)),
        }))
    }
}
