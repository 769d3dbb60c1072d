//! Budget codes: account strings of segments that the district defines.

mod model;
mod store;

use std::sync::{Arc, PoisonError, RwLock};

use carrel_database::{Database, transact};
use sqlx::PgConnection;
use uuid::Uuid;

pub use model::{CodeFault, Definition, Segment, Structure, StructureFault};

use crate::change::Change;
use crate::error::Error;

/// Sets the structure. Codes that are booked stay as they are.
///
/// # Errors
/// [`Error::RequestReused`].
pub async fn set(
    database: &Database,
    structure: &Structure,
    change: &Change,
) -> Result<Structure, Error> {
    let id = carrel_ids::new_id();
    transact!(database, "set_budget_code_structure", |transaction| {
        if let Some(first) = change.claim(transaction, id).await? {
            return store::get(transaction, first).await;
        }
        store::insert(transaction, id, structure, change.actor(), change.now).await?;
        Ok(structure.clone())
    })
}

/// The structure that holds, kept in memory: it can have 120,000 values and is
/// needed for every commitment, but changes once a year. Which one holds is
/// asked of the database each time, so that replicas agree.
#[derive(Debug, Default)]
pub struct Structures {
    current: RwLock<Option<(Uuid, Arc<Structure>)>>,
}

impl Structures {
    /// The structure that holds; `None` where none was ever set.
    async fn find(&self, connection: &mut PgConnection) -> Result<Option<Arc<Structure>>, Error> {
        let Some(id) = store::find_current(connection).await? else {
            return Ok(None);
        };
        if let Some(structure) = self.kept(id) {
            return Ok(Some(structure));
        }
        let structure = Arc::new(store::get(connection, id).await?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) =
            Some((id, structure.clone()));
        Ok(Some(structure))
    }

    fn kept(&self, id: Uuid) -> Option<Arc<Structure>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current
            .as_ref()
            .filter(|(kept, _)| *kept == id)
            .map(|(_, structure)| structure.clone())
    }

    /// The structure that holds.
    ///
    /// # Errors
    /// [`Error::StructureNotSet`].
    pub async fn get(&self, database: &Database) -> Result<Arc<Structure>, Error> {
        let mut connection = database.pool().acquire().await?;
        let structure = self.find(&mut connection).await?;
        structure.ok_or(Error::StructureNotSet)
    }

    /// What is wrong with a code; `None` where it is valid.
    ///
    /// # Errors
    /// The database's.
    pub async fn find_fault(
        &self,
        database: &Database,
        code: &str,
    ) -> Result<Option<CodeFault>, Error> {
        let mut connection = database.pool().acquire().await?;
        match self.check(&mut connection, code).await {
            Ok(()) => Ok(None),
            Err(Error::BudgetCodeInvalid(fault)) => Ok(Some(fault)),
            Err(error) => Err(error),
        }
    }

    /// Checks a code against the structure that holds.
    ///
    /// # Errors
    /// [`Error::BudgetCodeInvalid`].
    pub(crate) async fn check(
        &self,
        connection: &mut PgConnection,
        code: &str,
    ) -> Result<(), Error> {
        match self.find(connection).await? {
            None => Err(CodeFault::NoStructure),
            Some(structure) => structure.check(code),
        }
        .map_err(Error::BudgetCodeInvalid)
    }
}
