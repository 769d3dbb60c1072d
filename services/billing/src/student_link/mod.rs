//! Which patron has which student account: a copy of what patrons tells billing. Whoever has none is never posted.

mod store;

use std::collections::BTreeMap;
use std::time::Duration;

use carrel_outbox::{ApplyError, Page, Projection, StateProjection, decode};
use carrel_proto::events::v1::Event;
use carrel_proto::patrons::v1::patron_service_client::PatronServiceClient;
use carrel_proto::patrons::v1::{ListPatronStandingsRequest, StudentLink, StudentLinkChanged};
use carrel_runtime::PeerChannel;
use prost::Name as _;
use sqlx::PgConnection;
use tonic::{Request, Status};
use uuid::Uuid;

/// Links that are read at once.
const PAGE: i32 = 1_000;
/// How long a page may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// The copy.
pub struct StudentLinks {
    patrons: PatronServiceClient<PeerChannel>,
}

impl StudentLinks {
    /// A copy of what this service says.
    #[must_use]
    pub fn new(patrons: PeerChannel) -> Self {
        Self {
            patrons: PatronServiceClient::new(patrons),
        }
    }
}

impl Projection for StudentLinks {
    fn types(&self) -> Vec<String> {
        vec![StudentLinkChanged::full_name()]
    }

    async fn apply_all(
        &self,
        connection: &mut PgConnection,
        generation: i64,
        events: &[Event],
    ) -> Result<(), ApplyError> {
        let link = |event| {
            let changed: StudentLinkChanged = decode(event)?;
            changed
                .student_link
                .ok_or_else(|| ApplyError::Poison("there is no student link in it".into()))
        };
        let links = events.iter().map(link).collect::<Result<Vec<_>, _>>()?;
        put(connection, generation, &links).await
    }
}

impl StateProjection for StudentLinks {
    type Rows = Vec<StudentLink>;

    async fn fetch_page(&self, page_token: &str) -> Result<Page<Vec<StudentLink>>, Status> {
        let mut request = Request::new(ListPatronStandingsRequest {
            page_size: PAGE,
            page_token: page_token.to_owned(),
        });
        request.set_timeout(DEADLINE);
        let page = self
            .patrons
            .clone()
            .list_patron_standings(request)
            .await?
            .into_inner();
        Ok(Page {
            rows: page.student_links,
            next_page_token: page.next_page_token,
        })
    }

    async fn apply_page(
        &self,
        connection: &mut PgConnection,
        generation: i64,
        rows: &Vec<StudentLink>,
    ) -> Result<(), ApplyError> {
        put(connection, generation, rows).await
    }

    async fn finish_rebuild(
        &self,
        connection: &mut PgConnection,
        generation: i64,
    ) -> Result<(), ApplyError> {
        Ok(store::forget_older(connection, generation).await?)
    }
}

async fn put(
    connection: &mut PgConnection,
    generation: i64,
    links: &[StudentLink],
) -> Result<(), ApplyError> {
    // The newest word on each patron: a statement can write a row only once.
    let mut newest: BTreeMap<Uuid, &StudentLink> = BTreeMap::new();
    for link in links {
        let patron_id = carrel_ids::parse(&link.patron_id)
            .map_err(|_| ApplyError::Poison("patron_id is not an id".into()))?;
        let known = newest.entry(patron_id).or_insert(link);
        if known.revision < link.revision {
            *known = link;
        }
    }
    Ok(store::put_links(connection, generation, &newest).await?)
}
